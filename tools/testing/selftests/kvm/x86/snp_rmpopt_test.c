// SPDX-License-Identifier: GPL-2.0-only
/*
 * RMPOPT follows the SNP VMs of the host: a 1GB region in which a VM has
 * private pages is not optimized on any core, and it is again once the last
 * page of the last VM in there is shared.
 *
 * The test does not run the guests, to launch them makes pages private.  It
 * expects that no other SNP VM comes or goes meanwhile.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "kvm_util.h"
#include "processor.h"
#include "rmpopt.h"
#include "sev.h"
#include "test_util.h"

#include "kselftest_harness.h"

#define MEM_GPA			BIT_ULL(32)
#define MEM_SLOT		1
#define CHUNK_PAGES		16UL
#define NR_CHUNKS		128
#define NR_PAGES		(NR_CHUNKS * CHUNK_PAGES)
#define FILLER_SIZE		(128UL << 20)

#define TIMEOUT_S		(2 * RMPOPT_TIMEOUT_MS / 1000)

static struct rmpopt_regions minus(const struct rmpopt_regions *a, const struct rmpopt_regions *b)
{
	struct rmpopt_regions ret;
	int i;

	for (i = 0; i < RMPOPT_NR_REGIONS; i++)
		ret.bit[i] = a->bit[i] && !b->bit[i];

	return ret;
}

static bool any_of(const struct rmpopt_regions *a, const struct rmpopt_regions *b)
{
	int i;

	for (i = 0; i < RMPOPT_NR_REGIONS; i++) {
		if (a->bit[i] && b->bit[i])
			return true;
	}

	return false;
}

static struct rmpopt_regions optimized_on(int cpu)
{
	char path[128];

	snprintf(path, sizeof(path), RMPOPT_SYSFS_CPU "cpu%d/rmpopt/regions", cpu);
	return rmpopt_read_regions(path);
}

static s64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void guest_code(void)
{
	GUEST_DONE();
}

struct snp_vm {
	struct kvm_vm *vm;
	int gmem;
};

/* A VM whose launch started, with NR_PAGES of memory of which none is private */
static struct snp_vm vm_start(void)
{
	struct kvm_vcpu *vcpu;
	struct snp_vm snp;

	snp.vm = vm_sev_create_with_one_vcpu(KVM_X86_SNP_VM, guest_code, &vcpu);
	snp.gmem = vm_create_guest_memfd(snp.vm, NR_PAGES * PAGE_SIZE, 0);
	vm_mem_add(snp.vm, VM_MEM_SRC_ANONYMOUS, MEM_GPA, MEM_SLOT, NR_PAGES,
		   KVM_MEM_GUEST_MEMFD, snp.gmem, 0);
	vm_mem_set_private(snp.vm, MEM_GPA, NR_PAGES * PAGE_SIZE);
	snp_vm_launch_start(snp.vm, snp_default_policy());

	return snp;
}

static void vm_add_chunk(struct snp_vm *snp, int chunk)
{
	gpa_t gpa = MEM_GPA + chunk * CHUNK_PAGES * PAGE_SIZE;

	snp_launch_update_data(snp->vm, gpa, (u64)addr_gpa2hva(snp->vm, gpa),
			       CHUNK_PAGES * PAGE_SIZE, KVM_SEV_SNP_PAGE_TYPE_NORMAL);
}

static void vm_finish(struct snp_vm *snp)
{
	snp_vm_launch_update(snp->vm);
	snp_vm_launch_finish(snp->vm);
}

/*
 * Add chunks until one makes a region of @all dark, and return how many.  New
 * pages may well come from a region where the firmware has pages anyway, so
 * have somebody else take those.
 */
