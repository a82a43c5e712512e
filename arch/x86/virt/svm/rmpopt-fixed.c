// SPDX-License-Identifier: GPL-2.0-only
/*
 * RMPOPT, the place of what the firmware keeps: beside the RMP.
 *
 * A region with a part of the RMP is never optimized.  What drivers give to the
 * firmware when SNP is initialized, and get back when it is shut down, costs no
 * other region if it is in there, too.
 */
#include <linux/bitmap.h>
#include <linux/cpufeature.h>
#include <linux/gfp.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "rmpopt.h"

/* Regions that have a part of the RMP */
static DECLARE_BITMAP(rmpopt_rmp, RMPOPT_REGIONS) __ro_after_init;

void __init rmpopt_rmp_at(u64 pa, u64 size)
{
	u64 region = rmpopt_region(PHYS_PFN(pa)), last = rmpopt_region(PHYS_PFN(pa + size - 1));

	if (!cpu_feature_enabled(X86_FEATURE_RMPOPT))
		return;

	for (; region <= min(last, RMPOPT_REGIONS - 1); region++)
		__set_bit(region, rmpopt_rmp);
}

struct page *rmpopt_alloc_fixed(gfp_t gfp, unsigned int order)
{
	unsigned long region, pfn, nr_pages = 1UL << order;
	struct page *page;

	for_each_set_bit(region, rmpopt_rmp, RMPOPT_REGIONS) {
		unsigned long end = PHYS_PFN((region + 1) * RMPOPT_REGION_SIZE);

		for (pfn = PHYS_PFN(region * RMPOPT_REGION_SIZE); pfn < end; pfn += nr_pages) {
			page = pfn_to_online_page(pfn);
			if (page && page_zone(page + nr_pages - 1) == page_zone(page) &&
			    !alloc_contig_frozen_range(pfn, pfn + nr_pages, ACR_FLAGS_FREE, gfp)) {
				init_page_count(page);
				return page;
			}
			cond_resched();
		}
	}

	return NULL;
}
EXPORT_SYMBOL_FOR_MODULES(rmpopt_alloc_fixed, "ccp");
