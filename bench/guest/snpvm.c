// SPDX-License-Identifier: GPL-2.0-only
/*
 * snpvm - the smallest VMM there is for an SNP VM: launch one through the SNP
 * launch commands, with private memory from guest_memfd in several 1GB regions,
 * hold it, and end.  Its vCPU runs once, and finds no memory at the reset vector.
 *
 *   snpvm [-r REGIONS] [-p PAGES] [-n NODE[,NODE...]] [-m MB] [-s KIND] [-u] [-f NTH | -F]
 *
 * -r  how many optimized regions the memory is to take away (default 3)
 * -p  private pages in each part of the memory (default 512)
 * -n  the NUMA nodes to have the memory from, one part from each
 * -m  have so many MB, wherever Linux has them: the launch's one part, and the rest as
 *     when a guest accepts its memory.  Says then how long that took, in cycles.
 * -s  keep memory for what is shared, of a KIND: thp, 2m and 1g (of hugetlbfs), ksm,
 *     swap, or uffd (a userfaultfd brings it)
 * -u  stop in the middle of the launch instead of finishing it
 * -f  let the NTH allocation of memory fail that the kernel tries to create and
 *     initialize this VM, and say whether there was one (CONFIG_FAULT_INJECTION)
 * -F  launch page by page, while each allocation fails in turn, and say how often that
 *     was an error
 *
 * Prints "ready PAGES [CYCLES]" when the VM is as asked for.  It then reads standard
 * input: "vm" ends the VM and keeps its memory, "memory" closes the memory,
 * "convert N" has N ranges of pages become shared, be written, and become private again,
 * "fail N" has N more pages become private, while each allocation fails in turn, and
 * "end" or the end of the input ends everything.
 *
 * Linux hands out memory from one place as long as it can.  To get pages in
 * several regions, as a VM on a host with other tenants would, the pages are
 * asked for in parts and some huge pages are taken after each part, until enough
 * regions are no longer optimized, or for 12 parts.  Where there is no RMPOPT,
 * there are as many parts as regions.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <x86intrin.h>

#define PAGE		4096UL
#define MB_PAGES	256UL
#define START		(1UL << 32)	/* of its memory: not at the reset vector */
#define SNP_POLICY	0x30000ULL	/* reserved bit 17 set, SMT allowed */
#define PARTS		12		/* at most */
#define RANGE		64		/* pages at most, to convert at once */
#define ROUND(x, unit)	(((x) + (unit) - 1) / (unit) * (unit))
#define REGIONS		16384		/* there can be */
#define HUGE_STEP	256		/* huge pages of 2MB taken on each node after a part */
#define HUGE_PAGES	"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define NODES		"/sys/devices/system/node/node[0-9]*"
#define OPTIMIZED	"/sys/devices/system/cpu/rmpopt/optimized"

enum kind { NONE, THP, HUGE_2M, HUGE_1G, KSM, SWAP, UFFD };
static const char * const kinds[] = { "", "thp", "2m", "1g", "ksm", "swap", "uffd" };

struct vm {
	int kvm;
	int sev;
	int fd;
	int vcpu;
	int memory;
	void *source;			/* which is what is shared, too */
	unsigned long size;		/* of that, in bytes */
	enum kind kind;			/* of that */
	unsigned long pages;		/* its size */
	unsigned long part;
	unsigned long launched;		/* private pages */
	unsigned long wanted;		/* pages to have from anywhere, or 0 */
	uint64_t cycles;		/* that these took */
	unsigned int error;		/* the firmware's last */
	bool failing;			/* allocations, for the launch */
	unsigned long errors;		/* of it */
	int nodes;			/* to have memory from, 0 if any will do */
	int node[PARTS];
};

static void use_node(unsigned int node)
{
	unsigned long nodes = 1UL << node;

	if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes)))
		err(1, "node %u", node);
}

static long set_huge_pages(unsigned long count)
{
	FILE *file = fopen(HUGE_PAGES, "r+");
	unsigned long got = 0;

	if (!file)
		err(1, HUGE_PAGES);
	fprintf(file, "%lu\n", count);
	fflush(file);
	rewind(file);
	if (fscanf(file, "%lu", &got) != 1)
		errx(1, HUGE_PAGES ": unreadable");
	fclose(file);
	return got;
}

static unsigned long nodes(void)
{
	unsigned long count = 1;
	glob_t found;

	if (!glob(NODES, 0, NULL, &found)) {
		count = found.gl_pathc;
		globfree(&found);
	}
	return count;
}

static bool read_optimized_once(bool *regions)
{
	FILE *file = fopen(OPTIMIZED, "r");
	bool any = false;
	int first, last;

	memset(regions, 0, REGIONS * sizeof(*regions));
	if (!file)
		return false;
	while (fscanf(file, "%d", &first) == 1) {
		if (fscanf(file, "-%d", &last) != 1)
			last = first;
		for (; first <= last && first < REGIONS; first++)
			regions[first] = any = true;
		if (fgetc(file) != ',')
			break;
	}
	fclose(file);
	return any;
}

