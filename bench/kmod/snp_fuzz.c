// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a hypervisor can do to the hardware of an SNP host, at random: the RMP
 * instructions with any operand, and VMRUN with any VMCB and any VMSA.
 *
 *   insmod snp_fuzz.ko [seconds=3] [seed=N]
 *
 * Whatever is asked of it, the hardware answers with a status, an exception or
 * an exit code that is documented, and the host lives. Only own pages change
 * their state, and only for a while: other addresses come with operands that
 * are to be refused. No random guest executes a single instruction, as none has
 * memory. Tests of single points of VMRUN for SEV-ES guests, which need the same
 * VMCB, come last.
 *
 * For the emulated host. Do not load it on a machine that is of use.
 */

#include <kunit/test.h>

#include <linux/bitops.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/psp-sev.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sizes.h>

#include <asm/asm.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/svm.h>
#include <asm/trapnr.h>

#define FUZZ_MSR_SYSCFG		0xc0010010
#define FUZZ_MSR_RMP_BASE	0xc0010132
#define FUZZ_SNP_EN		BIT_ULL(24)

#define NO_RAM			BIT_ULL(39)
#define BIOS_PAGE		0xf0000
#define PAGES_PER_2M		(SZ_2M / SZ_4K)

static unsigned int seconds = 3;
module_param(seconds, uint, 0444);
MODULE_PARM_DESC(seconds, "how long each of the two tests of random operands runs");

static ulong seed;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "what the operands come from, at random by default");

static struct rnd_state rnd;

static u64 rnd64(void)
{
	return (u64)prandom_u32_state(&rnd) << 32 | prandom_u32_state(&rnd);
}

static bool one_in(u32 n)
{
	return prandom_u32_state(&rnd) % n == 0;
}

#define rnd_of(array)	((array)[prandom_u32_state(&rnd) % ARRAY_SIZE(array)])

/* As in snp_insn_test.c: RAX and flags, or the vector of an exception. */
struct outcome {
	u64 rax;
	u64 flags;
	int trap;
};

#define DEFINE_INSN(name, bytes)					\
static noinline struct outcome name(u64 rax, u64 rcx, u64 rdx)		\
{									\
	struct outcome out = { };					\
	u64 trapped;							\
									\
	asm volatile("movl $1, %k[trapped]\n\t"				\
		     "1: .byte " bytes "\n\t"				\
		     "pushfq\n\t"					\
		     "popq %[flags]\n\t"				\
		     "movl $0, %k[trapped]\n\t"				\
		     "2:\n"						\
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_FAULT)		\
		     : "+a" (rax), [trapped] "=&r" (trapped),		\
		       [flags] "=&r" (out.flags)			\
		     : "c" (rcx), "d" (rdx)				\
		     : "memory", "cc");					\
	out.rax = rax;							\
	out.trap = trapped ? (int)rax : -1;				\
	return out;							\
}

DEFINE_INSN(rmpopt, "0xf2, 0x0f, 0x01, 0xfc")
DEFINE_INSN(rmpread, "0xf2, 0x0f, 0x01, 0xfd")
DEFINE_INSN(rmpupdate, "0xf2, 0x0f, 0x01, 0xfe")
DEFINE_INSN(psmash_insn, "0xf3, 0x0f, 0x01, 0xff")
DEFINE_INSN(rmpadjust, "0xf3, 0x0f, 0x01, 0xfe")
DEFINE_INSN(pvalidate_insn, "0xf2, 0x0f, 0x01, 0xff")

/* The operand of RMPUPDATE, and the result of RMPREAD */
struct rmp_operand {
	u64 gpa;
	u8 assigned;
	u8 pagesize;
	u8 immutable;
	u8 reserved;
	u32 asid;
} __packed;
static_assert(sizeof(struct rmp_operand) == 16);

static struct page *block;	/* 2MB whose state changes, and nobody else's */
static u64 spa;
static void *other;		/* an ordinary page */
static u64 top;			/* where the RMP ends */

/*
 * The instructions
 */

/* Addresses that RMPUPDATE and PSMASH do not change, whatever the operand */
static u64 untouchable(void)
{
	u64 rmp;

	switch (prandom_u32_state(&rnd) % 6) {
	case 0:
		return NO_RAM + (rnd64() & (NO_RAM - 1) & PAGE_MASK);
	case 1:
		return rnd64() | BIT_ULL(47);
	case 2:
		return BIOS_PAGE;
	case 3:
		/* Not on a page, which is no address for them */
		return (rnd64() % top) | 1;
	case 4:
		return top + (rnd64() & 0xfffff000);
	default:
		rdmsrq(FUZZ_MSR_RMP_BASE, rmp);
		return rmp + (rnd64() & 0x3fff & PAGE_MASK);
	}
}

