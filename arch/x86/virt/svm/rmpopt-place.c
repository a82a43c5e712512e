// SPDX-License-Identifier: GPL-2.0-only
/*
 * RMPOPT, the place of private pages: few regions instead of any.
 *
 * One private page makes its whole region slow for everybody.  So a page that
 * is about to become private is exchanged for one of a 2MB block, from a region
 * that is lost anyway, because the firmware, the RMP or another VM has private
 * pages in there, and else from one region after the other.
 *
 * It is an exchange because the page that the ordinary allocator chose says on
 * which node to look, whatever the memory policy and the cpuset are, has been
 * through reclaim if memory is short, and is what remains if there is no block.
 * It will do, too, if its own region is lost: no other is begun instead.
 *
 * Each node has a cursor, which holds what is left of a block, and searches one
 * region after the other, twice each.  At first it takes the blocks that are
 * free, which disturbs nobody.  Then it has pages moved away, which does, and
 * may take long: a work item does that, and whoever would cost a region else
 * waits for it a little.  Pages do not come back to the cursor.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <asm/dma.h>

#include "rmpopt.h"

#define RMPOPT_REGION_PAGES	PHYS_PFN(RMPOPT_REGION_SIZE)
#define RMPOPT_BLOCK		PHYS_PFN(SZ_2M)
#define RMPOPT_NOWHERE		RMPOPT_REGIONS

/* How much of a search is done at once: blocks to look at, to vacate in vain */
#define RMPOPT_PLACE_LOOKS	1024
#define RMPOPT_PLACE_VAIN	2

/*
 * How many searches to wait for, and how long if they do not end, and for how many pages
 * at most not to try again
 */
#define RMPOPT_PLACE_TRIES	16
#define RMPOPT_PLACE_WAIT	HZ
#define RMPOPT_PLACE_SKIP	512

/* Move pages to memory that is free, and reclaim none for it. */
#define RMPOPT_PLACE_GFP	((GFP_KERNEL | __GFP_NOWARN) & ~__GFP_DIRECT_RECLAIM)

/**
 * struct rmpopt_cursor - where the private pages of a node come from
 * @lock: protects all other members
 * @pfn: the first page that is held
 * @end: the first page after those that are held
 * @spare: the block that is held next, or 0
 * @region: in which the search goes on, or RMPOPT_NOWHERE
 * @next: the block that comes next
 * @moving: the blocks of @region that are free were taken, now vacate others
 * @spent: regions that have no more blocks
 * @asked: @work was queued, and has not ended
 * @fresh: @work may begin a region that is not lost
 * @skip: how many pages not to search for, if they cost a region else, or do not
 * @back_off: what @skip is to be, if the next wait is in vain
 * @work: searches, and has pages moved away
 * @wait: for its end
 */
struct rmpopt_cursor {
	struct mutex lock;	/* Never held while pages are moved, or memory is reclaimed */
	unsigned long pfn, end, spare;
	unsigned int region;
	unsigned long next;
	bool moving, asked, fresh;
	unsigned int skip[2], back_off;
	struct work_struct work;
	wait_queue_head_t wait;
	DECLARE_BITMAP(spent, RMPOPT_REGIONS);
};

bool rmpopt_placement __read_mostly;

/* By node; NULL if RMPOPT cannot be used */
static struct rmpopt_cursor *rmpopt_cursors __read_mostly;

/* SNP VMs there are: cursors hold nothing without one */
static atomic_t rmpopt_vms;

static bool rmpopt_placing(void)
{
	return READ_ONCE(rmpopt_placement) && atomic_read(&rmpopt_vms);
}

/* The regions that are not lost.  If it is not known what is lost, it is what was begun. */
static const unsigned long *rmpopt_unlost(void)
{
	return rmpopt_scanned() ? rmpopt_optimized : rmpopt_present;
}

