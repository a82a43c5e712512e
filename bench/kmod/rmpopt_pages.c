// SPDX-License-Identifier: GPL-2.0-only
/*
 * One private 4KB page in each 1GB region, as near to its end as there is a free
 * one: RMPOPT then reads all of the region's RMP, and optimizes nothing.  Write 1
 * to /sys/module/rmpopt_pages/parameters/private to have them, 0 to give them
 * back; it reads as the number of regions that have one.
 */
#include <linux/cleanup.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pfn.h>

#include <asm/rmpopt.h>
#include <asm/sev.h>

#define REGION_PAGES	PHYS_PFN(RMPOPT_REGION_SIZE)
#define ASID		1

/* Of each region, 0 if it has none */
static unsigned long pages[RMPOPT_WINDOW];

static int take(unsigned int region)
{
	unsigned long pfn = (region + 1) * REGION_PAGES, first = pfn - REGION_PAGES;

	while (pfn > first) {
		pfn -= pageblock_nr_pages;
		if (!pfn_valid(pfn) ||
		    alloc_contig_range(pfn + pageblock_nr_pages - 1, pfn + pageblock_nr_pages,
				       ACR_FLAGS_NONE, GFP_KERNEL | __GFP_NOWARN))
			continue;
		pfn += pageblock_nr_pages - 1;
		if (rmp_make_private(pfn, 0, PG_LEVEL_4K, ASID, false)) {
			free_contig_range(pfn, 1);
			return -EIO;
		}
		pages[region] = pfn;
		return 0;
	}

	return 0;
}

static void give_back(void)
{
	unsigned int region;

	for (region = 0; region < RMPOPT_WINDOW; region++) {
		/* A page that stays private must not be used again. */
		if (pages[region] && !rmp_make_shared(pages[region], PG_LEVEL_4K))
			free_contig_range(pages[region], 1);
		pages[region] = 0;
	}
}

static int set_private(const char *value, const struct kernel_param *unused)
{
	unsigned int region;
	bool private;
	int err;

	err = kstrtobool(value, &private);
	if (err)
		return err;

	give_back();
	for (region = 0; private && region < RMPOPT_WINDOW; region++) {
		err = take(region);
		if (err) {
			give_back();
			return err;
		}
	}

	return 0;
}

static int get_private(char *buffer, const struct kernel_param *unused)
{
	unsigned int region, count = 0;

	for (region = 0; region < RMPOPT_WINDOW; region++)
		count += !!pages[region];

	return sysfs_emit(buffer, "%u\n", count);
}

static const struct kernel_param_ops private_ops = {
	.set = set_private,
	.get = get_private,
};
module_param_cb(private, &private_ops, NULL, 0600);

static int __init pages_init(void)
{
	return cc_platform_has(CC_ATTR_HOST_SEV_SNP) ? 0 : -ENODEV;
}

static void __exit pages_exit(void)
{
	give_back();
}

module_init(pages_init);
module_exit(pages_exit);

MODULE_DESCRIPTION("A private page in each region, for measurements");
MODULE_LICENSE("GPL");
