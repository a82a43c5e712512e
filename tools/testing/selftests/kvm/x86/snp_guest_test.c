// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of an SNP guest that manages its own memory: it has pages made
 * private and shared, validates them and takes what comes when it did not, and
 * ends in each of the ways in which a guest can end.
 *
 * Where the kernel has RMPOPT, every end must have the memory optimized again.
 * No other SNP VM may come or go meanwhile then.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "kvm_util.h"
#include "processor.h"
#include "rmpopt.h"
#include "sev.h"
#include "snp_guest.h"
#include "svm_util.h"
#include "test_util.h"

#include "kselftest_harness.h"

#define MEM_GPA		BIT_ULL(32)
#define MEM_SLOT	1
#define NR_PAGES	1024UL
#define PAGES_2M	512UL

/* The memory as the guest sees it: private here, shared there */
#define MEM_GVA		BIT_ULL(33)
#define MEM_GVA_SHARED	(MEM_GVA + BIT_ULL(32))

#define NR_CONVERSIONS	256
#define NR_SIDE_ROUNDS	64
#define SIDE_PAGES	16

/* A page for the VMSA of a second vCPU, not on a 2MB boundary, and its stack */
#define VMSA_PAGE	1
#define STACK_PAGE	2
#define TIMEOUT_S	(2 * RMPOPT_TIMEOUT_MS / 1000)

/* What the guest asks for by GUEST_SYNC */
enum {
	STAGE_READY,		/* just tell somebody who waits */
	STAGE_SWAP_CONTENT,	/* check the guest's pattern in a shared page, write ours */
	STAGE_PUNCHED,		/* a page that was punched out came back unvalidated */
	STAGE_BAD_VMSA,		/* a second vCPU has a VMSA that is malformed */
	STAGE_GOOD_VMSA,	/* ... one to run with */
};

static gpa_t page_gpa(u64 page)
{
	return MEM_GPA + page * PAGE_SIZE;
}

static u64 *page_private(u64 page)
{
	return (u64 *)(MEM_GVA + page * PAGE_SIZE);
}

static u64 *page_shared(u64 page)
{
	return (u64 *)(MEM_GVA_SHARED + page * PAGE_SIZE);
}

/* What is written is different in each word of each page, for each writer. */
#define FROM_GUEST	0x6e55a000ULL
#define FROM_HOST	0x405a0000ULL

static u64 pattern(u64 writer, u64 page, u64 i)
{
	return (writer << 32) ^ (page << 16) ^ i;
}

static void fill(u64 *p, u64 writer, u64 page)
{
	u64 i;

	for (i = 0; i < PAGE_SIZE / sizeof(*p); i++)
		WRITE_ONCE(p[i], pattern(writer, page, i));
}

/* Return the index of the first word that differs, or -1. */
static int differs(u64 *p, u64 writer, u64 page)
{
	u64 i;

	for (i = 0; i < PAGE_SIZE / sizeof(*p); i++) {
		if (READ_ONCE(p[i]) != pattern(writer, page, i))
			return i;
	}

	return -1;
}

static void make_private(u64 page)
{
	bool unchanged;

	GUEST_ASSERT_EQ(psc_msr(page_gpa(page), PSC_PRIVATE), 0);
	GUEST_ASSERT_EQ(pvalidate((u64)page_private(page), RMP_4K, true, &unchanged),
			SNP_INSN_SUCCESS);
	GUEST_ASSERT(!unchanged);
}

static void make_shared(u64 page)
{
	bool unchanged;

	GUEST_ASSERT_EQ(pvalidate((u64)page_private(page), RMP_4K, false, &unchanged),
			SNP_INSN_SUCCESS);
	GUEST_ASSERT(!unchanged);
	GUEST_ASSERT_EQ(psc_msr(page_gpa(page), PSC_SHARED), 0);
}

/*
 * Guests
 */

/* All of the memory becomes private and is used, as guests begin. */
static void guest_accept_all(void)
{
	u64 page;

	snp_guest_init();
	for (page = 0; page < NR_PAGES; page++)
		make_private(page);
	for (page = 0; page < NR_PAGES; page++)
		fill(page_private(page), FROM_GUEST, page);
	for (page = 0; page < NR_PAGES; page++)
		GUEST_ASSERT_EQ(differs(page_private(page), FROM_GUEST, page), -1);
	GUEST_DONE();
}

