/*
 * Fuzzing the CPU: RMP instructions and checks, MSRs, VMRUN and #VMEXIT
 *
 * An input is a sequence of operations of two CPUs, which are in the host or in
 * a guest.  Exceptions and exits come back here as they come back to
 * cpu_exec().  See fuzz.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cpu_ldst.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "sev_helper.h"
#include "fuzz.h"

/* Where the inputs that get far have the pages of VMRUN */
#define HSAVE           (4 * GiB)
#define VMCB            (4 * GiB + 1 * SNP_4K_SIZE)
#define VMSA            (4 * GiB + 2 * SNP_4K_SIZE)     /* of SEV-ES */
#define SNP_VMSA        (4 * GiB + 3 * SNP_4K_SIZE)
#define MSRPM           (4 * GiB + 32 * SNP_4K_SIZE)
#define ES_ASID         5
#define SNP_ASID        6

static CPUX86State *env;
static CPUX86State first;

static void put(hwaddr spa, uint64_t val, unsigned size)
{
    uint8_t buf[8];

    stq_le_p(buf, val);
    fuzz_write(spa, buf, size);
}

/* As software does it */
static void host_put(hwaddr spa, uint64_t val, unsigned size)
{
    uint8_t buf[8];

    stq_le_p(buf, val);
    fuzz_host_write(spa, buf, size);
}

#define VMCB_PUT(page, field, val) \
    put((page) + offsetof(struct vmcb, field), (val), \
        sizeof(((struct vmcb *)0)->field))

static void put_save_area(hwaddr base)
{
    VMCB_PUT(base, save.efer, MSR_EFER_SVME | MSR_EFER_LME | MSR_EFER_LMA);
    VMCB_PUT(base, save.cr0, CR0_PE_MASK | CR0_PG_MASK | CR0_ET_MASK);
    VMCB_PUT(base, save.cr4, CR4_PAE_MASK);
    VMCB_PUT(base, save.g_pat, 0x0007040600070406);
    VMCB_PUT(base, save.dr6, 0xffff0ff0);
    VMCB_PUT(base, save.dr7, 0x400);
    VMCB_PUT(base, save.cs.attrib, 0x29b);
}

/* A VMCB that runs, and VMSAs for it */
static void boot(void)
{
    hwaddr vmsa, at;

    VMCB_PUT(VMCB, control.intercept,
             1ull << (SVM_EXIT_VMRUN - SVM_EXIT_INTR) |
             1ull << (SVM_EXIT_MSR - SVM_EXIT_INTR));
    /* Of the first MSRs, each second one is intercepted. */
    VMCB_PUT(VMCB, control.msrpm_base_pa, MSRPM);
    for (at = 0; at < 0x800; at++) {
        put(MSRPM + at, 0xcc, 1);
    }
    VMCB_PUT(VMCB, control.asid, ES_ASID);
    put_save_area(VMCB);
    for (vmsa = VMSA; vmsa <= SNP_VMSA; vmsa += SNP_4K_SIZE) {
        put_save_area(vmsa - offsetof(struct vmcb, save));
        put(vmsa + offsetof(struct vmcb_es_save_area, xcr0), XSTATE_FP_MASK, 8);
    }
    put(SNP_VMSA + offsetof(struct vmcb_es_save_area, sev_features),
        VMSA_SNP_ACTIVE, 8);
    snp_rmp_write(SNP_VMSA, RMP_ASSIGNED | RMP_VALIDATED | RMP_VMSA |
                  (uint64_t)SNP_ASID << R_RMP_ASID_SHIFT);
    fuzz_machine_snapshot();
}

