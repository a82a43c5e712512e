/*
 * AMD SEV-SNP host: whose view of a page is in memory
 *
 * A page of an encrypted guest looks different to its owner and to all others.
 * Memory is not encrypted here: it holds the view of whoever used the page last,
 * plain, so that everybody runs at full speed, and it is scrambled when another
 * one comes.  This keeps contents where hardware keeps them and hides them from
 * the host's eyes.  It is no cryptography: anybody can undo it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "hw/core/cpu.h"
#include "hw/i386/snp.h"

/*
 * ASID whose view each page of memory holds, 0 is the host's: by segment of the
 * RMP, as entries are
 */
static uint16_t *owner[SNP_RST_ENTRIES];

static uint64_t segment_pages(unsigned i)
{
    return snp_rmp.segment[i].gb * (GiB / SNP_4K_SIZE);
}

void snp_memory_init(void)
{
    unsigned i;

    for (i = 0; i < SNP_RST_ENTRIES; i++) {
        owner[i] = g_new0(uint16_t, segment_pages(i));
    }
}

void snp_memory_reset(void)
{
    unsigned i;

    for (i = 0; i < SNP_RST_ENTRIES; i++) {
        if (owner[i]) {
            memset(owner[i], 0, segment_pages(i) * sizeof(**owner));
        }
    }
}

/* Of a page that the RMP does not cover there is only the host's view: NULL */
static uint16_t *owner_of(hwaddr spa)
{
    unsigned segment;
    uint64_t page;

    return snp_rmp_find(spa, &segment, &page) ? &owner[segment][page] : NULL;
}

uint32_t snp_memory_owner(hwaddr spa)
{
    uint16_t *asid = owner_of(spa);

    return asid ? qatomic_read(asid) : 0;
}

/* The key stream of an ASID at the 8 bytes at @spa (splitmix64) */
static uint64_t key(uint32_t asid, hwaddr spa)
{
    uint64_t z = (spa >> 3) + asid * 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void snp_memory_scramble(uint32_t asid, hwaddr spa, void *buf, uint64_t len)
{
    uint8_t *p = buf;
    uint64_t k = 0, i;

    for (i = 0; asid && i < len; i++) {
        if (!i || (spa + i) % 8 == 0) {
            k = key(asid, spa + i);
        }
        p[i] ^= k >> ((spa + i) % 8 * 8);
    }
}

static void scramble_page(uint32_t asid, hwaddr spa)
{
    uint8_t page[SNP_4K_SIZE];

    address_space_read(&address_space_memory, spa, MEMTXATTRS_UNSPECIFIED,
                       page, sizeof(page));
    snp_memory_scramble(asid, spa, page, sizeof(page));
    address_space_write(&address_space_memory, spa, MEMTXATTRS_UNSPECIFIED,
                        page, sizeof(page));
}

/* There is nothing to hide where there is no RAM, and to write has effects. */
static bool is_ram(hwaddr spa)
{
    hwaddr off, len = SNP_4K_SIZE;
    MemoryRegion *mr;

    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(&address_space_memory, spa, &off, &len, true,
                                 MEMTXATTRS_UNSPECIFIED);
    return len == SNP_4K_SIZE &&
           memory_access_is_direct(mr, true, MEMTXATTRS_UNSPECIFIED);
}

bool snp_memory_show(uint32_t asid, hwaddr spa, uint64_t len)
{
    hwaddr end = spa + len;
    bool changed = false;

    for (spa &= ~(SNP_4K_SIZE - 1); spa < end; spa += SNP_4K_SIZE) {
        uint16_t *now = owner_of(spa);

        /* The RMP has only one view, ours. */
        if (now && *now != asid && !snp_rmp_holds(spa) && is_ram(spa)) {
            scramble_page(*now, spa);
            scramble_page(asid, spa);
            qatomic_set(now, asid);
            changed = true;
        }
    }
    return changed;
}

/* Turns the view that memory holds into that of @asid, and the other way */
static void turn(uint32_t asid, hwaddr spa, uint8_t *buf, uint64_t len)
{
    uint64_t n;

    for (; len; spa += n, buf += n, len -= n) {
        uint32_t held = snp_memory_owner(spa);

        n = MIN(len, SNP_4K_SIZE - spa % SNP_4K_SIZE);
        if (held != asid) {
            snp_memory_scramble(held, spa, buf, n);
            snp_memory_scramble(asid, spa, buf, n);
        }
    }
}

void snp_memory_read(uint32_t asid, hwaddr spa, void *buf, uint64_t len)
{
    address_space_read(&address_space_memory, spa, MEMTXATTRS_UNSPECIFIED,
                       buf, len);
    turn(asid, spa, buf, len);
}

void snp_memory_write(uint32_t asid, hwaddr spa, const void *buf, uint64_t len)
{
    g_autofree uint8_t *view = g_memdup2(buf, len);

    turn(asid, spa, view, len);
    address_space_write(&address_space_memory, spa, MEMTXATTRS_UNSPECIFIED,
                        view, len);
}
