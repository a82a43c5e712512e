/*
 * AMD secure processor firmware: its commands
 *
 * A command is found in the table at the end, its platform state and buffer are
 * checked, and its handler runs on a private copy of the buffer, so that a
 * guest that changes the buffer meanwhile changes nothing.  A guest is known by
 * its context page, which the firmware owns from SNP_GCTX_CREATE to
 * SNP_DECOMMISSION.  What the real firmware keeps in that page is in FwGuest.
 *
 * To encrypt is to write the bytes in the view of the guest's ASID, see
 * snp-memory.c.  Commands of SEV and SEV-ES guests: sev-firmware.c.
 *
 * Not modelled: cryptography (there are no keys, measurements of SNP guests and
 * certificates), caches (WBINVD is never required).
 *
 * Sources: "SEV-SNP Firmware ABI Specification", "Secure Encrypted
 * Virtualization API", the command of each handler's name; what Linux passes
 * and expects: include/linux/psp-sev.h, drivers/crypto/ccp/sev-dev.c,
 * arch/x86/kvm/svm/sev.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "hw/boards.h"
#include "hw/i386/x86-iommu.h"
#include "amd_iommu.h"
#include "snp-firmware.h"
#include "trace.h"

/*
 * Offsets in command buffers, whose fields are little-endian: 64 bits for
 * addresses and policies, else 32.
 */
enum { FEATURE_ECX_IN = 4, FEATURE_ADDR = 8 };
enum { INIT_EX_LIST = 8 };
enum { SHUTDOWN_FLAGS = 4 };
enum { CONFIG_FLAGS = 8, CONFIG_RSVD = 12, CONFIG_SIZE = 64 };
enum { ACTIVATE_ASID = 8 };
enum { START_POLICY = 8, START_MA_FLAGS = 24 };
enum { UPDATE_PAGE = 8, UPDATE_ADDR = 16 };
enum { DBG_SRC = 8, DBG_DST = 16 };
enum { SECRETS_VERSION = 0, SECRETS_FMS = 8, SECRETS_VMPCK = 32,
       SECRETS_VMPCK_SIZE = 4 * 32 };   /* struct snp_secrets_page */
enum { STATUS_API = 0, STATUS_STATE = 2, STATUS_RMP_INIT = 3,
       STATUS_BUILD = 4, STATUS_FLAGS = 8, STATUS_GUESTS = 12,
       STATUS_TCB = 16, STATUS_REPORTED_TCB = 24, STATUS_SIZE = 32 };
enum { SEV_INIT_TMR = 8, SEV_INIT_TMR_LEN = 16 };
enum { SEV_INIT_EX_FLAGS = 4, SEV_INIT_EX_NV = 24, SEV_INIT_EX_NV_LEN = 32,
       SEV_INIT_EX_SIZE = 36 };
enum { SEV_STATUS_API = 0, SEV_STATUS_STATE = 2, SEV_STATUS_FLAGS = 3,
       SEV_STATUS_BUILD = 7, SEV_STATUS_GUESTS = 8 };

#define RANGES_MAX              255         /* a list fills at most one page */
#define RANGES_PAGES_MAX        (1u << 22)  /* 16 GiB in all: bounds our work */

#define STATUS_MASKS            (BIT(0) | BIT(1))   /* of chip ID and key */
#define STATUS_FEATURE_INFO     BIT(3)
#define FEATURE_X86_SHUTDOWN    BIT(1)
#define INIT_EX_INIT_RMP        BIT(0)
#define INIT_EX_LIST_EN         BIT(1)
#define SHUTDOWN_IOMMU          BIT(0)
#define SHUTDOWN_X86            BIT(1)
#define SEV_INIT_ES             BIT(0)
#define SEV_STATUS_ES           BIT(8)

#define NV_SIZE                 (32 * KiB)  /* "SEV API", INIT_EX */
#define NV_MAGIC                0x766e2d7065736d61ull

/*
 * Version of each firmware part, a byte each.  With a high one for SNP Linux
 * would refuse SEV-ES (sev_firmware_allows_es()).
 */
#define CURRENT_TCB             0x0101000000000101ull

#define CPUID_MAX               64  /* functions in a CPUID page */

#define POLICY_API              MAKE_64BIT_MASK(0, 16)
#define POLICY_SMT              BIT_ULL(16)
#define POLICY_ONE              BIT_ULL(17)     /* must be one */
#define POLICY_DEBUG            BIT_ULL(19)
#define POLICY_SOCKET           BIT_ULL(20)     /* on one only */
#define POLICY_KNOWN            MAKE_64BIT_MASK(0, 21)

enum { TYPE_NORMAL = 1, TYPE_VMSA, TYPE_ZERO, TYPE_UNMEASURED, TYPE_SECRETS,
       TYPE_CPUID };