static bool rmpopt_holds(struct rmpopt_cursor *cursor)
{
	if (cursor->pfn == cursor->end && cursor->spare) {
		cursor->pfn = cursor->spare;
		cursor->end = cursor->pfn + RMPOPT_BLOCK;
		cursor->spare = 0;
	}

	return cursor->pfn < cursor->end;
}

/*
 * Where to search next, from @first to @last: in a region that is lost, or else
 * in one more.  Of several the highest, as with zones.
 */
static unsigned int rmpopt_pick(const struct rmpopt_cursor *cursor, const unsigned long *present,
				const unsigned long *optimized, unsigned int first,
				unsigned int last)
{
	unsigned int region, fresh = RMPOPT_NOWHERE;

	for (region = last + 1; region-- > first; ) {
		if (!test_bit(region, present) || test_bit(region, cursor->spent))
			continue;
		if (!test_bit(region, optimized))
			return region;
		if (fresh == RMPOPT_NOWHERE)
			fresh = region;
	}

	return fresh;
}

/* Come to the next block, if not in this region then in another.  False if in none. */
static bool rmpopt_advance(struct rmpopt_cursor *cursor, const unsigned long *present,
			   const unsigned long *optimized, unsigned int first, unsigned int last)
{
	unsigned int region = cursor->region;

	if (region != RMPOPT_NOWHERE && cursor->next < (region + 1) * RMPOPT_REGION_PAGES)
		return true;

	if (region != RMPOPT_NOWHERE && cursor->moving)
		__set_bit(region, cursor->spent);

	cursor->moving = region != RMPOPT_NOWHERE && !cursor->moving;
	if (!cursor->moving)
		region = rmpopt_pick(cursor, present, optimized, first, last);

	cursor->region = region;
	cursor->next = region * RMPOPT_REGION_PAGES;

	return region != RMPOPT_NOWHERE;
}

/* The pages from @pfn on, at most a block, if they are memory of @nid in one zone */
struct page *rmpopt_block(unsigned long pfn, unsigned long nr_pages, int nid)
{
	struct page *block = pfn_to_online_page(pfn);
	struct zone *zone;

	/* Leave ZONE_DMA to those that can use nothing else. */
	if (!block || pfn < MAX_DMA_PFN || (nid != NUMA_NO_NODE && page_to_nid(block) != nid))
		return NULL;

	/* Beside memory, where the RMP may be, pages name a zone that does not span them. */
	zone = page_zone(block);
	if (!zone_spans_pfn(zone, pfn) || !zone_spans_pfn(zone, pfn + nr_pages - 1) ||
	    page_zone(block + nr_pages - 1) != zone)
		return NULL;

	return block;
}

/* Have the cursor hold a block, and drop its lock to vacate it.  See alloc_contig_range(). */
static int rmpopt_take_block(struct rmpopt_cursor *cursor, unsigned long pfn)
{
	unsigned long end = pfn + RMPOPT_BLOCK;
	int ret;

	ret = alloc_contig_range(pfn, end, ACR_FLAGS_FREE, RMPOPT_PLACE_GFP);
	if (ret && ret != -ENOMEM && cursor->moving) {
		mutex_unlock(&cursor->lock);
		ret = alloc_contig_range(pfn, end, ACR_FLAGS_LIGHT, RMPOPT_PLACE_GFP);
		mutex_lock(&cursor->lock);
	}
	if (ret)
		return ret;

	/* The last VM may have ended, or somebody else found one, meanwhile. */
	if (!rmpopt_placing() || cursor->spare) {
		free_contig_range(pfn, RMPOPT_BLOCK);
		return 0;
	}

	cursor->spare = pfn;
	cursor->skip[true] = 0;
	cursor->back_off = 0;

	return 0;
}

/* Have @first and @last be those of the node's other zones: below, or else above */
static void rmpopt_leave_out(const struct zone *zone, u64 *first, u64 *last)
{
	u64 low = rmpopt_region(zone->zone_start_pfn);
	u64 high = rmpopt_region(zone_end_pfn(zone) - 1);

	if (high >= *last && low > *first)
		*last = low - 1;
	else
		*first = high + 1;
}