static int vm_add_until_dark(struct snp_vm *snp, const struct rmpopt_regions *all)
{
	struct rmpopt_regions left;
	void *mem;
	int i;

	for (i = 0; i < NR_CHUNKS; ) {
		vm_add_chunk(snp, i++);
		left = rmpopt_optimized();
		if (!rmpopt_equal(&left, all))
			break;

		/* Until this process ends */
		mem = mmap(NULL, FILLER_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
		madvise(mem, FILLER_SIZE, MADV_HUGEPAGE);
		TEST_ASSERT(!madvise(mem, FILLER_SIZE, MADV_POPULATE_WRITE),
			    "No memory is left: %s", strerror(errno));
	}
	TEST_ASSERT(!rmpopt_equal(&left, all), "No region got dark");

	return i;
}

static struct snp_vm vm_launch(const struct rmpopt_regions *all)
{
	struct snp_vm snp = vm_start();

	vm_add_until_dark(&snp, all);
	vm_finish(&snp);

	return snp;
}

static void vm_end(struct snp_vm *snp)
{
	/* The library has a file descriptor of its own. */
	close(snp->gmem);
	kvm_vm_free(snp->vm);
}

FIXTURE(snp_rmpopt)
{
	struct rmpopt_regions all;
	cpu_set_t cpus;
	char mode[16];
};

FIXTURE_VARIANT(snp_rmpopt)
{
	const char *mode;
};

FIXTURE_VARIANT_ADD(snp_rmpopt, lazy)
{
	.mode = "lazy",
};

FIXTURE_VARIANT_ADD(snp_rmpopt, eager)
{
	.mode = "eager",
};

/* The tables of the cores that this task may use have what they can of @want. */
static void expect_everywhere(cpu_set_t *cpus, const struct rmpopt_regions *want)
{
	struct rmpopt_regions got, can;
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, cpus))
			continue;
		got = optimized_on(cpu);
		can = rmpopt_in_window(want, cpu);
		TEST_ASSERT(rmpopt_equal(&got, &can), "CPU %d has %d regions, want %d", cpu,
			    rmpopt_count(&got), rmpopt_count(&can));
	}
}

static void expect_nowhere(cpu_set_t *cpus, const struct rmpopt_regions *unwanted)
{
	struct rmpopt_regions got;
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, cpus))
			continue;
		got = optimized_on(cpu);
		TEST_ASSERT(!any_of(&got, unwanted), "CPU %d has a private region", cpu);
	}
}

FIXTURE_SETUP(snp_rmpopt)
{
	if (!rmpopt_is_on())
		SKIP(return, "RMPOPT is not in use");
	if (!(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SNP_VM)))
		SKIP(return, "KVM has no SNP VMs");

	ASSERT_EQ(sched_getaffinity(0, sizeof(self->cpus), &self->cpus), 0);
	rmpopt_read(RMPOPT_SYSFS "mode", self->mode, sizeof(self->mode));
	ASSERT_EQ(rmpopt_write(RMPOPT_SYSFS "mode", variant->mode), 0);

	/*
	 * Everything that can be optimized is what "on" verifies afresh.  The
	 * firmware's regions are never among it.
	 */
	ASSERT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "off"), 0);
	ASSERT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "on"), 0);
	ASSERT_EQ(rmpopt_read_number(RMPOPT_SYSFS "pending"), 0);
	self->all = rmpopt_optimized();
	ASSERT_GT(rmpopt_count(&self->all), 0);
}

FIXTURE_TEARDOWN(snp_rmpopt)
{
	rmpopt_write(RMPOPT_SYSFS "control", "on");
	rmpopt_write(RMPOPT_SYSFS "mode", self->mode);
}

TEST_F_TIMEOUT(snp_rmpopt, vm_comes_and_goes, TIMEOUT_S)
{
	struct rmpopt_regions left, dark;
	struct snp_vm snp;

	expect_everywhere(&self->cpus, &self->all);

	snp = vm_launch(&self->all);
	left = rmpopt_optimized();
	dark = minus(&self->all, &left);
	ASSERT_GT(rmpopt_count(&dark), 0);
	expect_nowhere(&self->cpus, &dark);

	vm_end(&snp);
	rmpopt_wait(&self->all, &self->cpus);
	expect_everywhere(&self->cpus, &self->all);
}

/* Launched in turns, the VMs have pages side by side. */
TEST_F_TIMEOUT(snp_rmpopt, two_vms_share_a_region, TIMEOUT_S)
{
	struct snp_vm first = vm_start(), second = vm_start();
	struct rmpopt_regions left, dark, still;
	unsigned long rescans;
	int i;

	i = vm_add_until_dark(&first, &self->all);
	for (; i < NR_CHUNKS; i++) {
		vm_add_chunk(&first, i);
		vm_add_chunk(&second, i);
	}
	vm_finish(&first);
	vm_finish(&second);

	left = rmpopt_optimized();
	dark = minus(&self->all, &left);
	ASSERT_GT(rmpopt_count(&dark), 0);

	rescans = rmpopt_read_number(RMPOPT_SYSFS "rescans");
	vm_end(&first);
	/* The last step of the rescan: no file tells of a region that failed. */
	while (rmpopt_read_number(RMPOPT_SYSFS "rescans") == rescans)
		sched_yield();

	left = rmpopt_optimized();
	still = minus(&self->all, &left);
	ASSERT_GT(rmpopt_count(&still), 0);
	expect_nowhere(&self->cpus, &still);

	vm_end(&second);
	rmpopt_wait(&self->all, &self->cpus);
	expect_everywhere(&self->cpus, &self->all);
}

