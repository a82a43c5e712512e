/*
 * SEV, SEV-ES and SEV-SNP guests: what differs for VMRUN and #VMEXIT
 *
 * APM vol. 2, "Secure Encrypted Virtualization", "Encrypted State", "Secure
 * Nested Paging".  The state of an SEV-ES guest is in a save area (VMSA) of its
 * own, all of it, and is swapped whole; what it does that the hypervisor has to
 * see raises #VC in the guest first, which then asks by VMGEXIT.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "tcg/helper-tcg.h"
#include "tcg/tcg.h"
#include "hw/i386/snp.h"
#include "sev_helper.h"
#include "trace.h"

static uint64_t control(CPUX86State *env, hwaddr field)
{
    return x86_ldq_phys(env_cpu(env), env->vm_vmcb + field);
}

#define CONTROL(env, field) control(env, offsetof(struct vmcb, control.field))

typedef struct {
    hwaddr spa;
    uint32_t asid;
} View;

static void show(CPUState *cs, View view)
{
    QEMU_LOCK_GUARD(&snp_rmp_lock);
    if (snp_memory_show(view.asid, view.spa, 1)) {
        tlb_flush_all_cpus_synced(cs);
    }
}

static void show_later(CPUState *cs, run_on_cpu_data data)
{
    g_autofree View *view = data.host_ptr;

    show(cs, *view);
}

/*
 * Nobody else may use the page while it changes, and no TLB may have it after.
 * This is what ptw_setl_slow() does for its own reasons.
 */
void sev_show(CPUX86State *env, hwaddr spa, uint32_t asid)
{
    CPUState *cs = env_cpu(env);
    bool locked = bql_locked();
    View view = { spa, asid };

    if (snp_memory_owner(spa) == asid) {
        return;
    }
    if (cpu_in_exclusive_context(cs)) {
        show(cs, view);
        return;
    }
    /* Others may wait for a page that is locked during the translation. */
    if (tcg_ctx->gen_tb) {
        async_safe_run_on_cpu(cs, show_later,
                              RUN_ON_CPU_HOST_PTR(g_memdup2(&view,
                                                            sizeof(view))));
        cpu_loop_exit(cs);
    }
    if (locked) {
        bql_unlock();
    }
    cpu_exec_end(cs);
    start_exclusive();
    show(cs, view);
    /* Who wants another view waits until this CPU has had its access. */
    qatomic_set(&cs->running, true);
    end_exclusive();
    if (locked) {
        bql_lock();
    }
}

static void access_vmsa(CPUX86State *env, hwaddr addr,
                        struct vmcb_es_save_area *sa, bool write)
{
    address_space_rw(env_cpu(env)->as, addr, MEMTXATTRS_UNSPECIFIED, sa,
                     sizeof(*sa), write);
}

/*
 * The page at @vmsa can be the save area of an SNP guest of @asid, or of an
 * SEV-ES guest.  Which one is written in it, and told in @snp.
 */
static bool check_vmsa(CPUX86State *env, hwaddr vmsa, uint32_t asid, bool *snp)
{
    uint64_t entry = snp_rmp_read(vmsa), features;

    if (!QEMU_IS_ALIGNED(vmsa, SNP_4K_SIZE) || entry == RMP_NONE ||
        snp_rmp_holds(vmsa)) {
        return false;
    }
    sev_show(env, vmsa, asid);
    features = x86_ldq_phys(env_cpu(env), vmsa +
                            offsetof(struct vmcb_es_save_area, sev_features));
    *snp = features & VMSA_SNP_ACTIVE;
    if (features & ~VMSA_SNP_ACTIVE) {
        return false;
    }
    if (env->snp->syscfg & SNP_SYSCFG_SNP_EN &&
        (*snp || entry & RMP_ASSIGNED)) {
        return *snp && FIELD_EX64(entry, RMP, ASID) == asid &&
               (entry & (RMP_ASSIGNED | RMP_VMSA | RMP_2M)) ==
               (RMP_ASSIGNED | RMP_VMSA);
    }
    return !*snp;
}

/*
 * APM vol. 2, "VMRUN Page Checks", has this for the VMCB; that it is the same
 * for the host save area and for VMSAVE is a guess.
 */
