// SPDX-License-Identifier: GPL-2.0-only
/*
 * An SNP guest that does at random what a guest can do to its hypervisor and to
 * the hardware: PVALIDATE and RMPADJUST with any operands, VMGEXIT with any value
 * of the GHCB MSR and any content of the GHCB, and vCPUs with any VMSA.  The VMM
 * goes on after every exit, with a new VM where the old one is of no use any more.
 * The host has to live.
 *
 *   snp_fuzz_test [-t SECONDS] [-s SEED]
 */
#include <getopt.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "snp_guest.h"
#include "svm_util.h"
#include "test_util.h"

#define MEM_GPA		BIT_ULL(32)
#define MEM_SLOT	1
#define NR_PAGES	1024UL
#define PAGES_2M	512UL
#define MEM_GVA		BIT_ULL(33)
#define MEM_GVA_SHARED	(MEM_GVA + BIT_ULL(32))

/* A vCPU has this long to do something else than to run. */
#define TICK_MS		10
#define MAX_TICKS	10
#define AP_TICKS	1

/* The VMSA of the second vCPU: not on a boundary of 2MB, which KVM refuses */
#define VMSA_PAGE	5
#define VMSA_GVA	(MEM_GVA + VMSA_PAGE * PAGE_SIZE)
#define VMSA_GPA	(MEM_GPA + VMSA_PAGE * PAGE_SIZE)

enum op {
	OP_PVALIDATE,
	OP_RMPADJUST,
	OP_MSR,
	OP_GHCB,
	OP_PSC,
	OP_AP,
	OP_ACCESS,
	NR_OPS,
};

static const char * const op_names[] = {
	"pvalidate", "rmpadjust", "msr", "ghcb", "psc", "ap", "access",
};

/* Shared with the VMM, which only reads it but for the seed */
struct state {
	u64 seed;
	u64 done[NR_OPS];
	u64 trapped;
	u64 op;
};

static struct state *state;	/* guest address */
static u64 rng;
static u64 loop_rsp;		/* the stack where the guest's loop begins */

static u64 next(void)
{
	/* It is in the guest's memory, of which a page may come back empty. */
	if (!rng)
		rng = state->seed + state->trapped;
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dULL;
}

static bool one_in(u64 n)
{
	return (next() >> 32) % n == 0;
}

/*
 * The guest
 */

static void guest_loop(void);

/* Whatever was at work is given up for the next thing. */
static void guest_give_up(struct ex_regs *regs)
{
	u64 *rsp = &regs->rflags + 1;

	state->trapped++;
	regs->rip = (u64)guest_loop;
	*rsp = loop_rsp;
}

static u64 random_gva(void)
{
	u64 gva = MEM_GVA + next() % (NR_PAGES * PAGE_SIZE);

	switch (next() >> 60) {
	case 0:
		return next();
	case 1:
		return MEM_GVA_SHARED + next() % (NR_PAGES * PAGE_SIZE);
	case 2:
		return gva;
	case 3:
		return (gva + NR_PAGES * PAGE_SIZE) & ~(PAGE_SIZE - 1);
	case 4:
	case 5:
		return gva & ~(PAGES_2M * PAGE_SIZE - 1);
	default:
		return gva & ~(PAGE_SIZE - 1);
	}
}

static void guest_pvalidate(void)
{
	u64 rax = random_gva();
	u64 rcx = one_in(8) ? next() : next() & 1;
	u64 rdx = one_in(8) ? next() : next() & 1;

	asm volatile(".byte 0xf2, 0x0f, 0x01, 0xff"
		     : "+a" (rax), "+c" (rcx), "+d" (rdx) : : "memory", "cc");
}

static void guest_rmpadjust(void)
{
	u64 rax = random_gva();
	u64 rcx = one_in(8) ? next() : next() & 1;
	u64 rdx = one_in(8) ? next() : next() & (one_in(8) ? 0x1ff03 : 0xff03);

	asm volatile(".byte 0xf3, 0x0f, 0x01, 0xfe"
		     : "+a" (rax), "+c" (rcx), "+d" (rdx) : : "memory", "cc");
}