typedef struct FwGuest {
    uint64_t gctx, policy;
    uint32_t asid;      /* 0 if it has none */
    enum { INIT = BIT(0), LAUNCH = BIT(1), RUNNING = BIT(2) } state;
} FwGuest;

/*
 * States of a page ("SEV-SNP firmware ABI", table of page states).  Those
 * without a guest are just their RMP entry, those of one have PAGE_OWNED set
 * for its ASID.
 */
#define PAGE_HYPERVISOR     0ULL
#define PAGE_HV_FIXED       RMP_IMMUTABLE
#define PAGE_RECLAIM        RMP_ASSIGNED
#define PAGE_FIRMWARE       (RMP_ASSIGNED | RMP_IMMUTABLE)
#define PAGE_CONTEXT        (PAGE_FIRMWARE | RMP_VMSA)
#define PAGE_OWNED          BIT_ULL(R_RMP_ASID_SHIFT)
#define PAGE_PRE_GUEST      (PAGE_OWNED | RMP_ASSIGNED | RMP_IMMUTABLE)
#define PAGE_PRE_SWAP       (PAGE_PRE_GUEST | RMP_VALIDATED)
#define PAGE_GUEST_VALID    (PAGE_OWNED | RMP_ASSIGNED | RMP_VALIDATED)

static uint64_t page_state(uint64_t entry)
{
    if (!(entry & RMP_ASSIGNED)) {
        return entry & (RMP_IMMUTABLE | RMP_NONE);
    }
    if (FIELD_EX64(entry, RMP, ASID)) {
        return PAGE_OWNED |
               (entry & (RMP_ASSIGNED | RMP_IMMUTABLE | RMP_VALIDATED));
    }
    return entry & (RMP_ASSIGNED | RMP_IMMUTABLE | RMP_VMSA);
}

/*
 * Only RAM: a command must not reach a device's registers, its own least of
 * all.  The firmware addresses memory behind the IOMMU.
 */
uint16_t fw_check_ram(hwaddr spa, uint64_t len)
{
    hwaddr off, plen;
    MemoryRegion *mr;

    REQUIRE(spa + len >= spa, FW_INVALID_ADDRESS);
    RCU_READ_LOCK_GUARD();
    for (; len; spa += plen, len -= plen) {
        plen = len;
        mr = address_space_translate(&address_space_memory, spa, &off, &plen,
                                     true, MEMTXATTRS_UNSPECIFIED);
        REQUIRE(plen && memory_access_is_direct(mr, true,
                                                MEMTXATTRS_UNSPECIFIED),
                FW_INVALID_ADDRESS);
    }
    return FW_SUCCESS;
}

uint16_t fw_check_out(SnpFirmware *fw, hwaddr spa, uint64_t len)
{
    hwaddr page = QEMU_ALIGN_DOWN(spa, SNP_4K_SIZE);

    TRY(fw_check_ram(spa, len));
    for (; page < spa + len; page += SNP_4K_SIZE) {
        /* Nobody but the CPU and ourselves, entry by entry, writes the RMP. */
        REQUIRE(!snp_rmp_holds(page), FW_INVALID_ADDRESS);
        REQUIRE(!fw->snp_up ||
                page_state(snp_rmp_read(page)) == PAGE_FIRMWARE,
                FW_INVALID_PAGE_STATE);
    }
    return FW_SUCCESS;
}

uint16_t fw_read(hwaddr spa, void *buf, uint64_t len)
{
    TRY(fw_check_ram(spa, len));
    snp_memory_read(0, spa, buf, len);
    return FW_SUCCESS;
}

uint16_t fw_write(SnpFirmware *fw, hwaddr spa, const void *buf, uint64_t len)
{
    TRY(fw_check_out(fw, spa, len));
    snp_memory_write(0, spa, buf, len);
    return FW_SUCCESS;
}

/*
 * An ASID that was in use needs a DF_FLUSH ("SEV API", ACTIVATE; Linux
 * arch/x86/kvm/svm/sev.c, sev_flush_asids()).
 */
uint16_t fw_bind_asid(SnpFirmware *fw, uint32_t asid, uint32_t *mine)
{
    QEMU_BUILD_BUG_ON(SNP_MAX_ASID >= FW_ASIDS);
    REQUIRE(!*mine, FW_ACTIVE);
    REQUIRE(!test_bit(asid, fw->asids), FW_ASID_OWNED);
    REQUIRE(!test_bit(asid, fw->dirty_asids), FW_DFFLUSH_REQUIRED);
    set_bit(asid, fw->asids);
    *mine = asid;
    return FW_SUCCESS;
}

void fw_free_asid(SnpFirmware *fw, uint32_t *mine)
{
    if (*mine) {
        clear_bit(*mine, fw->asids);
        set_bit(*mine, fw->dirty_asids);
        *mine = 0;
    }
}