static u64 own(void)
{
	u64 page = spa + (prandom_u32_state(&rnd) % PAGES_PER_2M) * SZ_4K;

	switch (prandom_u32_state(&rnd) % 8) {
	case 0:
		return spa + (rnd64() & (SZ_2M - 1));
	case 1:
	case 2:
	case 3:
		return spa;
	default:
		return page;
	}
}

/* Where no operand is. A user's address would be the end, with SMAP. */
static u64 bad_pointer(void)
{
	switch (prandom_u32_state(&rnd) % 3) {
	case 0:
		return (rnd64() >> 1) | BIT_ULL(62);
	case 1:
		return (u64)__va(NO_RAM + (rnd64() & (SZ_1G - 1)));
	default:
		return (rnd64() & ~GENMASK_ULL(63, 47)) | BIT_ULL(63);
	}
}

static struct rmp_operand random_operand(void)
{
	struct rmp_operand op = {
		.gpa = one_in(4) ? rnd64() : rnd64() & GENMASK_ULL(40, 12),
		.assigned = one_in(8) ? rnd64() : rnd64() & 1,
		.pagesize = one_in(8) ? rnd64() : rnd64() & 1,
		.immutable = one_in(8) ? rnd64() : one_in(4),
		.reserved = one_in(8) ? rnd64() : 0,
		.asid = one_in(8) ? rnd64() : rnd64() % 600,
	};

	/* A page of the firmware's can be had back, one like the BIOS's not. */
	if (!op.assigned)
		op.immutable = 0;
	return op;
}

static void fuzz_rmpupdate(struct kunit *test)
{
	struct rmp_operand *op = other + (one_in(4) ? rnd64() & 0xfe0 : 0);
	u64 addr = one_in(3) ? untouchable() : own();
	struct outcome out;

	*op = random_operand();
	if (one_in(8)) {
		out = rmpupdate(addr, bad_pointer(), rnd64());
		KUNIT_EXPECT_NE(test, out.trap, -1);
		return;
	}
	out = rmpupdate(addr, (u64)op, rnd64());
	KUNIT_EXPECT_EQ(test, out.trap, -1);
	KUNIT_EXPECT_LE(test, out.rax, 4);
	if (addr - spa >= SZ_2M)
		KUNIT_EXPECT_NE_MSG(test, out.rax, 0, "RMPUPDATE of %#llx", addr);
}

static void fuzz_rmpread(struct kunit *test)
{
	struct outcome out;

	if (one_in(8)) {
		out = rmpread(rnd64(), bad_pointer(), rnd64());
		return;
	}
	out = rmpread(one_in(2) ? rnd64() : one_in(2) ? rnd64() % top : own(),
		      (u64)other + (rnd64() & 0xfe0), rnd64());
	KUNIT_EXPECT_EQ(test, out.trap, -1);
	KUNIT_EXPECT_LE(test, out.rax, 4);
}

static void fuzz_psmash(struct kunit *test)
{
	struct outcome out = psmash_insn(one_in(3) ? untouchable() : own(),
					 rnd64(), rnd64());

	KUNIT_EXPECT_EQ(test, out.trap, -1);
	KUNIT_EXPECT_LE(test, out.rax, 4);
}

/* It changes nothing that anybody depends on. */
static void fuzz_rmpopt(struct kunit *test)
{
	struct outcome out = rmpopt(one_in(2) ? rnd64() :
				    one_in(4) ? rnd64() % top :
				    ALIGN_DOWN(rnd64() % (2 * top), SZ_1G),
				    one_in(4) ? rnd64() : rnd64() & 1, rnd64());

	if (out.trap != -1)
		KUNIT_EXPECT_TRUE(test, out.trap == X86_TRAP_GP ||
				  out.trap == X86_TRAP_UD);
}

/* Not for a hypervisor */
static void fuzz_guest_insn(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, pvalidate_insn(rnd64(), rnd64(), rnd64()).trap,
			X86_TRAP_UD);
	KUNIT_EXPECT_EQ(test, rmpadjust(rnd64(), rnd64(), rnd64()).trap,
			X86_TRAP_UD);
}