static void guest_convert(void)
{
	u64 i, page;

	snp_guest_init();
	for (page = 0; page < 8; page++) {
		make_private(page);
		fill(page_private(page), FROM_GUEST, page);
	}

	for (i = 0; i < NR_CONVERSIONS; i++) {
		page = i * 5 % 8;
		GUEST_ASSERT_EQ(differs(page_private(page), FROM_GUEST, page), -1);
		make_shared(page);
		fill(page_shared(page), FROM_GUEST, page);
		GUEST_SYNC2(STAGE_SWAP_CONTENT, page);
		GUEST_ASSERT_EQ(differs(page_shared(page), FROM_HOST, page), -1);

		make_private(page);
		fill(page_private(page), FROM_GUEST, page);
		GUEST_SYNC2(STAGE_SWAP_CONTENT, page);
	}

	for (page = 0; page < 8; page++)
		GUEST_ASSERT_EQ(differs(page_private(page), FROM_GUEST, page), -1);
	GUEST_DONE();
}

/* Conversions by the page, with more pages than one at a time */
static void guest_convert_batch(void)
{
	const u64 nr = 64;
	u64 i, page;

	snp_guest_init();
	for (i = 0; i < 8; i++) {
		GUEST_ASSERT_EQ(psc_page(page_gpa(0), nr, RMP_4K, PSC_PRIVATE), 0);
		for (page = 0; page < nr; page++) {
			GUEST_ASSERT_EQ(pvalidate((u64)page_private(page), RMP_4K, true, NULL),
					SNP_INSN_SUCCESS);
			fill(page_private(page), FROM_GUEST, page + i);
		}
		for (page = 0; page < nr; page++) {
			GUEST_ASSERT_EQ(differs(page_private(page), FROM_GUEST, page + i), -1);
			GUEST_ASSERT_EQ(pvalidate((u64)page_private(page), RMP_4K, false, NULL),
					SNP_INSN_SUCCESS);
		}
		GUEST_ASSERT_EQ(psc_page(page_gpa(0), nr, RMP_4K, PSC_SHARED), 0);
		for (page = 0; page < nr; page++) {
			fill(page_shared(page), FROM_GUEST, page);
			GUEST_SYNC2(STAGE_SWAP_CONTENT, page);
			GUEST_ASSERT_EQ(differs(page_shared(page), FROM_HOST, page), -1);
		}
	}
	GUEST_DONE();
}

/* In one go, or 4KB at a time where the host has no such page */
static void pvalidate_2m(u64 first, bool validate)
{
	u64 page, ret = pvalidate((u64)page_private(first), RMP_2M, validate, NULL);

	if (ret == SNP_INSN_SUCCESS)
		return;

	GUEST_ASSERT_EQ(ret, SNP_INSN_FAIL_SIZEMISMATCH);
	for (page = first; page < first + PAGES_2M; page++)
		GUEST_ASSERT_EQ(pvalidate((u64)page_private(page), RMP_4K, validate, NULL),
				SNP_INSN_SUCCESS);
	if (validate)
		GUEST_ASSERT_EQ(rmpadjust((u64)page_private(first), RMP_2M, 1),
				SNP_INSN_FAIL_SIZEMISMATCH);
}

static void guest_large(void)
{
	u64 i, page;

	snp_guest_init();
	for (i = 0; i < 2; i++) {
		GUEST_ASSERT_EQ(psc_page(MEM_GPA, 2, RMP_2M, PSC_PRIVATE), 0);
		for (page = 0; page < NR_PAGES; page += PAGES_2M)
			pvalidate_2m(page, true);
		for (page = 0; page < NR_PAGES; page++)
			fill(page_private(page), FROM_GUEST, page);
		for (page = 0; page < NR_PAGES; page++)
			GUEST_ASSERT_EQ(differs(page_private(page), FROM_GUEST, page), -1);

		for (page = 0; page < NR_PAGES; page += PAGES_2M)
			pvalidate_2m(page, false);
		GUEST_ASSERT_EQ(psc_page(MEM_GPA, 2, RMP_2M, PSC_SHARED), 0);
		for (page = 0; page < NR_PAGES; page += PAGES_2M - 1) {
			fill(page_shared(page), FROM_GUEST, page);
			GUEST_SYNC2(STAGE_SWAP_CONTENT, page);
			GUEST_ASSERT_EQ(differs(page_shared(page), FROM_HOST, page), -1);
		}
	}
	GUEST_DONE();
}