static void guest_access(void)
{
	u64 rax = next(), rdx = random_gva();

	if (one_in(2))
		asm volatile("movq %%rax, (%%rdx)" : "+a" (rax), "+d" (rdx) : : "memory");
	else
		asm volatile("movq (%%rdx), %%rax" : "+a" (rax), "+d" (rdx) : : "memory");
}

static void guest_vmgexit(u64 msr)
{
	u32 low = msr, high = msr >> 32, index = MSR_AMD64_SEV_ES_GHCB;

	asm volatile("wrmsr\n\t.byte 0xf3, 0x0f, 0x01, 0xd9"
		     : "+a" (low), "+d" (high), "+c" (index) : : "memory", "cc");
}

static void guest_msr(void)
{
	static const u16 infos[] = {
		0x000, 0x001, 0x002, 0x004, 0x006, 0x010, 0x012, 0x014, 0x014, 0x016, 0x080,
	};
	u64 msr = next();

	/* Often about memory that there is */
	if (one_in(2))
		msr = (MEM_GPA + next() % (2 * NR_PAGES * PAGE_SIZE)) | (next() & (3ULL << 52));
	if (!one_in(4))
		msr = (msr & ~GHCB_MSR_INFO_MASK) | infos[next() % ARRAY_SIZE(infos)];
	/* It ends, or holds for ever: once in a while is enough. */
	if ((msr & 0xfff) == GHCB_MSR_TERM_REQ || (msr & 0xfff) == GHCB_MSR_AP_RESET_HOLD_REQ)
		msr += !one_in(64);

	guest_vmgexit(msr);
	/* The GHCB may be registered elsewhere now, so that it will be refused. */
	if (!one_in(4))
		ghcb_msr_request(snp_ghcb_gpa | GHCB_MSR_REG_GPA_REQ);
}

static void fill_random(void *p, u64 size)
{
	u64 *word = p;

	for (; size >= sizeof(*word); size -= sizeof(*word))
		*word++ = next();
}

static u64 random_exit_code(void)
{
	static const u64 codes[] = {
		SVM_EXIT_READ_DR7, SVM_EXIT_WRITE_DR7, SVM_EXIT_RDPMC,
		SVM_EXIT_CPUID, SVM_EXIT_INVD, SVM_EXIT_IOIO, SVM_EXIT_MSR, SVM_EXIT_VMMCALL,
		SVM_EXIT_WBINVD, SVM_EXIT_MONITOR, SVM_EXIT_MWAIT,
		SVM_VMGEXIT_MMIO_READ, SVM_VMGEXIT_MMIO_WRITE, SVM_VMGEXIT_NMI_COMPLETE,
		SVM_VMGEXIT_AP_JUMP_TABLE, SVM_VMGEXIT_PSC, SVM_VMGEXIT_GUEST_REQUEST,
		SVM_VMGEXIT_EXT_GUEST_REQUEST, SVM_VMGEXIT_AP_CREATION,
		SVM_VMGEXIT_SNP_RUN_VMPL, SVM_VMGEXIT_HV_FEATURES,
	};

	switch (next() >> 61) {
	case 0:
		return next();
	case 1:
		return 0x80000000 | (next() & 0x1f);
	case 2:
		return next() & 0x4ff;
	default:
		return codes[next() % ARRAY_SIZE(codes)];
	}
}

static u64 random_info(void)
{
	switch (next() >> 61) {
	case 0:
		return next();
	case 1:
		return next() & 0xff;
	case 2:
		return MEM_GPA + (next() % (2 * NR_PAGES) * PAGE_SIZE);
	case 3:
		return next() & 0xffffffff;
	case 4:
		return 0;
	default:
		return 1ULL << (next() % 64);
	}
}

static u64 random_scratch(void)
{
	u64 in_ghcb = snp_ghcb_gpa + offsetof(struct ghcb, shared_buffer);

	switch (next() >> 62) {
	case 0:
		return random_info();
	case 1:
		return snp_ghcb_gpa + (next() & 0xfff);
	default:
		return in_ghcb + (one_in(2) ? next() % 0x7f0 : 0);
	}
}

