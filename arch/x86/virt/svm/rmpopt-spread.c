// SPDX-License-Identifier: GPL-2.0-only
/*
 * RMPOPT, bringing the result to the other cores without disturbing them.
 *
 * Each core has a set of pending regions, which a leader verified and the core
 * did not yet.  A timer on each CPU of the core, pinned and deferrable, sees
 * to them: to arm it sends no IPI, wakes no idle CPU and restarts no tick
 * that was stopped (see trigger_dyntick_cpu()).  When the CPU takes its next
 * tick, it verifies a limited number of regions, and the rest with the ticks
 * that follow.  An idle core stays behind until it has something to do, and
 * it pays for nothing until then: a clear bit is correct.
 *
 * In the eager mode a work item on each core does the same at once.  It costs
 * a wake-up for each core, not a function call interrupt, and never runs with
 * interrupts disabled.
 */
#include <linux/jiffies.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/topology.h>

#include <asm/trace/rmpopt.h>

#include "rmpopt.h"

/*
 * Regions that a core verifies per tick: with the typical 4000 cycles, were
 * none of the results cached, a tick would last some 100us longer.
 */
#define RMPOPT_TICK_BUDGET	64

struct rmpopt_core {
	/*
	 * Protects the members, and the arming of the timers of the core's
	 * CPUs.  It is held while the core verifies a batch of regions.
	 * Conversions of pages never take it.
	 */
	spinlock_t lock;
	bool behind;
	DECLARE_BITMAP(pending, RMPOPT_REGIONS);
};

static struct rmpopt_core *rmpopt_cores __ro_after_init;
static DEFINE_PER_CPU(struct timer_list, rmpopt_timer);
static DEFINE_PER_CPU(struct work_struct, rmpopt_fill);

enum rmpopt_mode rmpopt_mode __read_mostly = RMPOPT_LAZY;

/* Cores that are behind, and rescans that are queued or have something to hand on */
static atomic_t rmpopt_behind = ATOMIC_INIT(0);

/* When what is being spread was last private, 0 for never mind */
static ktime_t rmpopt_since;
u64 rmpopt_settle_us;

static struct rmpopt_core *rmpopt_core_of(unsigned int cpu)
{
	return &rmpopt_cores[topology_logical_core_id(cpu) % nr_cpu_ids];
}

/* No core is behind, in this moment */
static void rmpopt_settled(void)
{
	ktime_t since = xchg(&rmpopt_since, 0);

	/* To stop is not to settle. */
	if (since && READ_ONCE(rmpopt_running)) {
		WRITE_ONCE(rmpopt_settle_us, ktime_us_delta(ktime_get(), since));
		trace_rmpopt_settled(rmpopt_settle_us);
	}

	rmpopt_sysfs_settled();
}

/* Regions are to be verified that no core has pending, until rmpopt_caught_up() */
void rmpopt_fall_behind(void)
{
	atomic_inc(&rmpopt_behind);
}

void rmpopt_caught_up(void)
{
	if (atomic_dec_and_test(&rmpopt_behind))
		rmpopt_settled();
}

static void rmpopt_add_pending(struct rmpopt_core *core, unsigned int cpu,
			       const unsigned long *regions)
{
	lockdep_assert_held(&core->lock);

	bitmap_or(core->pending, core->pending, regions, RMPOPT_REGIONS);
	rmpopt_keep_covered(cpu, core->pending);
	if (!core->behind && !bitmap_empty(core->pending, RMPOPT_REGIONS)) {
		core->behind = true;
		rmpopt_fall_behind();
	}
}

static void rmpopt_drop_pending(struct rmpopt_core *core)
{
	lockdep_assert_held(&core->lock);

	bitmap_zero(core->pending, RMPOPT_REGIONS);
	if (core->behind) {
		core->behind = false;
		rmpopt_caught_up();
	}
}

/* Verify pending regions, at most @budget.  Return whether this CPU has to go on. */
static bool rmpopt_drain(struct rmpopt_core *core, unsigned int budget)
{
	unsigned int region;

	lockdep_assert_held(&core->lock);

	for_each_set_bit(region, core->pending, RMPOPT_REGIONS) {
		if (!budget--)
			return true;
		/* It may have been lost again, and this CPU may go offline. */
		if (test_bit(region, rmpopt_optimized) &&
		    rmpopt_execute(region, RMPOPT_VERIFY) < 0)
			return false;
		__clear_bit(region, core->pending);
	}

	rmpopt_drop_pending(core);

	return false;
}

static void rmpopt_arm(unsigned int cpu)
{
	struct timer_list *timer = per_cpu_ptr(&rmpopt_timer, cpu);

	lockdep_assert_held(&rmpopt_core_of(cpu)->lock);

	if (!cpumask_test_cpu(cpu, rmpopt_cpus) || timer_pending(timer))
		return;

	timer->expires = jiffies + 1;
	add_timer_on(timer, cpu);
}

static void rmpopt_tick(struct timer_list *timer)
{
	unsigned int cpu = smp_processor_id();
	struct rmpopt_core *core = rmpopt_core_of(cpu);

	guard(spinlock)(&core->lock);

	/* If this CPU goes offline, it is for a sibling to see to the core. */
	if (!cpumask_test_cpu(cpu, rmpopt_cpus))
		return;

	if (rmpopt_drain(core, RMPOPT_TICK_BUDGET))
		rmpopt_arm(cpu);
}

