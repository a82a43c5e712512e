// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of the windows, included by what they test. */
#ifdef CONFIG_RMPOPT_KUNIT_TEST
#include <kunit/test.h>
#include <linux/prandom.h>

#define LOCAL	10
#define SOCKET	12
#define REMOTE	32

/* Regions of so many TB */
#define TB(x)	((x) * (SZ_1T / RMPOPT_REGION_SIZE))

/* @memory ends with a node that has none. */
static void rmpopt_expect_window(struct kunit *test, unsigned int window,
				 const struct rmpopt_memory *memory)
{
	unsigned int nr = 0;

	while (memory[nr].end)
		nr++;

	KUNIT_EXPECT_EQ(test, rmpopt_best_window(memory, nr), window);
}

static void rmpopt_window_one_node(struct kunit *test)
{
	const struct rmpopt_memory small[] = { { 0, 6, LOCAL }, { } };
	const struct rmpopt_memory full[] = { { 0, TB(2), LOCAL }, { } };
	const struct rmpopt_memory large[] = { { 0, TB(6), LOCAL }, { } };

	rmpopt_expect_window(test, 0, small);
	rmpopt_expect_window(test, 0, full);
	/* One place is as good as another: the lowest. */
	rmpopt_expect_window(test, 0, large);
}

/* Everything fits: one window for all, however far it is. */
static void rmpopt_window_for_all(struct kunit *test)
{
	const struct rmpopt_memory first[] = {
		{ 0, TB(1), LOCAL }, { TB(1), TB(2), REMOTE }, { },
	};
	const struct rmpopt_memory second[] = {
		{ 0, TB(1), REMOTE }, { TB(1), TB(2), LOCAL }, { },
	};
	const struct rmpopt_memory none[] = {
		{ 0, TB(1), REMOTE }, { TB(1), TB(2), SOCKET }, { },
	};

	rmpopt_expect_window(test, 0, first);
	rmpopt_expect_window(test, 0, second);
	/* A node without memory */
	rmpopt_expect_window(test, 0, none);
}

static void rmpopt_window_two_nodes(struct kunit *test)
{
	const struct rmpopt_memory first[] = {
		{ 0, TB(2), LOCAL }, { TB(2), TB(4), REMOTE }, { },
	};
	const struct rmpopt_memory second[] = {
		{ 0, TB(2), REMOTE }, { TB(2), TB(4), LOCAL }, { },
	};
	/* 1.5TB each: one has room for a part of the other's */
	const struct rmpopt_memory part[] = {
		{ 0, TB(3) / 2, REMOTE }, { TB(3) / 2, TB(3), LOCAL }, { },
	};

	rmpopt_expect_window(test, 0, first);
	rmpopt_expect_window(test, TB(2), second);
	rmpopt_expect_window(test, TB(1), part);
}

/* Four nodes in each of two sockets, 1TB each */
static void rmpopt_window_eight_nodes(struct kunit *test)
{
	static const unsigned int windows[] = {
		0, 0, TB(1), TB(2), TB(4), TB(4), TB(5), TB(6),
	};
	struct rmpopt_memory memory[9] = { };
	unsigned int node, other;

	for (node = 0; node < 8; node++) {
		for (other = 0; other < 8; other++) {
			memory[other] = (struct rmpopt_memory) {
				.first = TB(other),
				.end = TB(other + 1),
				.distance = other == node ? LOCAL :
					    other / 4 == node / 4 ? SOCKET : REMOTE,
			};
		}
		rmpopt_expect_window(test, windows[node], memory);
	}
}

static void rmpopt_window_holes(struct kunit *test)
{
	/* The second node's memory is far up, and little: still its own. */
	const struct rmpopt_memory second[] = {
		{ 0, 4, REMOTE }, { TB(3), TB(3) + 4, LOCAL }, { },
	};
	/* ... even if less of the first node's is in the window then. */
	const struct rmpopt_memory bit[] = {
		{ 0, TB(2), SOCKET }, { TB(3), TB(3) + 4, LOCAL }, { },
	};
	/* The memory of one node is in between that of the other. */
	const struct rmpopt_memory around[] = {
		{ TB(2), TB(7), REMOTE }, { TB(4), TB(5), LOCAL }, { },
	};
	/* The best place begins with the end of what is far. */
	const struct rmpopt_memory end[] = {
		{ 0, TB(1), REMOTE }, { TB(3) / 2, TB(5) / 2, LOCAL }, { TB(3), TB(6), 20 }, { },
	};

	rmpopt_expect_window(test, TB(1), end);
	rmpopt_expect_window(test, TB(1) + 4, second);
	rmpopt_expect_window(test, TB(1) + 4, bit);
	rmpopt_expect_window(test, TB(3), around);
}

/* More than 2TB in one node, and up to the end of what is handled */
static void rmpopt_window_large_nodes(struct kunit *test)
{
	const struct rmpopt_memory first[] = {
		{ 0, TB(8), LOCAL }, { TB(8), TB(16), REMOTE }, { },
	};
	const struct rmpopt_memory second[] = {
		{ 0, TB(8), REMOTE }, { TB(8), TB(16), LOCAL }, { },
	};
	const struct rmpopt_memory last[] = {
		{ 0, TB(2), REMOTE }, { TB(15), TB(16), LOCAL }, { },
	};

	rmpopt_expect_window(test, 0, first);
	rmpopt_expect_window(test, TB(8), second);
	rmpopt_expect_window(test, TB(14), last);
}

/* Memory in many places; what is found is compared with all there is. */
static void rmpopt_window_search(struct kunit *test)
{
	struct rmpopt_memory memory[4];
	unsigned int i, n, end, first;
	struct rnd_state state;

	prandom_seed_state(&state, 1);
	for (n = 0; n < 30; n++) {
		struct rmpopt_content found, best = { };

		for (i = 0, end = 0; i < ARRAY_SIZE(memory); i++) {
			memory[i].first = end + prandom_u32_state(&state) % (TB(1) / 8);
			end = memory[i].first + 1 + prandom_u32_state(&state) % TB(2);
			memory[i].end = end;
			memory[i].distance = LOCAL + prandom_u32_state(&state) % 3 * 11;
		}

		first = rmpopt_best_window(memory, ARRAY_SIZE(memory));
		found = rmpopt_window_content(memory, ARRAY_SIZE(memory), first);
		for (first = 0; first + RMPOPT_WINDOW <= end; first++) {
			struct rmpopt_content content;

			content = rmpopt_window_content(memory, ARRAY_SIZE(memory), first);
			if (rmpopt_content_better(content, best))
				best = content;
		}
		KUNIT_EXPECT_FALSE_MSG(test, rmpopt_content_better(best, found), "topology %u", n);
	}
}

static struct kunit_case rmpopt_window_cases[] = {
	KUNIT_CASE(rmpopt_window_one_node),
	KUNIT_CASE(rmpopt_window_for_all),
	KUNIT_CASE(rmpopt_window_two_nodes),
	KUNIT_CASE(rmpopt_window_eight_nodes),
	KUNIT_CASE(rmpopt_window_holes),
	KUNIT_CASE(rmpopt_window_large_nodes),
	KUNIT_CASE(rmpopt_window_search),
	{ },
};

static struct kunit_suite rmpopt_window_suite = {
	.name		= "rmpopt-window",
	.test_cases	= rmpopt_window_cases,
};

kunit_test_suite(rmpopt_window_suite);
#endif
