/*
 * Fuzzing the PSP: its mailbox, the firmware's commands, the RMP and RMPOPT
 *
 * An input is a sequence of operations of the host and of guests on a machine
 * whose firmware is up.  See fuzz.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/module.h"

/* The device without its type: its registers are called right here. */
#undef type_init
#define type_init(function)
#include "hw/i386/snp-psp.c"

#include "hw/boards.h"
#include "fuzz.h"

#define FW_PAGE         0ull            /* in state Firmware, with buffers */
#define FW_PAGES        8
#define LIST_PAGES_MAX  4096            /* in a list of SNP_INIT_EX */

static const uint16_t ids[] = {
    0x001, 0x002, 0x004, 0x00a, 0x020, 0x021, 0x022, 0x023, 0x030, 0x031,
    0x032, 0x033, 0x034, 0x035, 0x036, 0x060, 0x061, 0x083, 0x084, 0x085,
    0x086, 0x090, 0x091, 0x093, 0x094, 0x0a0, 0x0a1, 0x0a2, 0x0b0, 0x0c7,
    0x0c9, 0x0cb, 0x0ce,
};

static AmdPspState psp;

static uint16_t command(uint16_t id, hwaddr addr, bool interrupt)
{
    psp_write(&psp, A_PSP_CMDBUF_LO, (uint32_t)addr, 4);
    psp_write(&psp, A_PSP_CMDBUF_HI, addr >> 32, 4);
    psp_write(&psp, A_PSP_CMDRESP,
              FIELD_DP32(interrupt, PSP_CMDRESP, CMD, id), 4);
    return FIELD_EX32(psp_read(&psp, A_PSP_CMDRESP, 4), PSP_CMDRESP, STATUS);
}

/* The state that Linux brings the firmware to */
static void boot(void)
{
    uint8_t buf[64] = { [0] = 1 };      /* INIT_EX_INIT_RMP */
    int i;

    psp_reset(DEVICE(&psp));
    fuzz_write(4 * GiB, buf, sizeof(buf));
    g_assert(command(0x085, 4 * GiB, false) == FW_SUCCESS);
    for (i = 0; i < FW_PAGES; i++) {
        fuzz_rmpupdate(FW_PAGE + i * SNP_4K_SIZE,
                       RMP_ASSIGNED | RMP_IMMUTABLE);
    }
    memset(buf, 0, sizeof(buf));
    fuzz_write(4 * GiB, buf, sizeof(buf));
    fuzz_machine_snapshot();
}

static void reset(void)
{
    uint8_t buf[64] = { [0] = 1 };                      /* SEV_INIT_ES */

    fuzz_machine_reset();
    psp.fw.fail_nth = 0;
    psp_reset(DEVICE(&psp));
    psp.fw.snp_up = psp.fw.rmp_init = true;
    /* With SEV-ES, whose TMR is a Firmware page */
    stq_le_p(buf + 8, FW_PAGE + (FW_PAGES - 1) * SNP_4K_SIZE);
    stl_le_p(buf + 16, SNP_4K_SIZE);
    fuzz_write(FW_PAGE, buf, sizeof(buf));
    g_assert(command(0x001, FW_PAGE, false) == FW_SUCCESS);
}

/* SNP_INIT_EX goes through millions of pages if it is asked to. */
static void bound_list(hwaddr buf)
{
    uint8_t list[8 + 255 * 16];
    uint64_t sum = 0;
    hwaddr spa;
    int i;

    fuzz_read(buf + 8, &spa, sizeof(spa));
    spa = le64_to_cpu(spa) & ~SNP_C_BIT;
    fuzz_read(spa, list, sizeof(list));
    for (i = 0; i < 255; i++) {
        uint8_t *pages = list + 8 + i * 16 + 8;

        sum += ldl_le_p(pages);
        if (sum > LIST_PAGES_MAX) {
            stl_le_p(pages, 0);
            fuzz_write(spa + (pages - list), pages, 4);
        }
    }
}

/* A buffer, then the command: each field is an address or a number. */
static void op_command(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1), which = fuzz_num(f, 1);
    uint16_t id = which < ARRAY_SIZE(ids) ? ids[which] : which << 3 | how >> 5;
    hwaddr addr = how & BIT(0) ? fuzz_addr(f)
                               : FW_PAGE + (how & BIT(1) ? SNP_4K_SIZE : 0);
    uint8_t buf[64] = {};
    unsigned at = 0;

    if (how & BIT(2)) {
        fuzz_read(addr, buf, sizeof(buf));
    }
    /* Skips and widths of fields, until there is a width of 0 */
    while (f->p < f->end) {
        unsigned field = fuzz_num(f, 1), width = field & 15;
        uint8_t val[8];

        at += field >> 4 << 2;
        width = width > 8 ? 8 : width;
        if (!width || at + width > sizeof(buf)) {
            break;
        }
        stq_le_p(val, width == 8 ? fuzz_addr(f) : fuzz_num(f, MIN(width, 4)));
        memcpy(buf + at, val, width);
        at += width <= 4 ? 4 : 8;
    }
    if (addr < FW_PAGE + FW_PAGES * SNP_4K_SIZE) {
        fuzz_write(addr, buf, sizeof(buf));     /* before it was Firmware */
    } else {
        fuzz_host_write(addr, buf, sizeof(buf));
    }
    if (id == 0x085) {
        bound_list(addr & ~SNP_C_BIT);
    }
    command(id, addr, how & BIT(3));
    if (how & BIT(4)) {
        /* Linux takes its pages back: that of a buffer is one. */
        fuzz_rmpupdate(QEMU_ALIGN_DOWN(addr, SNP_4K_SIZE), 0);
    }
}

