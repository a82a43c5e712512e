// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the pending sets, included by what they test.  The regions
 * are beyond the RAM of a test machine: no RMPOPT is executed for them.
 */
#ifdef CONFIG_RMPOPT_KUNIT_TEST
#include <kunit/test.h>

#define RMPOPT_TEST_FIRST	(rmpopt_window(0) + RMPOPT_WINDOW - 2 * RMPOPT_TICK_BUDGET)

static struct rmpopt_core *rmpopt_test_core(struct kunit *test, unsigned int regions)
{
	struct rmpopt_core *core = kunit_kzalloc(test, sizeof(*core), GFP_KERNEL);
	static DECLARE_BITMAP(set, RMPOPT_REGIONS);

	KUNIT_ASSERT_NOT_NULL(test, core);
	spin_lock_init(&core->lock);
	bitmap_zero(set, RMPOPT_REGIONS);
	bitmap_set(set, RMPOPT_TEST_FIRST, regions);

	guard(spinlock_bh)(&core->lock);
	rmpopt_add_pending(core, 0, set);

	return core;
}

static unsigned int rmpopt_test_left(struct rmpopt_core *core)
{
	return bitmap_weight(core->pending, RMPOPT_REGIONS);
}

static bool rmpopt_test_drain(struct rmpopt_core *core)
{
	guard(spinlock_bh)(&core->lock);
	return rmpopt_drain(core, RMPOPT_TICK_BUDGET);
}

static void rmpopt_pending_empty(struct kunit *test)
{
	struct rmpopt_core *core = rmpopt_test_core(test, 0);

	KUNIT_EXPECT_FALSE(test, core->behind);
	KUNIT_EXPECT_FALSE(test, rmpopt_test_drain(core));
	KUNIT_EXPECT_FALSE(test, core->behind);
}

static void rmpopt_pending_once(struct kunit *test)
{
	struct rmpopt_core *core = rmpopt_test_core(test, 3);

	scoped_guard(spinlock_bh, &core->lock)
		rmpopt_add_pending(core, 0, core->pending);

	KUNIT_EXPECT_TRUE(test, core->behind);
	KUNIT_EXPECT_EQ(test, rmpopt_test_left(core), 3);
	KUNIT_EXPECT_FALSE(test, rmpopt_test_drain(core));
	KUNIT_EXPECT_FALSE(test, core->behind);
	KUNIT_EXPECT_EQ(test, rmpopt_test_left(core), 0);
}

static void rmpopt_pending_within_budget(struct kunit *test)
{
	struct rmpopt_core *core = rmpopt_test_core(test, RMPOPT_TICK_BUDGET);

	KUNIT_EXPECT_FALSE(test, rmpopt_test_drain(core));
	KUNIT_EXPECT_EQ(test, rmpopt_test_left(core), 0);
}

static void rmpopt_pending_over_budget(struct kunit *test)
{
	struct rmpopt_core *core = rmpopt_test_core(test, RMPOPT_TICK_BUDGET + 1);

	KUNIT_EXPECT_TRUE(test, rmpopt_test_drain(core));
	KUNIT_EXPECT_EQ(test, rmpopt_test_left(core), 1);
	KUNIT_EXPECT_TRUE(test, core->behind);
	KUNIT_EXPECT_FALSE(test, rmpopt_test_drain(core));
	KUNIT_EXPECT_FALSE(test, core->behind);
}

static void rmpopt_pending_dropped(struct kunit *test)
{
	struct rmpopt_core *core = rmpopt_test_core(test, 5);

	scoped_guard(spinlock_bh, &core->lock)
		rmpopt_drop_pending(core);

	KUNIT_EXPECT_EQ(test, rmpopt_test_left(core), 0);
	KUNIT_EXPECT_FALSE(test, core->behind);
}

static struct kunit_case rmpopt_spread_cases[] = {
	KUNIT_CASE(rmpopt_pending_empty),
	KUNIT_CASE(rmpopt_pending_once),
	KUNIT_CASE(rmpopt_pending_within_budget),
	KUNIT_CASE(rmpopt_pending_over_budget),
	KUNIT_CASE(rmpopt_pending_dropped),
	{ },
};

static struct kunit_suite rmpopt_spread_suite = {
	.name		= "rmpopt-spread",
	.test_cases	= rmpopt_spread_cases,
};

kunit_test_suite(rmpopt_spread_suite);
#endif
