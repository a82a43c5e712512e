/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel says about RMPOPT in sysfs: which 1GB regions of the host's
 * memory are optimized, and when that is so on every core.
 */
#ifndef SELFTEST_KVM_RMPOPT_H
#define SELFTEST_KVM_RMPOPT_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#define RMPOPT_SYSFS_CPU	"/sys/devices/system/cpu/"
#define RMPOPT_SYSFS		RMPOPT_SYSFS_CPU "rmpopt/"
#define RMPOPT_NR_REGIONS	16384

/* Nothing takes that long, other than a bug. */
#define RMPOPT_TIMEOUT_MS	60000

struct rmpopt_regions {
	bool bit[RMPOPT_NR_REGIONS];
};

/* The first line of a file */
void rmpopt_read(const char *path, char *buf, size_t size);
unsigned long rmpopt_read_number(const char *path);
/* Return 0 or the errno. */
int rmpopt_write(const char *path, const char *value);
struct rmpopt_regions rmpopt_read_regions(const char *path);

/* Whether the kernel has RMPOPT and it is not switched off */
bool rmpopt_is_on(void);

/* Those of @regions that a CPU can have in its table */
struct rmpopt_regions rmpopt_in_window(const struct rmpopt_regions *regions, int cpu);

/* The regions that the kernel has verified */
struct rmpopt_regions rmpopt_optimized(void);

int rmpopt_count(const struct rmpopt_regions *regions);
bool rmpopt_equal(const struct rmpopt_regions *a, const struct rmpopt_regions *b);

/*
 * Wait until @want is optimized and every core has caught up, with the help of
 * this task on @cpus, the CPUs it may use.
 */
void rmpopt_wait(const struct rmpopt_regions *want, cpu_set_t *cpus);

/* As rmpopt_wait(), and until more than @rescans rescans came to their end */
void rmpopt_wait_rescan(const struct rmpopt_regions *want, cpu_set_t *cpus,
			unsigned long rescans);

#endif /* SELFTEST_KVM_RMPOPT_H */