/* What happens by itself when the guest uses memory that it did not validate */
static void guest_fault_in(void)
{
	u64 page, offset;

	snp_guest_init();
	snp_fault_in.enabled = true;
	for (page = 0; page < 64; page++) {
		u64 before = snp_fault_in.nr;

		GUEST_ASSERT_EQ(psc_msr(page_gpa(page), PSC_PRIVATE), 0);
		/* Reads and writes, anywhere in the page */
		offset = page * 8;
		if (page & 1)
			WRITE_ONCE(page_private(page)[offset], page);
		else
			READ_ONCE(page_private(page)[offset]);
		GUEST_ASSERT_EQ(snp_fault_in.nr, before + 1);
		GUEST_ASSERT_EQ(snp_fault_in.gva, (u64)&page_private(page)[offset]);

		/* Once is enough. */
		fill(page_private(page), FROM_GUEST, page);
		GUEST_ASSERT_EQ(snp_fault_in.nr, before + 1);
		GUEST_ASSERT_EQ(differs(page_private(page), FROM_GUEST, page), -1);

		/* The guest can take back that it validated a page. */
		GUEST_ASSERT_EQ(pvalidate((u64)page_private(page), RMP_4K, false, NULL),
				SNP_INSN_SUCCESS);
		WRITE_ONCE(page_private(page)[1], 1);
		GUEST_ASSERT_EQ(snp_fault_in.nr, before + 2);
		GUEST_ASSERT_EQ(snp_fault_in.gva, (u64)&page_private(page)[1]);
	}
	GUEST_DONE();
}

static void guest_instructions(void)
{
	u64 gva = (u64)page_private(0);
	bool unchanged;
	int vmpl;

	snp_guest_init();
	make_private(0);

	/* The same once more changes nothing and says so, both ways. */
	GUEST_ASSERT_EQ(pvalidate(gva, RMP_4K, true, &unchanged), SNP_INSN_SUCCESS);
	GUEST_ASSERT(unchanged);
	GUEST_ASSERT_EQ(pvalidate(gva, RMP_4K, false, &unchanged), SNP_INSN_SUCCESS);
	GUEST_ASSERT(!unchanged);
	GUEST_ASSERT_EQ(pvalidate(gva, RMP_4K, false, &unchanged), SNP_INSN_SUCCESS);
	GUEST_ASSERT(unchanged);

	/* Nor did it make the page accessible: #VC, which validates it. */
	snp_fault_in.enabled = true;
	WRITE_ONCE(*page_private(0), 0);
	GUEST_ASSERT_EQ(snp_fault_in.nr, 1);
	snp_fault_in.enabled = false;

	GUEST_ASSERT_EQ(pvalidate(gva, RMP_4K, false, &unchanged), SNP_INSN_SUCCESS);
	GUEST_ASSERT(!unchanged);
	GUEST_ASSERT_EQ(pvalidate(gva, RMP_4K, true, &unchanged), SNP_INSN_SUCCESS);
	GUEST_ASSERT(!unchanged);
	fill(page_private(0), FROM_GUEST, 0);

	/* VMPL0 rules over the others and not over itself. */
	for (vmpl = 1; vmpl <= 3; vmpl++) {
		GUEST_ASSERT_EQ(rmpadjust(gva, RMP_4K, vmpl | RMPADJUST_PERMS(0xf)),
				SNP_INSN_SUCCESS);
		GUEST_ASSERT_EQ(rmpadjust(gva, RMP_4K, vmpl), SNP_INSN_SUCCESS);
	}
	GUEST_ASSERT_EQ(rmpadjust(gva, RMP_4K, 0), SNP_INSN_FAIL_PERMISSION);
	GUEST_ASSERT_EQ(rmpadjust(gva, RMP_4K, RMPADJUST_PERMS(0xf)), SNP_INSN_FAIL_PERMISSION);

	/* A page can be made a VMSA and an ordinary one again. */
	GUEST_ASSERT_EQ(rmpadjust(gva, RMP_4K, 1 | RMPADJUST_VMSA), SNP_INSN_SUCCESS);
	GUEST_ASSERT_EQ(rmpadjust(gva, RMP_4K, 1), SNP_INSN_SUCCESS);
	GUEST_ASSERT_EQ(differs(page_private(0), FROM_GUEST, 0), -1);
	fill(page_private(0), FROM_GUEST, 1);
	GUEST_DONE();
}

