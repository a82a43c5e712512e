// SPDX-License-Identifier: GPL-2.0-only
/*
 * RMPOPT, the life cycle: when it is used, and on which CPUs.
 *
 * RMPOPT is used while SNP is initialized and the administrator wants it.
 * One mask, rmpopt_cpus, has the CPUs that may execute RMPOPT, because the
 * window of their core is enabled.  A CPU executes RMPOPT with preemption
 * disabled, and looks for itself in the mask first.  So to stop is: clear the
 * mask, wait for an RCU grace period, and disable the windows.
 */
#define pr_fmt(fmt) "SEV-SNP: RMPOPT: " fmt

#include <linux/cc_platform.h>
#include <linux/cpu.h>
#include <linux/cpufeature.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <linux/topology.h>

#include <asm/msr.h>
#include <asm/sev-common.h>

#include "rmpopt.h"

/* Protects rmpopt_control and rmpopt_snp_live, and decides with them. */
static DEFINE_MUTEX(rmpopt_mutex);

enum rmpopt_control rmpopt_control __read_mostly = RMPOPT_NOT_SUPPORTED;

/* SNP is initialized */
static bool rmpopt_snp_live;

/*
 * RMPOPT is in use.  Written with rmpopt_mutex and cpus_read_lock() held, so
 * it is stable for a hotplug callback, and for whoever holds rmpopt_mutex.
 */
bool rmpopt_running __read_mostly;

/* CPUs that may execute RMPOPT */
cpumask_var_t rmpopt_cpus;

static void rmpopt_write_window(u64 value)
{
	u64 old;

	/* Whether writing it again would clear the core's table is unknown. */
	rdmsrq(MSR_AMD64_RMPOPT_BASE, old);
	if (old != value)
		wrmsrq(MSR_AMD64_RMPOPT_BASE, value);
}

static void rmpopt_enable_cpu(void *unused)
{
	unsigned int cpu = smp_processor_id();

	rmpopt_write_window((u64)rmpopt_window(cpu) * RMPOPT_REGION_SIZE |
			    MSR_AMD64_RMPOPT_ENABLE);
	cpumask_set_cpu(cpu, rmpopt_cpus);
}

static void rmpopt_disable_cpu(void *unused)
{
	rmpopt_write_window(0);
}

/* One CPU of each core stands for its core, while no CPU goes or comes. */
bool rmpopt_leads_core(unsigned int cpu)
{
	return cpu == cpumask_first_and(topology_sibling_cpumask(cpu), rmpopt_cpus);
}

static void rmpopt_enable(void)
{
	lockdep_assert_held(&rmpopt_mutex);

	guard(cpus_read_lock)();

	rmpopt_find_windows();
	WRITE_ONCE(rmpopt_running, true);
	on_each_cpu(rmpopt_enable_cpu, NULL, 1);
	rmpopt_scan_start();
}

static void rmpopt_disable(void)
{
	lockdep_assert_held(&rmpopt_mutex);

	guard(cpus_read_lock)();

	WRITE_ONCE(rmpopt_running, false);
	cpumask_clear(rmpopt_cpus);

	/* Wait for those who saw their CPU in the mask. */
	synchronize_rcu();
	on_each_cpu(rmpopt_disable_cpu, NULL, 1);

	rmpopt_firmware_stop();
	rmpopt_scan_stop();
	rmpopt_spread_stop();
}

static void rmpopt_update(void)
{
	bool run = rmpopt_snp_live && rmpopt_control == RMPOPT_ON;

	lockdep_assert_held(&rmpopt_mutex);

	if (run == rmpopt_running)
		return;

	if (run)
		rmpopt_enable();
	else
		rmpopt_disable();
}

int rmpopt_set_control(enum rmpopt_control control)
{
	scoped_guard(mutex, &rmpopt_mutex) {
		if (rmpopt_control == RMPOPT_NOT_SUPPORTED)
			return -ENODEV;
		if (rmpopt_control == RMPOPT_FORCE_OFF)
			return -EPERM;

		WRITE_ONCE(rmpopt_control, control);
		rmpopt_update();
	}

	/* The last leader has the cores fill their tables before it ends. */
	rmpopt_scan_flush();
	rmpopt_spread_flush();

	return 0;
}