static uint16_t check_page_addr(hwaddr spa, uint64_t size)
{
    REQUIRE(QEMU_IS_ALIGNED(spa, size), FW_INVALID_ADDRESS);
    return fw_check_ram(spa, size);
}

/* The guest whose context page a command names, if its state is one of these */
static uint16_t find_guest(SnpFirmware *fw, const uint8_t *buf,
                           unsigned states, FwGuest **g)
{
    uint64_t gctx = fw_addr(buf);

    TRY(check_page_addr(gctx, SNP_4K_SIZE));
    *g = g_hash_table_lookup(fw->guests, &gctx);
    REQUIRE(*g, FW_INVALID_GUEST);
    REQUIRE((*g)->state & states, FW_INVALID_GUEST_STATE);
    return FW_SUCCESS;
}

static uint16_t snp_gctx_create(SnpFirmware *fw, uint8_t *buf)
{
    hwaddr gctx = fw_addr(buf);
    FwGuest *g;

    REQUIRE(QEMU_IS_ALIGNED(gctx, SNP_4K_SIZE), FW_INVALID_ADDRESS);
    TRY(fw_check_out(fw, gctx, SNP_4K_SIZE));
    REQUIRE(!(snp_rmp_read(gctx) & RMP_2M), FW_INVALID_PAGE_SIZE);
    g = g_new0(FwGuest, 1);
    g->gctx = gctx;
    g->state = INIT;
    g_hash_table_insert(fw->guests, &g->gctx, g);
    snp_rmp_write(gctx, PAGE_CONTEXT);
    return FW_SUCCESS;
}

static gboolean end_guest(void *gctx, void *guest, void *opaque)
{
    SnpFirmware *fw = opaque;
    FwGuest *g = guest;

    fw_free_asid(fw, &g->asid);
    snp_rmp_write(g->gctx, PAGE_FIRMWARE);
    return true;
}

static uint16_t snp_decommission(SnpFirmware *fw, uint8_t *buf)
{
    FwGuest *g;

    TRY(find_guest(fw, buf, INIT | LAUNCH | RUNNING, &g));
    end_guest(NULL, g, fw);
    g_hash_table_remove(fw->guests, &g->gctx);
    return FW_SUCCESS;
}

/* Migration agents are not modelled: their flags must be zero. */
static uint16_t snp_launch_start(SnpFirmware *fw, uint8_t *buf)
{
    const CpuTopology *smp = &current_machine->smp;
    uint64_t policy = ldq_le_p(buf + START_POLICY);
    FwGuest *g;

    TRY(find_guest(fw, buf, INIT, &g));
    REQUIRE(!ldl_le_p(buf + START_MA_FLAGS), FW_INVALID_PARAM);
    REQUIRE(policy & POLICY_ONE && !(policy & ~POLICY_KNOWN) &&
            (policy & POLICY_API) <= (FW_API_MAJOR << 8 | FW_API_MINOR) &&
            (policy & POLICY_SMT || smp->threads == 1) &&
            (!(policy & POLICY_SOCKET) || smp->sockets == 1),
            FW_POLICY_FAILURE);
    g->policy = policy;
    g->state = LAUNCH;
    return FW_SUCCESS;
}

static uint16_t snp_activate(SnpFirmware *fw, uint8_t *buf)
{
    uint32_t asid = ldl_le_p(buf + ACTIVATE_ASID);
    FwGuest *g;

    TRY(find_guest(fw, buf, LAUNCH | RUNNING, &g));
    REQUIRE(asid && asid < SNP_MIN_SEV_ASID, FW_INVALID_ASID);
    return fw_bind_asid(fw, asid, &g->asid);
}

/* The page at @spa has the wanted owner, state and size */
static uint16_t check_page(const FwGuest *g, hwaddr spa, uint64_t size,
                           uint64_t state, uint64_t *e)
{
    REQUIRE(g->asid, FW_INACTIVE);
    TRY(check_page_addr(spa, size));
    *e = snp_rmp_read(spa);
    REQUIRE(*e != RMP_NONE, FW_INVALID_ADDRESS);
    REQUIRE(page_state(*e) == state, FW_INVALID_PAGE_STATE);
    REQUIRE(FIELD_EX64(*e, RMP, ASID) == g->asid, FW_INVALID_PAGE_OWNER);
    REQUIRE(size == (*e & RMP_2M ? SNP_2M_SIZE : SNP_4K_SIZE),
            FW_INVALID_PAGE_SIZE);
    return FW_SUCCESS;
}

/* The keys are known to everybody, and there is nobody to talk to with them. */
static void make_secrets(const FwGuest *g, uint8_t *page)
{
    stl_le_p(page + SECRETS_VERSION, 3);
    stl_le_p(page + SECRETS_FMS, cpu_env(first_cpu)->cpuid_version);
    snp_memory_scramble(g->asid, g->gctx, page + SECRETS_VMPCK,
                        SECRETS_VMPCK_SIZE);
}

