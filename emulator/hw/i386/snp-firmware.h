/*
 * AMD secure processor firmware: what its commands share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_SNP_FIRMWARE_H
#define HW_I386_SNP_FIRMWARE_H

#include "hw/i386/snp.h"
#include "hw/i386/snp-psp.h"

/* Decides what Linux asks for (sev_version_greater_or_equal()) */
#define FW_API_MAJOR    1
#define FW_API_MINOR    58
#define FW_BUILD        7

/* What a handler begins with: the checks, in the order of the document */
#define REQUIRE(cond, status) \
    do { if (!(cond)) { return status; } } while (0)
#define TRY(call) \
    do { uint16_t try_ = (call); REQUIRE(!try_, try_); } while (0)

static inline hwaddr fw_addr(const uint8_t *field)
{
    return ldq_le_p(field) & ~SNP_C_BIT;
}

/* @len bytes at @spa are RAM; the firmware may write them */
uint16_t fw_check_ram(hwaddr spa, uint64_t len);
uint16_t fw_check_out(SnpFirmware *fw, hwaddr spa, uint64_t len);

/* What the host sees there */
uint16_t fw_read(hwaddr spa, void *buf, uint64_t len);
uint16_t fw_write(SnpFirmware *fw, hwaddr spa, const void *buf, uint64_t len);

/* Gives a guest, whose ASID @mine is, one and takes it away */
uint16_t fw_bind_asid(SnpFirmware *fw, uint32_t asid, uint32_t *mine);
void fw_free_asid(SnpFirmware *fw, uint32_t *mine);

/* Of SEV and SEV-ES guests: see the table of commands */
void sev_guests_end(SnpFirmware *fw);
uint16_t sev_decommission(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_activate(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_deactivate(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_guest_status(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_launch_start(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_launch_update_data(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_launch_update_vmsa(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_launch_measure(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_launch_update_secret(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_launch_finish(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_attestation(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_dbg_decrypt(SnpFirmware *fw, uint8_t *buf);
uint16_t sev_dbg_encrypt(SnpFirmware *fw, uint8_t *buf);

#endif
