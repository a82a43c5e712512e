/*
 * AMD SEV-SNP host: what the CPU says of itself in CPUID and in MSRs
 *
 * Leaves and registers as in the APM, and as far as Linux looks at them:
 * arch/x86/kernel/cpu/amd.c, arch/x86/virt/svm/sev.c, arch/x86/kvm/svm/sev.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "hw/core/cpu.h"
#include "exec/cputlb.h"
#include "hw/i386/snp.h"

/*
 * CPUID Fn8000_001F EAX: SME, SEV, VM_PAGE_FLUSH, SEV-ES, SEV-SNP, VMPL,
 * hardware-enforced cache coherency, RMPREAD, segmented RMP.  EBX: the C-bit
 * takes no address bits from the host, as no memory is encrypted; four VMPLs.
 */
#define ENC_EAX                 (MAKE_64BIT_MASK(0, 6) | BIT(10) | BIT(21) | \
                                 BIT(23))
#define ENC_EBX                 (ctz64(SNP_C_BIT) | (4U << 12))

/* CPUID Fn8000_0025: segments of 2^30 to 2^40 bytes, at most 256 of them */
#define RMP_EAX                 (30U | (40U << 6))
#define RMP_EBX                 (256U | BIT(10))
#define RMP_EDX_RMPOPT          BIT(0)

/* KVM offers no SEV without these. */
#define SVM_EDX                 (CPUID_SVM_NPT | CPUID_SVM_LBRV | \
                                 CPUID_SVM_NRIPSAVE | CPUID_SVM_FLUSHASID | \
                                 CPUID_SVM_DECODEASSIST)

#define MSR_SYSCFG              0xc0010010
#define MSR_HWCR                0xc0010015
#define MSR_GHCB                0xc0010130
#define MSR_RMP_BASE            0xc0010132
#define MSR_RMP_END             0xc0010133
#define MSR_RMP_CFG             0xc0010136
#define MSR_RMPOPT_BASE         0xc0010139

/* MtrrFixDramEn to HostMultiKeyMemEncrModeEn */
#define SYSCFG_WRITABLE         MAKE_64BIT_MASK(18, 9)
#define HWCR_SMM_LOCK           BIT_ULL(0)
#define HWCR_TSC_AT_P0          BIT_ULL(24)
#define RMPOPT_BASE_WRITABLE    (SNP_RMPOPT_ENABLE | MAKE_64BIT_MASK(30, 22))

/* What the BIOS leaves: Linux needs both.  INIT changes neither. */
void snp_cpu_reset(SnpCpu *cpu)
{
    *cpu = (SnpCpu) {
        .core = cpu->core,
        .syscfg = SNP_SYSCFG_MEM_ENC,
        .hwcr = HWCR_SMM_LOCK | HWCR_TSC_AT_P0,
    };
}

void snp_cpuid(X86CPU *cpu, uint32_t index, uint32_t *eax, uint32_t *ebx,
               uint32_t *ecx, uint32_t *edx)
{
    if (!cpu->env.snp) {
        return;
    }
    switch (index) {
    case 0x8000000a:
        *ebx = SNP_ASIDS;
        *edx |= SVM_EDX;
        break;
    case 0x8000001f:
        *eax = ENC_EAX;
        *ebx = ENC_EBX;
        *ecx = SNP_MAX_ASID;
        *edx = SNP_MIN_SEV_ASID;
        break;
    case 0x80000025:
        *eax = RMP_EAX;
        *ebx = RMP_EBX;
        *ecx = 0;
        *edx = cpu->rmpopt ? RMP_EDX_RMPOPT : 0;
        break;
    }
}

bool snp_rdmsr(X86CPU *cpu, uint32_t msr, uint64_t *val)
{
    SnpCpu *snp = cpu->env.snp;

    if (!snp) {
        return true;
    }
    switch (msr) {
    case MSR_GHCB:
        *val = snp->ghcb;
        break;
    case MSR_SEV_STATUS:
        *val = cpu->env.hflags & HF_GUEST_MASK ? snp->status : 0;
        break;
    case MSR_SYSCFG:
        *val = snp->syscfg;
        break;
    case MSR_HWCR:
        *val = snp->hwcr;
        break;
    case MSR_RMP_BASE:
        *val = snp_rmp.base;
        break;
    case MSR_RMP_END:
        /* Inclusive, and 0 when segmented. */
        *val = snp_rmp.segmented ? 0 : snp_rmp.base + snp_rmp.size - 1;
        break;
    case MSR_RMP_CFG:
        *val = snp_rmp.segmented ? snp_rmp.segment_shift << 8 | 1 : 0;
        break;
    case MSR_RMPOPT_BASE:
        *val = snp->core->base;
        return cpu->rmpopt;
    }
    return true;
}

/* APM vol. 2: once set, SNP_EN stays until reset. */
static bool wrmsr_syscfg(X86CPU *cpu, uint64_t val)
{
    SnpCpu *snp = cpu->env.snp;

    if (val & ~SYSCFG_WRITABLE) {
        return false;
    }
    if (val & ~snp->syscfg & SNP_SYSCFG_SNP_EN) {
        tlb_flush(CPU(cpu));
    }
    snp->syscfg = val | (snp->syscfg & SNP_SYSCFG_SNP_EN);
    return true;
}

/* That enabling it needs a segmented RMP is a guess at the form. */
static bool wrmsr_rmpopt_base(X86CPU *cpu, uint64_t val)
{
    if (!cpu->rmpopt || (val & ~RMPOPT_BASE_WRITABLE) ||
        ((val & SNP_RMPOPT_ENABLE) && !snp_rmp.segmented)) {
        return false;
    }
    snp_rmpopt_set_base(cpu->env.snp->core, val);
    return true;
}

bool snp_wrmsr(X86CPU *cpu, uint32_t msr, uint64_t val)
{
    SnpCpu *snp = cpu->env.snp;

    if (!snp) {
        return true;
    }
    switch (msr) {
    case MSR_GHCB:
        snp->ghcb = val;
        return true;
    case MSR_SYSCFG:
        return wrmsr_syscfg(cpu, val);
    case MSR_HWCR:
        snp->hwcr = val | HWCR_SMM_LOCK;
        return true;
    case MSR_SEV_STATUS:
    case MSR_RMP_BASE:
    case MSR_RMP_END:
    case MSR_RMP_CFG:
        /* Read-only, or locked by the firmware (#GP for that is a guess). */
        return false;
    case MSR_RMPOPT_BASE:
        return wrmsr_rmpopt_base(cpu, val);
    default:
        return true;
    }
}

bool snp_enabled_on_all_cpus(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        SnpCpu *snp = cpu_env(cs)->snp;

        if (!snp || !(snp->syscfg & SNP_SYSCFG_SNP_EN)) {
            return false;
        }
    }
    return true;
}