/* Encrypts in place: what the host has written is what the guest will see. */
static uint16_t fill_page(const FwGuest *g, hwaddr spa, uint64_t size,
                          unsigned type)
{
    uint8_t page[SNP_4K_SIZE] = {};
    hwaddr end = spa + size;

    REQUIRE(type >= TYPE_NORMAL && type <= TYPE_CPUID, FW_INVALID_PARAM);
    REQUIRE(size == SNP_4K_SIZE || type == TYPE_NORMAL || type == TYPE_ZERO ||
            type == TYPE_UNMEASURED, FW_INVALID_PAGE_SIZE);
    for (; spa < end; spa += sizeof(page)) {
        if (type == TYPE_SECRETS) {
            make_secrets(g, page);
        } else if (type != TYPE_ZERO) {
            TRY(fw_read(spa, page, sizeof(page)));
        }
        REQUIRE(type != TYPE_CPUID || ldl_le_p(page) <= CPUID_MAX,
                FW_INVALID_PARAM);
        snp_memory_write(g->asid, spa, page, sizeof(page));
    }
    return FW_SUCCESS;
}

/* Permissions of VMPL1 to VMPL3 are not kept: no guest runs that needs them. */
static uint16_t snp_launch_update(SnpFirmware *fw, uint8_t *buf)
{
    uint32_t page = ldl_le_p(buf + UPDATE_PAGE);    /* bit 0: 2MB; type */
    uint64_t size = page & 1 ? SNP_2M_SIZE : SNP_4K_SIZE, e;
    unsigned type = extract32(page, 1, 3);
    hwaddr spa = fw_addr(buf + UPDATE_ADDR);
    FwGuest *g;

    TRY(find_guest(fw, buf, LAUNCH, &g));
    REQUIRE(!extract32(page, 4, 28), FW_INVALID_PARAM);
    TRY(check_page(g, spa, size, PAGE_PRE_GUEST, &e));
    TRY(fill_page(g, spa, size, type));
    e = (e & ~RMP_IMMUTABLE) | RMP_VALIDATED;
    snp_rmp_write(spa, type == TYPE_VMSA ? e | RMP_VMSA : e & ~RMP_VMSA);
    return FW_SUCCESS;
}

/* An ID block is not read: there is no measurement to compare it with. */
static uint16_t snp_launch_finish(SnpFirmware *fw, uint8_t *buf)
{
    FwGuest *g;

    TRY(find_guest(fw, buf, LAUNCH, &g));
    REQUIRE(g->asid, FW_INACTIVE);
    g->state = RUNNING;
    return FW_SUCCESS;
}

static uint16_t snp_dbg_decrypt(SnpFirmware *fw, uint8_t *buf)
{
    hwaddr src = fw_addr(buf + DBG_SRC), dst = fw_addr(buf + DBG_DST);
    uint8_t page[SNP_4K_SIZE];
    FwGuest *g;
    uint64_t e;

    TRY(find_guest(fw, buf, LAUNCH | RUNNING, &g));
    REQUIRE(g->policy & POLICY_DEBUG, FW_POLICY_FAILURE);
    TRY(check_page(g, src, sizeof(page), PAGE_GUEST_VALID, &e));
    REQUIRE(QEMU_IS_ALIGNED(dst, sizeof(page)), FW_INVALID_ADDRESS);
    snp_memory_read(g->asid, src, page, sizeof(page));
    return fw_write(fw, dst, page, sizeof(page));
}

/* The messages are sealed with keys that are not modelled. */
static uint16_t snp_guest_request(SnpFirmware *fw, uint8_t *buf)
{
    FwGuest *g;

    TRY(find_guest(fw, buf, RUNNING, &g));
    return FW_UNSUPPORTED;
}

/* Linux (__sev_do_snp_platform_status()): the page is Reclaim on success */
static uint16_t snp_platform_status(SnpFirmware *fw, uint8_t *buf)
{
    hwaddr spa = fw_addr(buf);
    uint8_t out[STATUS_SIZE] = {
        [STATUS_API] = FW_API_MAJOR, FW_API_MINOR,
        [STATUS_STATE] = fw->snp_up,
        [STATUS_RMP_INIT] = fw->rmp_init,
        [STATUS_BUILD] = FW_BUILD,
    };

    stl_le_p(out + STATUS_FLAGS, STATUS_FEATURE_INFO | fw->config_flags);
    stl_le_p(out + STATUS_GUESTS, g_hash_table_size(fw->guests));
    stq_le_p(out + STATUS_TCB, CURRENT_TCB);
    stq_le_p(out + STATUS_REPORTED_TCB, fw->reported_tcb ?: CURRENT_TCB);
    REQUIRE(extract64(spa, 0, 12) <= SNP_4K_SIZE - sizeof(out),
            FW_INVALID_ADDRESS);
    TRY(fw_write(fw, spa, out, sizeof(out)));
    if (fw->snp_up) {
        REQUIRE(!(snp_rmp_read(spa) & RMP_2M), FW_INVALID_PAGE_SIZE);
        snp_rmp_write(spa, PAGE_RECLAIM);
    }
    return FW_SUCCESS;
}