static void guest_ghcb(void)
{
	u64 code = random_exit_code();

	fill_random(snp_ghcb, PAGE_SIZE);
	if (code == SVM_VMGEXIT_TERM_REQUEST || code == SVM_VMGEXIT_AP_HLT_LOOP ||
	    code == SVM_VMGEXIT_UNSUPPORTED_EVENT || code == SVM_EXIT_RDTSC)
		code -= !one_in(64);
	if (!one_in(8))
		snp_ghcb->usage = 0;
	if (!one_in(4))
		memset(snp_ghcb->save.valid_bitmap, 0xff, sizeof(snp_ghcb->save.valid_bitmap));
	if (!one_in(4)) {
		ghcb_set(snp_ghcb, xcr0, 1 | (next() & 7));
		snp_ghcb->save.cpl = next() & 3;
		snp_ghcb->save.rcx = random_info();
		snp_ghcb->save.rax = random_info();
	}
	if (!one_in(8)) {
		ghcb_set(snp_ghcb, sw_exit_code, code);
		ghcb_set(snp_ghcb, sw_exit_info_1, random_info());
		ghcb_set(snp_ghcb, sw_exit_info_2, random_info());
		ghcb_set(snp_ghcb, sw_scratch, random_scratch());
	}
	/* KVM gives up on a guest whose messages it cannot read or write. */
	if ((code == SVM_VMGEXIT_GUEST_REQUEST || code == SVM_VMGEXIT_EXT_GUEST_REQUEST) &&
	    !one_in(64)) {
		snp_ghcb->save.sw_exit_info_1 = MEM_GPA + next() % NR_PAGES * PAGE_SIZE;
		snp_ghcb->save.sw_exit_info_2 = MEM_GPA + next() % NR_PAGES * PAGE_SIZE;
	}
	guest_vmgexit(one_in(64) ? next() & ~0xfffULL : snp_ghcb_gpa);
}

/* Page state changes with entries that make some sense */
static void guest_psc(void)
{
	struct psc_buffer *psc = (void *)snp_ghcb->shared_buffer;
	u64 i, nr = 1 + next() % (one_in(32) ? 252 : 6);

	memset(&snp_ghcb->save, 0, sizeof(snp_ghcb->save));
	snp_ghcb->usage = 0;
	ghcb_set(snp_ghcb, sw_exit_code, SVM_VMGEXIT_PSC);
	ghcb_set(snp_ghcb, sw_exit_info_1, random_info());
	ghcb_set(snp_ghcb, sw_exit_info_2, random_info());
	ghcb_set(snp_ghcb, sw_scratch, one_in(16) ? random_scratch() :
		 snp_ghcb_gpa + offsetof(struct ghcb, shared_buffer));
	psc->hdr.cur_entry = one_in(16) ? next() : 0;
	psc->hdr.end_entry = one_in(16) ? next() : nr - 1;
	for (i = 0; i < nr; i++) {
		bool large = one_in(4);

		psc->entries[i] = (struct psc_entry) {
			.cur_page = one_in(16) ? next() : 0,
			.gfn = one_in(64) ? next() :
			       ((MEM_GPA >> PAGE_SHIFT) + next() % NR_PAGES) & (large ? ~511 : ~0),
			.operation = one_in(8) ? next() : 1 + (next() & 1),
			.pagesize = large,
			.reserved = one_in(8) ? next() : 0,
		};
	}
	guest_vmgexit(snp_ghcb_gpa);
}

static void ap_code(void)
{
	for (;;)
		ghcb_msr_request(GHCB_MSR_SEV_INFO_REQ);
}

/* Byte offsets of what decides how a vCPU enters: worth more than chance */
static const u16 vmsa_fields[] = {
	0x002, 0x012, 0x022, 0x032, 0x072, 0x092, 0x0ca, 0x0cb, 0x0d0, 0x0d1, 0x140, 0x148,
	0x14a, 0x14c, 0x150, 0x152, 0x157, 0x158, 0x15b, 0x15c, 0x160, 0x164, 0x168, 0x16c,
	0x170, 0x172, 0x178, 0x17f, 0x1d8, 0x268, 0x26c, 0x3b0, 0x3b1, 0x3b8, 0x3d8, 0x3db,
	0x3e8, 0x3ec, 0x408, 0x40a, 0x410,
};