/*
 * Search for a block, as far as that goes at once, and without @move as nobody is disturbed.
 * Without @fresh, no region is begun that is not lost.
 */
static void rmpopt_search(struct rmpopt_cursor *cursor, bool move, bool fresh)
{
	int nid = cursor - rmpopt_cursors;
	u64 first = rmpopt_region(node_start_pfn(nid));
	u64 last = min(rmpopt_region(node_end_pfn(nid) - 1), RMPOPT_REGIONS - 1);
	const unsigned long *optimized = rmpopt_unlost();
	int looks = RMPOPT_PLACE_LOOKS, vain = RMPOPT_PLACE_VAIN;
	bool all = true;

	lockdep_assert_held(&cursor->lock);

	while (looks-- && vain && rmpopt_placing() && !cursor->spare) {
		struct page *block;
		int ret;

		if (!rmpopt_advance(cursor, rmpopt_present, optimized, first, last) ||
		    (!fresh && test_bit(cursor->region, optimized))) {
			cursor->skip[fresh] = RMPOPT_PLACE_SKIP;
			/* Until then some may have become free. */
			if (fresh && all)
				bitmap_zero(cursor->spent, RMPOPT_REGIONS);
			return;
		}
		if (cursor->moving && !move)
			return;

		block = rmpopt_block(cursor->next, RMPOPT_BLOCK, nid);
		cursor->next += RMPOPT_BLOCK;
		ret = block ? rmpopt_take_block(cursor, page_to_pfn(block)) : 0;
		if (ret == -ENOMEM) {
			/* All of the zone is short of memory, but the region is not spent. */
			rmpopt_leave_out(page_zone(block), &first, &last);
			all = false;
			cursor->region = RMPOPT_NOWHERE;
		}
		vain -= ret == -EBUSY && cursor->moving;
		cond_resched();
	}
}

static void rmpopt_search_work(struct work_struct *work)
{
	struct rmpopt_cursor *cursor = container_of(work, struct rmpopt_cursor, work);

	guard(mutex)(&cursor->lock);
	rmpopt_search(cursor, true, cursor->fresh);
	cursor->fresh = false;
	WRITE_ONCE(cursor->asked, false);
	wake_up_all(&cursor->wait);
}

static void rmpopt_ask(struct rmpopt_cursor *cursor)
{
	if (!cursor->asked) {
		WRITE_ONCE(cursor->asked, true);
		queue_work_node(cursor - rmpopt_cursors, system_dfl_wq, &cursor->work);
	}
}

/*
 * Have the cursor hold pages, and drop its lock to wait for it, if a page from elsewhere
 * costs a region.  Returns whether it does.
 */
static bool rmpopt_refill(struct rmpopt_cursor *cursor, bool costs)
{
	unsigned int tries = RMPOPT_PLACE_TRIES;
	long left = RMPOPT_PLACE_WAIT;

	if (cursor->skip[costs]) {
		cursor->skip[costs]--;
		return false;
	}

	rmpopt_search(cursor, false, costs);
	while (!rmpopt_holds(cursor) && !cursor->skip[costs] && rmpopt_placing()) {
		if (!left || !tries--) {
			cursor->skip[true] = cursor->back_off;
			cursor->back_off = min(2 * cursor->back_off + 1, RMPOPT_PLACE_SKIP);
			break;
		}

		cursor->fresh |= costs;
		rmpopt_ask(cursor);
		/* While no region counts as lost, each page would wait. */
		if (!costs || !rmpopt_scanned())
			break;

		mutex_unlock(&cursor->lock);
		left = wait_event_killable_timeout(cursor->wait, !READ_ONCE(cursor->asked), left);
		mutex_lock(&cursor->lock);
		/* Somebody is killed: that says nothing to others. */
		if (left < 0)
			break;
	}

	return rmpopt_holds(cursor);
}