static void set_up_cpu(CPUX86State *e)
{
    e->features[FEAT_8000_0001_EDX] = CPUID_EXT2_LM | CPUID_EXT2_NX;
    e->features[FEAT_8000_0001_ECX] = CPUID_EXT3_SVM;
    e->features[FEAT_SVM] = CPUID_SVM_NPT | CPUID_SVM_NRIPSAVE |
                            CPUID_SVM_VGIF | CPUID_SVM_V_VMSAVE_VMLOAD;
    e->features[FEAT_XSAVE_XCR0_LO] = XSTATE_FP_MASK | XSTATE_SSE_MASK |
                                      XSTATE_YMM_MASK;
    e->features[FEAT_1_EDX] = CPUID_PAE | CPUID_SSE;
    e->efer = MSR_EFER_SVME | MSR_EFER_LME | MSR_EFER_LMA;
    e->cr[0] = CR0_PE_MASK | CR0_PG_MASK | CR0_ET_MASK;
    e->cr[4] = CR4_PAE_MASK;
    e->hflags = HF_PE_MASK | HF_LMA_MASK | HF_CS64_MASK | HF_SVME_MASK;
    e->hflags2 = HF2_GIF_MASK;
    e->eflags = 2;
    e->pat = 0x0007040600070406;
    e->old_exception = -1;
    e->insn_len = 3;
}

static void reset(void)
{
    int i;

    fuzz_machine_reset();
    for (i = 0; i < FUZZ_CPUS; i++) {
        CPUX86State *e = &fuzz_cpus[i]->env;
        SnpCpu *snp = e->snp;

        *e = first;
        e->snp = snp;
        e->vm_hsave = HSAVE + i * 8 * SNP_4K_SIZE;
        env_cpu(e)->exception_index = -1;
        env_cpu(e)->interrupt_request = 0;
    }
    env = &fuzz_cpus[0]->env;
    memset(&snp_faults, 0, sizeof(snp_faults));
}

static bool in_guest(void)
{
    return env->hflags & HF_GUEST_MASK;
}

static void op_switch(Fuzz *f)
{
    X86CPU *cpu = fuzz_cpus[fuzz_num(f, 1) % FUZZ_CPUS];

    env = &cpu->env;
    current_cpu = &cpu->parent_obj;
}

static void op_regs(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1);

    env->regs[how % 16] = fuzz_value(f);
}

/* A field of the VMCB or of the VMSA for SEV-ES */
static void op_vmcb(Fuzz *f)
{
    unsigned at = fuzz_num(f, 2), size = 1 << at % 4;
    uint64_t val = fuzz_value(f);

    at = at / 4 * 2;
    if (at >= 0x1000) {
        host_put(VMSA + at % (SNP_4K_SIZE - sizeof(val)), val, size);
    } else {
        host_put(VMCB + MIN(at, SNP_4K_SIZE - sizeof(val)), val, size);
    }
}

/* What kind of guest the VMCB is of */
static void op_guest_kind(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1);

    host_put(VMCB + offsetof(struct vmcb, control.nested_ctl), how % 16, 8);
    host_put(VMCB + offsetof(struct vmcb, control.asid),
             how & BIT(4) ? ES_ASID : how & BIT(5) ? SNP_ASID : 100, 4);
    host_put(VMCB + offsetof(struct vmcb, control.vmsa_pa),
             how & BIT(6) ? VMSA : SNP_VMSA, 8);
}

/* An event for VMRUN to inject */
static void op_event(Fuzz *f)
{
    uint64_t event = SVM_EVTINJ_VALID | fuzz_num(f, 2);

    event |= fuzz_num(f, 1) << 32;
    host_put(VMCB + offsetof(struct vmcb, control.event_inj), event, 8);
    host_put(VMCB + offsetof(struct vmcb, control.next_rip), fuzz_value(f), 8);
}

static void op_insn(Fuzz *f)
{
    static const uint8_t insns[][2] = {
        { 0xfc, 0xf2 }, { 0xfd, 0xf2 }, { 0xfe, 0xf2 }, { 0xff, 0xf3 },
        { 0xff, 0xf2 }, { 0xfe, 0xf3 },
    };
    unsigned how = fuzz_num(f, 1);
    const uint8_t *insn = insns[how % ARRAY_SIZE(insns)];

    if (how & BIT(6)) {
        env->regs[R_EAX] = fuzz_addr(f);
    }
    if (how & BIT(7)) {
        env->regs[R_ECX] = fuzz_value(f);
    }
    helper_snp_insn(env, insn[0], insn[1]);
}

