/*
 * qtest of the AMD secure processor: registers, interrupt, refusals
 *
 * No machine here is an SNP host, so that the firmware never leaves the
 * uninitialized state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/pci.h"
#include "libqos/pci-pc.h"
#include "hw/i386/snp-psp.h"
#include "hw/pci/pci_ids.h"
#include "hw/pci/pci_regs.h"

#define BUF             0x200000        /* in RAM */
#define RAM_SIZE        (128 << 20)
#define DEVICE          "-M q35 -nodefaults -m 128M -device amd-psp,addr=04.0"

#define CMD_SHUTDOWN            0x002
#define CMD_PLATFORM_STATUS     0x004
#define CMD_INIT_EX             0x00d
#define CMD_SNP_PLATFORM_STATUS 0x083
#define CMD_SNP_COMMIT          0x0cb
#define CMD_FEATURE_INFO        0x0ce

typedef struct Psp {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar bar;
    uint64_t bar_size;
} Psp;

static Psp psp_start(const char *args)
{
    Psp p = { .qts = qtest_init(args) };

    p.bus = qpci_new_pc(p.qts, NULL);
    p.dev = qpci_device_find(p.bus, QPCI_DEVFN(4, 0));
    g_assert(p.dev);
    qpci_device_enable(p.dev);
    p.bar = qpci_iomap(p.dev, AMD_PSP_BAR, &p.bar_size);
    return p;
}

static void psp_stop(Psp *p)
{
    g_free(p->dev);
    qpci_free_pc(p->bus);
    qtest_quit(p->qts);
}

/* Give a command and take its status */
static uint16_t psp_do(Psp *p, uint16_t cmd, uint64_t buf, bool ioc)
{
    uint32_t val = FIELD_DP32(0, PSP_CMDRESP, CMD, cmd);

    qpci_io_writel(p->dev, p->bar, A_PSP_CMDBUF_LO, buf);
    qpci_io_writel(p->dev, p->bar, A_PSP_CMDBUF_HI, buf >> 32);
    qpci_io_writel(p->dev, p->bar, A_PSP_CMDRESP, val | ioc);
    val = qpci_io_readl(p->dev, p->bar, A_PSP_CMDRESP);
    g_assert_cmphex(FIELD_EX32(val, PSP_CMDRESP, DONE), ==, 1);
    g_assert_cmphex(FIELD_EX32(val, PSP_CMDRESP, CMD), ==, cmd);
    return FIELD_EX32(val, PSP_CMDRESP, STATUS);
}

static void test_pci(void)
{
    Psp p = psp_start(DEVICE);

    g_assert_cmphex(qpci_config_readw(p.dev, PCI_VENDOR_ID), ==,
                    PCI_VENDOR_ID_AMD);
    g_assert_cmphex(qpci_config_readw(p.dev, PCI_DEVICE_ID), ==,
                    AMD_PSP_DEVICE_ID);
    g_assert_cmphex(qpci_config_readw(p.dev, PCI_CLASS_DEVICE), ==,
                    PCI_CLASS_CRYPT_OTHER);
    g_assert_cmphex(p.bar_size, ==, AMD_PSP_BAR_SIZE);
    qpci_msix_enable(p.dev);
    g_assert_cmpint(qpci_msix_table_size(p.dev), ==, AMD_PSP_MSIX_VECTORS);
    psp_stop(&p);
}

static void test_reset_values(void)
{
    static const struct {
        uint32_t reg, val;
    } regs[] = {
        { A_PSP_INTEN, 0 },
        { A_PSP_INTSTS, 0 },
        { A_PSP_CMDRESP, 0 },
        { A_PSP_CMDBUF_LO, 0 },
        { A_PSP_CMDBUF_HI, 0 },
        { A_PSP_BOOTLOADER, PSP_BOOTLOADER_VERSION },
        { A_PSP_FEATURES, R_PSP_FEATURES_SEV_MASK },
        { 0, 0 },
        { AMD_PSP_BAR_SIZE - 4, 0 },
    };
    Psp p = psp_start(DEVICE);
    int i, round;

    for (round = 0; round < 2; round++) {
        for (i = 0; i < ARRAY_SIZE(regs); i++) {
            g_assert_cmphex(qpci_io_readl(p.dev, p.bar, regs[i].reg), ==,
                            regs[i].val);
        }
        /* Once more after everything was written and the machine reset */
        for (i = 0; round == 0 && i < ARRAY_SIZE(regs); i++) {
            qpci_io_writel(p.dev, p.bar, regs[i].reg, 0xffff0001);
        }
        qtest_system_reset(p.qts);
        qpci_device_enable(p.dev);
        p.bar = qpci_iomap(p.dev, AMD_PSP_BAR, NULL);
    }
    psp_stop(&p);
}

