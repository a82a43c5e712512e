/*
 * AMD secure processor (PSP) as a PCI device: mailbox and interrupt
 *
 * The driver writes the address of a command buffer, then the command.  The
 * firmware runs inside that write, so the command is done when it returns.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_device.h"
#include "hw/i386/snp-psp.h"

#define TYPE_AMD_PSP "amd-psp"
OBJECT_DECLARE_SIMPLE_TYPE(AmdPspState, AMD_PSP)

struct AmdPspState {
    PCIDevice parent_obj;

    MemoryRegion mmio;
    SnpFirmware fw;
    uint32_t regs[R_PSP_FEATURES + 1];
};

static void psp_command(AmdPspState *s, uint32_t val)
{
    uint16_t cmd = FIELD_EX32(val, PSP_CMDRESP, CMD);
    uint64_t buf = deposit64(s->regs[R_PSP_CMDBUF_LO], 32, 32,
                             s->regs[R_PSP_CMDBUF_HI]);
    uint16_t status = snp_firmware_command(&s->fw, cmd, buf);

    s->regs[R_PSP_CMDRESP] = FIELD_DP32(status, PSP_CMDRESP, CMD, cmd) |
                             R_PSP_CMDRESP_DONE_MASK;
    if (FIELD_EX32(val, PSP_CMDRESP, IOC)) {
        s->regs[R_PSP_INTSTS] |= R_PSP_INTSTS_SEV_DONE_MASK;
        if (s->regs[R_PSP_INTEN] & R_PSP_INTSTS_SEV_DONE_MASK) {
            /* The vector that the SEV half listens to (Linux sp-pci.c) */
            msix_notify(PCI_DEVICE(s), 0);
        }
    }
}

static uint64_t psp_read(void *opaque, hwaddr addr, unsigned size)
{
    AmdPspState *s = opaque;

    return addr / 4 < ARRAY_SIZE(s->regs) ? s->regs[addr / 4] : 0;
}

static void psp_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    AmdPspState *s = opaque;

    switch (addr) {
    case A_PSP_CMDRESP:
        psp_command(s, val);
        break;
    case A_PSP_INTSTS:
        s->regs[R_PSP_INTSTS] &= ~val;
        break;
    case A_PSP_INTEN:
    case A_PSP_CMDBUF_LO:
    case A_PSP_CMDBUF_HI:
        s->regs[addr / 4] = val;
        break;
    }
}

static const MemoryRegionOps psp_ops = {
    .read = psp_read,
    .write = psp_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.min_access_size = 4,
    .valid.max_access_size = 4,
    .impl.min_access_size = 4,
    .impl.max_access_size = 4,
};

static void psp_reset(DeviceState *dev)
{
    AmdPspState *s = AMD_PSP(dev);

    memset(s->regs, 0, sizeof(s->regs));
    s->regs[R_PSP_BOOTLOADER] = PSP_BOOTLOADER_VERSION;
    /* SEV and no TEE, whose ring Linux would wait for */
    s->regs[R_PSP_FEATURES] = R_PSP_FEATURES_SEV_MASK;
    snp_firmware_reset(&s->fw);
}

static void psp_realize(PCIDevice *dev, Error **errp)
{
    AmdPspState *s = AMD_PSP(dev);
    int i;

    memory_region_init_io(&s->mmio, OBJECT(s), &psp_ops, s, "amd-psp",
                          AMD_PSP_BAR_SIZE);
    pci_register_bar(dev, AMD_PSP_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->mmio);
    if (msix_init_exclusive_bar(dev, AMD_PSP_MSIX_VECTORS, AMD_PSP_MSIX_BAR,
                                errp) < 0) {
        return;
    }
    for (i = 0; i < AMD_PSP_MSIX_VECTORS; i++) {
        msix_vector_use(dev, i);
    }
}

/*
 * For tests of the driver: the fail-nth'th command fail-cmd, 0 is any, fails.
 * No qdev properties, because they are to be set while the machine runs, too.
 */
static void psp_instance_init(Object *obj)
{
    SnpFirmware *fw = &AMD_PSP(obj)->fw;

    fw->fail_status = FW_HWERROR_PLATFORM;
    object_property_add_uint16_ptr(obj, "fail-cmd", &fw->fail_cmd,
                                   OBJ_PROP_FLAG_READWRITE);
    object_property_add_uint32_ptr(obj, "fail-nth", &fw->fail_nth,
                                   OBJ_PROP_FLAG_READWRITE);
    object_property_add_uint16_ptr(obj, "fail-status", &fw->fail_status,
                                   OBJ_PROP_FLAG_READWRITE);
}

static void psp_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

    pc->realize = psp_realize;
    pc->vendor_id = PCI_VENDOR_ID_AMD;
    pc->device_id = AMD_PSP_DEVICE_ID;
    pc->class_id = PCI_CLASS_CRYPT_OTHER;
    device_class_set_legacy_reset(dc, psp_reset);
    dc->desc = "AMD secure processor with SEV-SNP firmware";
    dc->hotpluggable = false;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo psp_info = {
    .name = TYPE_AMD_PSP,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(AmdPspState),
    .instance_init = psp_instance_init,
    .class_init = psp_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { },
    },
};

static void psp_register_types(void)
{
    type_register_static(&psp_info);
}

type_init(psp_register_types)
