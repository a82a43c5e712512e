// SPDX-License-Identifier: GPL-2.0-only
/*
 * RMPOPT, verifying regions.
 *
 * The first core to verify a region, its leader, makes the CPU read the RMP of
 * the region.  The CPU keeps the result with the RMP, so that the RMPOPT of
 * the other cores, the followers, is cheap.  A leader works in process
 * context.  Only regions that it verified go to the followers.
 *
 * rmpopt_optimized is what is known in software: a leader verified the region,
 * and no RMPUPDATE touched it since.  It only steers the work, the table of
 * each core is what the CPU goes by.
 */
#include <linux/cpu.h>
#include <linux/ioport.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/wait_bit.h>

#define CREATE_TRACE_POINTS
#include <asm/trace/rmpopt.h>

#include "rmpopt.h"

/* Regions with RAM; those of them that are optimized; those being led */
DECLARE_BITMAP(rmpopt_present, RMPOPT_REGIONS);
DECLARE_BITMAP(rmpopt_optimized, RMPOPT_REGIONS);
DECLARE_BITMAP(rmpopt_leading, RMPOPT_REGIONS);

atomic_long_t rmpopt_rescans, rmpopt_rescanned;
static DEFINE_PER_CPU(unsigned long, rmpopt_verified);

/* The part of the regions that one core leads when everything is verified */
struct rmpopt_share {
	struct work_struct work;
	unsigned int cpu, nth, of;
};

static DEFINE_PER_CPU(struct rmpopt_share, rmpopt_share);

/* Cores that did not finish their share, and when they began */
static atomic_t rmpopt_leaders;
static ktime_t rmpopt_scan_since;

/* Execute RMPOPT here, or return -EAGAIN if this CPU may not */
int rmpopt_execute(unsigned int region, enum rmpopt_function function)
{
	unsigned int cpu;
	bool optimized;

	/* Pairs with the synchronize_rcu() in rmpopt_disable(). */
	guard(preempt)();

	cpu = smp_processor_id();
	if (!cpumask_test_cpu(cpu, rmpopt_cpus) || !rmpopt_covers(cpu, region))
		return -EAGAIN;

	optimized = __rmpopt((u64)region * RMPOPT_REGION_SIZE, function);
	if (function == RMPOPT_VERIFY) {
		this_cpu_inc(rmpopt_verified);
		trace_rmpopt_verify(region, topology_logical_core_id(cpu), optimized,
				    !test_bit(region, rmpopt_leading));
	}

	return optimized;
}

/* Whether a region that is not optimized is lost, or just was not verified yet */
bool rmpopt_scanned(void)
{
	return READ_ONCE(rmpopt_running) && !atomic_read(&rmpopt_leaders);
}

unsigned long rmpopt_executed(void)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(rmpopt_verified, cpu));

	return sum;
}

void rmpopt_lost(u64 pfn)
{
	u64 region = rmpopt_region(pfn);

	if (region >= RMPOPT_REGIONS)
		return;

	/* RMPUPDATE comes first.  Pairs with the set_bit() in rmpopt_lead(). */
	smp_mb();

	/* Test first: conversions must not fight over the cache line. */
	if (test_bit(region, rmpopt_optimized))
		clear_bit(region, rmpopt_optimized);
}

static void rmpopt_full_rescan_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(rmpopt_full_rescan, rmpopt_full_rescan_work);

static void rmpopt_queue_full_rescan_on(int cpu)
{
	rmpopt_fall_behind();
	/* If it is queued already, that one counts: at most one a second. */
	if (!queue_delayed_work_on(cpu, system_percpu_wq, &rmpopt_full_rescan, HZ))
		rmpopt_caught_up();
}

/* A CPU that goes offline may not verify: have another one try again. */
static void rmpopt_retry_elsewhere(void)
{
	unsigned int cpu = cpumask_any(rmpopt_cpus);

	if (cpu < nr_cpu_ids)
		rmpopt_queue_full_rescan_on(cpu);
}

static long rmpopt_verify_here(void *region)
{
	return rmpopt_execute((unsigned long)region, RMPOPT_VERIFY);
}

/*
 * Verify a region on a CPU that has it in its window: this one, if it may, or
 * else always the same one for a window, so that others are left in peace.
 */