/*
 * The regions that are optimized.  Returns whether there is one.  While a region is
 * verified the file may have it or not, so read until it says the same twice.
 */
static bool read_optimized(bool *regions)
{
	bool last[REGIONS], any;

	read_optimized_once(regions);
	do {
		memcpy(last, regions, sizeof(last));
		any = read_optimized_once(regions);
	} while (memcmp(last, regions, sizeof(last)));
	return any;
}

/* How many of the regions are not optimized now.  Others may come back meanwhile. */
static int count_lost(const bool *regions)
{
	bool now[REGIONS];
	int i, count = 0;

	read_optimized(now);
	for (i = 0; i < REGIONS; i++)
		count += regions[i] && !now[i];
	return count;
}

static int try_sev_command(struct vm *vm, uint32_t id, void *data)
{
	struct kvm_sev_cmd cmd = {
		.id = id,
		.data = (uintptr_t)data,
		.sev_fd = vm->sev,
	};
	int status = ioctl(vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd);

	vm->error = cmd.error;
	return status;
}

static void sev_failed(const struct vm *vm, const char *name)
{
	err(1, "%s (firmware error %u)", name, vm->error);
}

static void sev_command(struct vm *vm, uint32_t id, void *data, const char *name)
{
	if (try_sev_command(vm, id, data))
		sev_failed(vm, name);
}

/* Make the @nth allocation from here fail.  Returns how many were left to one before. */
static int fail_nth(int nth)
{
	static int fd = -1;
	char text[16] = "";

	/* To open it allocates, too. */
	if (fd < 0)
		fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) <= 0)
		err(1, "fail-nth: CONFIG_FAULT_INJECTION is needed");
	if (dprintf(fd, "%d", nth) < 0)
		err(1, "fail-nth");
	return atoi(text);
}

/* Bring pages of the userfaultfd, for ever. */
static void *bring(void *arg)
{
	static char page[PAGE] __attribute__((aligned(PAGE))) = "brought";
	int fd = (intptr_t)arg;
	struct uffd_msg msg;

	while (read(fd, &msg, sizeof(msg)) == sizeof(msg)) {
		struct uffdio_copy copy = {
			.dst = msg.arg.pagefault.address & -PAGE,
			.src = (uintptr_t)page,
			.len = PAGE,
		};

		if (ioctl(fd, UFFDIO_COPY, &copy) && errno != EEXIST && errno != EAGAIN)
			err(1, "UFFDIO_COPY");
	}
	err(1, "userfaultfd");
}

static void use_userfaultfd(struct vm *vm)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)vm->source, .len = vm->size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	pthread_t thread;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
		err(1, "userfaultfd");
	if (pthread_create(&thread, NULL, bring, (void *)(intptr_t)fd))
		errx(1, "no thread");
}

/* Memory of its kind, for what the VM is launched from and for what it shares */
static void map_source(struct vm *vm)
{
	static const int hugetlb[] = {
		[HUGE_2M] = MAP_HUGETLB | 21 << MAP_HUGE_SHIFT,
		[HUGE_1G] = MAP_HUGETLB | 30 << MAP_HUGE_SHIFT,
		[UFFD] = 0,	/* as all others */
	};
	unsigned long unit = vm->kind == HUGE_1G ? 1UL << 30 : 1UL << 21;

	vm->size = vm->kind ? ROUND(vm->pages * PAGE, unit) : vm->pages * PAGE;
	vm->source = mmap(NULL, vm->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
			  (hugetlb[vm->kind] ?: MAP_NORESERVE), -1, 0);
	if (vm->source == MAP_FAILED)
		err(1, "memory");
	if (vm->kind == THP && madvise(vm->source, vm->size, MADV_HUGEPAGE))
		err(1, "MADV_HUGEPAGE");
	if (vm->kind == KSM && madvise(vm->source, vm->size, MADV_MERGEABLE))
		err(1, "MADV_MERGEABLE");
	if (vm->kind == UFFD)
		use_userfaultfd(vm);
}

static void set_private(struct vm *vm, unsigned long first, unsigned long pages, bool private)
{
	struct kvm_memory_attributes attributes = {
		.address = START + first * PAGE,
		.size = pages * PAGE,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &attributes))
		err(1, "memory attributes");
}