/* Have everything shared again, of whatever size it is by now. */
static void take_back(struct kunit *test)
{
	struct rmp_operand *op = other;
	unsigned int i;

	for (i = 0; i < PAGES_PER_2M; i++) {
		struct sev_data_snp_page_reclaim data = { };
		u64 addr = spa + i * SZ_4K;
		bool large;
		int status;

		KUNIT_ASSERT_EQ(test, rmpread(addr, (u64)op, 0).rax, 0);
		large = op->pagesize & 1;
		if (!op->assigned || (large && i))
			continue;
		if (op->immutable) {
			data.paddr = addr | large;
			KUNIT_ASSERT_EQ(test, 0,
					sev_do_cmd(SEV_CMD_SNP_PAGE_RECLAIM,
						   &data, &status));
		}
		memset(op, 0, sizeof(*op));
		op->pagesize = large;
		KUNIT_ASSERT_EQ(test, rmpupdate(addr, (u64)op, 0).rax, 0);
	}
	for (i = 0; i < PAGES_PER_2M; i++) {
		KUNIT_ASSERT_EQ(test, rmpread(spa + i * SZ_4K, (u64)op, 0).rax, 0);
		KUNIT_ASSERT_EQ(test, op->assigned, 0);
	}
}

static void set_random_states(void)
{
	unsigned int i;

	for (i = 0; i < 64; i++) {
		struct rmp_operand *op = other;

		*op = random_operand();
		op->immutable = 0;
		rmpupdate(own(), (u64)op, 0);
	}
}

static void instructions(struct kunit *test)
{
	u64 end = local_clock() + seconds * NSEC_PER_SEC, n = 0;

	while (local_clock() < end && READ_ONCE(test->status) != KUNIT_FAILURE) {
		unsigned int i;

		for (i = 0; i < 256; i++) {
			switch (prandom_u32_state(&rnd) % 8) {
			case 0:
			case 1:
			case 2:
				fuzz_rmpupdate(test);
				break;
			case 3:
			case 4:
				fuzz_rmpread(test);
				break;
			case 5:
				fuzz_psmash(test);
				break;
			case 6:
				fuzz_rmpopt(test);
				break;
			default:
				fuzz_guest_insn(test);
			}
		}
		n += i;
		take_back(test);
		cond_resched();
	}
	kunit_info(test, "%llu instructions\n", n);
}

/*
 * VMRUN
 */

enum {
	PAGE_VMCB,
	PAGE_HSAVE,
	PAGE_VMSA,
	PAGE_NPT,		/* maps nothing */
	PAGE_MSRPM,		/* two */
	PAGE_IOPM = PAGE_MSRPM + 2,	/* three */
	PAGE_TABLES = PAGE_IOPM + 3,	/* five levels: map the next page at 0 */
	PAGE_GUEST = PAGE_TABLES + 5,
	NR_AREA_PAGES,
};

static u8 *area;

static void *area_page(int i)
{
	return area + i * PAGE_SIZE;
}

static u64 area_pa(int i)
{
	return __pa(area_page(i));
}

/* What #VMEXIT has to bring back, and what VMRUN must not touch */
struct host_state {
	u64 cr0, cr3, cr4, efer, xcr0, dr7;
	u64 fs_base, gs_base, kernel_gs_base, star, lstar, cstar, sfmask;
	u64 sysenter_cs, sysenter_esp, sysenter_eip, pat, hsave;
	struct desc_ptr gdt, idt;
	u16 tr, ldt, ss, cs, ds, es;
};