static void test_interrupt(void)
{
    Psp p = psp_start(DEVICE);
    uint64_t ctrl;

    qpci_msix_enable(p.dev);
    ctrl = p.dev->msix_table_off + PCI_MSIX_ENTRY_VECTOR_CTRL;
    qpci_io_writel(p.dev, p.dev->msix_table_bar, ctrl,
                   PCI_MSIX_ENTRY_CTRL_MASKBIT);

    /* Without IOC nothing happens, without INTEN only the status is set. */
    psp_do(&p, CMD_PLATFORM_STATUS, BUF, false);
    g_assert_cmphex(qpci_io_readl(p.dev, p.bar, A_PSP_INTSTS), ==, 0);
    psp_do(&p, CMD_PLATFORM_STATUS, BUF, true);
    g_assert_cmphex(qpci_io_readl(p.dev, p.bar, A_PSP_INTSTS), ==,
                    R_PSP_INTSTS_SEV_DONE_MASK);
    g_assert_false(qpci_msix_pending(p.dev, 0));

    qpci_io_writel(p.dev, p.bar, A_PSP_INTSTS, ~R_PSP_INTSTS_SEV_DONE_MASK);
    g_assert_cmphex(qpci_io_readl(p.dev, p.bar, A_PSP_INTSTS), ==,
                    R_PSP_INTSTS_SEV_DONE_MASK);
    qpci_io_writel(p.dev, p.bar, A_PSP_INTSTS, R_PSP_INTSTS_SEV_DONE_MASK);
    g_assert_cmphex(qpci_io_readl(p.dev, p.bar, A_PSP_INTSTS), ==, 0);

    /* A refused command completes as well. */
    qpci_io_writel(p.dev, p.bar, A_PSP_INTEN, ~0u);
    psp_do(&p, 0x7ff, BUF, true);
    g_assert_true(qpci_msix_pending(p.dev, 0));
    g_assert_false(qpci_msix_pending(p.dev, 1));
    psp_stop(&p);
}

/* What answers in the uninitialized state */
static void test_commands(void)
{
    Psp p = psp_start(DEVICE);
    uint64_t out = BUF + 0x1000;

    qtest_memset(p.qts, BUF, 0xff, 0x2000);
    g_assert_cmphex(psp_do(&p, CMD_PLATFORM_STATUS, BUF, false), ==, 0);
    g_assert_cmphex(qtest_readb(p.qts, BUF), ==, 1);
    g_assert_cmphex(qtest_readb(p.qts, BUF + 2), ==, 0);
    g_assert_cmphex(qtest_readb(p.qts, BUF + 12), ==, 0xff);

    qtest_writeq(p.qts, BUF, out);
    g_assert_cmphex(psp_do(&p, CMD_SNP_PLATFORM_STATUS, BUF, false), ==, 0);
    g_assert_cmphex(qtest_readb(p.qts, out + 2), ==, 0);
    g_assert_cmphex(qtest_readb(p.qts, out + 32), ==, 0xff);

    qtest_writel(p.qts, BUF, 16);
    qtest_writel(p.qts, BUF + 4, 0);
    qtest_writeq(p.qts, BUF + 8, out);
    g_assert_cmphex(psp_do(&p, CMD_FEATURE_INFO, BUF, false), ==, 0);
    g_assert_cmphex(qtest_readl(p.qts, out + 8), ==, 2);
    qtest_writel(p.qts, BUF + 4, 1);
    g_assert_cmphex(psp_do(&p, CMD_FEATURE_INFO, BUF, false), ==,
                    FW_INVALID_PARAM);
    qtest_writel(p.qts, BUF, 15);
    g_assert_cmphex(psp_do(&p, CMD_FEATURE_INFO, BUF, false), ==,
                    FW_INVALID_LEN);
    qtest_writel(p.qts, BUF, 4);
    g_assert_cmphex(psp_do(&p, CMD_SNP_COMMIT, BUF, false), ==, 0);
    psp_stop(&p);
}

/* What SEV keeps: none yet, as it was left, and what it does not know */
static void test_init_ex(void)
{
    const uint64_t nv = BUF + 0x1000, nv_len = 0x8000;
    const struct {
        uint16_t status;
        uint64_t inits;
    } tries[] = {
        { FW_SECURE_DATA_INVALID, 0 }, { 0, 1 }, { 0, 2 },
        { FW_SECURE_DATA_INVALID, 0 }, { 0, 1 },
    };
    Psp p = psp_start(DEVICE);
    int i;

    qtest_memset(p.qts, BUF, 0, nv + nv_len - BUF);
    qtest_writel(p.qts, BUF, 36);
    qtest_writeq(p.qts, BUF + 24, nv);
    qtest_writel(p.qts, BUF + 32, nv_len - 1);
    g_assert_cmphex(psp_do(&p, CMD_INIT_EX, BUF, false), ==, FW_INVALID_LEN);
    qtest_writel(p.qts, BUF + 32, nv_len);
    qtest_writeq(p.qts, BUF + 24, RAM_SIZE - nv_len + 1);
    g_assert_cmphex(psp_do(&p, CMD_INIT_EX, BUF, false), ==,
                    FW_INVALID_ADDRESS);
    qtest_writeq(p.qts, BUF + 24, nv);
    for (i = 0; i < ARRAY_SIZE(tries); i++) {
        if (tries[i].status) {
            qtest_writeb(p.qts, nv, 0);
        }
        g_assert_cmphex(psp_do(&p, CMD_INIT_EX, BUF, false), ==,
                        tries[i].status);
        g_assert_cmphex(qtest_readq(p.qts, nv + 8), ==, tries[i].inits);
        psp_do(&p, CMD_SHUTDOWN, BUF, false);
    }
    psp_stop(&p);
}