static void create(struct vm *vm, int fail)
{
	struct kvm_create_guest_memfd memory = { .size = vm->pages * PAGE };
	struct kvm_userspace_memory_region2 slot = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = START,
		.memory_size = vm->pages * PAGE,
	};
	struct kvm_sev_init init = {};

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		err(1, "/dev/kvm");
	vm->sev = open("/dev/sev", O_RDWR | O_CLOEXEC);
	if (vm->sev < 0)
		err(1, "/dev/sev");
	if (fail)
		fail_nth(fail);
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, KVM_X86_SNP_VM);
	if (vm->fd < 0)
		err(1, "this host cannot run SNP VMs");
	sev_command(vm, KVM_SEV_INIT2, &init, "INIT2");
	if (fail)
		printf("%s\n", fail_nth(0) ? "nothing failed" : "an allocation failed");
	vm->memory = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &memory);
	if (vm->memory < 0)
		err(1, "guest_memfd");
	map_source(vm);
	slot.guest_memfd = vm->memory;
	slot.userspace_addr = (uintptr_t)vm->source;
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &slot))
		err(1, "memory slot");
	set_private(vm, 0, vm->pages, true);
	vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu < 0)
		err(1, "vCPU");
}

/* Launch with @pages from @first.  Returns 0 or -1. */
static int update_pages(struct vm *vm, unsigned long first, unsigned long pages)
{
	struct kvm_sev_snp_launch_update update = {
		.gfn_start = START / PAGE + first,
		.uaddr = (uintptr_t)vm->source + first * PAGE,
		.len = pages * PAGE,
		.type = KVM_SEV_SNP_PAGE_TYPE_NORMAL,
	};

	while (update.len) {
		if (try_sev_command(vm, KVM_SEV_SNP_LAUNCH_UPDATE, &update))
			return -1;
	}
	return 0;
}

/* Have @pages from @first private, as when the guest accepts them.  Returns 0 or -1. */
static int accept_pages(struct vm *vm, unsigned long first, unsigned long pages)
{
	struct kvm_pre_fault_memory rest = {
		.gpa = START + first * PAGE,
		.size = pages * PAGE,
	};

	while (rest.size) {
		if (ioctl(vm->vcpu, KVM_PRE_FAULT_MEMORY, &rest) && errno != EINTR && errno != EAGAIN)
			return -1;
	}
	return 0;
}

/* What a guest would do by accepting the rest of its memory */
static void fill(struct vm *vm)
{
	if (accept_pages(vm, vm->launched, vm->wanted - vm->launched))
		err(1, "no memory");
	vm->launched = vm->wanted;
}

/* Pages become shared, are written, and become private again. */
static void convert(struct vm *vm)
{
	unsigned long pages = 1 + random() % RANGE;
	unsigned long first = random() % (vm->launched - pages);
	char *shared = vm->source + first * PAGE;
	unsigned long i;

	set_private(vm, first, pages, false);
	if (fallocate(vm->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first * PAGE,
		      pages * PAGE))
		err(1, "punch hole");

	/* All the same, for KSM, or anything else */
	for (i = 0; i < pages; i++) {
		memset(shared + i * PAGE, vm->kind == KSM ? 1 : random(), PAGE);
		if (shared[i * PAGE] != shared[(i + 1) * PAGE - 1])
			errx(1, "what is shared is not what was written");
	}
	if (vm->kind == SWAP && madvise(shared, pages * PAGE, MADV_PAGEOUT))
		err(1, "MADV_PAGEOUT");
	/* It comes again as zeroes, or from the userfaultfd; hugetlbfs only drops whole pages. */
	if (random() % 2 && madvise(shared, pages * PAGE, MADV_DONTNEED) &&
	    vm->kind != HUGE_2M && vm->kind != HUGE_1G)
		err(1, "MADV_DONTNEED");

	set_private(vm, first, pages, true);
	if (accept_pages(vm, first, pages))
		err(1, "no memory");
}

/*
 * Have @pages from @first private, one by one, while each allocation that this needs
 * fails in turn; after one that a page can do without, it is the following one of the
 * next page.  Returns how often there was no page then.
 */
static unsigned long fail_each(struct vm *vm, unsigned long first, unsigned long pages,
			       int (*get)(struct vm *, unsigned long, unsigned long))
{
	unsigned long errors = 0;
	int nth = 1;

	for (; pages--; first++) {
		for (;; nth++, errors++) {
			fail_nth(nth);
			if (!get(vm, first, 1))
				break;
			if (fail_nth(0))
				err(1, "no memory, though nothing failed");
		}
		nth = fail_nth(0) ? 1 : nth + 1;
	}
	return errors;
}

/* More pages become private, as when the guest accepts them. */
static unsigned long fail_pages(struct vm *vm, unsigned long pages)
{
	unsigned long first = vm->launched;

	if (pages > vm->pages - first)
		errx(2, "only %lu pages are left", vm->pages - first);
	vm->launched += pages;
	return fail_each(vm, first, pages, accept_pages);
}