static void get_host_state(struct host_state *state)
{
	memset(state, 0, sizeof(*state));
	state->cr0 = read_cr0();
	state->cr3 = __read_cr3();
	state->cr4 = __read_cr4();
	state->dr7 = native_get_debugreg(7);
	state->xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	rdmsrq(MSR_EFER, state->efer);
	rdmsrq(MSR_FS_BASE, state->fs_base);
	rdmsrq(MSR_GS_BASE, state->gs_base);
	rdmsrq(MSR_KERNEL_GS_BASE, state->kernel_gs_base);
	rdmsrq(MSR_STAR, state->star);
	rdmsrq(MSR_LSTAR, state->lstar);
	rdmsrq(MSR_CSTAR, state->cstar);
	rdmsrq(MSR_SYSCALL_MASK, state->sfmask);
	rdmsrq(MSR_IA32_SYSENTER_CS, state->sysenter_cs);
	rdmsrq(MSR_IA32_SYSENTER_ESP, state->sysenter_esp);
	rdmsrq(MSR_IA32_SYSENTER_EIP, state->sysenter_eip);
	rdmsrq(MSR_IA32_CR_PAT, state->pat);
	rdmsrq(MSR_VM_HSAVE_PA, state->hsave);
	native_store_gdt(&state->gdt);
	store_idt(&state->idt);
	state->tr = 0;
	asm volatile("str %0" : "=r" (state->tr));
	asm volatile("sldt %0" : "=r" (state->ldt));
	savesegment(ss, state->ss);
	asm volatile("movw %%cs, %0" : "=r" (state->cs));
	savesegment(ds, state->ds);
	savesegment(es, state->es);
}

/*
 * Without the global interrupt flag, from the host's state saved for an SEV-ES
 * guest's exit on. Such an exit loads all registers; those that the compiler
 * counts on are on the stack meanwhile.
 */
static noinline int vmrun(u64 pa, u64 hsave)
{
	u64 trapped;

	asm volatile("clgi\n\t"
		     "pushq %%rax\n\t"
		     "movq %[hsave], %%rax\n\t"
		     "vmsave %%rax\n\t"
		     "popq %%rax\n\t"
		     "pushq %%rbp\n\t"
		     "pushq %%rbx\n\t"
		     "pushq %%r12\n\t"
		     "pushq %%r13\n\t"
		     "pushq %%r14\n\t"
		     "pushq %%r15\n\t"
		     "pushq $1\n\t"
		     "1: vmrun %%rax\n\t"
		     "movq $0, (%%rsp)\n\t"
		     "2: popq %%rcx\n\t"
		     "popq %%r15\n\t"
		     "popq %%r14\n\t"
		     "popq %%r13\n\t"
		     "popq %%r12\n\t"
		     "popq %%rbx\n\t"
		     "popq %%rbp\n\t"
		     "stgi\n\t"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_FAULT)
		     : "+a" (pa), "=&c" (trapped), [hsave] "+d" (hsave)
		     :
		     : "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
	return trapped ? (int)pa : -1;
}

static void sane_segments(struct vmcb_seg *es, struct vmcb_seg *gdtr,
			  struct vmcb_seg *ldtr, struct vmcb_seg *idtr,
			  struct vmcb_seg *tr)
{
	struct vmcb_seg *seg;

	for (seg = es; seg < es + 6; seg++)
		*seg = (struct vmcb_seg){ .attrib = 0x93, .limit = 0xffff };
	es[1].attrib = 0x9b;
	gdtr->limit = 0xffff;
	idtr->limit = 0xffff;
	*ldtr = (struct vmcb_seg){ .attrib = 0x82, .limit = 0xffff };
	*tr = (struct vmcb_seg){ .attrib = 0x8b, .limit = 0xffff };
}

/* In real mode; each field is one that VMRUN accepts. */
static void sane_vmcb(struct vmcb *vmcb)
{
	struct vmcb_control_area *control = &vmcb->control;
	struct vmcb_save_area *save = &vmcb->save;

	memset(vmcb, 0, PAGE_SIZE);
	memset(control->intercepts, 0xff, sizeof(control->intercepts));
	control->iopm_base_pa = area_pa(PAGE_IOPM);
	control->msrpm_base_pa = area_pa(PAGE_MSRPM);
	control->asid = 1;
	control->misc_ctl = SVM_MISC_ENABLE_NP;
	control->nested_cr3 = area_pa(PAGE_NPT);
	control->int_ctl = V_INTR_MASKING_MASK;
	sane_segments(&save->es, &save->gdtr, &save->ldtr, &save->idtr, &save->tr);
	save->efer = EFER_SVME;
	save->cr0 = X86_CR0_ET;
	save->dr6 = 0xffff0ff0;
	save->dr7 = 0x400;
	save->rflags = 2;
	save->rip = 0x1000;
	save->g_pat = 0x7040600070406ULL;
}