/* What the hypervisor answers to, and what it refuses */
static void guest_protocol(void)
{
	u32 eax = 0, ebx, ecx = 0, edx;
	u64 ret;

	snp_guest_init();
	ret = ghcb_msr_request(GHCB_MSR_SEV_INFO_REQ);
	GUEST_ASSERT_EQ(ret & GHCB_MSR_INFO_MASK, GHCB_MSR_SEV_INFO_RESP);
	GUEST_ASSERT(ret >> 48 >= 2);
	GUEST_ASSERT(((ret >> 32) & 0xffff) <= 2);

	ret = ghcb_msr_request(GHCB_MSR_HV_FT_REQ);
	GUEST_ASSERT_EQ(ret & GHCB_MSR_INFO_MASK, GHCB_MSR_HV_FT_RESP);
	GUEST_ASSERT((ret >> 12) & 1);
	GUEST_ASSERT_EQ(ghcb_request(SVM_VMGEXIT_HV_FEATURES, 0, 0), 0);
	GUEST_ASSERT_EQ(snp_ghcb->save.sw_exit_info_2, ret >> 12);

	/* #VC in between: the instruction is emulated. */
	__cpuid(0x80000000, 0, &eax, &ebx, &ecx, &edx);
	GUEST_ASSERT(eax >= 0x8000001f);

	/* Neither private nor shared */
	GUEST_ASSERT(psc_msr(MEM_GPA, 7) != 0);
	/* More than there is, and an address that 2MB cannot have */
	GUEST_ASSERT(psc_page(MEM_GPA + NR_PAGES * PAGE_SIZE, 1, RMP_4K, PSC_PRIVATE) != 0);
	GUEST_ASSERT(psc_page(MEM_GPA + PAGE_SIZE, 1, RMP_2M, PSC_PRIVATE) != 0);
	/* No such exit code */
	GUEST_ASSERT_EQ(ghcb_request(0x8000bad0, 0, 0), 2);
	GUEST_DONE();
}

/*
 * What VMRUN finds wrong in a save area: APM vol. 2, 15.5.1, "Canonicalization
 * and Consistency Checks"
 */
static const struct {
	u32 offset;
	u64 toggle;
} vmsa_mistakes[] = {
	{ offsetof(struct snp_vmsa, save.efer), EFER_SVME },
	{ offsetof(struct snp_vmsa, save.efer), BIT_ULL(63) },
	{ offsetof(struct snp_vmsa, save.cr0), X86_CR0_NW },
	{ offsetof(struct snp_vmsa, save.cr0), BIT_ULL(32) },
	{ offsetof(struct snp_vmsa, save.cr4), BIT_ULL(63) },
	{ offsetof(struct snp_vmsa, save.dr6), BIT_ULL(32) },
	{ offsetof(struct snp_vmsa, save.dr7), BIT_ULL(32) },
	{ offsetof(struct snp_vmsa, sev_features), BIT_ULL(63) },
};

static void guest_second_vcpu(void)
{
	snp_guest_init();
	fill(page_private(0), FROM_GUEST, 0);
	GUEST_DONE();
}

static void make_second_vcpu(u32 offset, u64 toggle, u64 stage)
{
	struct snp_vmsa *vmsa = (void *)page_private(VMSA_PAGE);

	snp_vmsa_init(vmsa, guest_second_vcpu, page_private(STACK_PAGE + 1));
	*(u64 *)((void *)vmsa + offset) ^= toggle;
	GUEST_ASSERT_EQ(rmpadjust((u64)vmsa, RMP_4K, 1 | RMPADJUST_VMSA), SNP_INSN_SUCCESS);
	GUEST_ASSERT_EQ(ghcb_ap_creation(1, SVM_VMGEXIT_AP_CREATE, page_gpa(VMSA_PAGE)), 0);
	GUEST_SYNC1(stage);
}

static void guest_second_vcpus(void)
{
	u64 vmsa = (u64)page_private(VMSA_PAGE);
	int i;

	snp_guest_init();
	make_private(0);
	make_private(VMSA_PAGE);
	make_private(STACK_PAGE);
	for (i = 0; i < ARRAY_SIZE(vmsa_mistakes); i++) {
		make_second_vcpu(vmsa_mistakes[i].offset, vmsa_mistakes[i].toggle,
				 STAGE_BAD_VMSA);
		GUEST_ASSERT_EQ(ghcb_ap_creation(1, SVM_VMGEXIT_AP_DESTROY, 0), 0);
		GUEST_ASSERT_EQ(rmpadjust(vmsa, RMP_4K, 1), SNP_INSN_SUCCESS);
	}
	make_second_vcpu(0, 0, STAGE_GOOD_VMSA);
	GUEST_ASSERT_EQ(differs(page_private(0), FROM_GUEST, 0), -1);
	GUEST_DONE();
}

static void guest_terminate_msr(void)
{
	snp_guest_init();
	make_private(0);
	ghcb_msr_request(GHCB_MSR_TERM_REQ | (0x42 << 16));
	GUEST_FAIL("Alive after the end");
}

static void guest_terminate_page(void)
{
	snp_guest_init();
	make_private(0);
	ghcb_request(SVM_VMGEXIT_TERM_REQUEST, 0, 0);
	GUEST_FAIL("Alive after the end");
}

static void guest_shut_down(void)
{
	struct desc_ptr idt = { };

	snp_guest_init();
	make_private(0);
	set_idt(&idt);
	asm volatile("ud2");
	GUEST_FAIL("Alive after the end");
}

