// SPDX-License-Identifier: GPL-2.0-only
/*
 * The instructions of an SNP host, as the kernel sees them
 *
 * Executes each instruction with good and with bad operands and compares
 * status, flags and exceptions with what is documented. Needs a host on which
 * SNP has been enabled, but nothing of the kernel that knows RMPOPT: the
 * instructions are written here once more. The RMPOPT cases program RMPOPT_BASE
 * themselves, so boot a kernel that also does with sev=normpopt.
 *
 *   insmod snp_insn_test.ko [node=N]
 *
 * With a node, the pages of the tests are of that NUMA node.
 */

#include <kunit/test.h>

#include <linux/bitfield.h>
#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/smp.h>
#include <linux/topology.h>
#include <linux/vmalloc.h>

#include <asm/asm.h>
#include <asm/cpuid/api.h>
#include <asm/msr.h>
#include <asm/pgtable.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#define TEST_MSR_SYSCFG		0xc0010010
#define TEST_MSR_RMP_BASE	0xc0010132
#define TEST_MSR_RMP_CFG	0xc0010136
#define TEST_MSR_RMPOPT_BASE	0xc0010139
#define TEST_SNP_EN		BIT_ULL(24)

/* A page of the BIOS, which the firmware makes HV-fixed at SNP_INIT_EX. */
#define TEST_BIOS_PAGE		0xf0000

/* Physical memory ends far below. */
#define NO_RAM			BIT_ULL(39)

enum {
	SUCCESS = 0,
	FAIL_INPUT = 1,
	FAIL_PERMISSION = 2,
	FAIL_OVERLAP = 4,
};

#define PAGES_PER_2M		(SZ_2M / SZ_4K)

/* The operand of RMPUPDATE, and the result of RMPREAD. */
struct rmp_operand {
	u64 gpa;
	u8 assigned;
	u8 pagesize;
	u8 immutable;
	u8 reserved;
	u32 asid;
} __packed;
static_assert(sizeof(struct rmp_operand) == 16);

/* What an instruction did: @trap is -1 when it raised no exception. */
struct outcome {
	u64 rax;
	u64 flags;
	int trap;
};

/*
 * The exception handler leaves the vector in RAX and goes on at label 2, past
 * the instruction that says that there was none.
 */
#define DEFINE_INSN(name, bytes)					\
static noinline struct outcome name(u64 rax, u64 rcx, u64 rdx, bool cf)	\
{									\
	struct outcome out = { };					\
	u64 trapped;							\
									\
	asm volatile("movl $1, %k[trapped]\n\t"				\
		     "btq $0, %[cf]\n\t"				\
		     "1: .byte " bytes "\n\t"				\
		     "pushfq\n\t"					\
		     "popq %[flags]\n\t"				\
		     "movl $0, %k[trapped]\n\t"				\
		     "2:\n"						\
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_FAULT)		\
		     : "+a" (rax), [trapped] "=&r" (trapped),		\
		       [flags] "=&r" (out.flags)			\
		     : "c" (rcx), "d" (rdx), [cf] "r" ((u64)cf)		\
		     : "memory", "cc");					\
	out.rax = rax;							\
	out.trap = trapped ? (int)rax : -1;				\
	return out;							\
}

DEFINE_INSN(rmpopt, "0xf2, 0x0f, 0x01, 0xfc")
DEFINE_INSN(rmpread, "0xf2, 0x0f, 0x01, 0xfd")
DEFINE_INSN(rmpupdate, "0xf2, 0x0f, 0x01, 0xfe")
DEFINE_INSN(psmash, "0xf3, 0x0f, 0x01, 0xff")
DEFINE_INSN(rmpadjust, "0xf3, 0x0f, 0x01, 0xfe")
DEFINE_INSN(pvalidate, "0xf2, 0x0f, 0x01, 0xff")
DEFINE_INSN(vmrun, "0x0f, 0x01, 0xd8")
DEFINE_INSN(vmsave, "0x0f, 0x01, 0xdb")

/* A write (or read) that may fault: the vector, or -1. */
static noinline int try_write(void *p)
{
	u64 rax = 0, trapped;

	asm volatile("movl $1, %k[trapped]\n\t"
		     "1: movb $0x5a, (%[p])\n\t"
		     "movl $0, %k[trapped]\n\t"
		     "2:\n"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_FAULT)
		     : "+a" (rax), [trapped] "=&r" (trapped)
		     : [p] "r" (p) : "memory");
	return trapped ? (int)rax : -1;
}