static void guest_ap(void)
{
	u8 *vmsa = (u8 *)VMSA_GVA;
	u64 i, nr;

	/* Whatever became of the page: RMPADJUST of one not validated is a #VC. */
	psc_msr(VMSA_GPA, PSC_PRIVATE);
	if (pvalidate(VMSA_GVA, RMP_4K, true, NULL))
		return;
	rmpadjust(VMSA_GVA, RMP_4K, 1);
	snp_vmsa_init((struct snp_vmsa *)vmsa, ap_code, (void *)(MEM_GVA + 8 * PAGE_SIZE));
	switch (next() >> 62) {
	case 0:
		fill_random(vmsa, PAGE_SIZE);
		if (one_in(2))
			((struct snp_vmsa *)vmsa)->sev_features = VMSA_FEATURE_SNP;
		break;
	case 1:
		for (i = 0, nr = next() % 64; i < nr; i++)
			vmsa[next() % 0x670] ^= 1 << (next() % 8);
		break;
	case 2:
		for (i = 0, nr = next() % 4; i < nr; i++)
			vmsa[vmsa_fields[next() % ARRAY_SIZE(vmsa_fields)]] ^= 1 << (next() % 8);
		break;
	}
	/* Most are told to be what they are. */
	if (!one_in(16))
		rmpadjust(VMSA_GVA, RMP_4K, 1 | RMPADJUST_VMSA);

	ghcb_ap_creation(1, SVM_VMGEXIT_AP_CREATE, VMSA_GPA);
	GUEST_SYNC1(OP_AP);
	ghcb_ap_creation(1, SVM_VMGEXIT_AP_DESTROY, 0);
	GUEST_SYNC1(OP_AP);
	rmpadjust(VMSA_GVA, RMP_4K, 1);
}

static void guest_loop(void)
{
	for (;;) {
		enum op op = next() % NR_OPS;

		/* It is dear. */
		if (op == OP_AP && !one_in(8))
			op = OP_PVALIDATE;

		state->op = op;
		state->done[op]++;
		switch (op) {
		case OP_PVALIDATE:
			guest_pvalidate();
			break;
		case OP_RMPADJUST:
			guest_rmpadjust();
			break;
		case OP_MSR:
			guest_msr();
			break;
		case OP_GHCB:
			guest_ghcb();
			break;
		case OP_PSC:
			guest_psc();
			break;
		case OP_AP:
			guest_ap();
			break;
		default:
			guest_access();
		}
	}
}

static void guest_code(void)
{
	u64 page;

	snp_guest_init();
	rng = state->seed;
	for (page = 0; page < 16; page++) {
		psc_msr(MEM_GPA + page * PAGE_SIZE, PSC_PRIVATE);
		pvalidate(MEM_GVA + page * PAGE_SIZE, RMP_4K, true, NULL);
	}

	/* As after a call, which a function may count on */
	asm volatile("leaq -128(%%rsp), %0" : "=r" (loop_rsp));
	loop_rsp = (loop_rsp & ~15ULL) - 8;
	guest_loop();
}

/*
 * The VMM
 */

#define ERRNOS	134

static struct {
	u64 vms;
	u64 done[NR_OPS];
	u64 trapped;
	u64 exits[64];
	u64 errors[ERRNOS];	/* of KVM_RUN */
	u64 converted;		/* as an access asked for it */
	u64 stuck[NR_OPS];	/* the guest came to no end */
	u64 ap_runs;
	u64 ap_exits[64];
	u64 ap_invalid;		/* VMRUN refused the VMSA */
	u64 ap_errors[ERRNOS];
} total;

static int ticks;
static time_t end;
static sigset_t alarm_set;

/* The timer's signal is blocked but while a vCPU runs, so none gets lost. */
static void let_alarm_in(struct kvm_vcpu *vcpu)
{
	struct {
		struct kvm_signal_mask mask;
		u64 blocked;
	} arg = { .mask.len = sizeof(arg.blocked) };

	TEST_ASSERT(!ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &arg), "KVM_SET_SIGNAL_MASK: %s",
		    strerror(errno));
}

/* Run the vCPU: 0 or an errno, EINTR if only to be run again. */
static int run_once(struct kvm_vcpu *vcpu)
{
	struct timespec none = { };

	if (!__vcpu_run(vcpu))
		return 0;
	if (errno != EINTR)
		return errno;
	if (sigtimedwait(&alarm_set, NULL, &none) == SIGALRM)
		ticks++;
	return EINTR;
}

