/*
 * AMD SEV-SNP host: the RMP instructions, and the RMP check of a write
 *
 * Operands and status codes are those of the APM vol. 3 as far as Linux
 * (arch/x86/virt/svm/sev.c) shows them; RMPOPT is not in a public manual.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "exec/cpu_ldst.h"
#include "tcg/helper-tcg.h"
#include "hw/i386/snp.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "sev_helper.h"
#include "trace.h"

/* Status in EAX */
enum { SUCCESS, FAIL_INPUT, FAIL_PERMISSION, FAIL_SIZEMISMATCH = 6 };

/* Operand of RMPUPDATE and result of RMPREAD, after the guest address */
#define OP_ASSIGNED     BIT_ULL(0)
#define OP_2M           BIT_ULL(8)
#define OP_IMMUTABLE    BIT_ULL(16)
FIELD(OP, ASID, 32, 32)
#define OP_VALID        (OP_ASSIGNED | OP_2M | OP_IMMUTABLE | R_OP_ASID_MASK)

/* ZF, SF and PF follow EAX, as after TEST; the APM leaves CF alone. */
static void set_status(CPUX86State *env, uint32_t status)
{
    uint32_t flags = cpu_cc_compute_all(env) & CC_C;

    flags |= status ? 0 : CC_Z;
    flags |= ctpop8(status) & 1 ? 0 : CC_P;
    env->regs[R_EAX] = status;
    env->cc_src = flags;
    env->cc_op = CC_OP_EFLAGS;
}

/*
 * Order: form of the operands, then the entry's protection, then its size.
 * Hardware reports a 4KB page below a 2MB entry, or the reverse, as 4,
 * FAIL_OVERLAP.  Linux takes that for a race and tries again for ever, so what
 * will not go away by itself is FAIL_PERMISSION here.
 */
static uint32_t do_rmpupdate(hwaddr spa, uint64_t gpa, uint64_t op)
{
    uint64_t asid = FIELD_EX64(op, OP, ASID), old;
    uint64_t new = FIELD_DP64(gpa & RMP_GPA, RMP, ASID, asid) |
                   (op & OP_ASSIGNED ? RMP_ASSIGNED : 0) |
                   (op & OP_2M ? RMP_2M : 0) |
                   (op & OP_IMMUTABLE ? RMP_IMMUTABLE : 0);

    QEMU_LOCK_GUARD(&snp_rmp_lock);
    if (snp_faults.rmpupdate_nth && --snp_faults.rmpupdate_nth == 0) {
        return snp_faults.rmpupdate_status;
    }
    old = snp_rmp_read(spa);
    if (!QEMU_IS_ALIGNED(spa | gpa, op & OP_2M ? SNP_2M_SIZE : SNP_4K_SIZE) ||
        op & ~OP_VALID || asid > SNP_MAX_ASID || old == RMP_NONE) {
        return FAIL_INPUT;
    }
    if (old & RMP_IMMUTABLE || snp_rmp_holds(spa)) {
        return FAIL_PERMISSION;
    }
    if (op & OP_2M && !(old & RMP_2M) && snp_rmp_2m_assigned(spa)) {
        return FAIL_PERMISSION;
    }
    return snp_rmp_write(spa, new) ? SUCCESS : FAIL_PERMISSION;
}

static void rmpupdate(CPUX86State *env, uintptr_t ra)
{
    hwaddr spa = env->regs[R_EAX] & ~SNP_C_BIT;
    target_ulong addr = env->regs[R_ECX];
    uint64_t gpa = cpu_ldq_le_data_ra(env, addr, ra) & ~SNP_C_BIT;
    uint64_t op = cpu_ldq_le_data_ra(env, addr + 8, ra);
    uint32_t status = do_rmpupdate(spa, gpa, op);

    trace_snp_rmpupdate(env_cpu(env)->cpu_index, spa, gpa, op, status);
    set_status(env, status);
}