static int rmpopt_verify(unsigned int region)
{
	unsigned int cpu, here = raw_smp_processor_id();

	/* The mask: a work item that is queued again while it runs stays here. */
	if (cpumask_test_cpu(here, rmpopt_cpus) && rmpopt_covers(here, region))
		return rmpopt_execute(region, RMPOPT_VERIFY);

	for_each_cpu_wrap(cpu, rmpopt_cpus, here) {
		if (rmpopt_covers(cpu, region))
			return work_on_cpu(cpu, rmpopt_verify_here, (void *)(unsigned long)region);
	}

	return 0;
}

/*
 * Verify a region that is not optimized.  The bit is set before RMPOPT, and
 * rmpopt_lost() comes after RMPUPDATE: if RMPUPDATE comes after RMPOPT, then
 * rmpopt_lost() finds the bit set, and clears it.  If it comes before, then
 * RMPOPT fails.  One leader at a time keeps one that failed from clearing the
 * bit for one that came later and did not.
 */
static bool rmpopt_lead(unsigned int region)
{
	int ret = 0;

	wait_on_bit_lock(rmpopt_leading, region, TASK_UNINTERRUPTIBLE);

	if (!test_bit(region, rmpopt_optimized)) {
		set_bit(region, rmpopt_optimized);
		ret = rmpopt_verify(region);
		if (ret <= 0)
			clear_bit(region, rmpopt_optimized);
	}

	clear_and_wake_up_bit(region, rmpopt_leading);

	if (ret < 0)
		rmpopt_retry_elsewhere();

	return ret > 0;
}

/*
 * Verify @regions here, keep those that this gained, and hand them to the
 * other cores.  @vm is whose they were, @since when they were last private, both
 * 0 if nobody asks.
 */
void rmpopt_rescan_regions(unsigned long *regions, pid_t vm, ktime_t since)
{
	ktime_t begin = ktime_get();
	unsigned int region, todo;
	int core;

	bitmap_and(regions, regions, rmpopt_present, RMPOPT_REGIONS);
	todo = bitmap_weight(regions, RMPOPT_REGIONS);
	if (!todo || !READ_ONCE(rmpopt_running))
		return;

	rmpopt_fall_behind();
	trace_rmpopt_rescan_begin(vm, todo);

	/* A core needs none of what it verified itself. */
	core = is_percpu_thread() ?
	       topology_logical_core_id(raw_smp_processor_id()) : RMPOPT_NO_CORE;
	for_each_set_bit(region, regions, RMPOPT_REGIONS) {
		if (!rmpopt_lead(region))
			__clear_bit(region, regions);
		/* Unless this CPU goes offline: others may verify for it. */
		if (!is_percpu_thread() || !cpumask_test_cpu(raw_smp_processor_id(), rmpopt_cpus))
			core = RMPOPT_NO_CORE;
		cond_resched();
	}

	trace_rmpopt_rescan_end(vm, todo, bitmap_weight(regions, RMPOPT_REGIONS),
				ktime_us_delta(ktime_get(), begin));

	rmpopt_spread(regions, core, false, since);
	rmpopt_place_elsewhere(regions);

	atomic_long_add(todo, &rmpopt_rescanned);
	atomic_long_inc(&rmpopt_rescans);
	rmpopt_caught_up();
}

static void rmpopt_rescan_work(struct work_struct *work)
{
	struct rmpopt_rescan *rescan = container_of(work, struct rmpopt_rescan, work);

	rmpopt_rescan_regions(rescan->regions, rescan->vm, rescan->since);
	kfree(rescan);
	rmpopt_caught_up();
}

void rmpopt_queue_rescan(struct rmpopt_rescan *rescan, int cpu)
{
	rmpopt_place_again(rescan->regions);
	rmpopt_fall_behind();
	rescan->since = ktime_get();
	INIT_WORK(&rescan->work, rmpopt_rescan_work);
	queue_work_on(cpu, system_percpu_wq, &rescan->work);
}
EXPORT_SYMBOL_FOR_MODULES(rmpopt_queue_rescan, "kvm-amd");

static void rmpopt_full_rescan_work(struct work_struct *work)
{
	static DECLARE_BITMAP(regions, RMPOPT_REGIONS);

	/* A work item never runs twice at a time, so @regions is its own. */
	bitmap_fill(regions, RMPOPT_REGIONS);
	rmpopt_rescan_regions(regions, 0, 0);
	rmpopt_caught_up();
}