static void rmpopt_fill_work(struct work_struct *work)
{
	struct rmpopt_core *core;
	unsigned int cpu;
	bool more;

	do {
		more = false;
		local_bh_disable();
		cpu = smp_processor_id();
		core = rmpopt_core_of(cpu);
		scoped_guard(spinlock, &core->lock) {
			if (cpumask_test_cpu(cpu, rmpopt_cpus))
				more = rmpopt_drain(core, RMPOPT_TICK_BUDGET);
		}
		local_bh_enable();
		cond_resched();
	} while (more);
}

static void rmpopt_queue_fill(unsigned int cpu)
{
	queue_work_on(cpu, system_percpu_wq, per_cpu_ptr(&rmpopt_fill, cpu));
}

/*
 * Have every core verify @regions, @but the one that did, at once if @now or
 * in the eager mode.  Otherwise whichever thread of a core ticks first does it
 * for the core.
 */
void rmpopt_spread(const unsigned long *regions, int but, bool now, ktime_t since)
{
	bool eager = now || READ_ONCE(rmpopt_mode) == RMPOPT_EAGER;
	unsigned int cpu;

	if (since)
		WRITE_ONCE(rmpopt_since, since);

	/*
	 * rmpopt_optimized has @regions before this reads rmpopt_cpus.  Pairs
	 * with the barrier in rmpopt_cpu_online().
	 */
	smp_mb();

	for_each_cpu(cpu, rmpopt_cpus) {
		struct rmpopt_core *core = rmpopt_core_of(cpu);
		bool leads = rmpopt_leads_core(cpu);

		if (topology_logical_core_id(cpu) == but)
			continue;

		scoped_guard(spinlock_bh, &core->lock) {
			if (leads && cpumask_test_cpu(cpu, rmpopt_cpus))
				rmpopt_add_pending(core, cpu, regions);
			if (core->behind && !eager)
				rmpopt_arm(cpu);
		}

		if (leads && eager)
			rmpopt_queue_fill(cpu);
	}
}

/* Have the core of @cpu, which came online, verify what is optimized */
void rmpopt_spread_to(unsigned int cpu)
{
	struct rmpopt_core *core = rmpopt_core_of(cpu);

	scoped_guard(spinlock_bh, &core->lock)
		rmpopt_add_pending(core, cpu, rmpopt_optimized);

	rmpopt_queue_fill(cpu);
}

/* @cpu, which is not in rmpopt_cpus any more, goes offline */
void rmpopt_spread_offline(unsigned int cpu)
{
	unsigned int sibling = cpumask_any_and(topology_sibling_cpumask(cpu), rmpopt_cpus);
	struct rmpopt_core *core = rmpopt_core_of(cpu);

	/* Whoever arms the timer holds the lock: from here on nobody does. */
	scoped_guard(spinlock_bh, &core->lock) {
		if (sibling >= nr_cpu_ids)
			rmpopt_drop_pending(core);
	}

	timer_delete_sync(per_cpu_ptr(&rmpopt_timer, cpu));

	/* It may have been this CPU's to do at once. */
	if (sibling < nr_cpu_ids)
		rmpopt_queue_fill(sibling);
}

/* Wait for the cores that were to verify what is pending at once */
void rmpopt_spread_flush(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		flush_work(per_cpu_ptr(&rmpopt_fill, cpu));
}

/* rmpopt_cpus is empty: nothing is pending any more, and no timer armed */
void rmpopt_spread_stop(void)
{
	unsigned int cpu;

	for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
		struct rmpopt_core *core = &rmpopt_cores[cpu];

		scoped_guard(spinlock_bh, &core->lock)
			rmpopt_drop_pending(core);
	}

	for_each_possible_cpu(cpu) {
		timer_delete_sync(per_cpu_ptr(&rmpopt_timer, cpu));
		cancel_work_sync(per_cpu_ptr(&rmpopt_fill, cpu));
	}
}

/* Pairs of a region and a core that is to verify it, at least 1 while a leader works */
unsigned long rmpopt_pending(void)
{
	unsigned long sum = 0;
	unsigned int core;

	for (core = 0; core < nr_cpu_ids; core++) {
		/* Only a figure: to take the locks would hold up the ticks. */
		sum += data_race(bitmap_weight(rmpopt_cores[core].pending, RMPOPT_REGIONS));
	}

	return sum ?: !!atomic_read(&rmpopt_behind);
}

int __init rmpopt_spread_init(void)
{
	unsigned int cpu;

	rmpopt_cores = kvzalloc_objs(*rmpopt_cores, nr_cpu_ids);
	if (!rmpopt_cores)
		return -ENOMEM;

	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		spin_lock_init(&rmpopt_cores[cpu].lock);

	for_each_possible_cpu(cpu) {
		timer_setup(per_cpu_ptr(&rmpopt_timer, cpu), rmpopt_tick,
			    TIMER_DEFERRABLE | TIMER_PINNED);
		INIT_WORK(per_cpu_ptr(&rmpopt_fill, cpu), rmpopt_fill_work);
	}

	return 0;
}

#include "rmpopt-spread_kunit.c"