/* Give back @nr of the pages that are held, or a little more.  Returns how many it were. */
static unsigned long rmpopt_give_back(struct rmpopt_cursor *cursor, unsigned long nr)
{
	unsigned long freed;

	lockdep_assert_held(&cursor->lock);

	freed = min(nr, cursor->end - cursor->pfn);
	cursor->end -= freed;
	if (freed)
		free_contig_range(cursor->end, freed);
	if (freed < nr && cursor->spare) {
		free_contig_range(cursor->spare, RMPOPT_BLOCK);
		cursor->spare = 0;
		freed += RMPOPT_BLOCK;
	}

	return freed;
}

/* A page for guest memory is the first one, one for the kernel's use the last. */
static struct page *rmpopt_take_page(struct rmpopt_cursor *cursor, bool guest, bool costs)
{
	struct page *page;

	ACQUIRE(mutex_kill, locked)(&cursor->lock);
	if (ACQUIRE_ERR(mutex_kill, &locked))
		return NULL;

	if (!rmpopt_holds(cursor) && !rmpopt_refill(cursor, costs))
		return NULL;

	/* A VMSA may not be the first page of a block, see snp_safe_alloc_page_node(). */
	if (!guest && IS_ALIGNED(cursor->end - 1, RMPOPT_BLOCK))
		return NULL;

	page = pfn_to_page(guest ? cursor->pfn++ : --cursor->end);
	/* What takes long is to be done before it is waited for. */
	if (cursor->moving && cursor->end - cursor->pfn == RMPOPT_BLOCK / 2)
		rmpopt_ask(cursor);
	if (!PageHWPoison(page))
		return page;

	/* The memory failed while it was held: this does not free it. */
	__free_page(page);
	return NULL;
}

struct page *rmpopt_place(struct page *page, gfp_t gfp, bool guest)
{
	u64 region = rmpopt_region(page_to_pfn(page));
	struct page *placed;
	bool costs;

	if (!rmpopt_cursors || !rmpopt_placing() || !gfpflags_allow_blocking(gfp))
		return page;

	costs = region < RMPOPT_REGIONS && test_bit(region, rmpopt_unlost());
	placed = rmpopt_take_page(&rmpopt_cursors[page_to_nid(page)], guest, costs);
	if (!placed)
		return page;

	/* The charge of the other page goes with it: do not reclaim for having both. */
	if ((gfp & __GFP_ACCOUNT) &&
	    memcg_kmem_charge_page(placed, (gfp & ~__GFP_DIRECT_RECLAIM) | __GFP_NOWARN, 0)) {
		__free_page(placed);
		return page;
	}
	if (gfp & __GFP_ZERO)
		clear_highpage(placed);

	__free_page(page);
	return placed;
}
EXPORT_SYMBOL_FOR_MODULES(rmpopt_place, "kvm-amd,ccp");

/* Whether pages are held that would cost one of @regions */
static bool rmpopt_holds_of(const struct rmpopt_cursor *cursor, const unsigned long *regions)
{
	return (cursor->pfn < cursor->end && test_bit(rmpopt_region(cursor->pfn), regions)) ||
	       (cursor->spare && test_bit(rmpopt_region(cursor->spare), regions));
}

/* Give back what is held, or only what would cost one of @regions, and search no more there. */
static void rmpopt_give_back_all(const unsigned long *regions)
{
	int nid;

	for (nid = 0; rmpopt_cursors && nid < nr_node_ids; nid++) {
		struct rmpopt_cursor *cursor = &rmpopt_cursors[nid];

		guard(mutex)(&cursor->lock);
		if (!regions || rmpopt_holds_of(cursor, regions))
			rmpopt_give_back(cursor, ULONG_MAX);
		if (regions && cursor->region != RMPOPT_NOWHERE &&
		    test_bit(cursor->region, regions))
			cursor->region = RMPOPT_NOWHERE;
	}
}