/* Never idle, with some pages private at any time */
static void guest_convert_for_ever(void)
{
	u64 i;

	snp_guest_init();
	for (i = 0; ; i++) {
		u64 page = i % NR_PAGES;

		make_private(page);
		fill(page_private(page), FROM_GUEST, page);
		GUEST_ASSERT_EQ(differs(page_private(page), FROM_GUEST, page), -1);
		if (i >= 32)
			make_shared((i - 32) % NR_PAGES);
		if (i == 64)
			GUEST_SYNC1(STAGE_READY);
	}
}

/* Uses the same pages all the time, until one is not the same any more. */
static void guest_use_for_ever(void)
{
	u64 page, nr = 16;

	snp_guest_init();
	for (page = 0; page < nr; page++) {
		make_private(page);
		fill(page_private(page), FROM_GUEST, page);
	}
	GUEST_SYNC1(STAGE_READY);

	snp_fault_in.enabled = true;
	for (page = 0; !READ_ONCE(snp_fault_in.nr); page = (page + 1) % nr)
		READ_ONCE(*page_private(page));

	page = (snp_fault_in.gva - MEM_GVA) / PAGE_SIZE;
	GUEST_ASSERT(page < nr);
	GUEST_ASSERT(differs(page_private(page), FROM_GUEST, page) != -1);
	fill(page_private(page), FROM_GUEST, page);
	GUEST_ASSERT_EQ(differs(page_private(page), FROM_GUEST, page), -1);
	GUEST_SYNC1(STAGE_PUNCHED);
}

static void guest_side_by_side(void)
{
	u64 page, round;

	snp_guest_init();
	for (page = 0; page < SIDE_PAGES; page++)
		make_private(page);
	for (round = 0; ; round++) {
		for (page = 0; page < SIDE_PAGES; page++)
			fill(page_private(page), FROM_GUEST, page + round);
		page = SIDE_PAGES + round % SIDE_PAGES;
		make_private(page);
		fill(page_private(page), FROM_GUEST, page + round);
		for (page = 0; page < SIDE_PAGES; page++)
			GUEST_ASSERT_EQ(differs(page_private(page), FROM_GUEST, page + round), -1);
		page = SIDE_PAGES + round % SIDE_PAGES;
		GUEST_ASSERT_EQ(differs(page_private(page), FROM_GUEST, page + round), -1);
		make_shared(page);
		GUEST_SYNC2(STAGE_READY, round);
	}
}

/* An ordinary guest does the same with ordinary memory. */
static void guest_ordinary(u64 *mem)
{
	const u64 words = PAGE_SIZE / sizeof(*mem);
	u64 page, round;

	for (round = 0; ; round++) {
		for (page = 0; page < SIDE_PAGES; page++)
			fill(mem + page * words, FROM_GUEST, page + round);
		for (page = 0; page < SIDE_PAGES; page++)
			GUEST_ASSERT_EQ(differs(mem + page * words, FROM_GUEST, page + round), -1);
		GUEST_SYNC2(STAGE_READY, round);
	}
}

/*
 * The VMM
 */

struct snp_vm {
	struct kvm_vm *vm;
	union {
		struct kvm_vcpu *vcpu;
		struct kvm_vcpu *vcpus[2];
	};
	int gmem;
};

static struct snp_vm vm_start_vcpus(int nr_vcpus, void (*guest)(void))
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = KVM_X86_SNP_VM };
	struct snp_vm snp;

	snp.vm = __vm_create_with_vcpus(shape, nr_vcpus, 0, guest, snp.vcpus);
	snp.gmem = vm_create_guest_memfd(snp.vm, NR_PAGES * PAGE_SIZE, 0);
	vm_mem_add(snp.vm, VM_MEM_SRC_ANONYMOUS, MEM_GPA, MEM_SLOT, NR_PAGES,
		   KVM_MEM_GUEST_MEMFD, snp.gmem, 0);
	snp_vm_map(snp.vm, MEM_GPA, MEM_GVA, MEM_GVA_SHARED, NR_PAGES);
	snp_vm_prepare(snp.vm);
	vm_sev_launch(snp.vm, snp_default_policy(), NULL);

	return snp;
}

static struct snp_vm vm_start(void (*guest)(void))
{
	return vm_start_vcpus(1, guest);
}

static void vm_end(struct snp_vm *snp)
{
	/* The library has a file descriptor of its own. */
	close(snp->gmem);
	kvm_vm_free(snp->vm);
}

static void swap_content(struct snp_vm *snp, u64 page)
{
	u64 *shared = addr_gpa2hva(snp->vm, page_gpa(page));
	int i = differs(shared, FROM_GUEST, page);

	TEST_ASSERT(i < 0, "Page %lu, word %d: 0x%lx", page, i, shared[max(i, 0)]);
	fill(shared, FROM_HOST, page);
}