static int node = NUMA_NO_NODE;
module_param(node, int, 0444);

static struct page *block;	/* 2MB for the tests, in an open region */
static u64 spa;

static int set_state(u64 addr, u8 assigned, u8 pagesize, u32 asid, u64 gpa)
{
	struct rmp_operand op = {
		.gpa = gpa,
		.assigned = assigned,
		.pagesize = pagesize,
		.asid = asid,
	};

	return rmpupdate(addr, (u64)&op, 0, false).rax;
}

static int set_shared(u64 addr)
{
	return set_state(addr, 0, 0, 0, 0);
}

static struct rmp_operand read_entry(struct kunit *test, u64 addr)
{
	struct rmp_operand op = { };
	struct outcome out = rmpread(addr, (u64)&op, 0, false);

	KUNIT_EXPECT_EQ(test, out.trap, -1);
	KUNIT_EXPECT_EQ(test, out.rax, SUCCESS);
	return op;
}

static void rmpupdate_assigns(struct kunit *test)
{
	struct rmp_operand op;

	KUNIT_EXPECT_EQ(test, set_state(spa, 1, 0, 7, 0x12345000), SUCCESS);
	op = read_entry(test, spa);
	KUNIT_EXPECT_EQ(test, op.assigned, 1);
	KUNIT_EXPECT_EQ(test, op.pagesize & 1, 0);
	KUNIT_EXPECT_EQ(test, op.immutable, 0);
	KUNIT_EXPECT_EQ(test, op.asid, 7);
	KUNIT_EXPECT_EQ(test, op.gpa, 0x12345000);
	op = read_entry(test, spa + SZ_4K);
	KUNIT_EXPECT_EQ(test, op.assigned, 0);

	KUNIT_EXPECT_EQ(test, set_shared(spa), SUCCESS);
	op = read_entry(test, spa);
	KUNIT_EXPECT_EQ(test, op.assigned, 0);
}

static void rmpupdate_flags(struct kunit *test)
{
	struct rmp_operand op = { };
	struct outcome out;

	out = rmpupdate(spa, (u64)&op, 0, true);
	KUNIT_EXPECT_TRUE(test, out.flags & X86_EFLAGS_ZF);
	out = rmpupdate(spa + 1, (u64)&op, 0, false);
	KUNIT_EXPECT_EQ(test, out.rax, FAIL_INPUT);
	KUNIT_EXPECT_FALSE(test, out.flags & X86_EFLAGS_ZF);
	KUNIT_EXPECT_FALSE(test, out.flags & X86_EFLAGS_SF);
}

static void rmpupdate_refuses_input(struct kunit *test)
{
	struct rmp_operand op = { .reserved = 1 };

	KUNIT_EXPECT_EQ(test, set_state(spa + 0x800, 0, 0, 0, 0), FAIL_INPUT);
	KUNIT_EXPECT_EQ(test, set_state(spa + SZ_4K, 1, 1, 0, 0), FAIL_INPUT);
	KUNIT_EXPECT_EQ(test, set_state(spa, 1, 0, 7, 0x123), FAIL_INPUT);
	KUNIT_EXPECT_EQ(test, set_state(spa, 1, 0, 100000, 0), FAIL_INPUT);
	KUNIT_EXPECT_EQ(test, set_state(NO_RAM, 0, 0, 0, 0), FAIL_INPUT);
	KUNIT_EXPECT_EQ(test, rmpupdate(spa, (u64)&op, 0, false).rax, FAIL_INPUT);
	KUNIT_EXPECT_EQ(test, read_entry(test, spa).assigned, 0);
}

static void rmpupdate_refuses_protected(struct kunit *test)
{
	u64 rmp;

	rdmsrq(TEST_MSR_RMP_BASE, rmp);
	KUNIT_EXPECT_EQ(test, set_shared(rmp), FAIL_PERMISSION);
	if (!read_entry(test, TEST_BIOS_PAGE).immutable)
		kunit_skip(test, "no immutable page known");
	KUNIT_EXPECT_EQ(test, set_shared(TEST_BIOS_PAGE), FAIL_PERMISSION);
}

