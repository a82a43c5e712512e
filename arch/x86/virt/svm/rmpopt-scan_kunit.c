// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of the regions and their leaders, included by what they test. */
#ifdef CONFIG_RMPOPT_KUNIT_TEST
#include <kunit/test.h>

/* The end of what is handled */
#define RMPOPT_TEST_END		(RMPOPT_REGIONS * PHYS_PFN(RMPOPT_REGION_SIZE))

static void rmpopt_region_of_page(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, rmpopt_region(0), 0);
	KUNIT_EXPECT_EQ(test, rmpopt_region(PHYS_PFN(SZ_1G) - 1), 0);
	KUNIT_EXPECT_EQ(test, rmpopt_region(PHYS_PFN(SZ_1G)), 1);
	KUNIT_EXPECT_EQ(test, rmpopt_region(RMPOPT_TEST_END - 1), RMPOPT_REGIONS - 1);
	KUNIT_EXPECT_EQ(test, rmpopt_region(RMPOPT_TEST_END), RMPOPT_REGIONS);
}

static void rmpopt_ram_expect(struct kunit *test, unsigned long pfn,
			      unsigned long nr_pages, unsigned int first, unsigned int nr)
{
	size_t words = BITS_TO_LONGS(RMPOPT_REGIONS);
	unsigned long *want = kunit_kcalloc(test, words, sizeof(*want), GFP_KERNEL);
	unsigned long *got = kunit_kcalloc(test, words, sizeof(*got), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, want);
	KUNIT_ASSERT_NOT_NULL(test, got);

	bitmap_set(want, first, nr);
	KUNIT_EXPECT_EQ(test, rmpopt_add_ram(pfn, nr_pages, got), 0);
	KUNIT_EXPECT_TRUE_MSG(test, bitmap_equal(want, got, RMPOPT_REGIONS),
			      "pfn %lx pages %lx: want %u from %u, got %*pbl", pfn,
			      nr_pages, nr, first, (int)RMPOPT_REGIONS, got);
}

static void rmpopt_regions_with_ram(struct kunit *test)
{
	unsigned long region = PHYS_PFN(SZ_1G);

	rmpopt_ram_expect(test, 0, region, 0, 1);
	rmpopt_ram_expect(test, 0, region + 1, 0, 2);
	rmpopt_ram_expect(test, 1, 1, 0, 1);
	rmpopt_ram_expect(test, region - 1, 2, 0, 2);
	rmpopt_ram_expect(test, 3 * region, 4 * region, 3, 4);
	rmpopt_ram_expect(test, RMPOPT_TEST_END - 1, 1, RMPOPT_REGIONS - 1, 1);
}

static void rmpopt_regions_beyond_the_end(struct kunit *test)
{
	unsigned long region = PHYS_PFN(SZ_1G), end = RMPOPT_TEST_END;

	rmpopt_ram_expect(test, end - 1, 2, RMPOPT_REGIONS - 1, 1);
	rmpopt_ram_expect(test, end - 2 * region, 8 * region, RMPOPT_REGIONS - 2, 2);
	rmpopt_ram_expect(test, end, region, 0, 0);
	rmpopt_ram_expect(test, 5 * end, end, 0, 0);
}

/* How many leaders verify the ordinal-th region, and how many each one does */
static void rmpopt_share_expect(struct kunit *test, unsigned int regions, unsigned int cores)
{
	unsigned int *load = kunit_kcalloc(test, cores, sizeof(*load), GFP_KERNEL);
	unsigned int ordinal, nth, leaders;

	KUNIT_ASSERT_NOT_NULL(test, load);

	for (ordinal = 0; ordinal < regions; ordinal++) {
		for (nth = 0, leaders = 0; nth < cores; nth++) {
			struct rmpopt_share share = { .nth = nth, .of = cores };

			if (rmpopt_in_share(ordinal, &share)) {
				leaders++;
				load[nth]++;
			}
		}
		KUNIT_EXPECT_EQ(test, leaders, 1);
	}

	for (nth = 0; nth < cores; nth++) {
		KUNIT_EXPECT_GE(test, load[nth], regions / cores);
		KUNIT_EXPECT_LE(test, load[nth], DIV_ROUND_UP(regions, cores));
	}
}

static void rmpopt_shares(struct kunit *test)
{
	rmpopt_share_expect(test, 8, 1);
	rmpopt_share_expect(test, 8, 4);
	rmpopt_share_expect(test, 9, 4);
	rmpopt_share_expect(test, 3, 64);
	rmpopt_share_expect(test, RMPOPT_REGIONS, 192);
}

/* No CPU that is not in rmpopt_cpus executes RMPOPT: it would raise #UD. */
static void rmpopt_execute_elsewhere(struct kunit *test)
{
	unsigned long executed = rmpopt_executed();

	if (rmpopt_running)
		kunit_skip(test, "RMPOPT is in use");
	if (!cpumask_available(rmpopt_cpus))
		kunit_skip(test, "RMPOPT is not supported");

	KUNIT_EXPECT_EQ(test, rmpopt_execute(0, RMPOPT_VERIFY), -EAGAIN);
	KUNIT_EXPECT_EQ(test, rmpopt_execute(0, RMPOPT_REPORT), -EAGAIN);
	KUNIT_EXPECT_EQ(test, rmpopt_executed(), executed);
}

/* A page of the last region becomes private: no RAM of a test machine there */
static void rmpopt_lost_region(struct kunit *test)
{
	const unsigned int region = RMPOPT_REGIONS - 1;

	if (test_bit(region, rmpopt_present))
		kunit_skip(test, "The last region has RAM");

	set_bit(region, rmpopt_optimized);
	rmpopt_lost(RMPOPT_TEST_END);
	rmpopt_lost(RMPOPT_TEST_END - PHYS_PFN(RMPOPT_REGION_SIZE) - 1);
	KUNIT_EXPECT_TRUE(test, test_bit(region, rmpopt_optimized));
	rmpopt_lost(RMPOPT_TEST_END - 1);
	KUNIT_EXPECT_FALSE(test, test_bit(region, rmpopt_optimized));
	clear_bit(region, rmpopt_optimized);
}

static struct kunit_case rmpopt_scan_cases[] = {
	KUNIT_CASE(rmpopt_region_of_page),
	KUNIT_CASE(rmpopt_regions_with_ram),
	KUNIT_CASE(rmpopt_regions_beyond_the_end),
	KUNIT_CASE(rmpopt_shares),
	KUNIT_CASE(rmpopt_execute_elsewhere),
	KUNIT_CASE(rmpopt_lost_region),
	{ },
};

static struct kunit_suite rmpopt_scan_suite = {
	.name		= "rmpopt-scan",
	.test_cases	= rmpopt_scan_cases,
};

kunit_test_suite(rmpopt_scan_suite);
#endif