void rmpopt_start(void)
{
	guard(mutex)(&rmpopt_mutex);

	rmpopt_snp_live = true;
	rmpopt_update();
}
EXPORT_SYMBOL_FOR_MODULES(rmpopt_start, "ccp");

void rmpopt_stop(void)
{
	guard(mutex)(&rmpopt_mutex);

	rmpopt_snp_live = false;
	rmpopt_update();
}
EXPORT_SYMBOL_FOR_MODULES(rmpopt_stop, "ccp");

static int rmpopt_cpu_online(unsigned int cpu)
{
	int ret = rmpopt_sysfs_online(cpu);

	/* Another kernel may have left a window, as in rmpopt_init(). */
	if (!cpumask_intersects(topology_sibling_cpumask(cpu), rmpopt_cpus))
		rmpopt_disable_cpu(NULL);

	/* Nothing undoes this, so it comes after what may fail. */
	if (!ret && rmpopt_running) {
		rmpopt_enable_cpu(NULL);
		/*
		 * The CPU is in rmpopt_cpus before it reads rmpopt_optimized.
		 * Pairs with the barrier in rmpopt_spread().
		 */
		smp_mb__after_atomic();
		rmpopt_spread_to(cpu);
		/* Nobody could verify what no other window covers. */
		if (!rmpopt_shares_window(cpu))
			rmpopt_queue_full_rescan();
	}

	return ret;
}

static int rmpopt_cpu_offline(unsigned int cpu)
{
	rmpopt_sysfs_offline(cpu);

	if (!rmpopt_running)
		return 0;

	/* This runs on @cpu, so nothing executes RMPOPT on @cpu now. */
	cpumask_clear_cpu(cpu, rmpopt_cpus);
	rmpopt_spread_offline(cpu);

	/* A sibling that is in the mask needs the window, it is the core's. */
	if (!cpumask_intersects(topology_sibling_cpumask(cpu), rmpopt_cpus))
		rmpopt_disable_cpu(NULL);

	return 0;
}

static const char * __init rmpopt_missing(void)
{
	u64 rmp_cfg = 0;

	if (!cpu_feature_enabled(X86_FEATURE_RMPOPT))
		return "the CPU does not have the instruction";

	if (!cc_platform_has(CC_ATTR_HOST_SEV_SNP))
		return "SNP is not enabled";

	if (cpu_feature_enabled(X86_FEATURE_SEGMENTED_RMP))
		rdmsrq(MSR_AMD64_RMP_CFG, rmp_cfg);
	if (!(rmp_cfg & MSR_AMD64_SEG_RMP_ENABLED))
		return "the RMP is contiguous, it has to be segmented";

	if (!zalloc_cpumask_var(&rmpopt_cpus, GFP_KERNEL) || rmpopt_spread_init())
		return "out of memory";

	return NULL;
}

/*
 * A device_initcall, because whether SNP is enabled is known only after the
 * IOMMU was set up.  If SNP is initialized before, RMPOPT starts here.
 */
static int __init rmpopt_init(void)
{
	const char *missing = rmpopt_missing();

	/* SNP may be initialized now.  That waits for the callbacks. */
	guard(mutex)(&rmpopt_mutex);

	if (!missing) {
		/* What another kernel left in the tables goes with the windows. */
		on_each_cpu(rmpopt_disable_cpu, NULL, 1);
		rmpopt_scan_init();
		rmpopt_place_init();
		rmpopt_control = sev_cfg.normpopt ? RMPOPT_FORCE_OFF : RMPOPT_ON;
		if (sev_cfg.normpopt)
			missing = "switched off on the command line";
		if (cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "x86/rmpopt:online",
				      rmpopt_cpu_online, rmpopt_cpu_offline) < 0) {
			rmpopt_control = RMPOPT_NOT_SUPPORTED;
			missing = "CPU hotplug has no room for it";
		}
	}

	/* Stay silent on CPUs that have nothing to do with it. */
	if (missing && (boot_cpu_has(X86_FEATURE_RMPOPT) || boot_cpu_has(X86_FEATURE_SEV_SNP)))
		pr_info("not used: %s\n", missing);

	rmpopt_sysfs_init();
	rmpopt_update();

	return 0;
}
device_initcall(rmpopt_init);