static void psmash(CPUX86State *env, uintptr_t ra)
{
    hwaddr spa = env->regs[R_EAX] & ~SNP_C_BIT;
    uint32_t status = FAIL_INPUT;

    WITH_QEMU_LOCK_GUARD(&snp_rmp_lock) {
        uint64_t e = snp_rmp_read(spa);

        if (QEMU_IS_ALIGNED(spa, SNP_2M_SIZE) && e & RMP_2M) {
            status = e & RMP_IMMUTABLE ? FAIL_PERMISSION : SUCCESS;
        }
        if (status == SUCCESS) {
            snp_rmp_smash(spa);
        }
    }
    trace_snp_psmash(env_cpu(env)->cpu_index, spa, status);
    set_status(env, status);
}

/* Linux calls the result struct rmpentry; its region status stays 0. */
static void rmpread(CPUX86State *env, uintptr_t ra)
{
    hwaddr spa = env->regs[R_EAX] & ~SNP_C_BIT;
    target_ulong addr = env->regs[R_ECX];
    uint64_t e, op;

    WITH_QEMU_LOCK_GUARD(&snp_rmp_lock) {
        e = QEMU_IS_ALIGNED(spa, SNP_4K_SIZE) ? snp_rmp_read(spa) : RMP_NONE;
    }
    if (e != RMP_NONE) {
        op = FIELD_DP64(0, OP, ASID, FIELD_EX64(e, RMP, ASID)) |
             (e & RMP_ASSIGNED ? OP_ASSIGNED : 0) |
             (e & RMP_2M ? OP_2M : 0) |
             (e & RMP_IMMUTABLE ? OP_IMMUTABLE : 0);
        cpu_stq_le_data_ra(env, addr, e & RMP_GPA, ra);
        cpu_stq_le_data_ra(env, addr + 8, op, ra);
    }
    trace_snp_rmpread(env_cpu(env)->cpu_index, spa, e);
    set_status(env, e == RMP_NONE ? FAIL_INPUT : SUCCESS);
}

#define RMPOPT_BYTES    4

/* Let the other CPUs flush this one's TLB meanwhile, that is, let them go on. */
static void stand_still(CPUState *cs, unsigned long us)
{
    cpu_exec_end(cs);
    g_usleep(us);
    cpu_exec_start(cs);
}

/*
 * #UD when the core's RMPOPT_BASE is not enabled is from the vendor.  #GP for
 * an address that is not 1GB aligned and for an unknown function are guesses.
 */
static void rmpopt(CPUX86State *env, uintptr_t ra)
{
    hwaddr spa = env->regs[R_EAX];
    uint64_t function = env->regs[R_ECX];
    uint32_t delay = qatomic_read(&snp_faults.rmpopt_delay);
    bool optimized;

    if (!QEMU_IS_ALIGNED(spa, SNP_REGION_SIZE) || function > 1) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    if (delay) {
        cpu_restore_state(env_cpu(env), ra);
        stand_still(env_cpu(env), delay / 2);
    }
    optimized = snp_rmpopt(env->snp->core, spa, function == 0);
    trace_snp_rmpopt(env_cpu(env)->cpu_index, spa, function, optimized);
    env->cc_src = (cpu_cc_compute_all(env) & ~CC_C) | (optimized ? CC_C : 0);
    env->cc_op = CC_OP_EFLAGS;
    if (delay) {
        stand_still(env_cpu(env), delay - delay / 2);
        /* The translation may be gone, so do not return into it. */
        env->eip += RMPOPT_BYTES;
        cpu_loop_exit(env_cpu(env));
    }
}

/*
 * The page at rAX, which PVALIDATE or RMPADJUST is about: does not return if it
 * is not there.  @large is the size they ask for.  Returns a status.
 */
