/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the code of an SNP guest needs, and its VMM: the GHCB and its protocols,
 * PVALIDATE and RMPADJUST, memory that is accessible as private and as shared,
 * and ucalls.
 */
#ifndef SELFTEST_KVM_SNP_GUEST_H
#define SELFTEST_KVM_SNP_GUEST_H

#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "svm.h"
#include "ucall_common.h"

#define VC_VECTOR			29

#define GHCB_MSR_INFO_MASK		GENMASK_ULL(11, 0)
#define GHCB_MSR_SEV_INFO_REQ		0x002
#define GHCB_MSR_SEV_INFO_RESP		0x001
#define GHCB_MSR_CPUID_REQ		0x004
#define GHCB_MSR_CPUID_RESP		0x005
#define GHCB_MSR_AP_RESET_HOLD_REQ	0x006
#define GHCB_MSR_PREF_GPA_REQ		0x010
#define GHCB_MSR_REG_GPA_REQ		0x012
#define GHCB_MSR_REG_GPA_RESP		0x013
#define GHCB_MSR_PSC_REQ		0x014
#define GHCB_MSR_PSC_RESP		0x015
#define GHCB_MSR_VMPL_REQ		0x016
#define GHCB_MSR_HV_FT_REQ		0x080
#define GHCB_MSR_HV_FT_RESP		0x081

/* Error code of #VC: an access to a private page that is not validated */
#define VC_PAGE_NOT_VALIDATED		0x404

enum psc_op {
	PSC_PRIVATE = 1,
	PSC_SHARED = 2,
};

/* Results of PVALIDATE and RMPADJUST */
enum {
	SNP_INSN_SUCCESS = 0,
	SNP_INSN_FAIL_INPUT = 1,
	SNP_INSN_FAIL_PERMISSION = 2,
	SNP_INSN_FAIL_SIZEMISMATCH = 6,
};

#define RMP_4K				0
#define RMP_2M				1

#define RMPADJUST_PERMS(perms)		((u64)(perms) << 8)
#define RMPADJUST_VMSA			BIT_ULL(16)

struct ghcb_save {
	u8 reserved_0x0[0xcb];
	u8 cpl;
	u8 reserved_0xcc[0x12c];
	u64 rax;
	u8 reserved_0x200[0x108];
	u64 rcx;
	u64 rdx;
	u64 rbx;
	u8 reserved_0x320[0x70];
	u64 sw_exit_code;
	u64 sw_exit_info_1;
	u64 sw_exit_info_2;
	u64 sw_scratch;
	u8 reserved_0x3b0[0x38];
	u64 xcr0;
	u8 valid_bitmap[16];
	u64 x87_state_gpa;
	u8 reserved_0x408[0x3f8];
} __packed;

struct ghcb {
	struct ghcb_save save;
	u8 shared_buffer[0x7f0];
	u8 reserved_0xff0[10];
	u16 protocol_version;
	u32 usage;
} __packed;
kvm_static_assert(offsetof(struct ghcb, save.rax) == 0x1f8);
kvm_static_assert(offsetof(struct ghcb, save.rcx) == 0x308);
kvm_static_assert(offsetof(struct ghcb, save.sw_exit_code) == 0x390);
kvm_static_assert(offsetof(struct ghcb, save.valid_bitmap) == 0x3f0);
kvm_static_assert(sizeof(struct ghcb) == 0x1000);

#define ghcb_set(ghcb, field, value)					\
do {									\
	unsigned int __nr = offsetof(struct ghcb_save, field) / 8;	\
									\
	(ghcb)->save.field = (value);					\
	(ghcb)->save.valid_bitmap[__nr / 8] |= BIT(__nr % 8);		\
} while (0)

struct psc_hdr {
	u16 cur_entry;
	u16 end_entry;
	u32 reserved;
} __packed;

struct psc_entry {
	u64	cur_page	: 12,
		gfn		: 40,
		operation	: 4,
		pagesize	: 1,
		reserved	: 7;
} __packed;

struct psc_buffer {
	struct psc_hdr hdr;
	struct psc_entry entries[];
} __packed;