static void sane_vmsa(struct sev_es_save_area *vmsa)
{
	memset(vmsa, 0, PAGE_SIZE);
	sane_segments(&vmsa->es, &vmsa->gdtr, &vmsa->ldtr, &vmsa->idtr, &vmsa->tr);
	vmsa->efer = EFER_SVME;
	vmsa->cr0 = X86_CR0_ET;
	vmsa->dr6 = 0xffff0ff0;
	vmsa->dr7 = 0x400;
	vmsa->rflags = 2;
	vmsa->rip = 0x1000;
	vmsa->g_pat = 0x7040600070406ULL;
	vmsa->xcr0 = 1;
	vmsa->mxcsr = 0x1f80;
	vmsa->x87_fcw = 0x37f;
}

/*
 * Have a page be in a guest's view what it is in ours: as the emulated hardware
 * does it, in hw/i386/snp-memory.c of the emulator.
 */
static void encrypt(u32 asid, void *page)
{
	u64 pa = __pa(page);
	unsigned int i;

	for (i = 0; i < PAGE_SIZE; i += 8) {
		u64 z = ((pa + i) >> 3) + asid * 0x9e3779b97f4a7c15ULL;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
		*(u64 *)(page + i) ^= z ^ (z >> 31);
	}
}

static void flip(void *p, u32 size, u32 nr)
{
	while (nr--)
		((u8 *)p)[prandom_u32_state(&rnd) % size] ^= BIT(prandom_u32_state(&rnd) % 8);
}

static void randomize(void *p, u32 size, u32 nr)
{
	while (nr--)
		((u64 *)p)[prandom_u32_state(&rnd) % (size / 8)] =
			one_in(2) ? rnd64() : BIT_ULL(prandom_u32_state(&rnd) % 64);
}

/* Half of them get far with it. */
static void mutate(void *p, u32 size)
{
	switch (prandom_u32_state(&rnd) % 8) {
	case 0:
		prandom_bytes_state(&rnd, p, size);
		break;
	case 1:
		randomize(p, size, 1 + prandom_u32_state(&rnd) % 8);
		break;
	case 2:
	case 3:
		flip(p, size, 1 + prandom_u32_state(&rnd) % 32);
		break;
	case 4:
	case 5:
		flip(p, size, 1 + prandom_u32_state(&rnd) % 2);
		break;
	}
}

static u64 random_vmsa_pa(void)
{
	switch (prandom_u32_state(&rnd) % 12) {
	case 0:
		return untouchable();
	case 1:
		return own();
	case 2:
		return area_pa(PAGE_VMSA) + (rnd64() & 0xfff);
	case 3:
		return 0xffffffffffffffffULL;
	default:
		return area_pa(PAGE_VMSA);
	}
}

/*
 * However random it is: the guest has no memory, so that it cannot execute
 * anything, its end is intercepted, and so are the host's interrupts. What the
 * hardware writes to is ours.
 */
static void restrain(struct vmcb_control_area *control)
{
	control->intercepts[INTERCEPT_WORD3] |= BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(31);
	control->misc_ctl |= SVM_MISC_ENABLE_NP;
	control->nested_cr3 = area_pa(PAGE_NPT);
	control->vmsa_pa = random_vmsa_pa();
	control->avic_vapic_bar = 0;
	control->avic_backing_page = area_pa(PAGE_NPT);
	control->avic_logical_id = area_pa(PAGE_NPT);
	control->avic_physical_id = area_pa(PAGE_NPT);
	control->exit_code = 0x5a5a5a5a;
}

static bool exit_code_is_known(u64 code)
{
	return code == SVM_EXIT_ERR || code == (u64)-2 ||
	       (code >= SVM_EXIT_EXCP_BASE && code < SVM_EXIT_EXCP_BASE + 32) ||
	       (code >= SVM_EXIT_INTR && code <= SVM_EXIT_VINTR) ||
	       code == SVM_EXIT_SHUTDOWN || code == SVM_EXIT_NPF;
}

static unsigned long nr_invalid, nr_npf, nr_other, nr_trapped;

/* Returns the vector of an exception, or -1. */
static int enter_guest(struct kunit *test, u64 pa)
{
	struct sev_es_save_area *host;
	struct host_state before, after;
	unsigned long flags;
	u64 old_hsave;
	int trap;

	local_irq_save(flags);
	kernel_fpu_begin();
	rdmsrq(MSR_VM_HSAVE_PA, old_hsave);
	wrmsrq(MSR_VM_HSAVE_PA, area_pa(PAGE_HSAVE));
	host = &((struct vmcb *)area_page(PAGE_HSAVE))->host_sev_es_save;
	memset(area_page(PAGE_HSAVE), 0, PAGE_SIZE);
	host->xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	host->pkru = rdpkru();
	get_host_state(&before);
	trap = vmrun(pa, area_pa(PAGE_HSAVE));
	get_host_state(&after);
	wrmsrq(MSR_VM_HSAVE_PA, old_hsave);
	kernel_fpu_end();
	local_irq_restore(flags);

	KUNIT_EXPECT_MEMEQ(test, &before, &after, sizeof(before));
	return trap;
}