/* CPUID Fn8000_0024 of the firmware, EAX to EDX; only subfunction 0 */
static uint16_t snp_feature_info(SnpFirmware *fw, uint8_t *buf)
{
    hwaddr spa = fw_addr(buf + FEATURE_ADDR);
    uint8_t regs[16] = { [8] = FEATURE_X86_SHUTDOWN };

    REQUIRE(ldl_le_p(buf) >= 16, FW_INVALID_LEN);
    REQUIRE(!ldl_le_p(buf + FEATURE_ECX_IN), FW_INVALID_PARAM);
    REQUIRE(QEMU_IS_ALIGNED(spa, 8), FW_INVALID_ADDRESS);
    return fw_write(fw, spa, regs, sizeof(regs));
}

/* From any state, but nothing is reclaimed that was not protected. */
static void set_pages(hwaddr spa, uint64_t size, uint64_t state)
{
    hwaddr end = spa + size;

    for (; spa < end; spa += SNP_4K_SIZE) {
        if (state == PAGE_FIRMWARE || snp_rmp_read(spa) == PAGE_FIRMWARE) {
            snp_rmp_write(spa, state);
        }
    }
}

static AMDVIState *amd_iommu(void)
{
    X86IOMMUState *iommu = x86_iommu_get_default();

    return (AMDVIState *)object_dynamic_cast(OBJECT(iommu),
                                             TYPE_AMD_IOMMU_DEVICE);
}

/*
 * The event log, the PPR log and the completion wait buffer of the IOMMU.  With
 * SNP, Linux tells that buffer's page in what used to be the exclusion range
 * (drivers/iommu/amd/init.c, iommu_set_cwwb_range()).
 */
static void set_iommu_pages(uint64_t state)
{
    static const int logs[] = { AMDVI_MMIO_EVENT_BASE, AMDVI_MMIO_PPR_BASE };
    const uint8_t *regs = amd_iommu()->mmior;
    hwaddr cwb = ldq_le_p(regs + AMDVI_MMIO_EXCL_BASE) & RMP_GPA;
    int i;

    for (i = 0; i < ARRAY_SIZE(logs); i++) {
        uint64_t log = ldq_le_p(regs + logs[i]);
        unsigned shift = extract64(log, 56, 4);     /* of 16-byte entries */

        if (log & RMP_GPA && shift) {
            set_pages(log & RMP_GPA, AMDVI_EVENT_LEN << shift, state);
        }
    }
    if (cwb) {
        set_pages(cwb, SNP_4K_SIZE, state);
    }
}

/*
 * Makes pages HV-fixed.  @list: u32 count, u32 0, and for each range u64 base,
 * u32 pages, u32 0.  What the RMP does not cover has no state.
 */
static uint16_t fix_ranges(hwaddr list)
{
    uint32_t i, pages, budget = RANGES_PAGES_MAX;
    uint8_t range[16];
    uint64_t state;
    hwaddr spa;

    TRY(fw_read(list, range, 8));
    i = ldl_le_p(range);
    REQUIRE(i <= RANGES_MAX, FW_INVALID_PARAM);
    for (list += 8; i; i--, list += sizeof(range)) {
        TRY(fw_read(list, range, sizeof(range)));
        spa = fw_addr(range);
        pages = ldl_le_p(range + 8);
        REQUIRE(QEMU_IS_ALIGNED(spa, SNP_4K_SIZE), FW_INVALID_ADDRESS);
        REQUIRE(pages <= budget, FW_INVALID_PARAM);
        for (budget -= pages; pages; pages--, spa += SNP_4K_SIZE) {
            state = page_state(snp_rmp_read(spa));
            REQUIRE(!(state & PAGE_OWNED) && state != PAGE_CONTEXT,
                    FW_INVALID_PAGE_STATE);
            if (state == PAGE_HYPERVISOR) {
                snp_rmp_write(spa, PAGE_HV_FIXED);
            }
        }
    }
    return FW_SUCCESS;
}

/* SNP_EN is set and VM_HSAVE_PA is 0 on all CPUs, and there is an IOMMU. */
static bool machine_ready(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (cpu_env(cs)->vm_hsave) {
            return false;
        }
    }
    return snp_enabled_on_all_cpus() && amd_iommu();
}

/*
 * Ciphertext hiding, TIO and RAPL are not in SNP_FEATURE_INFO.  The buffers
 * of the IOMMU become firmware pages because Linux checks at shutdown that
 * they are assigned (drivers/iommu/amd/init.c, amd_iommu_snp_disable()).
 */
