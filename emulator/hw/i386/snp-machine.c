/*
 * AMD SEV-SNP host: the machine, that is, what its firmware set up
 *
 *   -machine q35,snp-host=on[,rmp=segmented|contiguous] -cpu EPYC-Genoa
 *
 * puts an RMP for all RAM at the end of RAM, hides it from the operating system
 * and gives every CPU the CPUID bits and MSRs of an SNP host.
 *
 *   -machine q35,snp-host=on,snp-far-node=3T -cpu EPYC-Genoa,phys-bits=48
 *
 * has the RAM of the last NUMA node begin at that address, so that a machine of
 * a few GB has RAM where only machines of terabytes have it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "hw/i386/e820_memory_layout.h"
#include "hw/i386/snp.h"
#include "hw/i386/topology.h"
#include "hw/i386/x86.h"
#include "migration/blocker.h"
#include "system/qtest.h"
#include "system/reset.h"
#include "system/tcg.h"
#include "cpu.h"

/* 16 bytes for each 4KB */
#define RMP_BYTES_PER_GB        (4 * MiB)
/* In a segmented RMP, where the tables begin: they are aligned to 1MB. */
#define RMP_TABLES_OFFSET       (1 * MiB)

/* CPUID Fn8000_0025 promises that 256 segments of 4GB to 1TB are possible. */
#define SEGMENT_SHIFT_MIN       32
#define SEGMENT_SHIFT_MAX       40
#define SEGMENTS_MAX            256

/* The status is FAIL_PERMISSION, unless another is set. */
struct SnpFaults snp_faults = { .rmpupdate_status = 2 };

static bool enabled;

/* Where RAM is, in ascending order; a part without RAM has @size 0 */
enum { BELOW_4G, ABOVE_4G, FAR_NODE, RAM_PARTS };
static struct {
    hwaddr base;
    uint64_t size;
} ram[RAM_PARTS];

static void set_snp_host(Object *obj, bool value, Error **errp)
{
    enabled = value;
}

static void set_rmp(Object *obj, const char *value, Error **errp)
{
    snp_rmp.segmented = g_str_equal(value, "segmented");
    if (!snp_rmp.segmented && !g_str_equal(value, "contiguous")) {
        error_setg(errp, "rmp=%s is unknown, use segmented or contiguous",
                   value);
    }
}

/* Below 1TB is the HyperTransport hole of AMD's machines: see pc.c. */
static void set_far_node(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    uint64_t value;

    if (!visit_type_size(v, name, &value, errp)) {
        return;
    }
    if (value < TiB || !QEMU_IS_ALIGNED(value, GiB)) {
        error_setg(errp, "%s takes an address of 1T or more that is a multiple "
                   "of 1G", name);
        return;
    }
    ram[FAR_NODE].base = value;
}

/* These may be set while the machine runs. */
static void add_fault(ObjectClass *oc, const char *name, uint32_t *value,
                      const char *description)
{
    object_class_property_add_uint32_ptr(oc, name, value,
                                         OBJ_PROP_FLAG_READWRITE);
    object_class_property_set_description(oc, name, description);
}

void snp_machine_class_init(ObjectClass *oc)
{
    object_class_property_add_bool(oc, "snp-host", NULL, set_snp_host);
    object_class_property_set_description(oc, "snp-host",
        "Make this an AMD SEV-SNP host (TCG only, no memory is encrypted)");
    object_class_property_add_str(oc, "rmp", NULL, set_rmp);
    object_class_property_set_description(oc, "rmp",
        "Form of the SNP reverse map table, segmented or contiguous");
    add_fault(oc, "snp-rmpupdate-fail-nth", &snp_faults.rmpupdate_nth,
              "For tests: which RMPUPDATE from now fails, 0 for none");
    add_fault(oc, "snp-rmpupdate-fail-status", &snp_faults.rmpupdate_status,
              "For tests: the status with which it fails");
    add_fault(oc, "snp-rmpopt-delay", &snp_faults.rmpopt_delay,
              "For tests: microseconds that each RMPOPT takes longer");
    object_class_property_add(oc, "snp-far-node", "size", NULL, set_far_node,
                              NULL, NULL);
    object_class_property_set_description(oc, "snp-far-node",
        "Where the RAM of an SNP host's last NUMA node begins");
}

/* Highest end of RAM in [@start, @end), @start if there is none. */
static hwaddr ram_end(hwaddr start, hwaddr end)
{
    unsigned i;

    for (i = ARRAY_SIZE(ram); i-- > 0; ) {
        if (ram[i].size && ram[i].base < end &&
            ram[i].base + ram[i].size > start) {
            return MIN(ram[i].base + ram[i].size, end);
        }
    }
    return start;
}