void sev_check_host_page(CPUX86State *env, hwaddr spa, bool write,
                         uintptr_t ra)
{
    if (!env->snp) {
        return;
    }
    if (write && snp_write_denied(env, spa, SNP_4K_SIZE)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    sev_show(env, spa, 0);
}

bool sev_vmrun(CPUX86State *env)
{
    SnpCpu *snp = env->snp;
    uint64_t ctl = CONTROL(env, nested_ctl);
    uint32_t asid = CONTROL(env, asid);
    hwaddr vmsa = CONTROL(env, vmsa_pa);
    bool is_snp;

    if (!snp) {
        return true;
    }
    snp->status = 0;
    snp->asid = asid;
    snp->validating = false;
    if (!(ctl & SVM_SEV_ENABLED)) {
        return !(ctl & SVM_SEV_ES_ENABLED);
    }
    if (!(ctl & SVM_NPT_ENABLED) || !(snp->syscfg & SNP_SYSCFG_MEM_ENC) ||
        asid > SNP_MAX_ASID ||
        (asid < SNP_MIN_SEV_ASID) != !!(ctl & SVM_SEV_ES_ENABLED)) {
        return false;
    }
    if (!(ctl & SVM_SEV_ES_ENABLED)) {
        snp->status = SNP_STATUS_SEV;
        return true;
    }
    if (!check_vmsa(env, vmsa, asid, &is_snp)) {
        return false;
    }
    snp->vmsa = vmsa;
    snp->ghcb = CONTROL(env, ghcb_gpa);
    snp->status = SNP_STATUS_SEV | SNP_STATUS_ES |
                  (is_snp ? SNP_STATUS_SNP : 0);
    /* The host's PAT is not swapped for other guests. */
    x86_stq_phys(env_cpu(env), env->vm_hsave +
                 offsetof(struct vmcb, save.g_pat), env->pat);
    return true;
}

static void load_fpu(CPUX86State *env, const struct vmcb_es_save_area *sa)
{
    uint16_t fsw = le16_to_cpu(sa->x87_fsw);
    int i, j;

    cpu_set_fpuc(env, le16_to_cpu(sa->x87_fcw));
    env->fpus = fsw & ~0x3800;
    env->fpstt = extract32(fsw, 11, 3);
    for (i = 0; i < 8; i++) {
        floatx80 *st = &env->fpregs[(env->fpstt + i) & 7].d;

        env->fptags[i] = !extract32(le16_to_cpu(sa->x87_ftw), i, 1);
        st->low = le64_to_cpu(sa->x87_mantissa[i]);
        st->high = le16_to_cpu(sa->x87_exponent[i]);
    }
    for (i = 0; i < 16; i++) {
        for (j = 0; j < 2; j++) {
            env->xmm_regs[i].ZMM_Q(j) = le64_to_cpu(sa->xmm[i][j]);
            env->xmm_regs[i].ZMM_Q(j + 2) = le64_to_cpu(sa->ymm_high[i][j]);
        }
    }
    cpu_set_mxcsr(env, le32_to_cpu(sa->mxcsr) & 0xffff);
}

static void save_fpu(CPUX86State *env, struct vmcb_es_save_area *sa)
{
    uint16_t ftw = 0;
    int i, j;

    for (i = 0; i < 8; i++) {
        floatx80 st = env->fpregs[(env->fpstt + i) & 7].d;

        ftw |= !env->fptags[i] << i;
        sa->x87_mantissa[i] = cpu_to_le64(st.low);
        sa->x87_exponent[i] = cpu_to_le16(st.high);
    }
    sa->x87_ftw = cpu_to_le16(ftw);
    sa->x87_fsw = cpu_to_le16(deposit32(env->fpus, 11, 3, env->fpstt));
    sa->x87_fcw = cpu_to_le16(env->fpuc);
    for (i = 0; i < 16; i++) {
        for (j = 0; j < 2; j++) {
            sa->xmm[i][j] = cpu_to_le64(env->xmm_regs[i].ZMM_Q(j));
            sa->ymm_high[i][j] = cpu_to_le64(env->xmm_regs[i].ZMM_Q(j + 2));
        }
    }
    update_mxcsr_from_sse_status(env);
    sa->mxcsr = cpu_to_le32(env->mxcsr);
}

/* GPRs but for RAX and RSP, which all guests have, and extended state */
static void load_regs(CPUX86State *env, const struct vmcb_es_save_area *sa)
{
    int i;

    for (i = 0; i < 16; i++) {
        if (i != R_EAX && i != R_ESP) {
            env->regs[i] = le64_to_cpu(sa->gpr[i]);
        }
    }
    env->pat = le64_to_cpu(sa->save.g_pat);
    env->pkru = le32_to_cpu(sa->pkru);
    env->xcr0 = le64_to_cpu(sa->xcr0);
    cpu_sync_avx_hflag(env);
    cpu_sync_bndcs_hflags(env);
}

bool sev_load_guest(CPUX86State *env)
{
    struct vmcb_es_save_area sa;
    uint64_t xcr0;

    if (!(sev_status(env) & SNP_STATUS_ES)) {
        return true;
    }
    access_vmsa(env, env->snp->vmsa, &sa, false);
    /* What XSETBV would refuse: see helper_xsetbv() */
    xcr0 = le64_to_cpu(sa.xcr0);
    if (!(xcr0 & XSTATE_FP_MASK) ||
        (xcr0 & (XSTATE_SSE_MASK | XSTATE_YMM_MASK)) == XSTATE_YMM_MASK ||
        xcr0 & ~(uint64_t)env->features[FEAT_XSAVE_XCR0_LO]) {
        return false;
    }
    svm_load_vmload_state(env, MMU_PHYS_IDX, sev_save_area(env));
    load_regs(env, &sa);
    load_fpu(env, &sa);
    return true;
}

void sev_save_guest(CPUX86State *env)
{
    struct vmcb_es_save_area sa;
    int i;

    if (!(sev_status(env) & SNP_STATUS_ES)) {
        return;
    }
    svm_save_vmload_state(env, MMU_PHYS_IDX, sev_save_area(env));
    access_vmsa(env, env->snp->vmsa, &sa, false);
    for (i = 0; i < 16; i++) {
        if (i != R_EAX && i != R_ESP) {
            sa.gpr[i] = cpu_to_le64(env->regs[i]);
        }
    }
    sa.save.g_pat = cpu_to_le64(env->pat);
    sa.pkru = cpu_to_le32(env->pkru);
    sa.xcr0 = cpu_to_le64(env->xcr0);
    save_fpu(env, &sa);
    access_vmsa(env, env->snp->vmsa, &sa, true);
    x86_stq_phys(env_cpu(env), env->vm_vmcb +
                 offsetof(struct vmcb, control.ghcb_gpa), env->snp->ghcb);
}

/* The hypervisor puts its state into the host save area before VMRUN. */
void sev_load_host(CPUX86State *env)
{
    struct vmcb_es_save_area sa;

    if (sev_save_area(env) == env->vm_vmcb) {
        return;
    }
    svm_load_vmload_state(env, MMU_PHYS_IDX, env->vm_hsave);
    access_vmsa(env, env->vm_hsave + offsetof(struct vmcb, save), &sa, false);
    load_regs(env, &sa);
    helper_fninit(env);
    memset(env->xmm_regs, 0, sizeof(env->xmm_regs));
    cpu_set_mxcsr(env, 0x1f80);
    env->snp->status = 0;
}

bool sev_never_exits(CPUX86State *env, uint32_t type)
{
    /* SEV_STATUS is the guest's own, and #VC would be endless. */
    return (sev_status(env) && type == SVM_EXIT_MSR &&
            (uint32_t)env->regs[R_ECX] == MSR_SEV_STATUS) ||
           (sev_status(env) & SNP_STATUS_ES &&
            type == SVM_EXIT_EXCP_BASE + EXCP1D_VC);
}

/* APM vol. 2, table "AE Exitcodes": exits of SEV-ES guests without a #VC */
static bool is_automatic(uint64_t exit_code, uint64_t exit_info_1)
{
    switch (exit_code) {
    case SVM_EXIT_EXCP_BASE + EXCP12_MCHK:
    case SVM_EXIT_INTR ... SVM_EXIT_VINTR:
    case SVM_EXIT_PAUSE:
    case SVM_EXIT_HLT:
    case SVM_EXIT_SHUTDOWN:
    case SVM_EXIT_EFER_WRITE_TRAP ... SVM_EXIT_CR15_WRITE_TRAP:
    case SVM_EXIT_BUS_LOCK:
    case SVM_EXIT_IDLE_HLT:
    case SVM_EXIT_VMGEXIT:
    case SVM_EXIT_ERR:
        return true;
    case SVM_EXIT_NPF:
        /* Reserved bits are how hypervisors mark MMIO. */
        return !(exit_info_1 & PG_ERROR_RSVD_MASK);
    default:
        return false;
    }
}

bool sev_exit_is_vc(CPUX86State *env, uint64_t exit_code, uint64_t exit_info_1)
{
    return sev_status(env) & SNP_STATUS_ES &&
           !is_automatic(exit_code, exit_info_1);
}

void sev_vmexit(CPUX86State *env, uint64_t exit_code, uint64_t exit_info_1)
{
    if (!(sev_status(env) & SNP_STATUS_ES)) {
        return;
    }
    trace_sev_es_exit(env_cpu(env)->cpu_index, env->snp->asid, exit_code,
                      exit_info_1, env->eip);
    if (sev_exit_is_vc(env, exit_code, exit_info_1)) {
        raise_exception_err_ra(env, EXCP1D_VC, exit_code, 0);
    }
    switch (exit_code) {
    case SVM_EXIT_PAUSE:
    case SVM_EXIT_HLT:
    case SVM_EXIT_EFER_WRITE_TRAP ... SVM_EXIT_CR15_WRITE_TRAP:
    case SVM_EXIT_VMGEXIT:
        /* The hypervisor cannot complete the instruction, so it is complete. */
        env->eip += env->insn_len;
        env->hflags &= ~HF_INHIBIT_IRQ_MASK;
        break;
    }
}

void helper_vmgexit(CPUX86State *env)
{
    if (sev_status(env) & SNP_STATUS_ES) {
        cpu_vmexit(env, SVM_EXIT_VMGEXIT, 0, GETPC());
    }
    /* To all others the prefix means nothing. */
    cpu_svm_check_intercept_param(env, SVM_EXIT_VMMCALL, 0, GETPC());
    raise_exception_ra(env, EXCP06_ILLOP, GETPC());
}