void rmpopt_set_placement(bool on)
{
	WRITE_ONCE(rmpopt_placement, on);
	/* While it was off nobody kept track of what became free. */
	if (on)
		rmpopt_place_again(NULL);
	else
		rmpopt_give_back_all(NULL);
}

void rmpopt_place_begin(void)
{
	/* Nor did anybody without a VM. */
	if (atomic_inc_return(&rmpopt_vms) == 1)
		rmpopt_place_again(NULL);
}
EXPORT_SYMBOL_FOR_MODULES(rmpopt_place_begin, "kvm-amd");

void rmpopt_place_end(void)
{
	if (atomic_dec_and_test(&rmpopt_vms))
		rmpopt_give_back_all(NULL);
}
EXPORT_SYMBOL_FOR_MODULES(rmpopt_place_end, "kvm-amd");

/* Private pages were freed in @regions, or who knows where: search there again. */
void rmpopt_place_again(const unsigned long *regions)
{
	int nid;

	/* The end of a VM costs nothing for that while nobody searches. */
	if (!rmpopt_cursors || !rmpopt_placing())
		return;

	for (nid = 0; nid < nr_node_ids; nid++) {
		struct rmpopt_cursor *cursor = &rmpopt_cursors[nid];

		guard(mutex)(&cursor->lock);
		if (regions)
			bitmap_andnot(cursor->spent, cursor->spent, regions, RMPOPT_REGIONS);
		else
			bitmap_zero(cursor->spent, RMPOPT_REGIONS);
		cursor->region = RMPOPT_NOWHERE;
		cursor->skip[false] = 0;
		cursor->skip[true] = 0;
		cursor->back_off = 0;
	}
}

/* Nothing in @regions is private any more: do not have one be lost for what is held. */
void rmpopt_place_elsewhere(const unsigned long *regions)
{
	if (rmpopt_placing())
		rmpopt_give_back_all(regions);
}

static unsigned long rmpopt_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	const struct rmpopt_cursor *cursor = &rmpopt_cursors[sc->nid];
	unsigned long pfn, end, spare;

	/* An estimate without the lock... */
	pfn = data_race(cursor->pfn);
	/* ...and maybe of another block... */
	end = data_race(cursor->end);
	/* ...with the next one or without */
	spare = data_race(cursor->spare);

	return (pfn < end ? min(end - pfn, RMPOPT_BLOCK) : 0) + (spare ? RMPOPT_BLOCK : 0) ?:
	       SHRINK_EMPTY;
}

static unsigned long rmpopt_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct rmpopt_cursor *cursor = &rmpopt_cursors[sc->nid];

	scoped_guard(mutex_try, &cursor->lock)
		return rmpopt_give_back(cursor, sc->nr_to_scan);

	return SHRINK_STOP;
}

/* Without memory for it, pages come from anywhere. */
void __init rmpopt_place_init(void)
{
	struct shrinker *shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE, "rmpopt");
	struct rmpopt_cursor *cursors = kvzalloc_objs(*cursors, nr_node_ids);
	int nid;

	if (!shrinker || !cursors) {
		shrinker_free(shrinker);
		kvfree(cursors);
		return;
	}

	for (nid = 0; nid < nr_node_ids; nid++) {
		mutex_init(&cursors[nid].lock);
		init_waitqueue_head(&cursors[nid].wait);
		INIT_WORK(&cursors[nid].work, rmpopt_search_work);
		cursors[nid].region = RMPOPT_NOWHERE;
	}
	rmpopt_cursors = cursors;

	shrinker->count_objects = rmpopt_count;
	shrinker->scan_objects = rmpopt_scan;
	/* It costs little to have them again, and they are few: do not wait until it is late. */
	shrinker->seeks = 0;
	shrinker_register(shrinker);
}

#include "rmpopt-place_kunit.c"