bool snp_machine_has_ram(hwaddr start, uint64_t size)
{
    return ram_end(start, start + size) > start;
}

/* Divides RAM into segments.  Returns how many GBs the tables have to cover. */
static uint64_t divide(void)
{
    hwaddr top = ram_end(0, HWADDR_MAX), size, start, end;
    uint64_t gb = 0;
    unsigned i;

    /* A contiguous table is one segment that is as large as need be. */
    snp_rmp.segment_shift = snp_rmp.segmented ? SEGMENT_SHIFT_MIN : 52;
    while (top >> snp_rmp.segment_shift >= SEGMENTS_MAX) {
        snp_rmp.segment_shift++;
    }
    size = 1ULL << snp_rmp.segment_shift;
    for (i = 0, start = 0; start < top; i++, start += size) {
        end = ram_end(start, start + size);
        snp_rmp.segment[i].gb = DIV_ROUND_UP(end - start, GiB);
        gb += snp_rmp.segment[i].gb;
    }
    return gb;
}

/*
 * At the end of RAM: the region of the RMP can never be optimized, and so at
 * most one or two are lost, which are not the ones that everybody needs.
 * Below 4GB the last megabytes belong to the firmware's ACPI tables and to the
 * initial RAM disk, so there the RMP begins the last region instead, or sits in
 * the middle of the only one.
 */
static bool place(X86MachineState *x86ms)
{
    hwaddr low = x86ms->below_4g_mem_size, base;

    if (x86ms->above_4g_mem_size >= snp_rmp.size + GiB / 2) {
        base = x86ms->above_4g_mem_start + x86ms->above_4g_mem_size -
               snp_rmp.size;
    } else {
        base = low > GiB ? QEMU_ALIGN_DOWN(low - 1, GiB) : low / 2;
    }
    snp_rmp.base = QEMU_ALIGN_DOWN(base, SNP_2M_SIZE);
    return snp_rmp.base + snp_rmp.size + 128 * MiB <= low || base >= 4 * GiB;
}

/*
 * An RST entry: bits 51:20 are the segment's table, bits 19:0 the mapped size
 * in GB (Linux arch/x86/virt/svm/sev.c, setup_rmptable segmented path).
 */
static void machine_reset(void *opaque)
{
    SnpCore *core;
    CPUState *cs;
    unsigned i;

    for (i = 0; snp_rmp.segmented && i < SNP_RST_ENTRIES; i++) {
        address_space_stq_le(&address_space_memory,
                             snp_rmp.base + SNP_RMP_BOOKKEEPING + i * 8,
                             snp_rmp.segment[i].table | snp_rmp.segment[i].gb,
                             MEMTXATTRS_UNSPECIFIED, NULL);
    }
    snp_memory_reset();
    snp_rmpopt_forget();
    QSIMPLEQ_FOREACH(core, &snp_cores, next) {
        memset(&core->base, 0, offsetof(SnpCore, next) -
                               offsetof(SnpCore, base));
    }
    memset(snp_asids, 0, sizeof(snp_asids));
    CPU_FOREACH(cs) {
        snp_cpu_reset(cpu_env(cs)->snp);
    }
}

static bool check_far_node(MachineState *ms, hwaddr used, Error **errp)
{
    X86MachineState *x86ms = X86_MACHINE(ms);
    unsigned phys_bits = X86_CPU(first_cpu)->phys_bits;
    hwaddr base = ram[FAR_NODE].base;
    hwaddr limit = MIN(1ULL << phys_bits,
                       1ULL * SEGMENTS_MAX << SEGMENT_SHIFT_MAX);
    int nodes = ms->numa_state ? ms->numa_state->num_nodes : 0;
    uint64_t size = nodes ? ms->numa_state->nodes[nodes - 1].node_mem : 0;

    if (!enabled || !snp_rmp.segmented) {
        error_setg(errp, "snp-far-node needs snp-host=on with a segmented RMP");
    } else if (nodes < 2) {
        error_setg(errp, "snp-far-node needs two NUMA nodes or more");
    } else if (!size || size > x86ms->above_4g_mem_size) {
        error_setg(errp, "snp-far-node needs memory on the last NUMA node, and "
                   "more on the others: it has %" PRIu64 " MB, and only %"
                   PRIu64 " MB of all RAM are above 4G", size / MiB,
                   (uint64_t)x86ms->above_4g_mem_size / MiB);
    } else if (base <= used) {
        error_setg(errp, "snp-far-node has to be above all else: above 0x%"
                   PRIx64, used);
    } else if (base > limit || size > limit - base) {
        error_setg(errp, "snp-far-node: %" PRIu64 " MB at 0x%" PRIx64 " do not "
                   "end below 0x%" PRIx64 ", the limit of phys-bits=%u or of "
                   "the RMP", size / MiB, base, limit, phys_bits);
    } else {
        ram[FAR_NODE].size = size;
    }
    return ram[FAR_NODE].size;
}