/* The pages of a guest_memfd are private until the inode is gone. */
TEST_F_TIMEOUT(snp_rmpopt, inode_outlives_vm, TIMEOUT_S)
{
	struct snp_vm snp = vm_launch(&self->all);
	struct rmpopt_regions left, dark;
	char path[64];
	int inode;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", snp.gmem);
	inode = open(path, O_PATH);
	ASSERT_GE(inode, 0);

	vm_end(&snp);
	left = rmpopt_optimized();
	dark = minus(&self->all, &left);
	ASSERT_GT(rmpopt_count(&dark), 0);
	expect_nowhere(&self->cpus, &dark);

	close(inode);
	rmpopt_wait(&self->all, &self->cpus);
	expect_everywhere(&self->cpus, &self->all);
}

/* A hole gives back pages, their region comes back with the end of the VM. */
TEST_F_TIMEOUT(snp_rmpopt, hole_in_memory, TIMEOUT_S)
{
	struct snp_vm snp = vm_start();

	vm_add_until_dark(&snp, &self->all);
	vm_guest_mem_punch_hole(snp.vm, MEM_GPA, NR_PAGES * PAGE_SIZE);
	vm_finish(&snp);
	vm_end(&snp);
	rmpopt_wait(&self->all, &self->cpus);
	expect_everywhere(&self->cpus, &self->all);
}

TEST_F_TIMEOUT(snp_rmpopt, killed_amid_launch, TIMEOUT_S)
{
	struct rmpopt_regions left, dark;
	int pipefd[2], i;
	char c;
	pid_t pid;

	ASSERT_EQ(pipe(pipefd), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct snp_vm snp = vm_start();

		i = vm_add_until_dark(&snp, &self->all);
		if (write(pipefd[1], "", 1) != 1)
			_exit(1);
		for (; i < NR_CHUNKS; i++)
			vm_add_chunk(&snp, i);
		pause();
	}

	ASSERT_EQ(read(pipefd[0], &c, 1), 1);
	left = rmpopt_optimized();
	dark = minus(&self->all, &left);
	ASSERT_GT(rmpopt_count(&dark), 0);

	ASSERT_EQ(kill(pid, SIGKILL), 0);
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	rmpopt_wait(&self->all, &self->cpus);
	expect_everywhere(&self->cpus, &self->all);
}

static bool spin;

static void *spin_on_cpu(void *cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned long)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (READ_ONCE(spin))
		;

	return NULL;
}

/* Function call interrupts that all CPUs together ever got */
static unsigned long function_calls(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	unsigned long sum = 0;
	char line[8192], *pos;

	TEST_ASSERT(file, "open(/proc/interrupts): %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		pos = line + strspn(line, " ");
		if (strncmp(pos, "CAL:", 4))
			continue;
		pos += 4;
		while (pos[strspn(pos, " ")] >= '0' && pos[strspn(pos, " ")] <= '9')
			sum += strtoul(pos, &pos, 10);
	}
	fclose(file);

	return sum;
}

/*
 * The last page of the VM becomes shared, and every core, each busy, has
 * every region back: return how many function call interrupts that took.
 */
static unsigned long count_ipis(const struct rmpopt_regions *all)
{
	s64 quiet, until = now_ms() + RMPOPT_TIMEOUT_MS / 10;
	struct snp_vm snp = vm_launch(all);
	unsigned long ipis;
	struct rmpopt_regions got;
	char path[64];
	int inode;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", snp.gmem);
	inode = open(path, O_PATH);
	TEST_ASSERT(inode >= 0, "open(%s): %s", path, strerror(errno));
	vm_end(&snp);

	/* What the end of the VM left to others, e.g. to SRCU, is not counted. */
	do {
		ipis = function_calls();
		quiet = now_ms() + 50;
		while (now_ms() < quiet)
			;
	} while (ipis != function_calls() && now_ms() < until);

	close(inode);
	do {
		got = rmpopt_optimized();
	} while (!rmpopt_equal(&got, all) || rmpopt_read_number(RMPOPT_SYSFS "pending"));

	return function_calls() - ipis;
}