static void fuzz_vmrun(struct kunit *test)
{
	struct vmcb *vmcb = area_page(PAGE_VMCB);
	struct sev_es_save_area *vmsa = area_page(PAGE_VMSA);
	u64 pa = area_pa(PAGE_VMCB), code;
	int trap;

	sane_vmcb(vmcb);
	sane_vmsa(vmsa);
	mutate(&vmcb->control, sizeof(vmcb->control));
	mutate(&vmcb->save, sizeof(vmcb->save));
	mutate(vmsa, sizeof(*vmsa));
	/* With encrypted state or without, with an ASID that goes with it */
	if (!one_in(4)) {
		vmcb->control.misc_ctl &= ~(u64)(SVM_MISC_ENABLE_SEV | SVM_MISC_ENABLE_SEV_ES);
		switch (prandom_u32_state(&rnd) % 3) {
		case 0:
			vmcb->control.misc_ctl |= SVM_MISC_ENABLE_SEV | SVM_MISC_ENABLE_SEV_ES;
			vmcb->control.asid = 1 + prandom_u32_state(&rnd) % 99;
			encrypt(vmcb->control.asid, vmsa);
			break;
		case 1:
			vmcb->control.misc_ctl |= SVM_MISC_ENABLE_SEV;
			vmcb->control.asid = 100 + prandom_u32_state(&rnd) % 400;
			break;
		}
	}
	restrain(&vmcb->control);
	if (one_in(32))
		pa = one_in(2) ? pa + (rnd64() & 0xfff) : rnd64() | BIT_ULL(60);

	trap = enter_guest(test, pa);
	code = vmcb->control.exit_code;
	if (trap != -1) {
		KUNIT_EXPECT_NE(test, pa, area_pa(PAGE_VMCB));
		KUNIT_EXPECT_EQ(test, trap, X86_TRAP_GP);
		nr_trapped++;
	} else {
		KUNIT_EXPECT_TRUE_MSG(test, exit_code_is_known(code), "exit code %#llx", code);
		nr_invalid += code == SVM_EXIT_ERR;
		nr_npf += code == SVM_EXIT_NPF;
		nr_other += code != SVM_EXIT_ERR && code != SVM_EXIT_NPF;
	}
	KUNIT_ASSERT_PTR_EQ(test, memchr_inv(area_page(PAGE_NPT), 0, PAGE_SIZE), NULL);
}

static void need_svm(struct kunit *test)
{
	u64 efer;

	rdmsrq(MSR_EFER, efer);
	if (!(efer & EFER_SVME))
		kunit_skip(test, "SVM is off");
}

static void vmrun_vmcbs(struct kunit *test)
{
	u64 end = local_clock() + seconds * NSEC_PER_SEC;

	need_svm(test);
	/* To be found where a VMSA could be: pages of some guest, and of none */
	set_random_states();
	while (local_clock() < end && READ_ONCE(test->status) != KUNIT_FAILURE) {
		unsigned int i;

		for (i = 0; i < 64; i++)
			fuzz_vmrun(test);
		cond_resched();
	}
	kunit_info(test, "exits: %lu invalid, %lu nested page faults, %lu others; %lu #GP\n",
		   nr_invalid, nr_npf, nr_other, nr_trapped);
	/* Some have to be let in, and some not. */
	KUNIT_EXPECT_GT(test, nr_invalid, 0);
	KUNIT_EXPECT_GT(test, nr_npf, 0);
	take_back(test);
}

/* A guest of encrypted state that VMRUN accepts, but for what the caller changes */
static struct vmcb *sane_es_guest(void)
{
	struct vmcb *vmcb = area_page(PAGE_VMCB);

	sane_vmcb(vmcb);
	restrain(&vmcb->control);
	vmcb->control.misc_ctl |= SVM_MISC_ENABLE_SEV | SVM_MISC_ENABLE_SEV_ES;
	vmcb->control.vmsa_pa = area_pa(PAGE_VMSA);
	sane_vmsa(area_page(PAGE_VMSA));
	return vmcb;
}