/* RMPUPDATE with its operands */
static void op_rmpupdate(Fuzz *f)
{
    hwaddr spa = fuzz_addr(f), operand = HSAVE + 16 * SNP_4K_SIZE;
    unsigned how = fuzz_num(f, 1);
    uint8_t buf[16] = {};

    if (in_guest()) {
        return;
    }
    if (how & BIT(3)) {
        stq_le_p(buf, fuzz_addr(f));
    }
    buf[8] = how & 1;
    buf[9] = how >> 1 & 1;
    buf[10] = how >> 2 & 1;
    buf[12] = how >> 4;
    fuzz_host_write(operand, buf, sizeof(buf));
    env->regs[R_EAX] = spa;
    env->regs[R_ECX] = operand;
    helper_snp_insn(env, 0xfe, 0xf2);
}

/* RMPOPT, and whether it said what is so */
static void op_rmpopt(Fuzz *f)
{
    hwaddr spa = QEMU_ALIGN_DOWN(fuzz_addr(f), SNP_REGION_SIZE);
    bool verify = fuzz_num(f, 1) & 1;

    if (in_guest()) {
        return;
    }
    env->regs[R_EAX] = spa;
    env->regs[R_ECX] = !verify;
    helper_snp_insn(env, 0xfc, 0xf2);
    fuzz_assert(!(env->cc_src & CC_C) ==
                !snp_core_optimized(env->snp->core, spa),
                "the carry flag of RMPOPT");
    fuzz_assert(!(env->cc_src & CC_C) || !snp_rmp_region_closed(spa),
                "the carry flag of RMPOPT of a closed region");
}

/* By the permission map: APM vol. 2, "MSR Intercepts" */
static bool msr_intercepted(uint32_t msr, bool write)
{
    unsigned bit = (msr & 0x1fff) * 2 + write;
    hwaddr map;
    uint8_t byte;

    if (!in_guest() || !cpu_svm_has_intercept(env, SVM_EXIT_MSR) ||
        sev_never_exits(env, SVM_EXIT_MSR)) {
        return false;
    }
    map = x86_ldq_phys(env_cpu(env), env->vm_vmcb +
                       offsetof(struct vmcb, control.msrpm_base_pa));
    switch (msr >> 13) {
    case 0:
        break;
    case 0xc0000000 >> 13:
        map += 0x800;
        break;
    case 0xc0010000 >> 13:
        map += 0x1000;
        break;
    default:
        return true;
    }
    fuzz_read(map + bit / 8, &byte, 1);
    return byte >> bit % 8 & 1;
}

/* As helper_rdmsr() and helper_wrmsr() do for MSRs that they do not know */
static void op_msr(Fuzz *f)
{
    static const uint32_t msrs[] = {
        0xc0010010, 0xc0010015, 0xc0010130, 0xc0010131, 0xc0010132,
        0xc0010133, 0xc0010136, 0xc0010139,
    };
    unsigned how = fuzz_num(f, 1);
    uint32_t msr = msrs[how % ARRAY_SIZE(msrs)];
    bool write = how & BIT(3), intercepted, ok;
    uint64_t val = write ? fuzz_value(f) : 0;

    env->regs[R_ECX] = msr;
    if (how & BIT(4)) {
        env->regs[R_ECX] = msr = fuzz_num(f, 4);
    }
    if (how & BIT(5)) { /* It does not count. */
        env->regs[R_ECX] |= fuzz_num(f, 4) << 32;
    }
    intercepted = msr_intercepted(msr, write);
    cpu_svm_check_intercept_param(env, SVM_EXIT_MSR, write, GETPC());
    fuzz_assert(!intercepted, "an intercepted MSR");
    ok = write ? snp_wrmsr(env_archcpu(env), msr, val)
               : snp_rdmsr(env_archcpu(env), msr, &val);
    if (!ok) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, GETPC());
    }
    if (!write && msr == MSR_SEV_STATUS) {
        fuzz_assert(in_guest() || !val, "MSR SEV_STATUS in the host");
    }
}