TEST_F_TIMEOUT(snp_rmpopt, no_ipis, TIMEOUT_S)
{
	pthread_t threads[CPU_SETSIZE];
	unsigned long cpu, ipis;
	int tries = 20;

	if (strcmp(variant->mode, "lazy"))
		SKIP(return, "It is the lazy mode that sends none");

	spin = true;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &self->cpus))
			pthread_create(&threads[cpu], NULL, spin_on_cpu, (void *)cpu);
	}

	/* The scheduler and the clocksource watchdog send some of their own. */
	do {
		ipis = count_ipis(&self->all);
	} while (ipis && --tries);
	EXPECT_EQ(ipis, 0);

	WRITE_ONCE(spin, false);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &self->cpus))
			pthread_join(threads[cpu], NULL);
	}
	expect_everywhere(&self->cpus, &self->all);
}

TEST_F_TIMEOUT(snp_rmpopt, off_is_off, TIMEOUT_S)
{
	struct rmpopt_regions none = { };
	unsigned long rmpopts;
	struct snp_vm snp;

	ASSERT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "off"), 0);
	rmpopts = rmpopt_read_number(RMPOPT_SYSFS "rmpopts");
	expect_everywhere(&self->cpus, &none);

	snp = vm_launch(&self->all);
	vm_end(&snp);
	rmpopt_wait(&none, &self->cpus);
	EXPECT_EQ(rmpopt_read_number(RMPOPT_SYSFS "rmpopts"), rmpopts);
	expect_everywhere(&self->cpus, &none);

	ASSERT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "on"), 0);
	rmpopt_wait(&self->all, &self->cpus);
	expect_everywhere(&self->cpus, &self->all);
}

TEST_F_TIMEOUT(snp_rmpopt, off_while_vm_lives, TIMEOUT_S)
{
	struct snp_vm snp = vm_launch(&self->all);

	ASSERT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "off"), 0);
	ASSERT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "on"), 0);
	vm_end(&snp);
	rmpopt_wait(&self->all, &self->cpus);
	expect_everywhere(&self->cpus, &self->all);
}

TEST_F_TIMEOUT(snp_rmpopt, bad_writes, TIMEOUT_S)
{
	char buf[16];

	EXPECT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "notsupported"), EINVAL);
	EXPECT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "1"), EINVAL);
	EXPECT_EQ(rmpopt_write(RMPOPT_SYSFS "mode", "on"), EINVAL);

	rmpopt_read(RMPOPT_SYSFS "control", buf, sizeof(buf));
	EXPECT_STREQ(buf, "on");
	rmpopt_read(RMPOPT_SYSFS "mode", buf, sizeof(buf));
	EXPECT_STREQ(buf, variant->mode);
	expect_everywhere(&self->cpus, &self->all);
}

/* Where RMPOPT is not supported, there is only the file that says so. */
TEST(not_supported)
{
	char control[16];

	rmpopt_read(RMPOPT_SYSFS "control", control, sizeof(control));
	if (strcmp(control, "notsupported"))
		SKIP(return, "RMPOPT is supported");

	EXPECT_EQ(open(RMPOPT_SYSFS "control", O_WRONLY), -1);
	EXPECT_EQ(errno, EACCES);
	EXPECT_NE(access(RMPOPT_SYSFS "mode", F_OK), 0);
	EXPECT_NE(access(RMPOPT_SYSFS "optimized", F_OK), 0);
	EXPECT_NE(access(RMPOPT_SYSFS_CPU "cpu0/rmpopt", F_OK), 0);
}

/* What was switched off for good stays off. */
TEST(forced_off)
{
	struct rmpopt_regions optimized;
	unsigned long rmpopts;
	char control[16];

	rmpopt_read(RMPOPT_SYSFS "control", control, sizeof(control));
	if (strcmp(control, "forceoff"))
		SKIP(return, "RMPOPT is not switched off for good");

	rmpopts = rmpopt_read_number(RMPOPT_SYSFS "rmpopts");

	EXPECT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "on"), EPERM);
	EXPECT_EQ(rmpopt_write(RMPOPT_SYSFS "control", "off"), EPERM);
	rmpopt_read(RMPOPT_SYSFS "control", control, sizeof(control));
	EXPECT_STREQ(control, "forceoff");

	optimized = rmpopt_optimized();
	EXPECT_EQ(rmpopt_count(&optimized), 0);
	EXPECT_EQ(rmpopt_read_number(RMPOPT_SYSFS "rmpopts"), rmpopts);
}

int main(int argc, char *argv[])
{
	__TEST_REQUIRE(!access(RMPOPT_SYSFS "control", R_OK), "This kernel does not know RMPOPT");
	__TEST_REQUIRE(!geteuid(), "Only root may ask what a core has optimized");

	return test_harness_run(argc, argv);
}