static u64 exit_code_of(struct kunit *test, struct vmcb *vmcb)
{
	KUNIT_EXPECT_EQ(test, enter_guest(test, __pa(vmcb)), -1);
	return vmcb->control.exit_code;
}

static int read_page(void *page)
{
	while (!kthread_should_stop()) {
		READ_ONCE(*(u64 *)page);
		cond_resched();
	}
	return 0;
}

/* The host may look at a save area while its guest runs, and sees nothing. */
static void vmsa_is_read(struct kunit *test)
{
	struct task_struct *reader;
	struct vmcb *vmcb;
	unsigned int i;

	need_svm(test);
	vmcb = sane_es_guest();
	encrypt(vmcb->control.asid, area_page(PAGE_VMSA));
	reader = kthread_run(read_page, area_page(PAGE_VMSA), "snp_fuzz_reader");
	KUNIT_ASSERT_FALSE(test, IS_ERR(reader));
	for (i = 0; i < 2000 && READ_ONCE(test->status) != KUNIT_FAILURE; i++) {
		KUNIT_EXPECT_EQ_MSG(test, exit_code_of(test, vmcb), SVM_EXIT_NPF, "entry %u", i);
		/* Where it is has not changed. */
		KUNIT_EXPECT_EQ(test, vmcb->control.exit_info_2, 0x1000);
		cond_resched();
	}
	kthread_stop(reader);
}

/* Of an exit that the guest gets as #VC the host learns nothing, nor of RIP. */
static void vmrun_hides_instructions(struct kunit *test)
{
	static const u8 in[] = { 0xe4, 0x80 }, hlt[] = { 0xf4 };
	u16 *ivt = area_page(PAGE_GUEST);
	struct sev_es_save_area *vmsa = area_page(PAGE_VMSA);
	struct vmcb *vmcb;
	unsigned int i;

	need_svm(test);
	vmcb = sane_es_guest();
	for (i = 0; i < 5; i++)
		*(u64 *)area_page(PAGE_TABLES + i) = area_pa(PAGE_TABLES + i + 1) | _PAGE_TABLE;
	vmcb->control.nested_cr3 = area_pa(PAGE_TABLES + !(__read_cr4() & X86_CR4_LA57));
	memset(ivt, 0, PAGE_SIZE);
	ivt[2 * X86_TRAP_VC] = 0x900;
	memcpy((void *)ivt + 0x800, in, sizeof(in));
	memcpy((void *)ivt + 0x900, hlt, sizeof(hlt));
	encrypt(vmcb->control.asid, ivt);
	vmsa->rip = 0x800;
	vmsa->rsp = 0xa00;
	encrypt(vmcb->control.asid, vmsa);
	KUNIT_EXPECT_EQ(test, exit_code_of(test, vmcb), SVM_EXIT_HLT);
	KUNIT_EXPECT_EQ(test, vmcb->control.exit_info_1, 0);
	KUNIT_EXPECT_EQ(test, vmcb->control.exit_info_2, 0);
	KUNIT_EXPECT_EQ(test, vmcb->control.next_rip, 0);
}

/* Instructions of a guest of encrypted state are its own to emulate. */
static void vmrun_events(struct kunit *test)
{
	static const struct {
		u32 event;
		u64 es, other;
	} cases[] = {
		{ SVM_EVTINJ_TYPE_SOFT | 0x80, SVM_EXIT_ERR, SVM_EXIT_NPF },
		{ SVM_EVTINJ_TYPE_EXEPT | X86_TRAP_BP, SVM_EXIT_ERR, SVM_EXIT_NPF },
		{ SVM_EVTINJ_TYPE_EXEPT | X86_TRAP_OF, SVM_EXIT_ERR, SVM_EXIT_NPF },
		{ SVM_EVTINJ_TYPE_EXEPT | X86_TRAP_UD, SVM_EXIT_NPF, SVM_EXIT_NPF },
		{ SVM_EVTINJ_TYPE_INTR | 0x80, SVM_EXIT_NPF, SVM_EXIT_NPF },
	};
	unsigned int i;

	need_svm(test);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vmcb *vmcb = sane_es_guest();

		encrypt(vmcb->control.asid, area_page(PAGE_VMSA));
		vmcb->control.event_inj = SVM_EVTINJ_VALID | cases[i].event;
		KUNIT_EXPECT_EQ_MSG(test, exit_code_of(test, vmcb), cases[i].es,
				    "event %#x", cases[i].event);
		sane_vmcb(vmcb);
		restrain(&vmcb->control);
		vmcb->control.event_inj = SVM_EVTINJ_VALID | cases[i].event;
		KUNIT_EXPECT_EQ_MSG(test, exit_code_of(test, vmcb), cases[i].other,
				    "event %#x", cases[i].event);
	}
}

