/*
 * AMD SEV-SNP host: RMPOPT, and the table it fills on each core
 *
 * Source: what the vendor said of the instruction on the Linux kernel lists in
 * February to June 2026.  Where that is silent, a comment says what was chosen.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "system/runstate.h"
#include "hw/i386/snp.h"

/* Physical addresses have 52 bits, and the last window goes beyond them. */
#define MAX_REGIONS     ((1 << (52 - 30)) + SNP_RMPOPT_WINDOW)

struct SnpCoreList snp_cores = QSIMPLEQ_HEAD_INITIALIZER(snp_cores);
struct SnpAsid snp_asids[SNP_ASIDS];
uint64_t snp_rmpopt_asserts;

/* Regions that RMPOPT need not read again; guarded by the RMP lock */
static DECLARE_BITMAP(verified, MAX_REGIONS);

SnpCore *snp_core_get(uint32_t id)
{
    SnpCore *core;

    QSIMPLEQ_FOREACH(core, &snp_cores, next) {
        if (core->id == id) {
            return core;
        }
    }
    core = g_new0(SnpCore, 1);
    core->id = id;
    QSIMPLEQ_INSERT_TAIL(&snp_cores, core, next);
    return core;
}

/* Position of @spa in the table of @core, or -1 if it has none. */
static long table_index(const SnpCore *core, hwaddr spa)
{
    uint64_t base = qatomic_read(&core->base);
    uint64_t start = base & ~SNP_RMPOPT_ENABLE;

    if (!(base & SNP_RMPOPT_ENABLE) || spa < start ||
        spa - start >= SNP_RMPOPT_WINDOW * SNP_REGION_SIZE) {
        return -1;
    }
    return (spa - start) / SNP_REGION_SIZE;
}

bool snp_core_optimized(const SnpCore *core, hwaddr spa)
{
    long i = table_index(core, spa);

    return i >= 0 && test_bit(i, core->table);
}

void snp_rmpopt_forget(void)
{
    SnpCore *core;

    bitmap_zero(verified, MAX_REGIONS);
    QSIMPLEQ_FOREACH(core, &snp_cores, next) {
        bitmap_zero(core->table, SNP_RMPOPT_WINDOW);
    }
}

/*
 * The rule that everything rests on: no core skips the check of a region that
 * has an assigned page.  A host that broke it would let the hypervisor write to
 * guests, so the machine does not go on.  It is no abort(), because software
 * can get here: by DMA to the RMP, or from a CPU without SNP_EN.
 */
static void assert_region(hwaddr spa)
{
    SnpCore *core;

    snp_rmpopt_asserts++;
    QSIMPLEQ_FOREACH(core, &snp_cores, next) {
        if (snp_core_optimized(core, spa) && snp_rmp_region_closed(spa)) {
            error_report("SNP: core %u has the RMPOPT bit of region %" PRIu64
                         " set, but a page of the region is assigned",
                         core->id, (uint64_t)(spa / SNP_REGION_SIZE));
            snp_rmpopt_forget();
            qemu_system_shutdown_request_with_code(SHUTDOWN_CAUSE_HOST_ERROR,
                                                   EXIT_FAILURE);
            return;
        }
    }
}

void snp_rmpopt_changed(hwaddr spa)
{
    SnpCore *core;

    clear_bit(spa / SNP_REGION_SIZE, verified);
    QSIMPLEQ_FOREACH(core, &snp_cores, next) {
        if (snp_core_optimized(core, spa)) {
            clear_bit_atomic(table_index(core, spa), core->table);
        }
    }
    assert_region(spa);
}

/*
 * A region outside the window has no place in the table: not optimized.  One
 * that another core verified is not read again until an entry of it changes.
 */
bool snp_rmpopt(SnpCore *core, hwaddr spa, bool verify)
{
    long i;

    QEMU_LOCK_GUARD(&snp_rmp_lock);
    i = table_index(core, spa);
    if (!verify) {
        core->reports++;
        return i >= 0 && test_bit(i, core->table);
    }
    if (i >= 0 && test_bit(spa / SNP_REGION_SIZE, verified)) {
        core->cached++;
    } else if (i >= 0 && !snp_rmp_region_closed(spa)) {
        set_bit(spa / SNP_REGION_SIZE, verified);
        core->scanned++;
    } else {
        core->failed++;
        return false;
    }
    set_bit_atomic(i, core->table);
    assert_region(spa);
    return true;
}

/*
 * Bits are relative to the base, so a new base starts with an empty table.
 * Disabled, every write is checked; that the bits are lost then, too, is a
 * choice: software cannot rely on either.
 */
void snp_rmpopt_set_base(SnpCore *core, uint64_t base)
{
    QEMU_LOCK_GUARD(&snp_rmp_lock);
    if (base != core->base) {
        bitmap_zero(core->table, SNP_RMPOPT_WINDOW);
        qatomic_set(&core->base, base);
    }
}
