// SPDX-License-Identifier: GPL-2.0-only
/*
 * ordinary - an ordinary KVM guest, with all of its memory in one 1GB region of
 * the host, that writes to all of it again and again.
 *
 *   ordinary [-n NODE] REGION [PASSES|forever]
 *
 * The guest writes to each of its pages in each of the PASSES (default 16), and
 * its VMM looks whether it did; or for ever, and then nothing but an interrupt
 * of the host makes it exit.  Ends with an error if REGION does not have the
 * memory to give; -n says which NUMA node it is on, if there are several.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <linux/mempolicy.h>

#define PAGE		4096UL
#define PAGES		64UL		/* what 16-bit code reaches without ado */
#define REGION_PAGES	(1UL << 18)
#define HUGE		(2UL << 20)
#define SPARE		(256UL << 20)	/* left for others */
#define CODE_OUT	19		/* where the guest tells its VMM */
#define NOP		0x90

/*
 * 16-bit code in the first page: in each page but this one, increment the first
 * word; then tell the VMM by a write to port 0, and begin anew.
 */
static uint8_t code[] = {
	0xbb, 0x00, 0x01,		/* 0: mov bx, 0x100 (a segment, page 1) */
	0x8e, 0xdb,			/* 3: mov ds, bx */
	0xff, 0x06, 0x00, 0x00,		/* 5: inc word [0] */
	0x81, 0xc3, 0x00, 0x01,		/* 9: add bx, 0x100 */
	0x81, 0xfb, 0x00, PAGES,	/* 13: cmp bx, PAGES << 8 */
	0x75, 0xf0,			/* 17: jne 3 */
	0xe6, 0x00,			/* 19: out 0, al */
	0xeb, 0xe9,			/* 21: jmp 0 */
};

static uint64_t region_of(int pagemap, void *page)
{
	uint64_t entry;

	if (pread(pagemap, &entry, sizeof(entry), (uintptr_t)page / PAGE * 8) != sizeof(entry))
		err(1, "/proc/self/pagemap");
	return (entry & ((1ULL << 55) - 1)) / REGION_PAGES;
}

static size_t free_memory(void)
{
	struct sysinfo info;

	if (sysinfo(&info))
		err(1, "sysinfo");
	return (info.freeram * info.mem_unit - SPARE) & -HUGE;
}

/* PAGES pages of @region, in a row */
static char *memory_in(uint64_t region)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	size_t at, got = 0, size = free_memory();
	char *memory, *area;

	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	area = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED || area == MAP_FAILED || pagemap < 0)
		err(1, "memory");
	madvise(area, size, MADV_HUGEPAGE);

	for (at = 0; at < size && got < PAGES; at += PAGE) {
		area[at] = 1;
		if (region_of(pagemap, area + at) != region) {
			at += HUGE - PAGE;
			continue;
		}
		if (mremap(area + at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			   memory + got++ * PAGE) == MAP_FAILED)
			err(1, "mremap");
	}
	if (got < PAGES)
		errx(1, "region %lu has only %zu pages to give", region, got);
	munmap(area, size);
	close(pagemap);
	return memory;
}

static void prefer_node(unsigned int node)
{
	unsigned long nodes = 1UL << node;

	if (syscall(SYS_set_mempolicy, MPOL_PREFERRED, &nodes, 8 * sizeof(nodes)))
		err(1, "node %u", node);
}

int main(int argc, char **argv)
{
	struct kvm_userspace_memory_region slot = { .memory_size = PAGES * PAGE };
	unsigned long passes = 16, pass, page;
	bool forever = false;
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_run *run;
	int kvm, vm, vcpu;
	char *memory;

	if (argc > 2 && !strcmp(argv[1], "-n")) {
		prefer_node(atoi(argv[2]));
		argc -= 2;
		argv += 2;
	}
	if (argc > 2) {
		forever = !strcmp(argv[2], "forever");
		passes = atol(argv[2]);
	}
	if (argc < 2 || argc > 3 || (passes < 1 && !forever))
		errx(2, "usage: ordinary [-n NODE] REGION [PASSES|forever]");
	if (forever)
		memset(code + CODE_OUT, NOP, 2);
	memory = memory_in(atol(argv[1]));
	memset(memory, 0, PAGES * PAGE);
	memcpy(memory, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)memory;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		err(1, "/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0 || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot))
		err(1, "VM");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0 || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		err(1, "vCPU");
	sregs.cs.base = sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		err(1, "registers");
	run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		   MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "vCPU");

	if (forever) {
		printf("running\n");
		fflush(stdout);
	}
	for (pass = 1; forever || pass <= passes; pass++) {
		if (ioctl(vcpu, KVM_RUN, 0))
			err(1, "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO)
			errx(1, "the guest ended with exit reason %u", run->exit_reason);
		for (page = 1; page < PAGES; page++) {
			if (*(uint16_t *)(memory + page * PAGE) != pass % 65536)
				errx(1, "pass %lu did not write page %lu", pass, page);
		}
	}
	printf("%lu pages written %lu times\n", PAGES - 1, passes);
	return 0;
}
