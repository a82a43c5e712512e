// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of where private pages come from next, included by what they test. */
#ifdef CONFIG_RMPOPT_KUNIT_TEST
#include <kunit/test.h>

/* As the real ones, which the tests must not touch */
struct rmpopt_place_test {
	struct rmpopt_cursor cursor;
	DECLARE_BITMAP(present, RMPOPT_REGIONS);
	DECLARE_BITMAP(optimized, RMPOPT_REGIONS);
};

/* Regions 2 to 9, all of them optimized */
static int rmpopt_place_test_init(struct kunit *test)
{
	struct rmpopt_place_test *place = kunit_kzalloc(test, sizeof(*place), GFP_KERNEL);

	if (!place)
		return -ENOMEM;

	place->cursor.region = RMPOPT_NOWHERE;
	bitmap_set(place->present, 2, 8);
	bitmap_set(place->optimized, 2, 8);
	test->priv = place;

	return 0;
}

/* The search goes on in @region, and @moving pages. */
static void rmpopt_place_expect(struct kunit *test, unsigned int region, bool moving)
{
	struct rmpopt_place_test *place = test->priv;
	struct rmpopt_cursor *cursor = &place->cursor;

	KUNIT_EXPECT_TRUE(test, rmpopt_advance(cursor, place->present, place->optimized, 2, 9));
	KUNIT_EXPECT_EQ(test, cursor->region, region);
	KUNIT_EXPECT_EQ(test, cursor->moving, moving);
}

/* It does, and comes to the end of the region. */
static void rmpopt_place_through(struct kunit *test, unsigned int region, bool moving)
{
	struct rmpopt_place_test *place = test->priv;

	rmpopt_place_expect(test, region, moving);
	KUNIT_EXPECT_EQ(test, place->cursor.next, region * PHYS_PFN(SZ_1G));
	place->cursor.next += PHYS_PFN(SZ_1G);
}

/* All of the regions that are lost, then one that is not */
static void rmpopt_place_lost_first(struct kunit *test)
{
	struct rmpopt_place_test *place = test->priv;

	__clear_bit(3, place->optimized);
	__clear_bit(5, place->optimized);

	rmpopt_place_through(test, 5, false);
	rmpopt_place_through(test, 5, true);
	rmpopt_place_through(test, 3, false);
	rmpopt_place_through(test, 3, true);
	rmpopt_place_expect(test, 9, false);
}

/* A region that was begun is filled, even by moving pages, before the next one. */
static void rmpopt_place_one_by_one(struct kunit *test)
{
	struct rmpopt_place_test *place = test->priv;

	rmpopt_place_expect(test, 9, false);
	place->cursor.next += 3 * RMPOPT_BLOCK;

	/* Its pages are private now, but this is not what it goes on for. */
	__clear_bit(9, place->optimized);
	__clear_bit(4, place->optimized);
	rmpopt_place_expect(test, 9, false);
	KUNIT_EXPECT_EQ(test, place->cursor.next, 9 * PHYS_PFN(SZ_1G) + 3 * RMPOPT_BLOCK);
	place->cursor.next = 10 * PHYS_PFN(SZ_1G);
	rmpopt_place_through(test, 9, true);
	rmpopt_place_through(test, 4, false);
}

/* What is freed is searched again, also if another region was begun. */
static void rmpopt_place_spent(struct kunit *test)
{
	struct rmpopt_place_test *place = test->priv;

	rmpopt_place_through(test, 9, false);
	rmpopt_place_through(test, 9, true);
	rmpopt_place_expect(test, 8, false);
	KUNIT_EXPECT_TRUE(test, test_bit(9, place->cursor.spent));

	__clear_bit(9, place->cursor.spent);
	place->cursor.region = RMPOPT_NOWHERE;
	rmpopt_place_expect(test, 9, false);
}

/* To leave a region before its end, as its zone is short of memory, does not spend it. */
static void rmpopt_place_not_spent(struct kunit *test)
{
	struct rmpopt_place_test *place = test->priv;

	rmpopt_place_through(test, 9, false);
	rmpopt_place_expect(test, 9, true);
	place->cursor.region = RMPOPT_NOWHERE;
	rmpopt_place_expect(test, 9, false);
	KUNIT_EXPECT_TRUE(test, bitmap_empty(place->cursor.spent, RMPOPT_REGIONS));
}

/* Neither those that are spent nor those of another node */
static void rmpopt_place_none(struct kunit *test)
{
	struct rmpopt_place_test *place = test->priv;

	bitmap_clear(place->present, 3, 7);
	__set_bit(1, place->present);
	__set_bit(10, place->present);
	rmpopt_place_through(test, 2, false);
	rmpopt_place_through(test, 2, true);
	KUNIT_EXPECT_FALSE(test, rmpopt_advance(&place->cursor, place->present,
						place->optimized, 2, 9));
	KUNIT_EXPECT_EQ(test, place->cursor.region, RMPOPT_NOWHERE);
	KUNIT_EXPECT_EQ(test, rmpopt_pick(&place->cursor, place->present,
					  place->optimized, 10, 9), RMPOPT_NOWHERE);
}

/* A zone that is short of memory leaves the node's other zones to be searched. */
static void rmpopt_place_leave_out(struct kunit *test)
{
	struct zone *zone = kunit_kzalloc(test, sizeof(*zone), GFP_KERNEL);
	u64 first = 0, last = 9;

	KUNIT_ASSERT_NOT_NULL(test, zone);

	zone->zone_start_pfn = 4 * RMPOPT_REGION_PAGES;
	zone->spanned_pages = 6 * RMPOPT_REGION_PAGES;
	rmpopt_leave_out(zone, &first, &last);
	KUNIT_EXPECT_EQ(test, first, 0);
	KUNIT_EXPECT_EQ(test, last, 3);

	/* Then the lower one, too: nothing is left. */
	zone->zone_start_pfn = MAX_DMA_PFN;
	zone->spanned_pages = 3 * RMPOPT_REGION_PAGES;
	rmpopt_leave_out(zone, &first, &last);
	KUNIT_EXPECT_GT(test, first, last);

	/* The lower one alone */
	first = 0;
	last = 9;
	rmpopt_leave_out(zone, &first, &last);
	KUNIT_EXPECT_EQ(test, first, 4);
	KUNIT_EXPECT_EQ(test, last, 9);
}

static struct kunit_case rmpopt_place_cases[] = {
	KUNIT_CASE(rmpopt_place_lost_first),
	KUNIT_CASE(rmpopt_place_one_by_one),
	KUNIT_CASE(rmpopt_place_spent),
	KUNIT_CASE(rmpopt_place_not_spent),
	KUNIT_CASE(rmpopt_place_none),
	KUNIT_CASE(rmpopt_place_leave_out),
	{ },
};

static struct kunit_suite rmpopt_place_suite = {
	.name		= "rmpopt-place",
	.init		= rmpopt_place_test_init,
	.test_cases	= rmpopt_place_cases,
};

kunit_test_suite(rmpopt_place_suite);
#endif