static void vmrun_refuses_state(struct kunit *test)
{
	struct vmcb *vmcb = area_page(PAGE_VMCB);
	struct sev_es_save_area *vmsa = area_page(PAGE_VMSA);

	need_svm(test);
	sane_vmcb(vmcb);
	restrain(&vmcb->control);
	KUNIT_EXPECT_EQ(test, exit_code_of(test, vmcb), SVM_EXIT_NPF);
	vmcb->save.g_pat = 0x0307040600070406ULL;
	KUNIT_EXPECT_EQ(test, exit_code_of(test, vmcb), SVM_EXIT_ERR);
	vmcb->save.g_pat = 0x0007040600070406ULL;
	vmcb->control.nested_cr3 |= BIT_ULL(52);
	KUNIT_EXPECT_EQ(test, exit_code_of(test, vmcb), SVM_EXIT_ERR);

	sane_es_guest();
	vmsa->g_pat = 0x0807040600070406ULL;
	encrypt(vmcb->control.asid, vmsa);
	KUNIT_EXPECT_EQ(test, exit_code_of(test, vmcb), SVM_EXIT_ERR);
	/* AVX without SSE */
	sane_es_guest();
	vmsa->xcr0 = XFEATURE_MASK_FP | XFEATURE_MASK_YMM;
	encrypt(vmcb->control.asid, vmsa);
	KUNIT_EXPECT_EQ(test, exit_code_of(test, vmcb), SVM_EXIT_ERR);
}

static int fuzz_suite_init(struct kunit_suite *suite)
{
	struct page *page;
	u64 val;

	if (rdmsrq_safe(FUZZ_MSR_SYSCFG, &val) || !(val & FUZZ_SNP_EN))
		return 0;
	if (!seed)
		seed = get_random_u32();
	prandom_seed_state(&rnd, seed);
	pr_info("# seed=%lu\n", seed);
	page = alloc_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	other = page_address(page);
	for (val = 0; val < NO_RAM; val += SZ_1G) {
		if (!rmpread(val, (u64)other, 0).rax)
			top = val + SZ_1G;
	}
	block = alloc_pages(GFP_KERNEL, get_order(SZ_2M));
	if (!block) {
		free_page((unsigned long)other);
		return -ENOMEM;
	}
	spa = page_to_phys(block);
	area = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO,
				      get_order(NR_AREA_PAGES * PAGE_SIZE));
	if (!area) {
		__free_pages(block, get_order(SZ_2M));
		free_page((unsigned long)other);
		block = NULL;
		return -ENOMEM;
	}
	memset(area_page(PAGE_MSRPM), 0xff, 5 * PAGE_SIZE);
	return 0;
}

static void fuzz_suite_exit(struct kunit_suite *suite)
{
	if (!block)
		return;
	free_pages((unsigned long)area, get_order(NR_AREA_PAGES * PAGE_SIZE));
	__free_pages(block, get_order(SZ_2M));
	free_page((unsigned long)other);
	block = NULL;
}

static int fuzz_test_init(struct kunit *test)
{
	if (!block)
		kunit_skip(test, "no SNP host");
	return 0;
}

static struct kunit_case fuzz_cases[] = {
	KUNIT_CASE_SLOW(instructions),
	KUNIT_CASE_SLOW(vmrun_vmcbs),
	KUNIT_CASE(vmsa_is_read),
	KUNIT_CASE(vmrun_hides_instructions),
	KUNIT_CASE(vmrun_events),
	KUNIT_CASE(vmrun_refuses_state),
	{ }
};

static struct kunit_suite fuzz_suite = {
	.name = "snp_fuzz",
	.suite_init = fuzz_suite_init,
	.suite_exit = fuzz_suite_exit,
	.init = fuzz_test_init,
	.test_cases = fuzz_cases,
};

kunit_test_suite(fuzz_suite);

MODULE_DESCRIPTION("Random operands for the instructions of an SNP host");
MODULE_LICENSE("GPL");
