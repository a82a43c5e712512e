// SPDX-License-Identifier: GPL-2.0-only
/*
 * RMPOPT, the knob and the figures: /sys/devices/system/cpu/rmpopt/ and, for
 * what the table of a core has, /sys/devices/system/cpu/cpuN/rmpopt/.  See
 * Documentation/ABI/testing/sysfs-devices-system-cpu-rmpopt.
 */
#define pr_fmt(fmt) "SEV-SNP: RMPOPT: " fmt

#include <linux/cpu.h>
#include <linux/device.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/string_choices.h>
#include <linux/sysfs.h>
#include <linux/workqueue.h>

#include "rmpopt.h"

static const char * const rmpopt_controls[] = {
	[RMPOPT_ON]		= "on",
	[RMPOPT_OFF]		= "off",
	[RMPOPT_FORCE_OFF]	= "forceoff",
	[RMPOPT_NOT_SUPPORTED]	= "notsupported",
};

static const char * const rmpopt_modes[] = {
	[RMPOPT_LAZY]		= "lazy",
	[RMPOPT_EAGER]		= "eager",
};

/* What to notify when no core is behind any more */
static struct kernfs_node *rmpopt_pending_file;

/* The value of rmpopt_control that @buf asks for, or -EINVAL */
static int rmpopt_parse_control(const char *buf)
{
	int control = sysfs_match_string(rmpopt_controls, buf);

	return control == RMPOPT_NOT_SUPPORTED ? -EINVAL : control;
}

static ssize_t control_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", rmpopt_controls[READ_ONCE(rmpopt_control)]);
}

static ssize_t control_store(struct device *dev, struct device_attribute *attr,
			     const char *buf, size_t count)
{
	int control = rmpopt_parse_control(buf);

	if (control >= 0)
		control = rmpopt_set_control(control);

	return control < 0 ? control : count;
}
static DEVICE_ATTR_RW(control);

static ssize_t mode_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", rmpopt_modes[READ_ONCE(rmpopt_mode)]);
}

static ssize_t mode_store(struct device *dev, struct device_attribute *attr,
			  const char *buf, size_t count)
{
	static const DECLARE_BITMAP(none, RMPOPT_REGIONS);
	int mode = sysfs_match_string(rmpopt_modes, buf);

	if (mode < 0)
		return mode;

	WRITE_ONCE(rmpopt_mode, mode);

	/* What is pending was left to the timers. */
	if (mode == RMPOPT_EAGER && READ_ONCE(rmpopt_running))
		rmpopt_spread(none, RMPOPT_NO_CORE, true, 0);

	return count;
}
static DEVICE_ATTR_RW(mode);

static ssize_t placement_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	bool on = IS_ENABLED(CONFIG_CONTIG_ALLOC) && READ_ONCE(rmpopt_placement);

	return sysfs_emit(buf, "%s\n", str_on_off(on));
}

static ssize_t placement_store(struct device *dev, struct device_attribute *attr,
			       const char *buf, size_t count)
{
	bool on = sysfs_streq(buf, "on");

	if (!on && !sysfs_streq(buf, "off"))
		return -EINVAL;
	if (on && !IS_ENABLED(CONFIG_CONTIG_ALLOC))
		return -EOPNOTSUPP;

	rmpopt_set_placement(on);

	return count;
}
static DEVICE_ATTR_RW(placement);

#define RMPOPT_ATTR_RO(name, format, value...)					\
static ssize_t name##_show(struct device *dev, struct device_attribute *attr,	\
			   char *buf)						\
{										\
	return sysfs_emit(buf, format "\n", value);				\
}										\
static DEVICE_ATTR_RO(name)

RMPOPT_ATTR_RO(pending, "%lu", rmpopt_pending());
RMPOPT_ATTR_RO(rmpopts, "%lu", rmpopt_executed());
RMPOPT_ATTR_RO(rescans, "%ld", atomic_long_read(&rmpopt_rescans));
RMPOPT_ATTR_RO(rescanned, "%ld", atomic_long_read(&rmpopt_rescanned));
RMPOPT_ATTR_RO(settle_us, "%llu", READ_ONCE(rmpopt_settle_us));

/* Lists may be longer than a page, hence binary files. */
static ssize_t rmpopt_read_list(const unsigned long *regions, char *buf, loff_t off, size_t count)
{
	char *list __free(kfree) = kasprintf(GFP_KERNEL, "%*pbl\n", (int)RMPOPT_REGIONS, regions);

	return list ? memory_read_from_buffer(buf, count, &off, list, strlen(list)) : -ENOMEM;
}

static ssize_t regions_read(struct file *file, struct kobject *kobj,
			    const struct bin_attribute *attr, char *buf, loff_t off, size_t count)
{
	return rmpopt_read_list(rmpopt_present, buf, off, count);
}

static const BIN_ATTR_RO(regions, 0);

static ssize_t optimized_read(struct file *file, struct kobject *kobj,
			      const struct bin_attribute *attr, char *buf, loff_t off, size_t count)
{
	unsigned long *regions __free(bitmap) = bitmap_zalloc(RMPOPT_REGIONS, GFP_KERNEL);

	if (!regions)
		return -ENOMEM;

	/*
	 * What is being led counts when the leader succeeded.  Leaders and
	 * conversions go on meanwhile, so it is what was, a moment ago.
	 */
	data_race(bitmap_andnot(regions, rmpopt_optimized, rmpopt_leading, RMPOPT_REGIONS));

	return rmpopt_read_list(regions, buf, off, count);
}

