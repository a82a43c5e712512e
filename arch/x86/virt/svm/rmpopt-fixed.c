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
#include <linux/mm.h>
#include <linux/sched.h>

#include <asm/sev.h>

#include "rmpopt.h"

/* Regions that a segment of the RMP has a part of, and perhaps not all */
static DECLARE_BITMAP(rmpopt_rmp, RMPOPT_REGIONS) __ro_after_init;

void __init rmpopt_rmp_at(u64 pa, u64 size)
{
	u64 first = rmpopt_region(PHYS_PFN(pa)), last = rmpopt_region(PHYS_PFN(pa + size - 1));

	if (sev_cfg.normpopt || !cpu_feature_enabled(X86_FEATURE_RMPOPT) || last >= RMPOPT_REGIONS)
		return;

	__set_bit(first, rmpopt_rmp);
	__set_bit(last, rmpopt_rmp);
}

static void *rmpopt_alloc_beside_rmp(int nid, size_t size, gfp_t gfp)
{
	unsigned long region, pfn, nr_pages = PHYS_PFN(size);

	for_each_set_bit(region, rmpopt_rmp, RMPOPT_REGIONS) {
		unsigned long end = PHYS_PFN((region + 1) * RMPOPT_REGION_SIZE);

		for (pfn = PHYS_PFN(region * RMPOPT_REGION_SIZE); pfn < end; pfn += nr_pages) {
			if (rmpopt_block(pfn, nr_pages, nid) &&
			    !alloc_contig_range(pfn, pfn + nr_pages, ACR_FLAGS_FREE, gfp))
				return page_address(pfn_to_page(pfn));
			cond_resched();
		}
	}

	return NULL;
}

void *rmpopt_alloc_fixed(int nid, size_t size, gfp_t gfp)
{
	void *memory = rmpopt_alloc_beside_rmp(nid, size, gfp);

	if (!memory && nid != NUMA_NO_NODE)
		memory = rmpopt_alloc_beside_rmp(NUMA_NO_NODE, size, gfp);

	return memory;
}
EXPORT_SYMBOL_FOR_MODULES(rmpopt_alloc_fixed, "ccp");
