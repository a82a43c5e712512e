/*
 * AMD SEV-SNP host: the reverse map table (RMP)
 *
 * The entries live in guest memory and nowhere else: what the kernel clears
 * before it enables SNP, what the instructions and the firmware write, and what
 * a check reads is the same 16 bytes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "exec/memory.h"
#include "system/tcg.h"
#include "hw/i386/snp.h"

#define ENTRY_SIZE      16
#define PAGES_PER_2M    (SNP_2M_SIZE / SNP_4K_SIZE)

/*
 * The second quadword is not public, so ours.  Like hardware (APM vol. 2, RMP
 * entry, Sub_Page_Count) that of each 2MB-aligned page counts the assigned
 * pages of its 2MB, so a check of 2MB reads one entry and RMPOPT reads 512.
 */
#define ENTRY_COUNT     8

SnpRmp snp_rmp = { .segmented = true };
QemuMutex snp_rmp_lock;

static void __attribute__((constructor)) rmp_lock_init(void)
{
    qemu_mutex_init(&snp_rmp_lock);
}

static uint64_t load(hwaddr addr)
{
    return address_space_ldq_le(&address_space_memory, addr,
                                MEMTXATTRS_UNSPECIFIED, NULL);
}

static void store(hwaddr addr, uint64_t val)
{
    address_space_stq_le(&address_space_memory, addr, val,
                         MEMTXATTRS_UNSPECIFIED, NULL);
}

bool snp_rmp_find(hwaddr spa, unsigned *segment, uint64_t *page)
{
    hwaddr offset = spa & MAKE_64BIT_MASK(0, snp_rmp.segment_shift);
    uint64_t i = spa >> snp_rmp.segment_shift;

    if (!snp_rmp.size || i >= SNP_RST_ENTRIES ||
        offset >= snp_rmp.segment[i].gb * GiB) {
        return false;
    }
    *segment = i;
    *page = offset / SNP_4K_SIZE;
    return true;
}

/* Returns 0, which no entry can have, when the RMP does not cover @spa. */
static hwaddr entry_addr(hwaddr spa)
{
    unsigned segment;
    uint64_t page;

    return snp_rmp_find(spa, &segment, &page) ?
           snp_rmp.segment[segment].table + page * ENTRY_SIZE : 0;
}

/* The entry that counts for the 2MB of @spa, and may stand for all of it */
static hwaddr head_addr(hwaddr spa)
{
    return entry_addr(QEMU_ALIGN_DOWN(spa, SNP_2M_SIZE));
}

bool snp_rmp_holds(hwaddr spa)
{
    return spa >= snp_rmp.base && spa - snp_rmp.base < snp_rmp.size;
}

uint64_t snp_rmp_read(hwaddr spa)
{
    hwaddr addr = entry_addr(spa);
    uint64_t e;

    if (!addr) {
        return RMP_NONE;
    }
    e = load(head_addr(spa));
    return e & RMP_2M ? e : load(addr);
}

/*
 * A CPU may not use a translation that it cached when the page was still open
 * to it.  The flush ends before the CPU that changed the entry goes on.
 */
static void flush_tlbs(void)
{
    if (tcg_enabled() && current_cpu) {
        tlb_flush_all_cpus_synced(current_cpu);
    }
}

/* Only snp_rmp_smash() may look below a 2MB entry. */
bool snp_rmp_write(hwaddr spa, uint64_t entry)
{
    hwaddr head = head_addr(spa);
    hwaddr addr = entry & RMP_2M ? head : entry_addr(spa);
    uint64_t count, old, size;

    if (!addr || (addr != head && load(head) & RMP_2M)) {
        return false;
    }
    if (!(entry & RMP_ASSIGNED)) {
        entry &= ~RMP_2M;
    }
    old = load(addr);
    count = load(head + ENTRY_COUNT) - (old & RMP_ASSIGNED);
    if ((entry | old) & RMP_2M) {
        count = entry & RMP_2M ? PAGES_PER_2M - 1 : 0;
    }
    store(head + ENTRY_COUNT, count + (entry & RMP_ASSIGNED));
    store(addr, entry);
    snp_rmpopt_changed(spa);
    /* Without an owner the page is for the host, or the firmware, to read. */
    size = (entry | old) & RMP_2M ? SNP_2M_SIZE : SNP_4K_SIZE;
    if (snp_memory_show(FIELD_EX64(entry, RMP, ASID) *
                        !!(entry & RMP_ASSIGNED), spa & -size, size) ||
        ((old | entry) & RMP_ASSIGNED &&
         (old ^ entry) & ~(entry & RMP_VALIDATED))) {
        flush_tlbs();
    }
    return true;
}

/* Backwards, so that the 2MB entry is true until all others are. */
void snp_rmp_smash(hwaddr spa)
{
    hwaddr addr = head_addr(spa);
    uint64_t i, e = load(addr);

    for (i = PAGES_PER_2M; i-- > 0; ) {
        /* Firmware pages have no guest address. */
        uint64_t gpa = FIELD_EX64(e, RMP, ASID) ? i * SNP_4K_SIZE : 0;

        store(addr + i * ENTRY_SIZE, (e & ~RMP_2M) + gpa);
    }
}

unsigned snp_rmp_2m_assigned(hwaddr spa)
{
    hwaddr head = head_addr(spa);

    return head ? load(head + ENTRY_COUNT) : 0;
}

bool snp_rmp_region_closed(hwaddr spa)
{
    hwaddr start = QEMU_ALIGN_DOWN(spa, SNP_REGION_SIZE), p;

    /*
     * Nothing is known of MMIO and other holes, so nothing is promised, be they
     * covered or not.
     */
    if (!entry_addr(start) || !snp_machine_has_ram(start, SNP_REGION_SIZE) ||
        (start < snp_rmp.base + snp_rmp.size &&
         snp_rmp.base < start + SNP_REGION_SIZE)) {
        return true;
    }
    for (p = start; p < start + SNP_REGION_SIZE; p += SNP_2M_SIZE) {
        if (snp_rmp_2m_assigned(p)) {
            return true;
        }
    }
    return false;
}