static void op_hsave(Fuzz *f)
{
    hwaddr spa = fuzz_addr(f);

    /* As helper_wrmsr() has it */
    if (!(spa & (0xfff | ~0ull << env_archcpu(env)->phys_bits))) {
        env->vm_hsave = spa;
    }
}

/* The instructions of SVM, which #UD in the guests of others */
static void op_svm(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1);

    env->regs[R_EAX] = how & BIT(6) ? fuzz_addr(f) : VMCB;
    switch (how % 8) {
    case 0:
    case 1:
        helper_vmrun(env, 2, 3);
        break;
    case 2:
        helper_vmload(env, how & BIT(7) ? 1 : 2);
        break;
    case 3:
        helper_vmsave(env, how & BIT(7) ? 1 : 2);
        break;
    case 4:
        helper_vmgexit(env);
        break;
    case 5:
        helper_vmmcall(env);
        break;
    case 6:
        helper_stgi(env);
        break;
    case 7:
        helper_clgi(env);
        break;
    }
}

/* What the translator has the helpers check */
static void op_intercept(Fuzz *f)
{
    static const uint32_t types[] = {
        SVM_EXIT_READ_CR0, SVM_EXIT_READ_CR0 + 8, SVM_EXIT_WRITE_CR0 + 3,
        SVM_EXIT_READ_DR0 + 7, SVM_EXIT_WRITE_DR0, SVM_EXIT_INTR, SVM_EXIT_NMI,
        SVM_EXIT_VINTR, SVM_EXIT_IDTR_READ, SVM_EXIT_TR_WRITE, SVM_EXIT_CPUID,
        SVM_EXIT_PAUSE, SVM_EXIT_HLT, SVM_EXIT_INVLPGA, SVM_EXIT_SHUTDOWN,
        SVM_EXIT_MONITOR, SVM_EXIT_XSETBV, SVM_EXIT_RDTSC, SVM_EXIT_SWINT,
        SVM_EXIT_EFER_WRITE_TRAP, SVM_EXIT_CR0_WRITE_TRAP,
    };
    unsigned which = fuzz_num(f, 1) % (ARRAY_SIZE(types) + 1);

    if (which < ARRAY_SIZE(types)) {
        helper_svm_check_intercept(env, types[which], fuzz_value(f));
    } else if (in_guest()) {
        uint32_t port = fuzz_num(f, 2), param = fuzz_num(f, 1);

        /* One size, of 1, 2 or 4 bytes */
        helper_svm_check_io(env, port, (param & 0xd) |
                            0x10 << (param >> 4) % 3, 2);
    }
}

static void op_exception(Fuzz *f)
{
    int vector = fuzz_num(f, 1) % 32;

    env->cr[2] = fuzz_num(f, 1);
    raise_exception_err_ra(env, vector, 0, GETPC());
}

/* An access of a guest that its nested page table refuses */
static void op_npf(Fuzz *f)
{
    uint64_t error = fuzz_num(f, 1) | (uint64_t)fuzz_num(f, 1) << 31;

    if (in_guest() && env->hflags2 & HF2_NPT_MASK) {
        cpu_vmexit(env, SVM_EXIT_NPF, error, GETPC());
    }
}