static uint16_t snp_init_ex(SnpFirmware *fw, uint8_t *buf)
{
    uint32_t flags = ldl_le_p(buf);

    REQUIRE(!(flags & ~(INIT_EX_INIT_RMP | INIT_EX_LIST_EN)),
            FW_INVALID_PARAM);
    REQUIRE(machine_ready(), FW_INVALID_CONFIG);
    REQUIRE(flags & INIT_EX_INIT_RMP || fw->rmp_init, FW_RMP_INIT_REQUIRED);
    set_pages(snp_rmp.base, snp_rmp.size, PAGE_FIRMWARE);
    if (flags & INIT_EX_LIST_EN) {
        TRY(fix_ranges(fw_addr(buf + INIT_EX_LIST)));
    }
    set_iommu_pages(PAGE_FIRMWARE);
    fw->snp_up = fw->rmp_init = true;
    return FW_SUCCESS;
}

/*
 * Ends all SNP guests.  Linux repeats the command after SNP_DF_FLUSH when it
 * is asked to (__sev_snp_shutdown_locked()).
 */
static uint16_t snp_shutdown_ex(SnpFirmware *fw, uint8_t *buf)
{
    uint32_t flags = ldl_le_p(buf + SHUTDOWN_FLAGS);
    CPUState *cs;

    REQUIRE(ldl_le_p(buf) >= 8, FW_INVALID_LEN);
    REQUIRE(!(flags & ~(SHUTDOWN_IOMMU | SHUTDOWN_X86)) &&
            (flags & SHUTDOWN_IOMMU || !(flags & SHUTDOWN_X86)),
            FW_INVALID_PARAM);
    g_hash_table_foreach_remove(fw->guests, end_guest, fw);
    REQUIRE(bitmap_empty(fw->dirty_asids, FW_ASIDS),
            FW_DFFLUSH_REQUIRED);
    if (flags & SHUTDOWN_IOMMU) {
        set_iommu_pages(PAGE_RECLAIM);
    }
    if (flags & SHUTDOWN_X86) {
        /* From here on anybody may write the RMP, and Linux clears it. */
        CPU_FOREACH(cs) {
            cpu_env(cs)->snp->syscfg &= ~SNP_SYSCFG_SNP_EN;
        }
        snp_rmpopt_forget();
        fw->rmp_init = false;
    }
    fw->snp_up = false;
    return FW_SUCCESS;
}

/* Gives a page that the firmware held back to RMPUPDATE; bit 0 asks for 2M */
static uint16_t snp_page_reclaim(SnpFirmware *fw, uint8_t *buf)
{
    bool large = fw_addr(buf) & 1;
    hwaddr spa = fw_addr(buf) & ~1ull;
    uint64_t e = snp_rmp_read(spa), state = page_state(e);

    REQUIRE(QEMU_IS_ALIGNED(spa, large ? SNP_2M_SIZE : SNP_4K_SIZE) &&
            e != RMP_NONE, FW_INVALID_ADDRESS);
    REQUIRE(state == PAGE_RECLAIM || state == PAGE_FIRMWARE ||
            state == PAGE_PRE_GUEST || state == PAGE_PRE_SWAP,
            FW_INVALID_PAGE_STATE);
    REQUIRE(!(e & RMP_2M) == !large, FW_INVALID_PAGE_SIZE);
    snp_rmp_write(spa, e & ~RMP_IMMUTABLE);
    return FW_SUCCESS;
}

/* No part of the reported version may be newer than the current one. */
static uint16_t snp_config(SnpFirmware *fw, uint8_t *buf)
{
    uint64_t tcb = ldq_le_p(buf);
    uint32_t flags = ldl_le_p(buf + CONFIG_FLAGS);
    int i;

    REQUIRE(!(flags & ~STATUS_MASKS) &&
            buffer_is_zero(buf + CONFIG_RSVD, CONFIG_SIZE - CONFIG_RSVD),
            FW_INVALID_PARAM);
    for (i = 0; i < 64; i += 8) {
        REQUIRE(extract64(tcb, i, 8) <= extract64(CURRENT_TCB, i, 8),
                FW_INVALID_PARAM);
    }
    fw->reported_tcb = tcb;
    fw->config_flags = flags;
    return FW_SUCCESS;
}

/* There is one firmware image, and it is committed. */
static uint16_t snp_commit(SnpFirmware *fw, uint8_t *buf)
{
    return ldl_le_p(buf) >= 4 ? FW_SUCCESS : FW_INVALID_LEN;
}

static uint16_t df_flush(SnpFirmware *fw, uint8_t *buf)
{
    bitmap_zero(fw->dirty_asids, FW_ASIDS);
    return FW_SUCCESS;
}