/* Run the guest until it says something that is not dealt with here, or ends. */
static u64 vm_run(struct snp_vm *snp, struct ucall *uc)
{
	for (;;) {
		snp_vcpu_run(snp->vcpu);
		switch (get_ucall(snp->vcpu, uc)) {
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(*uc);
			break;
		case UCALL_SYNC:
			if (uc->args[0] != STAGE_SWAP_CONTENT)
				return UCALL_SYNC;
			swap_content(snp, uc->args[1]);
			break;
		default:
			return uc->cmd;
		}
	}
}

static void vm_run_until_done(struct snp_vm *snp)
{
	struct ucall uc;
	u64 cmd = vm_run(snp, &uc);

	TEST_ASSERT(cmd == UCALL_DONE, "Exit %s, ucall %lu",
		    exit_reason_str(snp->vcpu->run->exit_reason), cmd);
}

static void vm_run_until_stage(struct snp_vm *snp, u64 stage)
{
	struct ucall uc;
	u64 cmd = vm_run(snp, &uc);

	TEST_ASSERT(cmd == UCALL_SYNC && uc.args[0] == stage, "Exit %s, ucall %lu, stage %lu",
		    exit_reason_str(snp->vcpu->run->exit_reason), cmd, uc.args[0]);
}

FIXTURE(snp_guest)
{
	bool rmpopt;
	struct rmpopt_regions all;
	unsigned long rescans;
	cpu_set_t cpus;
};

FIXTURE_SETUP(snp_guest)
{
	self->rmpopt = rmpopt_is_on();
	if (!self->rmpopt)
		return;

	/* Everything that can be optimized is what "on" verifies afresh. */
	ASSERT_EQ(sched_getaffinity(0, sizeof(self->cpus), &self->cpus), 0);
	ASSERT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "off"), 0);
	ASSERT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "on"), 0);
	self->all = rmpopt_optimized();
	ASSERT_GT(rmpopt_count(&self->all), 0);
	self->rescans = rmpopt_read_number(RMPOPT_SYSFS "rescans");
}

/* By now the VM is gone: its end had its regions verified again. */
FIXTURE_TEARDOWN(snp_guest)
{
	if (self->rmpopt)
		rmpopt_wait_rescan(&self->all, &self->cpus, self->rescans);
}

static void run_to_the_end(void (*guest)(void))
{
	struct snp_vm snp = vm_start(guest);

	vm_run_until_done(&snp);
	vm_end(&snp);
}

TEST_F_TIMEOUT(snp_guest, accept_all, TIMEOUT_S)
{
	run_to_the_end(guest_accept_all);
}