void rmpopt_queue_full_rescan(void)
{
	rmpopt_place_again(NULL);
	rmpopt_queue_full_rescan_on(WORK_CPU_UNBOUND);
}
EXPORT_SYMBOL_FOR_MODULES(rmpopt_queue_full_rescan, "kvm-amd");

/* Whether the leader of @share verifies the @ordinal-th region there is */
static bool rmpopt_in_share(unsigned int ordinal, const struct rmpopt_share *share)
{
	return ordinal % share->of == share->nth;
}

static void rmpopt_lead_share(struct work_struct *work)
{
	struct rmpopt_share *share = container_of(work, struct rmpopt_share, work);
	unsigned int region, ordinal = 0;

	for_each_set_bit(region, rmpopt_present, RMPOPT_REGIONS) {
		if (!rmpopt_covers(share->cpu, region) || !rmpopt_in_share(ordinal++, share))
			continue;
		rmpopt_lead(region);
		cond_resched();
	}

	/* The last one to finish hands everything to everyone, idle or not. */
	if (atomic_dec_and_test(&rmpopt_leaders)) {
		rmpopt_spread(rmpopt_optimized, RMPOPT_NO_CORE, true, rmpopt_scan_since);
		rmpopt_caught_up();
	}
}

static int rmpopt_add_ram(unsigned long pfn, unsigned long nr_pages, void *set)
{
	u64 first = rmpopt_region(pfn), last = rmpopt_region(pfn + nr_pages - 1);

	if (first < RMPOPT_REGIONS) {
		last = min(last, RMPOPT_REGIONS - 1);
		bitmap_set(set, first, last - first + 1);
	}

	return 0;
}

/* Give the core of @cpu its share of what the cores with the same window have. */
static void rmpopt_set_share(struct rmpopt_share *share, unsigned int cpu)
{
	unsigned int other;

	share->cpu = cpu;
	share->nth = 0;
	share->of = 0;
	for_each_cpu(other, rmpopt_cpus) {
		if (rmpopt_leads_core(other) && rmpopt_window(other) == rmpopt_window(cpu)) {
			share->nth += other < cpu;
			share->of++;
		}
	}
}

/* Verify everything, each core a share of it */
void rmpopt_scan_start(void)
{
	static DECLARE_BITMAP(present, RMPOPT_REGIONS);
	unsigned int cpu, cores = 0;

	lockdep_assert_cpus_held();

	for_each_cpu(cpu, rmpopt_cpus)
		cores += rmpopt_leads_core(cpu);

	/* Nobody sees it half: it is read without a lock. */
	bitmap_zero(present, RMPOPT_REGIONS);
	walk_system_ram_range(0, PHYS_PFN(RMPOPT_REGIONS * RMPOPT_REGION_SIZE),
			      present, rmpopt_add_ram);
	bitmap_copy(rmpopt_present, present, RMPOPT_REGIONS);

	rmpopt_scan_since = ktime_get();
	atomic_set(&rmpopt_leaders, cores);
	rmpopt_fall_behind();

	for_each_cpu(cpu, rmpopt_cpus) {
		struct rmpopt_share *share = per_cpu_ptr(&rmpopt_share, cpu);

		if (!rmpopt_leads_core(cpu))
			continue;
		rmpopt_set_share(share, cpu);
		queue_work_on(cpu, system_percpu_wq, &share->work);
	}
}

/* Wait until every leader has finished its share */
void rmpopt_scan_flush(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		flush_work(&per_cpu(rmpopt_share, cpu).work);
}

/* Nothing executes RMPOPT any more: end what is left of the work, and forget */
void rmpopt_scan_stop(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		cancel_work_sync(&per_cpu(rmpopt_share, cpu).work);

	/* One that was cancelled keeps the others from being the last. */
	if (atomic_xchg(&rmpopt_leaders, 0))
		rmpopt_caught_up();

	if (cancel_delayed_work_sync(&rmpopt_full_rescan))
		rmpopt_caught_up();
	bitmap_zero(rmpopt_optimized, RMPOPT_REGIONS);
}

void __init rmpopt_scan_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		INIT_WORK(&per_cpu(rmpopt_share, cpu).work, rmpopt_lead_share);
}

#include "rmpopt-scan_kunit.c"