/* With SEV-ES comes the trusted memory region, for the firmware's own use. */
static uint16_t sev_init(SnpFirmware *fw, uint8_t *buf)
{
    uint32_t flags = ldl_le_p(buf);

    REQUIRE(!(flags & ~SEV_INIT_ES), FW_INVALID_PARAM);
    if (flags & SEV_INIT_ES) {
        TRY(fw_check_out(fw, fw_addr(buf + SEV_INIT_TMR),
                         ldl_le_p(buf + SEV_INIT_TMR_LEN)));
    }
    fw->sev_es = flags & SEV_INIT_ES;
    fw->sev_up = true;
    return FW_SUCCESS;
}

/*
 * INIT with the firmware's non-volatile storage in the host's memory, which
 * keeps it in a file: here, how often it was initialized.  What it does not
 * know, such as an empty file, it replaces and refuses; Linux tries again.
 */
static uint16_t sev_init_ex(SnpFirmware *fw, uint8_t *buf)
{
    hwaddr nv = fw_addr(buf + SEV_INIT_EX_NV);
    uint64_t kept[2], inits = 0;
    bool known;

    REQUIRE(ldl_le_p(buf) >= SEV_INIT_EX_SIZE &&
            ldl_le_p(buf + SEV_INIT_EX_NV_LEN) >= NV_SIZE, FW_INVALID_LEN);
    TRY(fw_check_out(fw, nv, NV_SIZE));
    TRY(fw_read(nv, kept, sizeof(kept)));
    known = le64_to_cpu(kept[0]) == NV_MAGIC;
    if (known) {
        /* From the TMR on, INIT's buffer is the same. */
        stl_le_p(buf, ldl_le_p(buf + SEV_INIT_EX_FLAGS));
        TRY(sev_init(fw, buf));
        inits = le64_to_cpu(kept[1]) + 1;
    }
    kept[0] = cpu_to_le64(NV_MAGIC);
    kept[1] = cpu_to_le64(inits);
    TRY(fw_write(fw, nv, kept, sizeof(kept)));
    return known ? FW_SUCCESS : FW_SECURE_DATA_INVALID;
}

static uint16_t sev_shutdown(SnpFirmware *fw, uint8_t *buf)
{
    sev_guests_end(fw);
    fw->sev_up = fw->sev_es = false;
    return FW_SUCCESS;
}

static uint16_t sev_platform_status(SnpFirmware *fw, uint8_t *buf)
{
    uint32_t guests = g_hash_table_size(fw->sev_guests);

    buf[SEV_STATUS_API] = FW_API_MAJOR;
    buf[SEV_STATUS_API + 1] = FW_API_MINOR;
    buf[SEV_STATUS_STATE] = fw->sev_up ? 1 + !!guests : 0;
    stl_le_p(buf + SEV_STATUS_FLAGS, fw->sev_es ? SEV_STATUS_ES : 0);
    buf[SEV_STATUS_BUILD] = FW_BUILD;
    stl_le_p(buf + SEV_STATUS_GUESTS, guests);
    return FW_SUCCESS;
}

/*
 * @in, @out: size of what it reads of its buffer, and of its answer there,
 *            which also comes when another buffer is too short (INVALID_LEN)
 * @when: the platform state that it asks for
 * @handler: runs with a copy of the buffer and the RMP lock; returns FW_*
 */
typedef struct FwCommand {
    uint16_t id;
    const char *name;
    uint8_t in, out;
    enum { ANYTIME, SEV_DOWN, SEV_UP, SNP_DOWN, SNP_UP } when;
    uint16_t (*handler)(SnpFirmware *fw, uint8_t *buf);
} FwCommand;