TEST_F_TIMEOUT(snp_guest, convert, TIMEOUT_S)
{
	struct snp_vm snp = vm_start(guest_convert);
	struct ucall uc;
	int i;

	for (i = 0; i < NR_CONVERSIONS; i++) {
		int word;
		u64 *mem;

		/* Shared: both see what the other wrote. */
		snp_vcpu_run(snp.vcpu);
		if (get_ucall(snp.vcpu, &uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(uc);
		TEST_ASSERT_EQ(uc.cmd, UCALL_SYNC);
		swap_content(&snp, uc.args[1]);

		/* Private: what the guest writes does not get here. */
		snp_vcpu_run(snp.vcpu);
		if (get_ucall(snp.vcpu, &uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(uc);
		TEST_ASSERT_EQ(uc.cmd, UCALL_SYNC);
		mem = addr_gpa2hva(snp.vm, page_gpa(uc.args[1]));
		word = differs(mem, FROM_HOST, uc.args[1]);
		TEST_ASSERT(word < 0, "Page %lu, word %d: 0x%lx", uc.args[1], word,
			    mem[max(word, 0)]);
	}
	vm_run_until_done(&snp);
	vm_end(&snp);
}

TEST_F_TIMEOUT(snp_guest, convert_batch, TIMEOUT_S)
{
	run_to_the_end(guest_convert_batch);
}

TEST_F_TIMEOUT(snp_guest, large, TIMEOUT_S)
{
	run_to_the_end(guest_large);
}

TEST_F_TIMEOUT(snp_guest, fault_in, TIMEOUT_S)
{
	run_to_the_end(guest_fault_in);
}

TEST_F_TIMEOUT(snp_guest, instructions, TIMEOUT_S)
{
	run_to_the_end(guest_instructions);
}

TEST_F_TIMEOUT(snp_guest, protocol, TIMEOUT_S)
{
	run_to_the_end(guest_protocol);
}

TEST_F_TIMEOUT(snp_guest, second_vcpu, TIMEOUT_S)
{
	struct kvm_mp_state halted = { .mp_state = KVM_MP_STATE_HALTED };
	struct snp_vm snp = vm_start_vcpus(2, guest_second_vcpus);
	struct kvm_run *run = snp.vcpus[1]->run;
	struct ucall uc;
	int i;

	/* AP creation is for a vCPU that waits, and that was started once. */
	vcpu_mp_state_set(snp.vcpus[1], &halted);

	/* VMRUN does not take it, and the vCPU can have another one. */
	for (i = 0; i < ARRAY_SIZE(vmsa_mistakes); i++) {
		vm_run_until_stage(&snp, STAGE_BAD_VMSA);
		vcpu_run(snp.vcpus[1]);
		TEST_ASSERT(run->exit_reason == KVM_EXIT_FAIL_ENTRY, "Exit %s, mistake %d",
			    exit_reason_str(run->exit_reason), i);
		EXPECT_EQ(run->fail_entry.hardware_entry_failure_reason, SVM_EXIT_ERR);
	}

	vm_run_until_stage(&snp, STAGE_GOOD_VMSA);
	vcpu_run(snp.vcpus[1]);
	TEST_ASSERT_EQ(get_ucall(snp.vcpus[1], &uc), UCALL_DONE);
	vm_run_until_done(&snp);
	vm_end(&snp);
}

static void run_to_termination(void (*guest)(void), u64 *data)
{
	struct snp_vm snp = vm_start(guest);
	struct kvm_run *run = snp.vcpu->run;
	struct ucall uc;
	u64 cmd = vm_run(&snp, &uc);

	TEST_ASSERT(cmd == UCALL_NONE && run->exit_reason == KVM_EXIT_SYSTEM_EVENT,
		    "Exit %s, ucall %lu", exit_reason_str(run->exit_reason), cmd);
	TEST_ASSERT_EQ(run->system_event.type, KVM_SYSTEM_EVENT_SEV_TERM);
	TEST_ASSERT_EQ(run->system_event.ndata, 1);
	*data = run->system_event.data[0];
	vm_end(&snp);
}

TEST_F_TIMEOUT(snp_guest, end_by_msr, TIMEOUT_S)
{
	u64 data;

	run_to_termination(guest_terminate_msr, &data);
	EXPECT_EQ(data, GHCB_MSR_TERM_REQ | (0x42 << 16));
}

TEST_F_TIMEOUT(snp_guest, end_by_page, TIMEOUT_S)
{
	u64 data;

	run_to_termination(guest_terminate_page, &data);
	EXPECT_EQ(data & GHCB_MSR_INFO_MASK, 0);
}

TEST_F_TIMEOUT(snp_guest, end_by_shutdown, TIMEOUT_S)
{
	struct snp_vm snp = vm_start(guest_shut_down);
	struct ucall uc;

	EXPECT_EQ(vm_run(&snp, &uc), UCALL_NONE);
	EXPECT_EQ(snp.vcpu->run->exit_reason, KVM_EXIT_SHUTDOWN);
	vm_end(&snp);
}

/* Amid its work, with the memory's last file descriptor going last */
TEST_F_TIMEOUT(snp_guest, end_by_vmm, TIMEOUT_S)
{
	struct snp_vm snp = vm_start(guest_convert_for_ever);

	vm_run_until_stage(&snp, STAGE_READY);
	kvm_vm_free(snp.vm);
	close(snp.gmem);
}

/* A child that has a VM run; return when the guest is amid its work. */
static pid_t vm_in_child(bool run_on)
{
	int pipefd[2];
	pid_t pid;
	char c;

	TEST_ASSERT(!pipe(pipefd), "pipe: %s", strerror(errno));
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		struct snp_vm snp = vm_start(guest_convert_for_ever);
		struct ucall uc;

		vm_run_until_stage(&snp, STAGE_READY);
		if (write(pipefd[1], "", 1) != 1 || !run_on)
			_exit(0);
		vm_run(&snp, &uc);
		_exit(1);
	}

	close(pipefd[1]);
	TEST_ASSERT(read(pipefd[0], &c, 1) == 1, "The child did not get ready");
	close(pipefd[0]);
	return pid;
}

TEST_F_TIMEOUT(snp_guest, end_by_exit, TIMEOUT_S)
{
	pid_t pid = vm_in_child(false);
	int status;

	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

TEST_F_TIMEOUT(snp_guest, end_by_sigkill, TIMEOUT_S)
{
	int status, i;

	for (i = 0; i < 4; i++) {
		pid_t pid = vm_in_child(true);

		ASSERT_EQ(kill(pid, SIGKILL), 0);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_TRUE(WIFSIGNALED(status));
	}
}

static void *run_until_punched(void *snp)
{
	vm_run_until_stage(snp, STAGE_PUNCHED);
	return NULL;
}

/* The pages go, what stays is that they are private: new ones come. */
TEST_F_TIMEOUT(snp_guest, end_by_punch, TIMEOUT_S)
{
	struct snp_vm snp = vm_start(guest_use_for_ever);
	pthread_t thread;

	vm_run_until_stage(&snp, STAGE_READY);
	ASSERT_EQ(pthread_create(&thread, NULL, run_until_punched, &snp), 0);
	ASSERT_EQ(fallocate(snp.gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			    NR_PAGES * PAGE_SIZE), 0);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	vm_end(&snp);
}

static void *run_until_memory_fault(void *arg)
{
	struct snp_vm *snp = arg;
	struct kvm_run *run = snp->vcpu->run;

	TEST_ASSERT(_vcpu_run(snp->vcpu) == -1 && errno == EFAULT, "Exit %s, errno %d",
		    exit_reason_str(run->exit_reason), errno);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT_EQ(run->memory_fault.flags, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	TEST_ASSERT(run->memory_fault.gpa >= MEM_GPA && run->memory_fault.gpa < page_gpa(NR_PAGES),
		    "GPA 0x%llx", run->memory_fault.gpa);
	return NULL;
}

/* The memory is taken away for good: the VMM is told who asks for it. */
TEST_F_TIMEOUT(snp_guest, end_by_memory_fault, TIMEOUT_S)
{
	struct snp_vm snp = vm_start(guest_use_for_ever);
	pthread_t thread;

	vm_run_until_stage(&snp, STAGE_READY);
	ASSERT_EQ(pthread_create(&thread, NULL, run_until_memory_fault, &snp), 0);
	vm_mem_set_shared(snp.vm, MEM_GPA, NR_PAGES * PAGE_SIZE);
	vm_guest_mem_punch_hole(snp.vm, MEM_GPA, NR_PAGES * PAGE_SIZE);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	vm_end(&snp);
}

/* Two guests on one CPU: each makes progress while the other does. */
static u64 side_rounds[2];

static bool side_done(void)
{
	return READ_ONCE(side_rounds[0]) >= NR_SIDE_ROUNDS &&
	       READ_ONCE(side_rounds[1]) >= NR_SIDE_ROUNDS;
}

static void *run_side_by_side(void *arg)
{
	struct snp_vm *snp = arg;

	while (!side_done()) {
		vm_run_until_stage(snp, STAGE_READY);
		WRITE_ONCE(side_rounds[0], side_rounds[0] + 1);
	}
	return NULL;
}

static void *run_ordinary(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;

	while (!side_done()) {
		vcpu_run(vcpu);
		switch (get_ucall(vcpu, &uc)) {
		case UCALL_SYNC:
			TEST_ASSERT_EQ(uc.args[1], side_rounds[1]);
			WRITE_ONCE(side_rounds[1], side_rounds[1] + 1);
			break;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
			break;
		default:
			TEST_FAIL("Exit %s", exit_reason_str(vcpu->run->exit_reason));
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(snp_guest, beside_ordinary_guest, TIMEOUT_S)
{
	struct snp_vm snp = vm_start(guest_side_by_side);
	struct kvm_vcpu *vcpu;
	pthread_t threads[2];
	cpu_set_t before, set;
	struct kvm_vm *vm;
	gva_t mem;
	u64 page;

	vm = vm_create_with_one_vcpu(&vcpu, guest_ordinary);
	mem = vm_alloc(vm, SIDE_PAGES * PAGE_SIZE, KVM_UTIL_MIN_VADDR);
	vcpu_args_set(vcpu, 1, mem);

	ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	ASSERT_EQ(sched_setaffinity(0, sizeof(set), &set), 0);

	/* They inherit where they may run. */
	ASSERT_EQ(pthread_create(&threads[0], NULL, run_side_by_side, &snp), 0);
	ASSERT_EQ(pthread_create(&threads[1], NULL, run_ordinary, vcpu), 0);
	ASSERT_EQ(pthread_join(threads[0], NULL), 0);
	ASSERT_EQ(pthread_join(threads[1], NULL), 0);

	/* After its last round the ordinary guest has begun none, so this is it. */
	for (page = 0; page < SIDE_PAGES; page++)
		EXPECT_EQ(differs(addr_gva2hva(vm, mem + page * PAGE_SIZE), FROM_GUEST,
				  page + side_rounds[1] - 1), -1);

	ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
	kvm_vm_free(vm);
	vm_end(&snp);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SNP_VM));

	return test_harness_run(argc, argv);
}
