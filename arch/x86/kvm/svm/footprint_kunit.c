// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of the footprints, included by what they test. */
#ifdef CONFIG_RMPOPT_KUNIT_TEST
#include <kunit/test.h>

static struct snp_footprint *snp_footprint_test_alloc(struct kunit *test)
{
	struct snp_footprint *footprint = snp_footprint_alloc(0);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, footprint);

	return footprint;
}

static void snp_footprint_regions(struct kunit *test)
{
	struct snp_footprint *footprint = snp_footprint_test_alloc(test);
	unsigned long *regions = footprint->rescan.regions;

	__snp_footprint_add(footprint, 0);
	__snp_footprint_add(footprint, 1);
	__snp_footprint_add(footprint, PHYS_PFN(SZ_1G) - 1);
	KUNIT_EXPECT_EQ(test, bitmap_weight(regions, RMPOPT_REGIONS), 1);
	KUNIT_EXPECT_TRUE(test, test_bit(0, regions));

	__snp_footprint_add(footprint, PHYS_PFN(SZ_1G));
	__snp_footprint_add(footprint, RMPOPT_REGIONS * PHYS_PFN(SZ_1G) - 1);
	KUNIT_EXPECT_EQ(test, bitmap_weight(regions, RMPOPT_REGIONS), 3);
	KUNIT_EXPECT_TRUE(test, test_bit(1, regions));
	KUNIT_EXPECT_TRUE(test, test_bit(RMPOPT_REGIONS - 1, regions));

	/* Beyond what is handled */
	__snp_footprint_add(footprint, RMPOPT_REGIONS * PHYS_PFN(SZ_1G));
	__snp_footprint_add(footprint, ~0ULL);
	KUNIT_EXPECT_EQ(test, bitmap_weight(regions, RMPOPT_REGIONS), 3);

	kfree(footprint);
}

static void snp_footprint_last_reference(struct kunit *test)
{
	struct snp_footprint *footprint = snp_footprint_test_alloc(test);

	__snp_footprint_add(footprint, 0);
	refcount_inc(&footprint->references);
	refcount_inc(&footprint->references);

	KUNIT_EXPECT_NULL(test, __snp_footprint_put(footprint));
	KUNIT_EXPECT_NULL(test, __snp_footprint_put(footprint));
	KUNIT_EXPECT_PTR_EQ(test, __snp_footprint_put(footprint), footprint);

	kfree(footprint);
}

/* A VM without private pages leaves nothing to do. */
static void snp_footprint_untouched(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, __snp_footprint_put(snp_footprint_test_alloc(test)));
}

static void snp_footprint_none(struct kunit *test)
{
	__snp_footprint_add(NULL, 0);
	__snp_footprint_add(SNP_FOOTPRINT_UNKNOWN, 0);
	snp_footprint_put(NULL);
}

static struct kunit_case snp_footprint_cases[] = {
	KUNIT_CASE(snp_footprint_regions),
	KUNIT_CASE(snp_footprint_last_reference),
	KUNIT_CASE(snp_footprint_untouched),
	KUNIT_CASE(snp_footprint_none),
	{ },
};

static struct kunit_suite snp_footprint_suite = {
	.name		= "snp-footprint",
	.test_cases	= snp_footprint_cases,
};

kunit_test_suite(snp_footprint_suite);
#endif
