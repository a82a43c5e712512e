/*
 * AMD SEV-SNP host: query-snp and "info snp"
 *
 * Everything that hardware hides: the RMPOPT table of each core, how it came to
 * be, and what it is worth.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "qapi/qapi-builtin-visit.h"
#include "qapi/qapi-commands-misc-target.h"
#include "qapi/string-output-visitor.h"
#include "monitor/hmp-target.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "hw/i386/snp.h"
#include "cpu.h"

static SnpCoreInfo *core_info(const SnpCore *core)
{
    SnpCoreInfo *info = g_new0(SnpCoreInfo, 1);
    intList **cpus = &info->cpus, **regions = &info->regions;
    uint64_t i;
    CPUState *cs;

    info->core_id = core->id;
    info->enabled = core->base & SNP_RMPOPT_ENABLE;
    info->base = core->base & ~SNP_RMPOPT_ENABLE;
    info->scanned = core->scanned;
    info->cached = core->cached;
    info->failed = core->failed;
    info->reports = core->reports;
    info->checks = core->checks;
    info->skipped = core->skipped;
    info->faults = core->faults;
    CPU_FOREACH(cs) {
        if (cpu_env(cs)->snp->core == core) {
            QAPI_LIST_APPEND(cpus, cs->cpu_index);
        }
    }
    for (i = 0; info->enabled && i < SNP_RMPOPT_WINDOW; i++) {
        if (test_bit(i, core->table)) {
            QAPI_LIST_APPEND(regions, info->base / SNP_REGION_SIZE + i);
        }
    }
    return info;
}

static void add_regions(SnpHostInfo *info)
{
    intList **regions = &info->regions, **closed = &info->closed;
    unsigned i, gb;
    hwaddr p;

    for (i = 0; i < SNP_RST_ENTRIES; i++) {
        for (gb = 0; gb < snp_rmp.segment[i].gb; gb++) {
            hwaddr spa = ((hwaddr)i << snp_rmp.segment_shift) + gb * GiB;

            QAPI_LIST_APPEND(regions, spa / SNP_REGION_SIZE);
            if (snp_rmp_region_closed(spa)) {
                QAPI_LIST_APPEND(closed, spa / SNP_REGION_SIZE);
            }
            if (!snp_machine_has_ram(spa, SNP_REGION_SIZE)) {
                continue;
            }
            for (p = spa; p < spa + SNP_REGION_SIZE; p += SNP_2M_SIZE) {
                info->assigned += snp_rmp_2m_assigned(p);
            }
        }
    }
}

static void add_asids(SnpHostInfo *info)
{
    SnpAsidInfoList **tail = &info->asids;
    int i;

    for (i = 0; i < SNP_ASIDS; i++) {
        uint64_t checks = qatomic_read(&snp_asids[i].checks);
        uint64_t skipped = qatomic_read(&snp_asids[i].skipped);

        if (checks || skipped) {
            SnpAsidInfo *asid = g_new0(SnpAsidInfo, 1);

            asid->asid = i;
            asid->checks = checks;
            asid->skipped = skipped;
            QAPI_LIST_APPEND(tail, asid);
        }
    }
}

SnpHostInfo *qmp_query_snp(Error **errp)
{
    SnpHostInfo *info;
    SnpCoreInfoList **tail;
    SnpCore *core;

    if (!snp_rmp.size) {
        error_setg(errp, "the machine is no SNP host, start it with "
                   "-machine snp-host=on");
        return NULL;
    }
    info = g_new0(SnpHostInfo, 1);
    tail = &info->cores;
    info->rmp_format = g_strdup(snp_rmp.segmented ? "segmented" : "contiguous");
    info->rmp_base = snp_rmp.base;
    info->rmp_size = snp_rmp.size;
    info->enabled = snp_enabled_on_all_cpus();
    QEMU_LOCK_GUARD(&snp_rmp_lock);
    info->asserts = snp_rmpopt_asserts;
    add_regions(info);
    add_asids(info);
    QSIMPLEQ_FOREACH(core, &snp_cores, next) {
        QAPI_LIST_APPEND(tail, core_info(core));
    }
    return info;
}

/* In the form 0,2-5 */
static char *list_to_str(intList *list)
{
    char *str;
    Visitor *v = string_output_visitor_new(false, &str);

    visit_type_intList(v, NULL, &list, &error_abort);
    visit_complete(v, &str);
    visit_free(v);
    return str;
}

void hmp_info_snp(Monitor *mon, const QDict *qdict)
{
    g_autoptr(SnpHostInfo) info = NULL;
    g_autofree char *regions = NULL, *closed = NULL;
    SnpCoreInfoList *c;
    SnpAsidInfoList *a;
    Error *err = NULL;

    info = qmp_query_snp(&err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    regions = list_to_str(info->regions);
    closed = list_to_str(info->closed);
    monitor_printf(mon, "SNP: %s on all CPUs\n"
                   "RMP: %s, %" PRIu64 " MB at 0x%" PRIx64 "\n"
                   "regions: %s\nclosed: %s\n"
                   "assigned: %" PRIu64 " pages\nasserts: %" PRIu64 "\n"
                   "core   cpus      window           scanned    cached"
                   "    failed   reports       checks      skipped    faults"
                   "  optimized\n",
                   info->enabled ? "enabled" : "not enabled",
                   info->rmp_format, info->rmp_size / MiB, info->rmp_base,
                   regions, closed, info->assigned, info->asserts);
    for (c = info->cores; c; c = c->next) {
        SnpCoreInfo *i = c->value;
        g_autofree char *cpus = list_to_str(i->cpus);
        g_autofree char *table = list_to_str(i->regions);
        g_autofree char *base = i->enabled ?
            g_strdup_printf("0x%" PRIx64, i->base) : g_strdup("off");

        monitor_printf(mon, "%-6" PRId64 " %-9s %-14s %9" PRIu64 " %9" PRIu64
                       " %9" PRIu64 " %9" PRIu64 " %12" PRIu64 " %12" PRIu64
                       " %9" PRIu64 "  %s\n", i->core_id, cpus, base,
                       i->scanned, i->cached, i->failed, i->reports,
                       i->checks, i->skipped, i->faults, table);
    }
    monitor_printf(mon, "ASID         checks      skipped\n");
    for (a = info->asids; a; a = a->next) {
        monitor_printf(mon, "%-6" PRId64 " %12" PRIu64 " %12" PRIu64 "%s\n",
                       a->value->asid, a->value->checks, a->value->skipped,
                       a->value->asid ? "" : "  the host");
    }
}