static uint32_t own_page(CPUX86State *env, bool large, hwaddr *spa,
                         uint64_t *entry, uintptr_t ra)
{
    CPUState *cs = env_cpu(env);
    target_ulong addr = env->regs[R_EAX];
    CPUTLBEntryFull *full;
    void *host;

    if (!(env->hflags & HF_CS64_MASK)) {
        addr = (uint32_t)addr;
    }
    /* OVMF relies on this: see its SevSnpIsVmpl0() */
    addr = QEMU_ALIGN_DOWN(addr, large ? SNP_2M_SIZE : SNP_4K_SIZE);
    probe_access_full(env, addr, 0, MMU_DATA_LOAD, cpu_mmu_index(cs, false),
                      false, &host, &full, ra);
    *spa = full->phys_addr & ~(hwaddr)(SNP_4K_SIZE - 1);
    *entry = snp_rmp_read(*spa);
    if (*entry == RMP_NONE || !(*entry & RMP_ASSIGNED) ||
        FIELD_EX64(*entry, RMP, ASID) != env->snp->asid) {
        /* Reached without the C-bit: what hardware says is not known. */
        return FAIL_INPUT;
    }
    if (large && !(*entry & RMP_2M)) {
        return FAIL_SIZEMISMATCH;
    }
    if (!large && *entry & RMP_2M) {
        /* So that the hypervisor splits it */
        env->snp->validating = false;
        x86_stq_phys(cs, env->vm_vmcb +
                     offsetof(struct vmcb, control.exit_info_2),
                     (*entry & RMP_GPA) + (*spa & (SNP_2M_SIZE - 1)));
        cpu_vmexit(env, SVM_EXIT_NPF, PG_ERROR_RMP_MASK | PG_ERROR_P_MASK |
                   PG_ERROR_U_MASK | SVM_NPTEXIT_GPA | SVM_NPTEXIT_ENC |
                   SVM_NPTEXIT_SIZEM, ra);
    }
    return SUCCESS;
}

/* If the hypervisor has changed @entry since it was read, start anew. */
static void change_page(CPUX86State *env, hwaddr spa, uint64_t entry,
                        uint64_t new, uintptr_t ra)
{
    bool same;

    WITH_QEMU_LOCK_GUARD(&snp_rmp_lock) {
        same = snp_rmp_read(spa) == entry;
        if (same) {
            snp_rmp_write(spa, new);
        }
    }
    if (!same) {
        cpu_loop_exit_restore(env_cpu(env), ra);
    }
}

static void pvalidate(CPUX86State *env, uintptr_t ra)
{
    /* Other bits do not count: Linux passes bytes in these registers. */
    bool large = env->regs[R_ECX] & 1, validate = env->regs[R_EDX] & 1;
    uint64_t entry = 0;
    bool same = false;
    uint32_t status;
    hwaddr spa = 0;

    env->snp->validating = true;
    status = own_page(env, large, &spa, &entry, ra);
    env->snp->validating = false;
    if (!(status == SUCCESS ? validate : entry & RMP_VALIDATED)) {
        /* What was only mapped to validate it must not remain. */
        tlb_flush(env_cpu(env));
    }
    if (status == SUCCESS) {
        same = !(entry & RMP_VALIDATED) == !validate;
        if (!same) {
            change_page(env, spa, entry, entry ^ RMP_VALIDATED, ra);
        }
    }
    trace_snp_pvalidate(env_cpu(env)->cpu_index, env->regs[R_EAX], spa,
                        validate, status);
    set_status(env, status);
    env->cc_src = (env->cc_src & ~CC_C) | (same ? CC_C : 0);
}

/* Permissions are not kept.  A VMSA is only for VMPL0 to make. */
static void rmpadjust(CPUX86State *env, uintptr_t ra)
{
    uint64_t attr = env->regs[R_EDX], entry = 0;
    bool large = env->regs[R_ECX] & 1;
    unsigned target = extract64(attr, 0, 8), vmpl;
    bool vmsa = extract64(attr, 16, 1);
    uint32_t status;
    hwaddr spa = 0;

    sev_show(env, env->snp->vmsa, env->snp->asid);
    vmpl = x86_ldub_phys(env_cpu(env), env->snp->vmsa +
                         offsetof(struct vmcb_es_save_area, save.vmpl));
    if (attr >> 17 || target > 3) {
        status = FAIL_INPUT;
    } else if (target <= vmpl || (vmsa && vmpl)) {
        status = FAIL_PERMISSION;
    } else {
        status = own_page(env, large, &spa, &entry, ra);
    }
    if (status == SUCCESS && !vmpl) {
        change_page(env, spa, entry,
                    vmsa ? entry | RMP_VMSA : entry & ~RMP_VMSA, ra);
    }
    trace_snp_rmpadjust(env_cpu(env)->cpu_index, env->regs[R_EAX], spa, attr,
                        status);
    set_status(env, status);
}