/* The checks of an access, and whether they agree with the RMP */
static void op_access(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1);
    hwaddr spa = fuzz_addr(f), gpa = how & BIT(2) ? fuzz_addr(f) : spa;
    uint64_t size = how & 1 ? SNP_2M_SIZE : SNP_4K_SIZE;

    if (how & BIT(1) && sev_status(env) & SNP_STATUS_SNP) {
        snp_private_denied(env, spa, gpa, size);
    } else {
        bool denied = snp_write_denied(env, spa, size);
        uint64_t e = snp_rmp_read(spa);

        fuzz_assert(denied || !snp_rmp_holds(spa), "a write to the RMP");
        fuzz_assert(denied || e == RMP_NONE || !(e & RMP_ASSIGNED),
                    "a write to an assigned page");
        fuzz_assert(denied || size == SNP_4K_SIZE || !snp_rmp_2m_assigned(spa),
                    "a write to a 2MB page with assigned pages in it");
    }
}

/* What the firmware does to a page: it is its own, or a guest's at launch */
static void op_firmware(Fuzz *f)
{
    hwaddr spa = QEMU_ALIGN_DOWN(fuzz_addr(f), SNP_4K_SIZE);
    uint64_t e = snp_rmp_read(spa);
    unsigned how = fuzz_num(f, 1);

    if (e == RMP_NONE || snp_rmp_holds(spa) || !(e & RMP_IMMUTABLE)) {
        return;
    }
    e &= ~RMP_IMMUTABLE;
    if (FIELD_EX64(e, RMP, ASID) && how & 1) {
        e |= RMP_VALIDATED | (how & 2 ? RMP_VMSA : 0);
    }
    snp_rmp_write(spa, e);
}

/* How it runs: CPL, 32 bits, flags */
static void op_mode(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1);

    env->hflags &= ~(HF_CPL_MASK | HF_CS64_MASK);
    env->hflags |= (how & 1 ? 3 : 0) | (how & 2 ? 0 : HF_CS64_MASK);
    env->eflags = (how & 4 ? IF_MASK : 0) | 2;
    env->int_ctl = how & 8 ? env->int_ctl | V_GIF_ENABLED_MASK : env->int_ctl;
    if (how & 16) {
        snp_faults.rmpupdate_nth = how >> 5;
        snp_faults.rmpupdate_status = how;
    }
}

static void (*const ops[])(Fuzz *f) = {
    op_switch, op_regs, fuzz_op_write, op_vmcb, op_guest_kind, op_insn,
    op_rmpupdate, op_rmpopt, op_msr, op_hsave, op_svm, op_intercept,
    op_exception, op_npf, op_access, op_firmware, op_mode, op_event,
};

/* As cpu_exec() goes on after cpu_loop_exit() */
static void handle_exit(void)
{
    CPUState *cs = env_cpu(env);

    if (cs->exception_index == EXCP_VMEXIT) {
        fuzz_assert(env->old_exception == -1, "a pending exception");
        do_vmexit(env);
        fuzz_assert(!in_guest() && !sev_status(env) && !env->int_ctl,
                    "the host's state after #VMEXIT");
    }
    env->old_exception = -1;
    cs->exception_index = -1;
}

static bool denied(CPUX86State *e, hwaddr spa)
{
    return snp_write_denied(e, spa, SNP_4K_SIZE);
}

static void page_fault(CPUX86State *e, uintptr_t ra)
{
    raise_exception_err_ra(e, EXCP0E_PAGE, PG_ERROR_W_MASK, ra);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_denied = denied;
    fuzz_page_fault = page_fault;
    fuzz_machine_init();
    set_up_cpu(&first);
    boot();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Fuzz f;
    static int i;

    f = (Fuzz) { data, data + size };
    reset();
    for (i = 0; i < FUZZ_OPS && f.p < f.end; i++) {
        if (sigsetjmp(env_cpu(env)->jmp_env, 0)) {
            handle_exit();
        } else {
            ops[fuzz_num(&f, 1) % ARRAY_SIZE(ops)](&f);
        }
        fuzz_check_rmpopt();
    }
    fuzz_check_counts();
    return 0;
}
