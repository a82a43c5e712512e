/*
 * AMD secure processor (PSP): registers, firmware state and status codes
 *
 * Shared with the qtest.  Registers: Linux drivers/crypto/ccp/sp-pci.c (pspv4,
 * sevv2), psp-dev.h and sev-dev.h; status: include/uapi/linux/psp-sev.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_SNP_PSP_H
#define HW_I386_SNP_PSP_H

#include "hw/registerfields.h"
#include "qemu/bitmap.h"

#define AMD_PSP_DEVICE_ID       0x14ca
#define AMD_PSP_BAR             2
#define AMD_PSP_BAR_SIZE        0x100000
#define AMD_PSP_MSIX_BAR        4
#define AMD_PSP_MSIX_VECTORS    2

REG32(PSP_INTEN, 0x10690)               /* P2CMSG_INTEN */
REG32(PSP_INTSTS, 0x10694)              /* P2CMSG_INTSTS, write 1 to clear */
    FIELD(PSP_INTSTS, SEV_DONE, 1, 1)
REG32(PSP_CMDRESP, 0x10980)             /* C2PMSG_32 */
    FIELD(PSP_CMDRESP, IOC, 0, 1)       /* written: interrupt on completion */
    FIELD(PSP_CMDRESP, STATUS, 0, 16)   /* read */
    FIELD(PSP_CMDRESP, CMD, 16, 11)
    FIELD(PSP_CMDRESP, DONE, 31, 1)
REG32(PSP_CMDBUF_LO, 0x109e0)           /* C2PMSG_56 */
REG32(PSP_CMDBUF_HI, 0x109e4)           /* C2PMSG_57 */
REG32(PSP_BOOTLOADER, 0x109ec)          /* C2PMSG_59 */
REG32(PSP_FEATURES, 0x109fc)            /* C2PMSG_63 */
    FIELD(PSP_FEATURES, SEV, 0, 1)

#define PSP_BOOTLOADER_VERSION  0x00010101

/* Status of a command */
enum {
    FW_SUCCESS                  = 0x00,
    FW_INVALID_PLATFORM_STATE   = 0x01,
    FW_INVALID_GUEST_STATE      = 0x02,
    FW_INVALID_CONFIG           = 0x03,
    FW_INVALID_LEN              = 0x04,
    FW_POLICY_FAILURE           = 0x07,
    FW_INACTIVE                 = 0x08,
    FW_INVALID_ADDRESS          = 0x09,
    FW_ASID_OWNED               = 0x0c,
    FW_INVALID_ASID             = 0x0d,
    FW_DFFLUSH_REQUIRED         = 0x0f,
    FW_INVALID_GUEST            = 0x10,
    FW_INVALID_COMMAND          = 0x11,
    FW_ACTIVE                   = 0x12,
    FW_HWERROR_PLATFORM         = 0x13,
    FW_UNSUPPORTED              = 0x15,
    FW_INVALID_PARAM            = 0x16,
    FW_RESOURCE_LIMIT           = 0x17,
    FW_SECURE_DATA_INVALID      = 0x18,
    FW_INVALID_PAGE_SIZE        = 0x19,
    FW_INVALID_PAGE_STATE       = 0x1a,
    FW_INVALID_PAGE_OWNER       = 0x1c,
    FW_RMP_INIT_REQUIRED        = 0x20,
};

#define FW_ASIDS 510

/** SnpFirmware: all that the firmware remembers; protected by the BQL */
typedef struct SnpFirmware {
    /* Properties: the fail_nth'th fail_cmd from now, or any if 0, fails so */
    uint16_t fail_cmd, fail_status;
    uint32_t fail_nth;

    bool sev_up, sev_es, snp_up, rmp_init;
    uint32_t config_flags;
    uint64_t reported_tcb;
    /* SNP guests: of FwGuest, by the address of the context page */
    GHashTable *guests;
    /* SEV and SEV-ES guests: of SevGuest, by handle; the last handle given */
    GHashTable *sev_guests;
    uint32_t sev_handle;
    /* In use; not flushed since use */
    DECLARE_BITMAP(asids, FW_ASIDS);
    DECLARE_BITMAP(dirty_asids, FW_ASIDS);
} SnpFirmware;

void snp_firmware_reset(SnpFirmware *fw);

/* Execute command @id with the buffer at @addr.  Returns FW_*. */
uint16_t snp_firmware_command(SnpFirmware *fw, uint16_t id, uint64_t addr);

#endif