static struct state *vm_start(u64 seed, struct kvm_vm **vm, struct kvm_vcpu *vcpus[2])
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = KVM_X86_SNP_VM };
	struct kvm_mp_state halted = { .mp_state = KVM_MP_STATE_HALTED };
	static const int skip[] = {
		DE_VECTOR, DB_VECTOR, BP_VECTOR, UD_VECTOR, GP_VECTOR, PF_VECTOR, SS_VECTOR,
		AC_VECTOR, NP_VECTOR, TS_VECTOR, MC_VECTOR,
	};
	struct state *shared;
	u64 i;
	gva_t gva;

	*vm = __vm_create_with_vcpus(shape, 2, 0, guest_code, vcpus);
	vm_mem_add(*vm, VM_MEM_SRC_ANONYMOUS, MEM_GPA, MEM_SLOT, NR_PAGES,
		   KVM_MEM_GUEST_MEMFD, -1, 0);
	snp_vm_map(*vm, MEM_GPA, MEM_GVA, MEM_GVA_SHARED, NR_PAGES);
	snp_vm_prepare(*vm);
	gva = vm_alloc_shared(*vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR, MEM_REGION_DATA);
	shared = addr_gva2hva(*vm, gva);
	memset(shared, 0, PAGE_SIZE);
	shared->seed = seed;
	write_guest_global(*vm, state, (struct state *)gva);
	for (i = 0; i < ARRAY_SIZE(skip); i++)
		vm_install_exception_handler(*vm, skip[i], guest_give_up);
	write_guest_global(*vm, snp_vc_unexpected, (void *)guest_give_up);
	vm_sev_launch(*vm, snp_default_policy(), NULL);
	/* One that waits for its INIT would not begin. */
	vcpu_mp_state_set(vcpus[1], &halted);
	let_alarm_in(vcpus[0]);
	let_alarm_in(vcpus[1]);
	total.vms++;

	return shared;
}

/*
 * A private access to shared memory, or the other way round: have the guest get
 * what it wants, in memory that it may have.
 */