static const BIN_ATTR_RO(optimized, 0);

static struct attribute *rmpopt_attrs[] = {
	&dev_attr_control.attr,
	&dev_attr_mode.attr,
	&dev_attr_placement.attr,
	&dev_attr_pending.attr,
	&dev_attr_rmpopts.attr,
	&dev_attr_rescans.attr,
	&dev_attr_rescanned.attr,
	&dev_attr_settle_us.attr,
	NULL,
};

static const struct bin_attribute *const rmpopt_bin_attrs[] = {
	&bin_attr_regions,
	&bin_attr_optimized,
	NULL,
};

/* Where RMPOPT is not supported there is nothing but the file that says so. */
static umode_t rmpopt_is_visible(struct kobject *kobj, struct attribute *attr, int n)
{
	if (rmpopt_control != RMPOPT_NOT_SUPPORTED)
		return attr->mode;

	return attr == &dev_attr_control.attr ? 0444 : 0;
}

static umode_t rmpopt_is_bin_visible(struct kobject *kobj, const struct bin_attribute *attr, int n)
{
	return rmpopt_control == RMPOPT_NOT_SUPPORTED ? 0 : attr->attr.mode;
}

static const struct attribute_group rmpopt_group = {
	.name		= "rmpopt",
	.attrs		= rmpopt_attrs,
	.bin_attrs	= rmpopt_bin_attrs,
	.is_visible	= rmpopt_is_visible,
	.is_bin_visible	= rmpopt_is_bin_visible,
};

struct rmpopt_report {
	unsigned int cpu;
	DECLARE_BITMAP(regions, RMPOPT_REGIONS);
};

static long rmpopt_report(void *arg)
{
	struct rmpopt_report *report = arg;
	unsigned int region;

	for_each_set_bit(region, rmpopt_present, RMPOPT_REGIONS) {
		/* The work item is elsewhere if the CPU went offline. */
		if (raw_smp_processor_id() != report->cpu)
			return -ENXIO;
		if (rmpopt_execute(region, RMPOPT_REPORT) > 0)
			__set_bit(region, report->regions);
		cond_resched();
	}

	return 0;
}

/* A list that does not fit into a page is asked for with each page. */
static ssize_t cpu_regions_read(struct file *file, struct kobject *kobj,
				const struct bin_attribute *attr, char *buf, loff_t off,
				size_t count)
{
	struct rmpopt_report *report __free(kfree) = kzalloc_obj(*report);
	unsigned int cpu = kobj_to_dev(kobj)->id;
	long ret;

	if (!report)
		return -ENOMEM;

	report->cpu = cpu;
	ret = work_on_cpu(cpu, rmpopt_report, report);
	if (ret)
		return ret;

	return rmpopt_read_list(report->regions, buf, off, count);
}

/* To read it makes another CPU work, so that is not for everyone. */
static const struct bin_attribute bin_attr_cpu_regions =
	__BIN_ATTR(regions, 0400, cpu_regions_read, NULL, 0);

static ssize_t cpu_window_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	unsigned int first = rmpopt_window(dev->id);

	return sysfs_emit(buf, "%u-%llu\n", first, first + RMPOPT_WINDOW - 1);
}

static struct device_attribute dev_attr_cpu_window = __ATTR(window, 0444, cpu_window_show, NULL);

static struct attribute *rmpopt_cpu_attrs[] = {
	&dev_attr_cpu_window.attr,
	NULL,
};

static const struct bin_attribute *const rmpopt_cpu_bin_attrs[] = {
	&bin_attr_cpu_regions,
	NULL,
};

static const struct attribute_group rmpopt_cpu_group = {
	.name		= "rmpopt",
	.attrs		= rmpopt_cpu_attrs,
	.bin_attrs	= rmpopt_cpu_bin_attrs,
};

int rmpopt_sysfs_online(unsigned int cpu)
{
	return sysfs_create_group(&get_cpu_device(cpu)->kobj, &rmpopt_cpu_group);
}

void rmpopt_sysfs_offline(unsigned int cpu)
{
	sysfs_remove_group(&get_cpu_device(cpu)->kobj, &rmpopt_cpu_group);
}

void rmpopt_sysfs_settled(void)
{
	if (rmpopt_pending_file)
		sysfs_notify_dirent(rmpopt_pending_file);
}

void __init rmpopt_sysfs_init(void)
{
	struct device *root = bus_get_dev_root(&cpu_subsys);
	struct kernfs_node *dir;

	/* RMPOPT is as useful without. */
	if (!root || sysfs_create_group(&root->kobj, &rmpopt_group)) {
		pr_warn("no files in sysfs\n");
	} else if (rmpopt_control != RMPOPT_NOT_SUPPORTED) {
		dir = sysfs_get_dirent(root->kobj.sd, rmpopt_group.name);
		rmpopt_pending_file = sysfs_get_dirent(dir, "pending");
		sysfs_put(dir);
	}

	put_device(root);
}

#include "rmpopt-sysfs_kunit.c"
