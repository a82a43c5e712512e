// SPDX-License-Identifier: GPL-2.0-only
#include <linux/kvm_para.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "snp_guest.h"
#include "svm_util.h"

struct ghcb *snp_ghcb;
gpa_t snp_ghcb_gpa;
struct snp_fault_in snp_fault_in;
void (*snp_vc_unexpected)(struct ex_regs *regs);
static gva_t *snp_mailbox;

u64 ghcb_msr_request(u64 request)
{
	wrmsr(MSR_AMD64_SEV_ES_GHCB, request);
	vmgexit();
	return rdmsr(MSR_AMD64_SEV_ES_GHCB);
}

u32 __ghcb_request(void)
{
	wrmsr(MSR_AMD64_SEV_ES_GHCB, snp_ghcb_gpa);
	vmgexit();
	return READ_ONCE(snp_ghcb->save.sw_exit_info_1);
}

static void ghcb_fill(u64 exit_code, u64 info_1, u64 info_2)
{
	memset(&snp_ghcb->save, 0, sizeof(snp_ghcb->save));
	snp_ghcb->protocol_version = 2;
	snp_ghcb->usage = 0;
	ghcb_set(snp_ghcb, sw_exit_code, exit_code);
	ghcb_set(snp_ghcb, sw_exit_info_1, info_1);
	ghcb_set(snp_ghcb, sw_exit_info_2, info_2);
}

u32 ghcb_request(u64 exit_code, u64 info_1, u64 info_2)
{
	ghcb_fill(exit_code, info_1, info_2);
	return __ghcb_request();
}

u64 psc_msr(gpa_t gpa, enum psc_op op)
{
	u64 ret = ghcb_msr_request(((u64)op << 52) | gpa | GHCB_MSR_PSC_REQ);

	if ((ret & GHCB_MSR_INFO_MASK) != GHCB_MSR_PSC_RESP)
		return -1ULL;
	return ret >> 32;
}

u64 psc_page(gpa_t gpa, u64 nr_pages, int size, enum psc_op op)
{
	struct psc_buffer *psc = (void *)snp_ghcb->shared_buffer;
	u64 i;

	ghcb_fill(SVM_VMGEXIT_PSC, 0, 0);
	ghcb_set(snp_ghcb, sw_scratch,
		 snp_ghcb_gpa + offsetof(struct ghcb, shared_buffer));
	psc->hdr = (struct psc_hdr) { .end_entry = nr_pages - 1 };
	for (i = 0; i < nr_pages; i++) {
		psc->entries[i] = (struct psc_entry) {
			.gfn = (gpa >> PAGE_SHIFT) + i * (size == RMP_2M ? 512 : 1),
			.operation = op,
			.pagesize = size,
		};
	}

	/* The VMM may do a part of it only, and is then to be asked again. */
	do {
		ghcb_set(snp_ghcb, sw_exit_code, SVM_VMGEXIT_PSC);
		ghcb_set(snp_ghcb, sw_exit_info_1, 0);
		ghcb_set(snp_ghcb, sw_exit_info_2, 0);
		ghcb_set(snp_ghcb, sw_scratch,
			 snp_ghcb_gpa + offsetof(struct ghcb, shared_buffer));
		if (__ghcb_request())
			return -1ULL;
		if (snp_ghcb->save.sw_exit_info_2)
			return snp_ghcb->save.sw_exit_info_2;
	} while (READ_ONCE(psc->hdr.cur_entry) <= psc->hdr.end_entry);

	return 0;
}

u32 ghcb_ap_creation(u32 apic_id, u32 request, gpa_t gpa)
{
	ghcb_fill(SVM_VMGEXIT_AP_CREATION, (u64)apic_id << 32 | request, gpa);
	ghcb_set(snp_ghcb, rax, VMSA_FEATURE_SNP);
	return __ghcb_request();
}

void snp_vmsa_init(struct snp_vmsa *vmsa, void (*code)(void), void *stack)
{
	struct vmcb_seg data = { .selector = get_ds(), .attrib = 0xc93, .limit = ~0 };
	struct desc_ptr gdt = get_gdt(), idt = get_idt();
	struct vmcb_save_area *save = &vmsa->save;

	memset(vmsa, 0, PAGE_SIZE);
	save->es = save->ss = save->ds = save->fs = save->gs = data;
	save->cs = (struct vmcb_seg) { .selector = get_cs(), .attrib = 0xa9b, .limit = ~0 };
	save->gdtr = (struct vmcb_seg) { .limit = gdt.size, .base = gdt.address };
	save->ldtr = (struct vmcb_seg) { .attrib = 0x82, .limit = 0xffff };
	save->idtr = (struct vmcb_seg) { .limit = idt.size, .base = idt.address };
	save->tr = (struct vmcb_seg) { .attrib = 0x8b, .limit = 0xffff };
	save->efer = rdmsr(MSR_EFER) | EFER_SVME;
	save->cr4 = get_cr4();
	save->cr3 = get_cr3();
	save->cr0 = get_cr0();
	save->dr7 = 0x400;
	save->dr6 = 0xffff0ff0;
	save->rflags = X86_EFLAGS_FIXED;
	save->rip = (u64)code;
	/* As after a call */
	save->rsp = align_down((u64)stack, 16) - 8;
	save->g_pat = 0x7040600070406ULL;
	vmsa->sev_features = VMSA_FEATURE_SNP;
	vmsa->xcr0 = 1;
	vmsa->mxcsr = 0x1f80;
	vmsa->x87_fcw = 0x37f;
}