/* 0F 01 with a register form of ModRM, in the host or in SNP guests */
static const struct {
    uint8_t modrm, prefix;
    bool guest;
    void (*run)(CPUX86State *env, uintptr_t ra);
} insns[] = {
    { 0xfc, 0xf2, false, rmpopt },
    { 0xfd, 0xf2, false, rmpread },
    { 0xfe, 0xf2, false, rmpupdate },
    { 0xff, 0xf3, false, psmash },
    { 0xff, 0xf2, true, pvalidate },
    { 0xfe, 0xf3, true, rmpadjust },
};

static bool has_rmpopt(CPUX86State *env)
{
    return env_archcpu(env)->rmpopt && env->snp->core->base & SNP_RMPOPT_ENABLE;
}

/*
 * The order is that of all privileged instructions: #UD when it does not exist
 * in this CPU, mode or state, then #GP when CPL is not 0, then its operands.
 */
void helper_snp_insn(CPUX86State *env, uint32_t modrm, uint32_t prefix)
{
    bool snp = env->snp && env->snp->syscfg & SNP_SYSCFG_SNP_EN;
    bool guest = env->hflags & HF_GUEST_MASK;
    uintptr_t ra = GETPC();
    unsigned i;

    snp = snp && (!guest || sev_status(env) & SNP_STATUS_SNP);
    for (i = 0; snp && i < ARRAY_SIZE(insns); i++) {
        if (insns[i].modrm == modrm && insns[i].prefix == prefix &&
            insns[i].guest == guest &&
            (insns[i].run != rmpopt || has_rmpopt(env))) {
            if (env->hflags & HF_CPL_MASK) {
                raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
            }
            insns[i].run(env, ra);
            return;
        }
    }
    raise_exception_ra(env, EXCP06_ILLOP, ra);
}

static struct SnpAsid *current_asid(CPUX86State *env)
{
    return &snp_asids[env->hflags & HF_GUEST_MASK ?
                      env->snp->asid % SNP_ASIDS : 0];
}

/*
 * APM vol. 2, "Reverse Map Table": the page has to be the guest's, at this
 * guest address, and not in a larger entry than the mapping, or a smaller one.
 * Then it has to be validated.
 */
uint32_t snp_private_denied(CPUX86State *env, hwaddr spa, hwaddr gpa,
                            uint64_t page_size)
{
    uint64_t entry = snp_rmp_read(spa);
    uint64_t size = entry & RMP_2M ? SNP_2M_SIZE : SNP_4K_SIZE;
    uint32_t error = 0;

    qatomic_inc(&env->snp->core->checks);
    qatomic_inc(&current_asid(env)->checks);
    if (entry == RMP_NONE || !(entry & RMP_ASSIGNED) ||
        FIELD_EX64(entry, RMP, ASID) != env->snp->asid ||
        (entry & RMP_GPA) != (gpa & -size) ||
        (page_size >= SNP_2M_SIZE) != (size == SNP_2M_SIZE)) {
        error = PG_ERROR_RMP_MASK;
    } else if (!(entry & RMP_VALIDATED) && !env->snp->validating) {
        error = PG_ERROR_NOT_VALIDATED_MASK;
    }
    if (error) {
        trace_snp_private_denied(env_cpu(env)->cpu_index, spa, gpa, entry,
                                 error);
    }
    return error;
}

/*
 * A write through a mapping of 2MB or more needs that no page of the 2MB is
 * assigned, a write through a smaller one only looks at its own page.  The RMP
 * itself belongs to the CPU as soon as SNP is enabled.
 */
bool snp_write_denied(CPUX86State *env, hwaddr spa, uint64_t page_size)
{
    struct SnpAsid *asid;
    SnpCore *core;
    bool denied;

    if (!env->snp || !(env->snp->syscfg & SNP_SYSCFG_SNP_EN)) {
        return false;
    }
    core = env->snp->core;
    asid = current_asid(env);
    if (snp_core_optimized(core, spa)) {
        qatomic_inc(&core->skipped);
        qatomic_inc(&asid->skipped);
        return false;
    }
    qatomic_inc(&core->checks);
    qatomic_inc(&asid->checks);
    denied = snp_rmp_holds(spa) ||
             (page_size >= SNP_2M_SIZE ? snp_rmp_2m_assigned(spa)
                                       : snp_rmp_read(spa) & RMP_ASSIGNED);
    if (denied) {
        trace_snp_write_denied(env_cpu(env)->cpu_index, spa, page_size);
    }
    return denied;
}