/* What of an entry RMPUPDATE sets */
static uint64_t make_entry(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1);
    uint64_t e = (how & 1 ? RMP_ASSIGNED : 0) | (how & 2 ? RMP_2M : 0) |
                 (how & 4 ? RMP_IMMUTABLE : 0);

    e = FIELD_DP64(e, RMP, ASID, how >> 4);
    return how & 8 ? e | (fuzz_addr(f) & RMP_GPA) : e;
}

static void op_rmpupdate(Fuzz *f)
{
    hwaddr spa = fuzz_addr(f);
    uint64_t entry = make_entry(f);

    if (snp_enabled_on_all_cpus()) {
        fuzz_rmpupdate(spa, entry);
    }
}

static void op_psmash(Fuzz *f)
{
    hwaddr spa = fuzz_addr(f);
    uint64_t e = snp_rmp_read(spa);

    if (snp_enabled_on_all_cpus() && QEMU_IS_ALIGNED(spa, SNP_2M_SIZE) &&
        e & RMP_2M && !(e & RMP_IMMUTABLE) && e != RMP_NONE) {
        snp_rmp_smash(spa);
    }
}

/* PVALIDATE and RMPADJUST: what a guest changes of its own page */
static void op_guest(Fuzz *f)
{
    hwaddr spa = fuzz_addr(f);
    uint64_t e = snp_rmp_read(spa);
    bool vmsa = fuzz_num(f, 1) & 1;

    if (snp_enabled_on_all_cpus() && e != RMP_NONE && e & RMP_ASSIGNED &&
        !(e & RMP_IMMUTABLE) && FIELD_EX64(e, RMP, ASID)) {
        snp_rmp_write(spa, e ^ (vmsa ? RMP_VMSA : RMP_VALIDATED));
    }
}

/* The view of a page comes to be that of a guest that uses it. */
static void op_show(Fuzz *f)
{
    hwaddr spa = fuzz_cpu_addr(fuzz_addr(f));

    snp_memory_show(fuzz_num(f, 2) % (SNP_MAX_ASID + 1), spa, 1);
}

static void op_rmpopt(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1);

    fuzz_rmpopt(fuzz_cpus[how % FUZZ_CPUS]->env.snp->core, fuzz_addr(f),
                how & BIT(7));
}

static void op_rmpopt_base(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1);

    snp_wrmsr(fuzz_cpus[how % FUZZ_CPUS], MSR_SNP_RMPOPT,
              (how & BIT(6) ? fuzz_addr(f) : 0) | !(how & BIT(7)));
}

static void op_iommu(Fuzz *f)
{
    static const unsigned regs[] = {
        AMDVI_MMIO_EVENT_BASE, AMDVI_MMIO_PPR_BASE, AMDVI_MMIO_EXCL_BASE,
    };
    unsigned how = fuzz_num(f, 1);

    stq_le_p(fuzz_iommu->mmior + regs[how % ARRAY_SIZE(regs)],
             (fuzz_addr(f) & RMP_GPA) | (uint64_t)(how >> 4) << 56);
}

static void op_register(Fuzz *f)
{
    hwaddr addr = fuzz_num(f, 3) % AMD_PSP_BAR_SIZE & ~3;
    uint32_t val = fuzz_num(f, 4);

    if (addr == A_PSP_CMDRESP) {
        val = FIELD_DP32(val, PSP_CMDRESP, CMD, 0x004);
    }
    psp_write(&psp, addr, val, 4);
    psp_read(&psp, addr, 4);
}

/* Less usual: SNP enabled anew, a host save area, a fault of the firmware */
static void op_machine(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1);

    switch (how % 4) {
    case 0:
        fuzz_snp_enable();
        break;
    case 1:
        fuzz_cpus[0]->env.vm_hsave = how & BIT(7) ? 4 * GiB : 0;
        break;
    case 2:
        psp.fw.fail_nth = how >> 2;
        psp.fw.fail_cmd = ids[fuzz_num(f, 1) % ARRAY_SIZE(ids)];
        psp.fw.fail_status = FW_HWERROR_PLATFORM;
        break;
    case 3:
        current_machine->smp.threads = how & BIT(7) ? 1 : 2;
        break;
    }
}

static void (*const ops[])(Fuzz *f) = {
    op_command, fuzz_op_write, op_rmpupdate, op_rmpopt, op_rmpopt_base, op_psmash,
    op_guest, op_show, op_iommu, op_register, op_machine,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_machine_init();
    boot();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Fuzz f = { data, data + size };
    int i;

    reset();
    for (i = 0; i < FUZZ_OPS && f.p < f.end; i++) {
        ops[fuzz_num(&f, 1) % ARRAY_SIZE(ops)](&f);
        fuzz_check_rmpopt();
    }
    fuzz_check_counts();
    return 0;
}
