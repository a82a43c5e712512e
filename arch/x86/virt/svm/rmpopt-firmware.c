// SPDX-License-Identifier: GPL-2.0-only
/*
 * RMPOPT, pages that the firmware gives back.
 *
 * The ccp driver makes pages private for the firmware and shared again outside
 * of any VM, often several times a second.  Their regions are collected, and
 * verified once a second at most.
 */
#include <linux/panic.h>
#include <linux/workqueue.h>

#include "rmpopt.h"

static DECLARE_BITMAP(rmpopt_firmware, RMPOPT_REGIONS);

static void rmpopt_firmware_work(struct work_struct *work)
{
	static DECLARE_BITMAP(regions, RMPOPT_REGIONS);
	unsigned int region;

	/* A work item never runs twice at a time, so @regions is its own. */
	bitmap_zero(regions, RMPOPT_REGIONS);

	/* A region that comes back after its bit is cleared queues this again. */
	for_each_set_bit(region, rmpopt_firmware, RMPOPT_REGIONS) {
		if (test_and_clear_bit(region, rmpopt_firmware))
			__set_bit(region, regions);
	}

	rmpopt_rescan_regions(regions, 0, 0);
}

static DECLARE_DELAYED_WORK(rmpopt_firmware_rescan, rmpopt_firmware_work);

void rmpopt_reclaimed(u64 pa)
{
	u64 region = rmpopt_region(PHYS_PFN(pa));

	if (region >= RMPOPT_REGIONS || !READ_ONCE(rmpopt_running))
		return;

	/* SNP is shut down, maybe from an NMI that holds up a lock's owner. */
	if (panic_in_progress())
		return;

	/* The page is shared.  Pairs with test_and_clear_bit() in the work. */
	smp_mb();

	if (!test_bit(region, rmpopt_firmware) &&
	    !test_and_set_bit(region, rmpopt_firmware))
		queue_delayed_work(system_percpu_wq, &rmpopt_firmware_rescan, HZ);
}
EXPORT_SYMBOL_FOR_MODULES(rmpopt_reclaimed, "ccp");

void rmpopt_firmware_stop(void)
{
	cancel_delayed_work_sync(&rmpopt_firmware_rescan);
	bitmap_zero(rmpopt_firmware, RMPOPT_REGIONS);
}
