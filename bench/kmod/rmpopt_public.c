// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policies of the two public RMPOPT series, written from their description,
 * to be measured against.  While RMPOPT is off (control), write to
 * /sys/module/rmpopt_public/parameters/run
 *
 *   on      enable the window of every core, from address 0
 *   march   v2 of March 2026: each region on each CPU, an IPI per region
 *   june    v10 of June 2026: one leader over all regions, then each region on
 *           each other core, an IPI per region
 *   off     disable the windows
 *
 * The write returns when every core did what it is to do.  Unlike those series
 * it does not find out by itself that a VM has ended, and the 10 seconds that
 * v10 waits are left to the caller.
 */
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/topology.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/rmpopt.h>

static DECLARE_BITMAP(present, RMPOPT_WINDOW);
static bool enabled;

static void write_window(void *value)
{
	wrmsrq(MSR_AMD64_RMPOPT_BASE, (unsigned long)value);
}

static void enable(bool on)
{
	on_each_cpu(write_window, (void *)(on ? MSR_AMD64_RMPOPT_ENABLE : 0), true);
	enabled = on;
}

static void verify(void *region)
{
	__rmpopt((unsigned long)region * RMPOPT_REGION_SIZE, RMPOPT_VERIFY);
}

/* An IPI to each CPU of @cpus for each region */
static void verify_all(const struct cpumask *cpus)
{
	unsigned long region;

	for_each_set_bit(region, present, RMPOPT_WINDOW) {
		on_each_cpu_mask(cpus, verify, (void *)region, true);
		cond_resched();
	}
}

static int june(void)
{
	cpumask_var_t others;
	unsigned long region;
	unsigned int cpu;

	if (!zalloc_cpumask_var(&others, GFP_KERNEL))
		return -ENOMEM;

	migrate_disable();
	for_each_set_bit(region, present, RMPOPT_WINDOW) {
		verify((void *)region);
		cond_resched();
	}
	for_each_online_cpu(cpu) {
		if (cpu == cpumask_first(topology_sibling_cpumask(cpu)))
			cpumask_set_cpu(cpu, others);
	}
	cpumask_andnot(others, others, topology_sibling_cpumask(smp_processor_id()));
	verify_all(others);
	migrate_enable();

	free_cpumask_var(others);
	return 0;
}

static int run(const char *value, const struct kernel_param *unused)
{
	guard(cpus_read_lock)();

	if (sysfs_streq(value, "on") || sysfs_streq(value, "off")) {
		enable(sysfs_streq(value, "on"));
		return 0;
	}
	/* RMPOPT raises #UD where the window is not enabled. */
	if (!enabled)
		return -ENODEV;
	if (sysfs_streq(value, "june"))
		return june();
	if (!sysfs_streq(value, "march"))
		return -EINVAL;
	verify_all(cpu_online_mask);
	return 0;
}

static const struct kernel_param_ops run_ops = {
	.set = run,
};
module_param_cb(run, &run_ops, NULL, 0200);

static int __init public_init(void)
{
	unsigned long pfn;

	if (!cpu_feature_enabled(X86_FEATURE_RMPOPT))
		return -ENODEV;

	/* Memory above 2TB is not covered by them. */
	for (pfn = 0; pfn < PHYS_PFN(SZ_2T); pfn += PAGES_PER_SECTION) {
		if (pfn_valid(pfn))
			__set_bit(rmpopt_region(pfn), present);
	}

	return 0;
}

static void __exit public_exit(void)
{
	if (enabled)
		enable(false);
}

module_init(public_init);
module_exit(public_exit);

MODULE_DESCRIPTION("The policies of the public RMPOPT series, for comparison");
MODULE_LICENSE("GPL");
