/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RMPOPT: let writes skip the RMP check where no page is private.
 *
 * A region is a 1GB-aligned 1GB of physical memory.  Each core has a table
 * with one bit for each region of its window, 2TB of physical memory.
 * Only RMPOPT sets a bit, on the core that executes it, after reading in the
 * RMP that no page of the region is assigned.  RMPUPDATE clears the region's
 * bit on every core.  A clear bit is always correct, it only costs time.
 */
#ifndef _ASM_X86_RMPOPT_H
#define _ASM_X86_RMPOPT_H

#include <linux/bitmap.h>
#include <linux/ktime.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/workqueue.h>

/* The regions that one window covers, and those that are handled: 16TB */
#define RMPOPT_REGION_SIZE	SZ_1G
#define RMPOPT_WINDOW		(SZ_2T / RMPOPT_REGION_SIZE)
#define RMPOPT_REGIONS		(8 * RMPOPT_WINDOW)

/**
 * enum rmpopt_function - what RMPOPT is to do, its operand in rCX
 * @RMPOPT_VERIFY: read the RMP, set the region's bit if no page is assigned
 * @RMPOPT_REPORT: leave the bit as it is
 */
enum rmpopt_function {
	RMPOPT_VERIFY = 0,
	RMPOPT_REPORT = 1,
};

/**
 * __rmpopt() - execute RMPOPT
 * @pa: system physical address of the region, aligned to 1GB
 * @function: what to do
 *
 * The window of the executing core must be enabled and cover @pa: RMPOPT
 * raises #UD on a core whose window is not enabled.
 *
 * Return: whether writes to the region skip the RMP check on this core
 */
static __always_inline bool __rmpopt(u64 pa, enum rmpopt_function function)
{
	bool optimized;

	/* Spelled out for assemblers that do not know the mnemonic. */
	asm volatile(".byte 0xf2, 0x0f, 0x01, 0xfc"
		     : "=@ccc" (optimized)
		     : "a" (pa), "c" ((u64)function));

	return optimized;
}

/**
 * rmpopt_region() - the region that a page is in
 * @pfn: the page's frame number
 *
 * Return: the number of the region, which may be RMPOPT_REGIONS or greater
 */
static inline u64 rmpopt_region(u64 pfn)
{
	return pfn / (RMPOPT_REGION_SIZE / PAGE_SIZE);
}

/**
 * struct rmpopt_rescan - regions to verify, and the work that does it
 * @work: the work item, initialized when it is queued
 * @since: when the rescan was queued
 * @vm: the PID of the VMM whose VM had private pages there, for tracing
 * @regions: the regions
 */
struct rmpopt_rescan {
	struct work_struct work;
	ktime_t since;
	pid_t vm;
	DECLARE_BITMAP(regions, RMPOPT_REGIONS);
};

#ifdef CONFIG_KVM_AMD_SEV
/**
 * rmpopt_start() - SNP was initialized, start to use RMPOPT
 *
 * Returns before any region is verified: work items do it.
 */
void rmpopt_start(void);

/**
 * rmpopt_stop() - SNP is about to be shut down, stop to use RMPOPT
 *
 * No core executes RMPOPT, and every window is disabled, once this returns.
 */
void rmpopt_stop(void);

/**
 * rmpopt_lost() - RMPUPDATE changed a page, its region may have lost its bit
 * @pfn: the page's frame number
 */
void rmpopt_lost(u64 pfn);

/**
 * rmpopt_reclaimed() - the firmware gave back a page, and it is shared again
 * @pa: the page's physical address
 *
 * The region is verified within about a second, together with those of the
 * other pages that are given back until then.
 */
void rmpopt_reclaimed(u64 pa);

/**
 * rmpopt_queue_rescan() - verify regions that may have no private page now
 * @rescan: the regions, to be freed with kfree() when they were verified
 * @cpu: the CPU to verify them on, or WORK_CPU_UNBOUND for this one
 *
 * A region that still has a private page is left alone.
 */
void rmpopt_queue_rescan(struct rmpopt_rescan *rescan, int cpu);

/**
 * rmpopt_queue_full_rescan() - verify every region that is not optimized
 *
 * For those who could not tell which regions to verify.
 */
void rmpopt_queue_full_rescan(void);
#else
static inline void rmpopt_start(void) { }
static inline void rmpopt_stop(void) { }
static inline void rmpopt_lost(u64 pfn) { }
static inline void rmpopt_reclaimed(u64 pa) { }
static inline void rmpopt_queue_rescan(struct rmpopt_rescan *rescan, int cpu) { }
static inline void rmpopt_queue_full_rescan(void) { }
#endif

#if defined(CONFIG_KVM_AMD_SEV) && defined(CONFIG_CONTIG_ALLOC)
/**
 * rmpopt_rmp_at() - say where a segment of the RMP is
 * @pa: its physical address
 * @size: its size in bytes
 *
 * Context: Boot, before anything is given to the firmware.
 */
void rmpopt_rmp_at(u64 pa, u64 size);

/**
 * rmpopt_alloc_fixed() - allocate memory that the firmware keeps
 * @nid: the node that is preferred, or NUMA_NO_NODE
 * @size: the size in bytes: that of a page, 2MB, or a power of two between these
 * @gfp: GFP_KERNEL, perhaps with __GFP_ZERO
 *
 * Context: Process context, any mutexes may be held.  May look at all pages of some
 *	    regions, but reclaims none, and has none moved away.
 * Return: memory beside the RMP, aligned to its size, to be freed by
 *	   free_pages_exact().  NULL if none is free there, if it is too early to
 *	   know, or without RMPOPT: any other memory will do.
 */
void *rmpopt_alloc_fixed(int nid, size_t size, gfp_t gfp);

/**
 * rmpopt_place() - exchange a page that is to become private
 * @page: the page, of order 0, which nobody uses yet
 * @gfp: what it was allocated with
 * @guest: it is for guest memory; if not, it is never aligned to 2MB
 *
 * The page that is returned is on the same node, and in a region that is lost
 * anyway if there is one.  Free it as the other one.
 *
 * Context: Process context.  Takes a mutex within which no memory is reclaimed,
 *	    and may wait, for a second at most, for pages to be moved away.
 * Return: the page to use, which is @page if there is no better one, or if a
 *	   fatal signal is pending
 */
struct page *rmpopt_place(struct page *page, gfp_t gfp, bool guest);

/**
 * rmpopt_place_begin() - there is one more SNP VM
 */
void rmpopt_place_begin(void);

/**
 * rmpopt_place_end() - there is one less, and nobody allocates memory for it
 */
void rmpopt_place_end(void);
#else
static inline void rmpopt_rmp_at(u64 pa, u64 size) { }

static inline void *rmpopt_alloc_fixed(int nid, size_t size, gfp_t gfp)
{
	return NULL;
}

static inline struct page *rmpopt_place(struct page *page, gfp_t gfp, bool guest)
{
	return page;
}

static inline void rmpopt_place_begin(void) { }
static inline void rmpopt_place_end(void) { }
#endif

#endif /* _ASM_X86_RMPOPT_H */