static void vc_cpuid(struct ex_regs *regs)
{
	u64 *out[] = { &regs->rax, &regs->rbx, &regs->rcx, &regs->rdx };
	u64 leaf = (u32)regs->rax, ret, i;

	for (i = 0; i < ARRAY_SIZE(out); i++) {
		ret = ghcb_msr_request((leaf << 32) | (i << 30) | GHCB_MSR_CPUID_REQ);
		GUEST_ASSERT_EQ(ret & GHCB_MSR_INFO_MASK, GHCB_MSR_CPUID_RESP);
		*out[i] = ret >> 32;
	}
	regs->rip += 2;
}

/* Only what a ucall does, "in %dx, %al" */
static void vc_ioio(struct ex_regs *regs)
{
	u64 info_1 = (regs->rdx & 0xffff) << 16 | BIT(4) | 1;

	WRITE_ONCE(*snp_mailbox, regs->rdi);
	ghcb_fill(SVM_EXIT_IOIO, info_1, 0);
	ghcb_set(snp_ghcb, rax, regs->rax);
	__ghcb_request();
	regs->rax = snp_ghcb->save.rax;
	regs->rip += 1;
}

static bool is_ucall(struct ex_regs *regs)
{
	return *(u8 *)regs->rip == 0xec && (u16)regs->rdx == UCALL_PIO_PORT;
}

static void vc_page_not_validated(struct ex_regs *regs)
{
	u64 gva = get_cr2();

	snp_fault_in.nr++;
	snp_fault_in.gva = gva;
	GUEST_ASSERT_EQ(pvalidate(align_down(gva, PAGE_SIZE), RMP_4K, true, NULL),
			SNP_INSN_SUCCESS);
}

static void vc_handler(struct ex_regs *regs)
{
	if (regs->error_code == SVM_EXIT_CPUID)
		vc_cpuid(regs);
	else if (regs->error_code == SVM_EXIT_IOIO && is_ucall(regs))
		vc_ioio(regs);
	else if (regs->error_code == VC_PAGE_NOT_VALIDATED && snp_fault_in.enabled)
		vc_page_not_validated(regs);
	else if (snp_vc_unexpected)
		snp_vc_unexpected(regs);
	else
		GUEST_FAIL("#VC with error code 0x%lx at 0x%lx, CR2 0x%lx", regs->error_code,
			   regs->rip, get_cr2());
}

void snp_guest_init(void)
{
	u64 ret = ghcb_msr_request(snp_ghcb_gpa | GHCB_MSR_REG_GPA_REQ);

	/* No GHCB, no ucalls: all there is to say is that it went wrong. */
	while (ret != (snp_ghcb_gpa | GHCB_MSR_REG_GPA_RESP))
		ghcb_msr_request(GHCB_MSR_TERM_REQ | (0xffULL << 16));
}

void snp_vm_prepare(struct kvm_vm *vm)
{
	gva_t ghcb = vm_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR, MEM_REGION_DATA);
	gva_t mailbox = vm_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR, MEM_REGION_DATA);
	gpa_t ghcb_gpa = addr_gva2gpa(vm, ghcb);

	memset(addr_gva2hva(vm, ghcb), 0, PAGE_SIZE);
	memset(addr_gva2hva(vm, mailbox), 0, PAGE_SIZE);
	write_guest_global(vm, snp_ghcb, (struct ghcb *)ghcb);
	write_guest_global(vm, snp_ghcb_gpa, ghcb_gpa);
	write_guest_global(vm, snp_mailbox, (gva_t *)mailbox);
	vm_install_exception_handler(vm, VC_VECTOR, vc_handler);

	/* The page tables cannot be walked any more once the VM is launched. */
	vm->arch.ucall_mailbox = addr_gva2hva(vm, mailbox);
}

void snp_vm_map(struct kvm_vm *vm, gpa_t gpa, gva_t gva, gva_t gva_shared, u64 npages)
{
	u64 i;

	virt_map(vm, gva, gpa, npages);
	virt_map(vm, gva_shared, gpa, npages);
	for (i = 0; i < npages; i++)
		*vm_get_pte(vm, gva + i * PAGE_SIZE) |= vm->arch.c_bit;
}

/* Whether one slot with a guest_memfd has all of the range */
static bool has_gmem(struct kvm_vm *vm, gpa_t gpa, u64 size)
{
	struct userspace_mem_region *region;
	int ctr;

	hash_for_each(vm->regions.slot_hash, ctr, region, slot_node) {
		gpa_t start = region->region.guest_phys_addr;

		if (gpa >= start && gpa - start < region->region.memory_size)
			return (int)region->region.guest_memfd >= 0 &&
			       size <= region->region.memory_size - (gpa - start);
	}

	return false;
}

int snp_handle_map_gpa_range(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_memory_attributes attr = {
		.address = run->hypercall.args[0],
		.size = run->hypercall.args[1] * PAGE_SIZE,
	};

	TEST_ASSERT_EQ(run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	run->hypercall.ret = EINVAL;
	if (!has_gmem(vcpu->vm, attr.address, attr.size))
		return -EINVAL;

	if (run->hypercall.args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED)
		attr.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE;
	if (__vm_ioctl(vcpu->vm, KVM_SET_MEMORY_ATTRIBUTES, &attr))
		return -errno;
	if (!attr.attributes)
		vm_guest_mem_punch_hole(vcpu->vm, attr.address, attr.size);

	run->hypercall.ret = 0;
	return 0;
}

void snp_vcpu_run(struct kvm_vcpu *vcpu)
{
	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason != KVM_EXIT_HYPERCALL)
			return;
		snp_handle_map_gpa_range(vcpu);
	}
}