/*
 * Before the RAM above 4GB is mapped.  What pc.c places behind that stays near,
 * such as memory devices and the PCI hole.
 */
void snp_machine_split_far_node(MachineState *ms, hwaddr used, Error **errp)
{
    if (ram[FAR_NODE].base && check_far_node(ms, used, errp)) {
        X86_MACHINE(ms)->above_4g_mem_size -= ram[FAR_NODE].size;
    }
}

hwaddr snp_machine_node_base(MachineState *ms, int node, hwaddr base)
{
    return ram[FAR_NODE].size && node == ms->numa_state->num_nodes - 1 ?
           ram[FAR_NODE].base : base;
}

static void map_far_node(MachineState *ms)
{
    uint64_t size = ram[FAR_NODE].size;
    MemoryRegion *mr = g_new(MemoryRegion, 1);

    memory_region_init_alias(mr, NULL, "ram-far-node", ms->ram,
                             ms->ram_size - size, size);
    memory_region_add_subregion(get_system_memory(), ram[FAR_NODE].base, mr);
    e820_add_entry(ram[FAR_NODE].base, size, E820_RAM);
}

void snp_machine_memory_init(MachineState *ms)
{
    X86MachineState *x86ms = X86_MACHINE(ms);
    Error *blocker = NULL;
    hwaddr table;
    unsigned i;

    if (!enabled) {
        return;
    }
    ram[BELOW_4G].size = x86ms->below_4g_mem_size;
    ram[ABOVE_4G].base = x86ms->above_4g_mem_start;
    ram[ABOVE_4G].size = x86ms->above_4g_mem_size;
    if (ram[FAR_NODE].size) {
        map_far_node(ms);
    }
    snp_rmp.size = ROUND_UP(RMP_TABLES_OFFSET +
                            divide() * RMP_BYTES_PER_GB, SNP_2M_SIZE);
    if (!place(x86ms)) {
        error_report("snp-host=on: no room for an RMP of %" PRIu64 " MB, give "
                     "the machine at least -m 512M, snp-far-node's RAM not "
                     "counted", snp_rmp.size / MiB);
        exit(EXIT_FAILURE);
    }
    table = snp_rmp.base + (snp_rmp.segmented ? RMP_TABLES_OFFSET
                                              : SNP_RMP_BOOKKEEPING);
    for (i = 0; i < SNP_RST_ENTRIES; i++) {
        if (snp_rmp.segment[i].gb) {
            snp_rmp.segment[i].table = table;
            table += snp_rmp.segment[i].gb * RMP_BYTES_PER_GB;
        }
    }
    snp_memory_init();
    /* A reserved range wins over the RAM range it lies in. */
    e820_add_entry(snp_rmp.base, snp_rmp.size, E820_RESERVED);
    qemu_register_reset(machine_reset, NULL);
    error_setg(&blocker, "an SNP host cannot be saved or migrated");
    migrate_add_blocker(&blocker, &error_fatal);
}

bool snp_cpu_pre_plug(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;
    uint32_t version = env->cpuid_version;
    unsigned family = extract32(version, 8, 4) + extract32(version, 20, 8);

    if (!enabled) {
        return true;
    }
    if (!tcg_enabled() && !qtest_enabled()) {
        error_setg(errp, "snp-host=on is emulation, use it with -accel tcg");
        return false;
    }
    if (!IS_AMD_CPU(env) || family < 0x19 ||
        !(env->features[FEAT_8000_0001_ECX] & CPUID_EXT3_SVM)) {
        error_setg(errp, "snp-host=on needs an AMD CPU of family 19h or later "
                   "with SVM, use -cpu EPYC-Genoa");
        return false;
    }
    /* Linux uses SNP only when it is not itself a guest. */
    env->features[FEAT_1_ECX] &= ~CPUID_EXT_HYPERVISOR;
    env->cpuid_min_xlevel = MAX(env->cpuid_min_xlevel, 0x80000025);
    env->snp = g_new0(SnpCpu, 1);
    env->snp->core = snp_core_get(cpu->apic_id &
                                  -(1U << apicid_core_offset(&env->topo_info)));
    snp_cpu_reset(env->snp);
    return true;
}
