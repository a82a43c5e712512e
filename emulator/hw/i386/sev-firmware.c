/*
 * AMD secure processor firmware: commands of SEV and SEV-ES guests
 *
 * A guest is known by its handle, from LAUNCH_START to DECOMMISSION.  Its pages
 * belong to nobody in the RMP.  To encrypt is to write the bytes in the view of
 * the guest's ASID, see snp-memory.c.
 *
 * Not modelled: keys, so that guests cannot share one, what comes sealed with
 * one is taken as it is, and measurement and report prove nothing; sending and
 * receiving guests.
 *
 * Sources: "Secure Encrypted Virtualization API", the command of each handler's
 * name; what Linux passes and expects: include/linux/psp-sev.h,
 * drivers/crypto/ccp/sev-dev.c, arch/x86/kvm/svm/sev.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/crc32c.h"
#include "snp-firmware.h"

/*
 * Offsets in command buffers, all of which begin with the handle: 64 bits for
 * addresses, else 32.
 */
enum { ACTIVATE_ASID = 4 };
enum { STATUS_POLICY = 4, STATUS_ASID = 8, STATUS_STATE = 12 };
enum { START_POLICY = 4 };
enum { AREA_ADDR = 8, AREA_LEN = 16 };      /* of UPDATE_DATA to MEASURE */
enum { SECRET_ADDR = 24, SECRET_LEN = 32,
       SECRET_SRC = 40, SECRET_SRC_LEN = 48 };
enum { REPORT_ADDR = 8, REPORT_NONCE = 16, REPORT_LEN = 32 };
enum { DBG_SRC = 8, DBG_DST = 16, DBG_LEN = 24 };

#define BLOCK           16      /* what the cipher works on */
#define SECRET_MAX      (16 * KiB)

/* A report: nonce, digest, policy, what the signature is, the signature */
#define NONCE_SIZE      16
#define DIGEST_SIZE     32
#define REPORT_POLICY   (NONCE_SIZE + DIGEST_SIZE)
#define REPORT_SIZE     (REPORT_POLICY + 16 + 144)

#define POLICY_NODBG    BIT(0)
#define POLICY_ES       BIT(2)
#define POLICY_RSVD     MAKE_64BIT_MASK(6, 10)

typedef struct SevGuest {
    uint32_t handle, policy;
    uint32_t asid;      /* 0 if it has none */
    uint32_t digest;    /* of what it was launched with */
    enum { LUPDATE = 1, LSECRET, RUNNING } state;
} SevGuest;

/* The guest that a command names, if its state is one of these bits */
static uint16_t find_guest(SnpFirmware *fw, const uint8_t *buf,
                           unsigned states, SevGuest **g)
{
    *g = g_hash_table_lookup(fw->sev_guests, GUINT_TO_POINTER(ldl_le_p(buf)));
    REQUIRE(*g, FW_INVALID_GUEST);
    REQUIRE(BIT((*g)->state) & states, FW_INVALID_GUEST_STATE);
    return FW_SUCCESS;
}

static gboolean end_guest(void *handle, void *guest, void *opaque)
{
    SevGuest *g = guest;

    fw_free_asid(opaque, &g->asid);
    return true;
}

void sev_guests_end(SnpFirmware *fw)
{
    g_hash_table_foreach_remove(fw->sev_guests, end_guest, fw);
}

uint16_t sev_decommission(SnpFirmware *fw, uint8_t *buf)
{
    SevGuest *g;

    TRY(find_guest(fw, buf, ~0u, &g));
    REQUIRE(!g->asid, FW_ACTIVE);
    g_hash_table_remove(fw->sev_guests, GUINT_TO_POINTER(g->handle));
    return FW_SUCCESS;
}

/* SEV-ES guests have the ASIDs below SNP_MIN_SEV_ASID, SEV guests the rest. */
uint16_t sev_activate(SnpFirmware *fw, uint8_t *buf)
{
    uint32_t asid = ldl_le_p(buf + ACTIVATE_ASID);
    SevGuest *g;

    TRY(find_guest(fw, buf, ~0u, &g));
    REQUIRE(asid && asid <= SNP_MAX_ASID &&
            !(g->policy & POLICY_ES) == (asid >= SNP_MIN_SEV_ASID),
            FW_INVALID_ASID);
    return fw_bind_asid(fw, asid, &g->asid);
}