/* Hardware says 4 here, where Linux would try for ever. */
static void rmpupdate_refuses_mixed_sizes(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, set_state(spa + SZ_4K, 1, 0, 7, 0), SUCCESS);
	KUNIT_EXPECT_EQ(test, set_state(spa, 1, 1, 7, 0), FAIL_PERMISSION);
	KUNIT_EXPECT_EQ(test, set_shared(spa + SZ_4K), SUCCESS);

	KUNIT_EXPECT_EQ(test, set_state(spa, 1, 1, 7, SZ_2M), SUCCESS);
	KUNIT_EXPECT_EQ(test, set_shared(spa + SZ_4K), FAIL_PERMISSION);
	KUNIT_EXPECT_EQ(test, set_state(spa, 0, 1, 0, 0), SUCCESS);
	KUNIT_EXPECT_EQ(test, read_entry(test, spa).assigned, 0);
	KUNIT_EXPECT_EQ(test, read_entry(test, spa + SZ_4K).assigned, 0);
}

static void operands_fault(struct kunit *test)
{
	void *unmapped = __va(NO_RAM);
	u64 noncanonical = BIT_ULL(63);

	KUNIT_EXPECT_EQ(test, rmpupdate(spa, (u64)unmapped, 0, false).trap,
			X86_TRAP_PF);
	KUNIT_EXPECT_EQ(test, rmpupdate(spa, noncanonical, 0, false).trap,
			X86_TRAP_GP);
	KUNIT_EXPECT_EQ(test, rmpread(spa, (u64)unmapped, 0, false).trap,
			X86_TRAP_PF);
}

static void psmash_splits(struct kunit *test)
{
	struct rmp_operand op;
	unsigned int i;

	KUNIT_EXPECT_EQ(test, psmash(spa, 0, 0, false).rax, FAIL_INPUT);
	KUNIT_ASSERT_EQ(test, set_state(spa, 1, 1, 7, SZ_1G), SUCCESS);
	op = read_entry(test, spa + 5 * SZ_4K);
	KUNIT_EXPECT_EQ(test, op.assigned, 1);
	KUNIT_EXPECT_EQ(test, op.pagesize & 1, 1);
	KUNIT_EXPECT_EQ(test, psmash(spa + SZ_4K, 0, 0, false).rax, FAIL_INPUT);
	KUNIT_EXPECT_EQ(test, psmash(spa, 0, 0, false).rax, SUCCESS);
	for (i = 0; i < PAGES_PER_2M; i++) {
		op = read_entry(test, spa + i * SZ_4K);
		KUNIT_ASSERT_EQ(test, op.assigned, 1);
		KUNIT_ASSERT_EQ(test, op.pagesize & 1, 0);
		KUNIT_ASSERT_EQ(test, op.asid, 7);
		KUNIT_ASSERT_EQ(test, op.gpa, SZ_1G + i * SZ_4K);
	}
	KUNIT_EXPECT_EQ(test, psmash(spa, 0, 0, false).rax, FAIL_INPUT);
	for (i = 0; i < PAGES_PER_2M; i++)
		KUNIT_ASSERT_EQ(test, set_shared(spa + i * SZ_4K), SUCCESS);
}

static void psmash_refuses_input(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, psmash(NO_RAM, 0, 0, false).rax,
			FAIL_INPUT);
}

static void rmpread_refuses_input(struct kunit *test)
{
	struct rmp_operand op;

	KUNIT_EXPECT_EQ(test, rmpread(NO_RAM, (u64)&op, 0, false).rax,
			FAIL_INPUT);
	KUNIT_EXPECT_EQ(test, rmpread(spa + 1, (u64)&op, 0, false).rax,
			FAIL_INPUT);
}

static void guest_instructions_undefined(struct kunit *test)
{
	u64 va = (u64)page_address(block);

	KUNIT_EXPECT_EQ(test, pvalidate(va, 0, 1, false).trap, X86_TRAP_UD);
	KUNIT_EXPECT_EQ(test, rmpadjust(va, 0, 0x101, false).trap, X86_TRAP_UD);
}