/* A buffer must be RAM, all of it; the device's own registers are none. */
static void test_bad_addresses(void)
{
    Psp p = psp_start(DEVICE);
    const uint64_t bad[] = {
        RAM_SIZE, RAM_SIZE - 4, 0x0007ffffffffffffull, UINT64_MAX, 1ull << 51,
        0xf0000, 0xfee00000, p.bar.addr, p.bar.addr + A_PSP_CMDRESP,
        0x100000000ull,
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        /* The C-bit alone is address 0, which is RAM. */
        uint16_t want = bad[i] == 1ull << 51 ? 0 : FW_INVALID_ADDRESS;

        g_assert_cmphex(psp_do(&p, CMD_PLATFORM_STATUS, bad[i], false), ==,
                        want);
        qtest_writeq(p.qts, BUF, bad[i]);
        g_assert_cmphex(psp_do(&p, CMD_SNP_PLATFORM_STATUS, BUF, false), ==,
                        want);
    }
    psp_stop(&p);
}

static void test_refusals(void)
{
    static const struct {
        uint16_t cmd, status;
    } cmds[] = {
        { 0x000, FW_INVALID_COMMAND }, { 0x07f, FW_INVALID_COMMAND },
        { 0x081, FW_INVALID_COMMAND }, { 0x7ff, FW_INVALID_COMMAND },
        /* Zero is no length that these take, and no SNP host is here. */
        { 0x0cb, FW_INVALID_LEN }, { 0x0ce, FW_INVALID_LEN },
        { 0x085, FW_INVALID_CONFIG },
    };
    static const uint16_t not_now[] = {
        0x00a, 0x084, 0x086, 0x090, 0x091, 0x093, 0x094, 0x0a0, 0x0a1, 0x0a2,
        0x0b0, 0x0c7, 0x0c9,
    };
    Psp p = psp_start(DEVICE);
    int i;

    qtest_memset(p.qts, BUF, 0, 0x1000);
    for (i = 0; i < ARRAY_SIZE(cmds); i++) {
        g_assert_cmphex(psp_do(&p, cmds[i].cmd, BUF, false), ==,
                        cmds[i].status);
        qtest_memset(p.qts, BUF, 0, 0x1000);
    }
    for (i = 0; i < ARRAY_SIZE(not_now); i++) {
        g_assert_cmphex(psp_do(&p, not_now[i], BUF, false), ==,
                        FW_INVALID_PLATFORM_STATE);
    }
    psp_stop(&p);
}

/* No command number with any buffer of rubbish ends QEMU. */
static void test_rubbish(void)
{
    static const uint8_t fill[] = { 0x00, 0xff, 0x51, 0x01 };
    Psp p = psp_start(DEVICE);
    int i, cmd;

    for (i = 0; i < ARRAY_SIZE(fill); i++) {
        for (cmd = 0; cmd < 0x800; cmd++) {
            if (cmd % 0x100 == 0 || cmd < 0x100) {
                qtest_memset(p.qts, BUF, fill[i], 0x1000);
            }
            psp_do(&p, cmd, BUF, false);
        }
    }
    psp_stop(&p);
}

static void test_injection(void)
{
    Psp p = psp_start(DEVICE ",fail-cmd=4,fail-nth=2,fail-status=0x17");

    g_assert_cmphex(psp_do(&p, CMD_PLATFORM_STATUS, BUF, false), ==, 0);
    qtest_writel(p.qts, BUF, 4);
    g_assert_cmphex(psp_do(&p, CMD_SNP_COMMIT, BUF, false), ==, 0);
    g_assert_cmphex(psp_do(&p, CMD_PLATFORM_STATUS, BUF, false), ==,
                    0x17);
    g_assert_cmphex(psp_do(&p, CMD_PLATFORM_STATUS, BUF, false), ==, 0);
    psp_stop(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!qtest_has_machine("q35")) {
        g_test_skip("q35 machine not available");
        return g_test_run();
    }
    qtest_add_func("/amd-psp/pci", test_pci);
    qtest_add_func("/amd-psp/reset-values", test_reset_values);
    qtest_add_func("/amd-psp/interrupt", test_interrupt);
    qtest_add_func("/amd-psp/commands", test_commands);
    qtest_add_func("/amd-psp/init-ex", test_init_ex);
    qtest_add_func("/amd-psp/bad-addresses", test_bad_addresses);
    qtest_add_func("/amd-psp/refusals", test_refusals);
    qtest_add_func("/amd-psp/rubbish", test_rubbish);
    qtest_add_func("/amd-psp/injection", test_injection);
    return g_test_run();
}