uint16_t sev_deactivate(SnpFirmware *fw, uint8_t *buf)
{
    SevGuest *g;

    TRY(find_guest(fw, buf, ~0u, &g));
    fw_free_asid(fw, &g->asid);
    return FW_SUCCESS;
}

uint16_t sev_guest_status(SnpFirmware *fw, uint8_t *buf)
{
    SevGuest *g;

    TRY(find_guest(fw, buf, ~0u, &g));
    stl_le_p(buf + STATUS_POLICY, g->policy);
    stl_le_p(buf + STATUS_ASID, g->asid);
    buf[STATUS_STATE] = g->state;
    return FW_SUCCESS;
}

/* A handle, which is of a guest to share the key with, must be zero. */
uint16_t sev_launch_start(SnpFirmware *fw, uint8_t *buf)
{
    uint32_t policy = ldl_le_p(buf + START_POLICY);
    SevGuest *g;

    REQUIRE(!ldl_le_p(buf), FW_UNSUPPORTED);
    REQUIRE(!(policy & POLICY_RSVD) && bswap16(policy >> 16) <=
            (FW_API_MAJOR << 8 | FW_API_MINOR), FW_POLICY_FAILURE);
    REQUIRE(!(policy & POLICY_ES) || fw->sev_es, FW_UNSUPPORTED);
    REQUIRE(g_hash_table_size(fw->sev_guests) < FW_ASIDS, FW_RESOURCE_LIMIT);
    g = g_new0(SevGuest, 1);
    do {
        g->handle = ++fw->sev_handle;
    } while (!g->handle || g_hash_table_contains(fw->sev_guests,
                               GUINT_TO_POINTER(g->handle)));
    g->policy = policy;
    g->state = LUPDATE;
    g_hash_table_insert(fw->sev_guests, GUINT_TO_POINTER(g->handle), g);
    stl_le_p(buf, g->handle);
    return FW_SUCCESS;
}

/*
 * What @from sees at @src is what @to sees at @dst then.  With @src the same as
 * @dst this encrypts in place.
 */
static uint16_t copy(SnpFirmware *fw, uint32_t from, hwaddr src, uint32_t to,
                     hwaddr dst, uint32_t len, uint32_t *digest)
{
    uint8_t buf[SNP_4K_SIZE];
    uint32_t n;

    REQUIRE(QEMU_IS_ALIGNED(src | dst, BLOCK), FW_INVALID_ADDRESS);
    REQUIRE(len && QEMU_IS_ALIGNED(len, BLOCK), FW_INVALID_LEN);
    TRY(fw_check_ram(src, len));
    TRY(fw_check_out(fw, dst, len));
    for (; len; src += n, dst += n, len -= n) {
        n = MIN(len, sizeof(buf));
        snp_memory_read(from, src, buf, n);
        snp_memory_write(to, dst, buf, n);
        *digest = crc32c(*digest, buf, n);
    }
    return FW_SUCCESS;
}

uint16_t sev_launch_update_data(SnpFirmware *fw, uint8_t *buf)
{
    hwaddr spa = fw_addr(buf + AREA_ADDR);
    SevGuest *g;

    TRY(find_guest(fw, buf, BIT(LUPDATE), &g));
    REQUIRE(g->asid, FW_INACTIVE);
    return copy(fw, 0, spa, g->asid, spa, ldl_le_p(buf + AREA_LEN),
                &g->digest);
}

uint16_t sev_launch_update_vmsa(SnpFirmware *fw, uint8_t *buf)
{
    hwaddr spa = fw_addr(buf + AREA_ADDR);
    SevGuest *g;

    TRY(find_guest(fw, buf, BIT(LUPDATE), &g));
    REQUIRE(g->asid, FW_INACTIVE);
    REQUIRE(g->policy & POLICY_ES, FW_UNSUPPORTED);
    REQUIRE(QEMU_IS_ALIGNED(spa, SNP_4K_SIZE), FW_INVALID_ADDRESS);
    REQUIRE(ldl_le_p(buf + AREA_LEN) == SNP_4K_SIZE, FW_INVALID_LEN);
    return copy(fw, 0, spa, g->asid, spa, SNP_4K_SIZE, &g->digest);
}