/* The page of another mapping of size 4KB, so that only it is checked. */
static void *map_4k(struct kunit *test, unsigned int i)
{
	struct page *page = block + i;
	void *p = vmap(&page, 1, VM_MAP, PAGE_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	return p;
}

static void write_faults(struct kunit *test)
{
	void *assigned = map_4k(test, 0), *other = map_4k(test, 1);

	KUNIT_EXPECT_EQ(test, try_write(assigned), -1);
	KUNIT_ASSERT_EQ(test, set_state(spa, 1, 0, 0, 0), SUCCESS);
	KUNIT_EXPECT_EQ(test, try_write(assigned), X86_TRAP_PF);
	KUNIT_EXPECT_EQ(test, READ_ONCE(*(u8 *)assigned), 0x5a);
	KUNIT_EXPECT_EQ(test, try_write(other), -1);
	KUNIT_ASSERT_EQ(test, set_shared(spa), SUCCESS);
	KUNIT_EXPECT_EQ(test, try_write(assigned), -1);
	vunmap(assigned);
	vunmap(other);
}

/* Through a large mapping, a page nobody owns is closed by its neighbour. */
static void write_faults_on_2m(struct kunit *test)
{
	void *other = page_address(block + 1);
	unsigned int level;

	if (!lookup_address((unsigned long)other, &level) ||
	    level == PG_LEVEL_4K)
		kunit_skip(test, "the direct map has been split here");
	KUNIT_EXPECT_EQ(test, try_write(other), -1);
	KUNIT_ASSERT_EQ(test, set_state(spa, 1, 0, 0, 0), SUCCESS);
	KUNIT_EXPECT_EQ(test, try_write(other), X86_TRAP_PF);
	KUNIT_ASSERT_EQ(test, set_shared(spa), SUCCESS);
	KUNIT_EXPECT_EQ(test, try_write(other), -1);
}

static void rmp_is_closed(struct kunit *test)
{
	void *p;
	u64 rmp;

	rdmsrq(TEST_MSR_RMP_BASE, rmp);
	p = memremap(rmp, SZ_4K, MEMREMAP_WB);
	if (!p)
		kunit_skip(test, "the RMP cannot be mapped");
	KUNIT_EXPECT_EQ(test, try_write(p), X86_TRAP_PF);
	memunmap(p);
}

static void need_svm(struct kunit *test)
{
	u64 efer;

	rdmsrq(MSR_EFER, efer);
	if (!(efer & EFER_SVME))
		kunit_skip(test, "SVM is off");
}

static void vmsave_faults(struct kunit *test)
{
	u64 rmp;

	need_svm(test);
	rdmsrq(TEST_MSR_RMP_BASE, rmp);
	KUNIT_EXPECT_EQ(test, vmsave(rmp, 0, 0, false).trap, X86_TRAP_GP);
	KUNIT_EXPECT_EQ(test, vmsave(spa, 0, 0, false).trap, -1);
	KUNIT_ASSERT_EQ(test, set_state(spa, 1, 0, 7, 0), SUCCESS);
	KUNIT_EXPECT_EQ(test, vmsave(spa, 0, 0, false).trap, X86_TRAP_GP);
	KUNIT_ASSERT_EQ(test, set_shared(spa), SUCCESS);
}

/* Zeroes are no VMCB, so it is back at once, without the interrupt flag. */
static int try_vmrun(u64 vmcb, u64 hsave)
{
	struct outcome out;
	unsigned long flags;
	u64 old;

	local_irq_save(flags);
	rdmsrq(MSR_VM_HSAVE_PA, old);
	wrmsrq(MSR_VM_HSAVE_PA, hsave);
	out = vmrun(vmcb, 0, 0, false);
	asm volatile("stgi");
	wrmsrq(MSR_VM_HSAVE_PA, old);
	local_irq_restore(flags);
	return out.trap;
}

static void vmrun_faults(struct kunit *test)
{
	u64 vmcb = spa, hsave = spa + SZ_4K;

	need_svm(test);
	memset(page_address(block), 0, SZ_4K);
	KUNIT_EXPECT_EQ(test, try_vmrun(vmcb, hsave), -1);
	KUNIT_ASSERT_EQ(test, set_state(vmcb, 1, 0, 7, 0), SUCCESS);
	KUNIT_EXPECT_EQ(test, try_vmrun(vmcb, hsave), X86_TRAP_GP);
	KUNIT_ASSERT_EQ(test, set_shared(vmcb), SUCCESS);
	KUNIT_ASSERT_EQ(test, set_state(hsave, 1, 0, 7, 0), SUCCESS);
	KUNIT_EXPECT_EQ(test, try_vmrun(vmcb, hsave), X86_TRAP_GP);
	KUNIT_ASSERT_EQ(test, set_shared(hsave), SUCCESS);
}

/* RMPOPT on another CPU. */
struct rmpopt_call {
	u64 rax, rcx;
	struct outcome out;
};

static void rmpopt_here(void *arg)
{
	struct rmpopt_call *call = arg;

	call->out = rmpopt(call->rax, call->rcx, 0, false);
}

static struct outcome rmpopt_on(unsigned int cpu, u64 addr, u64 function)
{
	struct rmpopt_call call = { .rax = addr, .rcx = function };

	smp_call_function_single(cpu, rmpopt_here, &call, 1);
	return call.out;
}

static bool verify_on(unsigned int cpu, u64 addr)
{
	return rmpopt_on(cpu, addr, 0).flags & X86_EFLAGS_CF;
}

static bool report_on(unsigned int cpu, u64 addr)
{
	return rmpopt_on(cpu, addr, 1).flags & X86_EFLAGS_CF;
}

static void set_base_here(void *arg)
{
	wrmsrq(TEST_MSR_RMPOPT_BASE, *(u64 *)arg);
}

/* Also empties the table of every core, as the base changes twice. */
static void set_base(u64 base)
{
	u64 off = 0;

	on_each_cpu(set_base_here, &off, 1);
	on_each_cpu(set_base_here, &base, 1);
}

static bool has_rmpopt(void)
{
	return cpuid_edx(0x80000025) & 1;
}

static bool rmp_segmented(void)
{
	u64 val;

	return !rdmsrq_safe(TEST_MSR_RMP_CFG, &val) && (val & 1);
}

static void need_rmpopt(struct kunit *test)
{
	if (!has_rmpopt())
		kunit_skip(test, "this CPU has no RMPOPT");
	if (!rmp_segmented())
		kunit_skip(test, "RMPOPT needs a segmented RMP");
}

static u64 region(void)
{
	return ALIGN_DOWN(spa, SZ_1G);
}

/* A window around the region. */
static u64 window(void)
{
	return ALIGN_DOWN(spa, SZ_2T) | 1;
}

static void rmpopt_undefined(struct kunit *test)
{
	u64 val;

	if (has_rmpopt())
		set_base(0);
	else
		KUNIT_EXPECT_NE(test, rdmsrq_safe(TEST_MSR_RMPOPT_BASE, &val), 0);
	KUNIT_EXPECT_EQ(test, rmpopt(region(), 0, 0, false).trap, X86_TRAP_UD);
	/* Even where the operands are wrong as well. */
	KUNIT_EXPECT_EQ(test, rmpopt(region() + 1, 2, 0, false).trap, X86_TRAP_UD);
	if (!rmp_segmented())
		KUNIT_EXPECT_NE(test, wrmsrq_safe(TEST_MSR_RMPOPT_BASE, 1), 0);
}

static void rmpopt_base_reserved(struct kunit *test)
{
	need_rmpopt(test);
	KUNIT_EXPECT_NE(test, wrmsrq_safe(TEST_MSR_RMPOPT_BASE, 2), 0);
	KUNIT_EXPECT_NE(test, wrmsrq_safe(TEST_MSR_RMPOPT_BASE, SZ_512M | 1), 0);
	KUNIT_EXPECT_NE(test, wrmsrq_safe(TEST_MSR_RMPOPT_BASE, BIT_ULL(52)), 0);
}

static void rmpopt_operands(struct kunit *test)
{
	struct outcome out;

	need_rmpopt(test);
	set_base(window());
	KUNIT_EXPECT_EQ(test, rmpopt(region() + SZ_4K, 0, 0, false).trap,
			X86_TRAP_GP);
	KUNIT_EXPECT_EQ(test, rmpopt(region(), 2, 0, false).trap, X86_TRAP_GP);
	out = rmpopt(region(), 0, 0, false);
	KUNIT_EXPECT_EQ(test, out.trap, -1);
	KUNIT_EXPECT_EQ(test, out.rax, region());
	/* CF is written in both directions. */
	out = rmpopt(region(), 1, 0, false);
	KUNIT_EXPECT_TRUE(test, out.flags & X86_EFLAGS_CF);
	out = rmpopt(NO_RAM, 0, 0, true);
	KUNIT_EXPECT_FALSE(test, out.flags & X86_EFLAGS_CF);
}

static void rmpopt_per_core(struct kunit *test)
{
	unsigned int cpu, first = cpumask_first(cpu_online_mask);

	need_rmpopt(test);
	set_base(window());
	for_each_online_cpu(cpu)
		KUNIT_EXPECT_FALSE(test, report_on(cpu, region()));
	KUNIT_EXPECT_TRUE(test, verify_on(first, region()));
	for_each_online_cpu(cpu) {
		bool sibling = cpumask_test_cpu(cpu,
						topology_sibling_cpumask(first));

		KUNIT_EXPECT_EQ(test, report_on(cpu, region()), sibling);
	}
}

static void rmpopt_follows_rmpupdate(struct kunit *test)
{
	unsigned int cpu;

	need_rmpopt(test);
	set_base(window());
	for_each_online_cpu(cpu)
		KUNIT_EXPECT_TRUE(test, verify_on(cpu, region()));

	KUNIT_ASSERT_EQ(test, set_state(spa, 1, 0, 7, 0), SUCCESS);
	for_each_online_cpu(cpu) {
		KUNIT_EXPECT_FALSE(test, report_on(cpu, region()));
		KUNIT_EXPECT_FALSE(test, verify_on(cpu, region()));
	}
	/* The change back optimizes nothing by itself. */
	KUNIT_ASSERT_EQ(test, set_shared(spa), SUCCESS);
	for_each_online_cpu(cpu)
		KUNIT_EXPECT_FALSE(test, report_on(cpu, region()));
	for_each_online_cpu(cpu) {
		KUNIT_EXPECT_TRUE(test, verify_on(cpu, region()));
		KUNIT_EXPECT_TRUE(test, report_on(cpu, region()));
	}
}

static void rmpopt_window(struct kunit *test)
{
	need_rmpopt(test);
	/* The region lies below the window. */
	set_base((region() + SZ_1G) | 1);
	KUNIT_EXPECT_FALSE(test, verify_on(0, region()));
	KUNIT_EXPECT_FALSE(test, report_on(0, region()));
	/* A window that begins below need not begin at 0. */
	if (region() >= SZ_1G) {
		set_base((region() - SZ_1G) | 1);
		KUNIT_EXPECT_TRUE(test, verify_on(0, region()));
	}
}

static void rmpopt_window_ends(struct kunit *test)
{
	need_rmpopt(test);
	if (region() < SZ_2T)
		kunit_skip(test, "it shows only with RAM above 2TB, snp-far-node=");
	set_base(1);
	KUNIT_EXPECT_FALSE(test, verify_on(0, region()));
	KUNIT_EXPECT_FALSE(test, report_on(0, region()));
	/* The first region above the window, then the last one in it. */
	set_base((region() - SZ_2T) | 1);
	KUNIT_EXPECT_FALSE(test, verify_on(0, region()));
	KUNIT_EXPECT_FALSE(test, report_on(0, region()));
	set_base((region() - SZ_2T + SZ_1G) | 1);
	KUNIT_EXPECT_TRUE(test, verify_on(0, region()));
	KUNIT_EXPECT_TRUE(test, report_on(0, region()));
}

static void rmpopt_skips_no_assigned_page(struct kunit *test)
{
	void *p = map_4k(test, 0);

	need_rmpopt(test);
	set_base(window());
	KUNIT_EXPECT_TRUE(test, verify_on(raw_smp_processor_id(), region()));
	KUNIT_EXPECT_EQ(test, try_write(p), -1);
	KUNIT_ASSERT_EQ(test, set_state(spa, 1, 0, 7, 0), SUCCESS);
	KUNIT_EXPECT_EQ(test, try_write(p), X86_TRAP_PF);
	KUNIT_ASSERT_EQ(test, set_shared(spa), SUCCESS);
	vunmap(p);
}

/* Below 4GB there is MMIO, also where the RMP has entries for it. */
static void rmpopt_not_on_mmio(struct kunit *test)
{
	need_rmpopt(test);
	set_base(1);
	KUNIT_EXPECT_FALSE(test, verify_on(0, SZ_4G - SZ_1G));
}

static void rmpopt_not_on_the_rmp(struct kunit *test)
{
	u64 rmp;

	need_rmpopt(test);
	rdmsrq(TEST_MSR_RMP_BASE, rmp);
	set_base(1);
	KUNIT_EXPECT_FALSE(test, verify_on(0, ALIGN_DOWN(rmp, SZ_1G)));
}

static void msr_locked(struct kunit *test)
{
	u64 val;

	KUNIT_EXPECT_NE(test, wrmsrq_safe(TEST_MSR_RMP_BASE, 0), 0);
	rdmsrq(TEST_MSR_SYSCFG, val);
	wrmsrq(TEST_MSR_SYSCFG, val & ~TEST_SNP_EN);
	rdmsrq(TEST_MSR_SYSCFG, val);
	KUNIT_EXPECT_TRUE(test, val & TEST_SNP_EN);
}

/*
 * A 2MB block of a region in which nobody has an assigned page. Blocks that
 * are elsewhere are kept until one is found, so that they are not offered
 * again.
 */
static bool region_open(u64 addr)
{
	struct rmp_operand op;
	u64 p, start = ALIGN_DOWN(addr, SZ_1G), rmp;

	rdmsrq(TEST_MSR_RMP_BASE, rmp);
	if (ALIGN_DOWN(rmp, SZ_1G) == start)
		return false;
	for (p = start; p < start + SZ_1G; p += SZ_4K) {
		if (rmpread(p, (u64)&op, 0, false).rax || op.assigned)
			return false;
	}
	return true;
}

static int insn_suite_init(struct kunit_suite *suite)
{
	LIST_HEAD(others);
	struct page *page, *next;
	u64 val, closed = 0;
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN;

	if (node != NUMA_NO_NODE)
		gfp |= __GFP_THISNODE;
	/* Without SNP every test is skipped. */
	if (rdmsrq_safe(TEST_MSR_SYSCFG, &val) || !(val & TEST_SNP_EN))
		return 0;
	while (!block) {
		page = alloc_pages_node(node, gfp, get_order(SZ_2M));
		if (!page)
			break;
		spa = page_to_phys(page);
		if (ALIGN_DOWN(spa, SZ_1G) + 1 != closed && region_open(spa)) {
			block = page;
		} else {
			closed = ALIGN_DOWN(spa, SZ_1G) + 1;
			list_add(&page->lru, &others);
		}
	}
	list_for_each_entry_safe(page, next, &others, lru)
		__free_pages(page, get_order(SZ_2M));
	if (block)
		pr_info("snp_insn: testing at %#llx\n", spa);
	return 0;
}

static void insn_suite_exit(struct kunit_suite *suite)
{
	if (block)
		__free_pages(block, get_order(SZ_2M));
	block = NULL;
}

static int insn_test_init(struct kunit *test)
{
	if (!block)
		kunit_skip(test, "no SNP host, or every region has firmware pages");
	return 0;
}

static void insn_test_exit(struct kunit *test)
{
	if (block && has_rmpopt())
		set_base(0);
}

static struct kunit_case insn_cases[] = {
	KUNIT_CASE(rmpupdate_assigns),
	KUNIT_CASE(rmpupdate_flags),
	KUNIT_CASE(rmpupdate_refuses_input),
	KUNIT_CASE(rmpupdate_refuses_protected),
	KUNIT_CASE(rmpupdate_refuses_mixed_sizes),
	KUNIT_CASE(operands_fault),
	KUNIT_CASE(psmash_splits),
	KUNIT_CASE(psmash_refuses_input),
	KUNIT_CASE(rmpread_refuses_input),
	KUNIT_CASE(guest_instructions_undefined),
	KUNIT_CASE(write_faults),
	KUNIT_CASE(write_faults_on_2m),
	KUNIT_CASE(rmp_is_closed),
	KUNIT_CASE(vmsave_faults),
	KUNIT_CASE(vmrun_faults),
	KUNIT_CASE(rmpopt_undefined),
	KUNIT_CASE(rmpopt_base_reserved),
	KUNIT_CASE(rmpopt_operands),
	KUNIT_CASE(rmpopt_per_core),
	KUNIT_CASE(rmpopt_follows_rmpupdate),
	KUNIT_CASE(rmpopt_window),
	KUNIT_CASE(rmpopt_window_ends),
	KUNIT_CASE(rmpopt_skips_no_assigned_page),
	KUNIT_CASE(rmpopt_not_on_mmio),
	KUNIT_CASE(rmpopt_not_on_the_rmp),
	KUNIT_CASE(msr_locked),
	{ }
};

static struct kunit_suite insn_suite = {
	.name = "snp_insn",
	.suite_init = insn_suite_init,
	.suite_exit = insn_suite_exit,
	.init = insn_test_init,
	.exit = insn_test_exit,
	.test_cases = insn_cases,
};

kunit_test_suite(insn_suite);

MODULE_DESCRIPTION("Tests of the SNP host instructions");
MODULE_LICENSE("GPL");