static const FwCommand commands[] = {
    { 0x001, "INIT", 20, 0, SEV_DOWN, sev_init },
    { 0x002, "SHUTDOWN", 0, 0, ANYTIME, sev_shutdown },
    { 0x004, "PLATFORM_STATUS", 0, 12, ANYTIME, sev_platform_status },
    { 0x00a, "DF_FLUSH", 0, 0, SEV_UP, df_flush },
    { 0x00d, "INIT_EX", SEV_INIT_EX_SIZE, 0, SEV_DOWN, sev_init_ex },
    { 0x020, "DECOMMISSION", 4, 0, SEV_UP, sev_decommission },
    { 0x021, "ACTIVATE", 8, 0, SEV_UP, sev_activate },
    { 0x022, "DEACTIVATE", 4, 0, SEV_UP, sev_deactivate },
    { 0x023, "GUEST_STATUS", 4, 13, SEV_UP, sev_guest_status },
    { 0x030, "LAUNCH_START", 8, 4, SEV_UP, sev_launch_start },
    { 0x031, "LAUNCH_UPDATE_DATA", 20, 0, SEV_UP, sev_launch_update_data },
    { 0x032, "LAUNCH_UPDATE_VMSA", 20, 0, SEV_UP, sev_launch_update_vmsa },
    { 0x033, "LAUNCH_MEASURE", 20, 20, SEV_UP, sev_launch_measure },
    { 0x034, "LAUNCH_UPDATE_SECRET", 52, 0, SEV_UP,
      sev_launch_update_secret },
    { 0x035, "LAUNCH_FINISH", 4, 0, SEV_UP, sev_launch_finish },
    { 0x036, "ATTESTATION", 36, 36, SEV_UP, sev_attestation },
    { 0x060, "DBG_DECRYPT", 28, 0, SEV_UP, sev_dbg_decrypt },
    { 0x061, "DBG_ENCRYPT", 28, 0, SEV_UP, sev_dbg_encrypt },
    { 0x083, "SNP_PLATFORM_STATUS", 8, 0, ANYTIME, snp_platform_status },
    { 0x084, "SNP_DF_FLUSH", 0, 0, SNP_UP, df_flush },
    { 0x085, "SNP_INIT_EX", 64, 0, SNP_DOWN, snp_init_ex },
    { 0x086, "SNP_SHUTDOWN_EX", 8, 0, SNP_UP, snp_shutdown_ex },
    { 0x090, "SNP_DECOMMISSION", 8, 0, SNP_UP, snp_decommission },
    { 0x091, "SNP_ACTIVATE", 12, 0, SNP_UP, snp_activate },
    { 0x093, "SNP_GCTX_CREATE", 8, 0, SNP_UP, snp_gctx_create },
    { 0x094, "SNP_GUEST_REQUEST", 8, 0, SNP_UP, snp_guest_request },
    { 0x0a0, "SNP_LAUNCH_START", 48, 0, SNP_UP, snp_launch_start },
    { 0x0a1, "SNP_LAUNCH_UPDATE", 32, 0, SNP_UP, snp_launch_update },
    { 0x0a2, "SNP_LAUNCH_FINISH", 64, 0, SNP_UP, snp_launch_finish },
    { 0x0b0, "SNP_DBG_DECRYPT", 24, 0, SNP_UP, snp_dbg_decrypt },
    { 0x0c7, "SNP_PAGE_RECLAIM", 8, 0, SNP_UP, snp_page_reclaim },
    { 0x0c9, "SNP_CONFIG", CONFIG_SIZE, 0, SNP_UP, snp_config },
    { 0x0cb, "SNP_COMMIT", 4, 0, ANYTIME, snp_commit },
    { 0x0ce, "SNP_FEATURE_INFO", 16, 0, ANYTIME, snp_feature_info },
};

static uint16_t run(SnpFirmware *fw, const FwCommand *cmd, hwaddr addr)
{
    uint8_t buf[64] = {};     /* fits the longest */
    uint16_t status;

    if (fw->fail_nth && (!fw->fail_cmd || fw->fail_cmd == cmd->id) &&
        --fw->fail_nth == 0) {
        return fw->fail_status;
    }
    /* What a handler checks of the RMP is still so when it changes it. */
    QEMU_LOCK_GUARD(&snp_rmp_lock);
    REQUIRE(cmd->when == ANYTIME ||
            cmd->when == (fw->sev_up ? SEV_UP : SEV_DOWN) ||
            cmd->when == (fw->snp_up ? SNP_UP : SNP_DOWN),
            FW_INVALID_PLATFORM_STATE);
    TRY(fw_read(addr, buf, cmd->in));
    if (cmd->out) {
        TRY(fw_check_out(fw, addr, cmd->out));
    }
    status = cmd->handler(fw, buf);
    if (cmd->out && (!status || status == FW_INVALID_LEN)) {
        TRY(fw_write(fw, addr, buf, cmd->out));
    }
    return status;
}

uint16_t snp_firmware_command(SnpFirmware *fw, uint16_t id, uint64_t addr)
{
    uint16_t status = FW_INVALID_COMMAND;
    const char *name = "unknown";
    int i;

    for (i = 0; i < ARRAY_SIZE(commands); i++) {
        if (commands[i].id == id) {
            name = commands[i].name;
            status = run(fw, &commands[i], addr & ~SNP_C_BIT);
        }
    }
    trace_snp_firmware_command(id, name, addr, status);
    return status;
}

/* The RMP is lost with the rest of memory: its pages need no care. */
void snp_firmware_reset(SnpFirmware *fw)
{
    if (fw->guests) {
        g_hash_table_unref(fw->guests);
        g_hash_table_unref(fw->sev_guests);
    }
    *fw = (SnpFirmware) {
        .fail_cmd = fw->fail_cmd,
        .fail_status = fw->fail_status,
        .fail_nth = fw->fail_nth,
        .guests = g_hash_table_new_full(g_int64_hash, g_int64_equal,
                                        NULL, g_free),
        .sev_guests = g_hash_table_new_full(NULL, NULL, NULL, g_free),
    };
}