/* The save area of a vCPU: the first part of it is that of the VMCB. */
struct snp_vmsa {
	struct vmcb_save_area save;
	u8 reserved_0x298[0x118];
	u64 sev_features;
	u8 reserved_0x3b8[0x30];
	u64 xcr0;
	u8 reserved_0x3f0[0x18];
	u32 mxcsr;
	u16 x87_ftw;
	u16 x87_fsw;
	u16 x87_fcw;
} __packed;
kvm_static_assert(offsetof(struct snp_vmsa, save.g_pat) == 0x268);
kvm_static_assert(offsetof(struct snp_vmsa, sev_features) == 0x3b0);
kvm_static_assert(offsetof(struct snp_vmsa, xcr0) == 0x3e8);
kvm_static_assert(offsetof(struct snp_vmsa, x87_fcw) == 0x410);

#define VMSA_FEATURE_SNP		BIT_ULL(0)

/*
 * Code of the guest
 */

/* The GHCB of the first vCPU, which snp_vm_prepare() sets */
extern struct ghcb *snp_ghcb;
extern gpa_t snp_ghcb_gpa;

/* The guest's first call */
void snp_guest_init(void);

/* Make a request by the MSR protocol, return the response. */
u64 ghcb_msr_request(u64 request);

/* Make a request by the page, filled in already; return SW_EXITINFO1[31:0]. */
u32 __ghcb_request(void);

/* Make a request that needs no more than its code and two operands. */
u32 ghcb_request(u64 exit_code, u64 info_1, u64 info_2);

/* Page state changes, each in one request; the result is 0 or an error. */
u64 psc_msr(gpa_t gpa, enum psc_op op);
u64 psc_page(gpa_t gpa, u64 nr_pages, int size, enum psc_op op);

/* Have another vCPU begin with the VMSA at @gpa, or end: as SVM_VMGEXIT_AP_*. */
u32 ghcb_ap_creation(u32 apic_id, u32 request, gpa_t gpa);

/* Fill in the VMSA of a vCPU that is to run @code in the state that this one is in. */
void snp_vmsa_init(struct snp_vmsa *vmsa, void (*code)(void), void *stack);

/*
 * What #VC with PAGE_NOT_VALIDATED does: it is unexpected, or it is recorded and
 * the page is validated.
 */
struct snp_fault_in {
	bool enabled;
	u64 nr;
	u64 gva;
};

extern struct snp_fault_in snp_fault_in;

/* What any #VC does that is neither that, nor CPUID nor a ucall: fail if NULL */
extern void (*snp_vc_unexpected)(struct ex_regs *regs);

static inline u64 pvalidate(u64 gva, u64 size, u64 validate, bool *unchanged)
{
	u64 ret;
	bool cf;

	asm volatile(".byte 0xf2, 0x0f, 0x01, 0xff"
		     : "=@ccc" (cf), "=a" (ret)
		     : "a" (gva), "c" (size), "d" (validate) : "memory");
	if (unchanged)
		*unchanged = cf;
	return ret;
}

static inline u64 rmpadjust(u64 gva, u64 size, u64 attributes)
{
	u64 ret;

	asm volatile(".byte 0xf3, 0x0f, 0x01, 0xfe"
		     : "=a" (ret)
		     : "a" (gva), "c" (size), "d" (attributes) : "memory", "cc");
	return ret;
}

/*
 * Code of the VMM
 */

/* Before the launch: give the VM a GHCB, and have #VC handled and ucalls work. */
void snp_vm_prepare(struct kvm_vm *vm);

/*
 * Before the launch: have the guest's page tables map @npages of @gpa as private
 * at @gva, and as shared at @gva_shared.
 */
void snp_vm_map(struct kvm_vm *vm, gpa_t gpa, gva_t gva, gva_t gva_shared, u64 npages);

/* Do what a KVM_EXIT_HYPERCALL asks for: 0, or a negative errno for what was refused. */
int snp_handle_map_gpa_range(struct kvm_vcpu *vcpu);

/* Run the guest until it does something else than to convert memory. */
void snp_vcpu_run(struct kvm_vcpu *vcpu);

#endif /* SELFTEST_KVM_SNP_GUEST_H */