static bool convert(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	gpa_t gpa = align_down(run->memory_fault.gpa, PAGE_SIZE);
	bool private = run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;

	if (run->exit_reason != KVM_EXIT_MEMORY_FAULT || gpa < MEM_GPA ||
	    gpa >= MEM_GPA + NR_PAGES * PAGE_SIZE)
		return false;
	vm_set_memory_attributes(vcpu->vm, gpa, PAGE_SIZE,
				 private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
	if (!private)
		vm_guest_mem_punch_hole(vcpu->vm, gpa, PAGE_SIZE);
	return true;
}

/* Run the vCPU that the guest made, whatever it is, until the next tick. */
static void run_ap(struct kvm_vcpu *vcpu)
{
	int stop = ticks + AP_TICKS;

	total.ap_runs++;
	while (ticks <= stop) {
		int err = run_once(vcpu);

		if (err == EINTR)
			continue;
		if (err == EFAULT && convert(vcpu))
			continue;
		if (err) {
			total.ap_errors[err % ERRNOS]++;
			return;
		}
		total.ap_exits[vcpu->run->exit_reason & 63]++;
		total.ap_invalid += vcpu->run->exit_reason == KVM_EXIT_FAIL_ENTRY &&
			vcpu->run->fail_entry.hardware_entry_failure_reason == SVM_EXIT_ERR;
		if (vcpu->run->exit_reason == KVM_EXIT_HYPERCALL)
			snp_handle_map_gpa_range(vcpu);
		else if (vcpu->run->exit_reason != KVM_EXIT_IO &&
			 vcpu->run->exit_reason != KVM_EXIT_MMIO)
			return;
	}
}

static u64 progress(struct state *shared)
{
	u64 sum = READ_ONCE(shared->trapped), i;

	for (i = 0; i < NR_OPS; i++)
		sum += READ_ONCE(shared->done[i]);
	return sum;
}

/* Run one VM as long as it is of use. */
static void run_vm(struct state *shared, struct kvm_vcpu *vcpus[2])
{
	struct kvm_run *run = vcpus[0]->run;
	u64 was = 0;
	int stop = ticks + MAX_TICKS, err;

	while (time(NULL) < end) {
		if (progress(shared) + total.exits[KVM_EXIT_HYPERCALL] != was) {
			was = progress(shared) + total.exits[KVM_EXIT_HYPERCALL];
			stop = ticks + MAX_TICKS;
		} else if (ticks > stop) {
			total.stuck[shared->op % NR_OPS]++;
			return;
		}

		err = run_once(vcpus[0]);
		if (err == EINTR)
			continue;
		if (err == EFAULT && convert(vcpus[0])) {
			total.converted++;
			continue;
		}
		if (err) {
			total.errors[err % ERRNOS]++;
			return;
		}

		total.exits[run->exit_reason & 63]++;
		switch (run->exit_reason) {
		case KVM_EXIT_HYPERCALL:
			/* One that is not of memory gets an error. */
			if (run->hypercall.nr == KVM_HC_MAP_GPA_RANGE)
				snp_handle_map_gpa_range(vcpus[0]);
			else
				run->hypercall.ret = 1;
			break;
		case KVM_EXIT_IO:
			if (run->io.port == 0x1000)
				run_ap(vcpus[1]);
			break;
		case KVM_EXIT_MMIO:
		case KVM_EXIT_X86_RDMSR:
		case KVM_EXIT_X86_WRMSR:
			break;
		default:
			return;
		}
	}
}

static void print_exits(const char *who, const u64 *exits)
{
	int i;

	for (i = 0; i < 64; i++) {
		if (exits[i])
			printf("# %s %s: %lu\n", who, exit_reason_str(i), exits[i]);
	}
}

static void print_errors(const char *who, const u64 *errors)
{
	int i;

	for (i = 0; i < ERRNOS; i++) {
		if (errors[i])
			printf("# %s, %s: %lu\n", who, strerror(i), errors[i]);
	}
}

int main(int argc, char *argv[])
{
	struct itimerval interval = {
		.it_interval.tv_usec = TICK_MS * 1000, .it_value.tv_usec = TICK_MS * 1000,
	};
	u64 seed = time(NULL), sum = 0;
	int seconds = 3, opt, i;

	while ((opt = getopt(argc, argv, "t:s:")) != -1) {
		switch (opt) {
		case 't':
			seconds = atoi_positive("seconds", optarg);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: %s [-t SECONDS] [-s SEED]\n", argv[0]);
			return 2;
		}
	}
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SNP_VM));

	setbuf(stdout, NULL);
	printf("TAP version 13\n1..1\n# seed %lu, %d seconds\n", seed, seconds);
	rng = seed | 1;
	end = time(NULL) + seconds;
	sigemptyset(&alarm_set);
	sigaddset(&alarm_set, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm_set, NULL);
	setitimer(ITIMER_REAL, &interval, NULL);

	while (time(NULL) < end) {
		struct kvm_vcpu *vcpus[2];
		struct state *shared;
		struct kvm_vm *vm;

		shared = vm_start(next() | 1, &vm, vcpus);
		run_vm(shared, vcpus);
		for (i = 0; i < NR_OPS; i++)
			total.done[i] += shared->done[i];
		total.trapped += shared->trapped;
		kvm_vm_free(vm);
	}

	printf("# VMs: %lu\n", total.vms);
	print_errors("KVM_RUN", total.errors);
	for (i = 0; i < NR_OPS; i++) {
		printf("# %s: %lu, came to no end: %lu\n", op_names[i], total.done[i],
		       total.stuck[i]);
		sum += total.done[i];
	}
	printf("# exceptions: %lu, conversions by access: %lu\n", total.trapped, total.converted);
	print_exits("exit", total.exits);
	printf("# vCPUs made by the guest ran: %lu, refused by VMRUN: %lu\n", total.ap_runs,
	       total.ap_invalid);
	print_errors("their KVM_RUN", total.ap_errors);
	print_exits("their exit", total.ap_exits);

	/* Where the guest gets to do nothing, nothing was tested. */
	TEST_ASSERT(sum >= 1000, "Only %lu operations", sum);
	printf("ok 1 snp_fuzz\n");
	return 0;
}