/* Launch with the next part of the memory */
static void update_part(struct vm *vm, unsigned int i)
{
	unsigned long first = i * vm->part;

	memset(vm->source + first * PAGE, 'a' + i, vm->part * PAGE);
	if (vm->failing)
		vm->errors += fail_each(vm, first, vm->part, update_pages);
	else if (update_pages(vm, first, vm->part))
		sev_failed(vm, "SNP_LAUNCH_UPDATE");
	vm->launched += vm->part;
}

static void launch(struct vm *vm, int regions, bool finish)
{
	struct kvm_sev_snp_launch_start start = { .policy = SNP_POLICY };
	struct kvm_sev_snp_launch_finish end = {};
	bool before[REGIONS], rmpopt = read_optimized(before);
	uint64_t begin = __rdtsc();
	long huge = 0;
	int i;

	sev_command(vm, KVM_SEV_SNP_LAUNCH_START, &start, "SNP_LAUNCH_START");
	for (i = 0; i < PARTS; i++) {
		if (vm->nodes)
			use_node(vm->node[i % vm->nodes]);
		update_part(vm, i);
		if (vm->wanted)
			break;
		if (vm->nodes) {
			if (i + 1 == vm->nodes)
				break;
			continue;
		}
		if (rmpopt ? count_lost(before) >= regions : i + 1 == regions)
			break;
		huge = set_huge_pages(huge + HUGE_STEP * nodes());
	}
	if (finish) {
		sev_command(vm, KVM_SEV_SNP_LAUNCH_FINISH, &end, "SNP_LAUNCH_FINISH");
		/* There is nothing to execute, but now the VM was on this CPU. */
		ioctl(vm->vcpu, KVM_RUN, NULL);
	}
	if (vm->wanted)
		fill(vm);
	vm->cycles = __rdtsc() - begin;
	if (!vm->kind)
		munmap(vm->source, vm->size);
	set_huge_pages(0);
}

static void parse_nodes(struct vm *vm, char *list)
{
	char *word;

	for (word = strtok(list, ","); word; word = strtok(NULL, ",")) {
		if (vm->nodes == PARTS)
			errx(2, "at most %d nodes", PARTS);
		vm->node[vm->nodes++] = atoi(word);
	}
}

static enum kind parse_kind(const char *name)
{
	enum kind kind;

	for (kind = THP; kind <= UFFD; kind++) {
		if (!strcmp(name, kinds[kind]))
			return kind;
	}
	errx(2, "KIND is thp, 2m, 1g, ksm, swap or uffd");
}

static void end_vm(struct vm *vm)
{
	close(vm->vcpu);
	close(vm->fd);
}

int main(int argc, char **argv)
{
	int regions = 3, pages = 512, fail = 0;
	bool finish = true;
	struct vm vm = {};
	unsigned long count;
	char line[32];
	int option;

	while ((option = getopt(argc, argv, "r:p:n:m:s:uf:F")) != -1) {
		switch (option) {
		case 'r':
			regions = atoi(optarg);
			break;
		case 'p':
			pages = atoi(optarg);
			break;
		case 'n':
			parse_nodes(&vm, optarg);
			break;
		case 'm':
			vm.wanted = atol(optarg) * MB_PAGES;
			break;
		case 's':
			vm.kind = parse_kind(optarg);
			break;
		case 'u':
			finish = false;
			break;
		case 'f':
			fail = atoi(optarg);
			break;
		case 'F':
			vm.failing = true;
			break;
		default:
			errx(2, "usage: snpvm [-r REGIONS] [-p PAGES] [-n NODE[,NODE...]]"
			     " [-m MB] [-s KIND] [-u] [-f NTH | -F]");
		}
	}
	if (regions < 1 || regions > PARTS || pages < 1)
		errx(2, "REGIONS must be 1 to %d, PAGES at least 1", PARTS);

	if (vm.wanted && (!finish || vm.wanted <= (unsigned long)pages))
		errx(2, "MB must be more than PAGES, and the launch be finished");

	vm.part = pages;
	vm.pages = vm.wanted ?: vm.part * PARTS;
	create(&vm, fail);
	launch(&vm, regions, finish);
	if (vm.failing)
		printf("%lu errors, ", vm.errors);
	printf("ready %lu", vm.launched);
	if (vm.wanted)
		printf(" %ju", (uintmax_t)vm.cycles);
	printf("\n");
	fflush(stdout);

	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "vm\n"))
			end_vm(&vm);
		else if (!strcmp(line, "memory\n"))
			close(vm.memory);
		else if (!strcmp(line, "end\n"))
			return 0;
		else if (sscanf(line, "convert %lu", &count) == 1 && vm.kind)
			while (count--)
				convert(&vm);
		else if (sscanf(line, "fail %lu", &count) == 1)
			printf("%lu errors, ", fail_pages(&vm, count));
		else
			errx(2, "unknown command: %s", line);
		printf("ended %s", line);
		fflush(stdout);
	}
	return 0;
}
