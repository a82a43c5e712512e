// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of the parsing, included by what they test. */
#ifdef CONFIG_RMPOPT_KUNIT_TEST
#include <kunit/test.h>

static void rmpopt_control_values(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control("on"), RMPOPT_ON);
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control("on\n"), RMPOPT_ON);
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control("off\n"), RMPOPT_OFF);
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control("forceoff"), RMPOPT_FORCE_OFF);
}

static void rmpopt_control_refusals(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control(""), -EINVAL);
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control("\n"), -EINVAL);
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control("ON"), -EINVAL);
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control("on "), -EINVAL);
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control("onoff"), -EINVAL);
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control("1"), -EINVAL);
	KUNIT_EXPECT_EQ(test, rmpopt_parse_control("notsupported"), -EINVAL);
}

static struct kunit_case rmpopt_sysfs_cases[] = {
	KUNIT_CASE(rmpopt_control_values),
	KUNIT_CASE(rmpopt_control_refusals),
	{ },
};

static struct kunit_suite rmpopt_sysfs_suite = {
	.name		= "rmpopt-sysfs",
	.test_cases	= rmpopt_sysfs_cases,
};

kunit_test_suite(rmpopt_sysfs_suite);
#endif