/* Says what length it takes; too short a buffer is how Linux asks for it. */
static uint16_t answer(SnpFirmware *fw, hwaddr spa, uint8_t *len,
                       const void *data, uint32_t size)
{
    bool fits = ldl_le_p(len) >= size;

    stl_le_p(len, size);
    REQUIRE(fits, FW_INVALID_LEN);
    return fw_write(fw, spa, data, size);
}

/* Differs with what was measured, and proves nothing */
static void put_digest(const SevGuest *g, uint8_t *digest)
{
    snp_memory_scramble(1, (hwaddr)g->digest << 3, digest, DIGEST_SIZE);
}

uint16_t sev_launch_measure(SnpFirmware *fw, uint8_t *buf)
{
    uint8_t data[DIGEST_SIZE + NONCE_SIZE] = {};
    SevGuest *g;

    TRY(find_guest(fw, buf, BIT(LUPDATE), &g));
    put_digest(g, data);
    TRY(answer(fw, fw_addr(buf + AREA_ADDR), buf + AREA_LEN, data,
               sizeof(data)));
    g->state = LSECRET;
    return FW_SUCCESS;
}

/* The packet's header, an initialization vector and a MAC, is not read. */
uint16_t sev_launch_update_secret(SnpFirmware *fw, uint8_t *buf)
{
    uint32_t len = ldl_le_p(buf + SECRET_LEN);
    SevGuest *g;

    TRY(find_guest(fw, buf, BIT(LSECRET), &g));
    REQUIRE(g->asid, FW_INACTIVE);
    REQUIRE(len <= SECRET_MAX && ldl_le_p(buf + SECRET_SRC_LEN) == len,
            FW_INVALID_LEN);
    return copy(fw, 0, fw_addr(buf + SECRET_SRC), g->asid,
                fw_addr(buf + SECRET_ADDR), len, &(uint32_t) { 0 });
}

uint16_t sev_launch_finish(SnpFirmware *fw, uint8_t *buf)
{
    SevGuest *g;

    TRY(find_guest(fw, buf, BIT(LUPDATE) | BIT(LSECRET), &g));
    g->state = RUNNING;
    return FW_SUCCESS;
}

uint16_t sev_attestation(SnpFirmware *fw, uint8_t *buf)
{
    uint8_t report[REPORT_SIZE] = {};
    SevGuest *g;

    TRY(find_guest(fw, buf, BIT(LSECRET) | BIT(RUNNING), &g));
    memcpy(report, buf + REPORT_NONCE, NONCE_SIZE);
    put_digest(g, report + NONCE_SIZE);
    stl_le_p(report + REPORT_POLICY, g->policy);
    return answer(fw, fw_addr(buf + REPORT_ADDR), buf + REPORT_LEN, report,
                  sizeof(report));
}

static uint16_t debug(SnpFirmware *fw, const uint8_t *buf, bool decrypt)
{
    SevGuest *g;

    TRY(find_guest(fw, buf, ~0u, &g));
    REQUIRE(!(g->policy & POLICY_NODBG), FW_POLICY_FAILURE);
    REQUIRE(g->asid, FW_INACTIVE);
    return copy(fw, decrypt ? g->asid : 0, fw_addr(buf + DBG_SRC),
                decrypt ? 0 : g->asid, fw_addr(buf + DBG_DST),
                ldl_le_p(buf + DBG_LEN), &(uint32_t) { 0 });
}

uint16_t sev_dbg_decrypt(SnpFirmware *fw, uint8_t *buf)
{
    return debug(fw, buf, true);
}

uint16_t sev_dbg_encrypt(SnpFirmware *fw, uint8_t *buf)
{
    return debug(fw, buf, false);
}
