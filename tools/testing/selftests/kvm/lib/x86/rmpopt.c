// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rmpopt.h"
#include "test_util.h"

void rmpopt_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t ret;

	TEST_ASSERT(fd >= 0, "open(%s): %s", path, strerror(errno));
	while ((ret = read(fd, buf + len, size - 1 - len)) > 0)
		len += ret;
	TEST_ASSERT(!ret, "read(%s): %s", path, strerror(errno));
	buf[len] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	close(fd);
}

unsigned long rmpopt_read_number(const char *path)
{
	char buf[64];

	rmpopt_read(path, buf, sizeof(buf));
	return strtoul(buf, NULL, 10);
}

int rmpopt_write(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY), ret = 0;

	TEST_ASSERT(fd >= 0, "open(%s): %s", path, strerror(errno));
	if (write(fd, value, strlen(value)) < 0)
		ret = errno;
	close(fd);

	return ret;
}

struct rmpopt_regions rmpopt_read_regions(const char *path)
{
	struct rmpopt_regions regions = { };
	static char buf[128 * 1024];
	char *pos = buf;

	rmpopt_read(path, buf, sizeof(buf));
	while (*pos) {
		unsigned long first = strtoul(pos, &pos, 10), last = first;

		if (*pos == '-')
			last = strtoul(pos + 1, &pos, 10);
		TEST_ASSERT(last < RMPOPT_NR_REGIONS, "%s: region %lu", path, last);
		while (first <= last)
			regions.bit[first++] = true;
		if (*pos == ',')
			pos++;
	}

	return regions;
}

struct rmpopt_regions rmpopt_in_window(const struct rmpopt_regions *regions, int cpu)
{
	struct rmpopt_regions ret;
	char path[128];
	int i;

	snprintf(path, sizeof(path), RMPOPT_SYSFS_CPU "cpu%d/rmpopt/window", cpu);
	ret = rmpopt_read_regions(path);
	for (i = 0; i < RMPOPT_NR_REGIONS; i++)
		ret.bit[i] &= regions->bit[i];

	return ret;
}

bool rmpopt_is_on(void)
{
	char control[16] = "";

	if (!access(RMPOPT_SYSFS "control", R_OK))
		rmpopt_read(RMPOPT_SYSFS "control", control, sizeof(control));

	return !strcmp(control, "on");
}

struct rmpopt_regions rmpopt_optimized(void)
{
	return rmpopt_read_regions(RMPOPT_SYSFS "optimized");
}

int rmpopt_count(const struct rmpopt_regions *regions)
{
	int i, n = 0;

	for (i = 0; i < RMPOPT_NR_REGIONS; i++)
		n += regions->bit[i];

	return n;
}

bool rmpopt_equal(const struct rmpopt_regions *a, const struct rmpopt_regions *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static s64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Keep @cpu busy for some ticks, as a host's CPUs are: it catches up then. */
static void keep_busy(int cpu)
{
	s64 until = now_ms() + 25;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
	while (now_ms() < until)
		;
}

/*
 * The kernel notifies when every core has caught up, which an idle core may
 * keep from happening.
 */
static void wait_until(const struct rmpopt_regions *want, cpu_set_t *cpus,
		       bool (*done)(unsigned long), unsigned long arg)
{
	s64 until = now_ms() + RMPOPT_TIMEOUT_MS;
	struct rmpopt_regions got;
	unsigned long pending;
	char buf[64];
	int fd, cpu = 0;
	bool lazy, stop;

	rmpopt_read(RMPOPT_SYSFS "mode", buf, sizeof(buf));
	lazy = !strcmp(buf, "lazy");
	fd = open(RMPOPT_SYSFS "pending", O_RDONLY);
	TEST_ASSERT(fd >= 0, "open(pending): %s", strerror(errno));

	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLPRI };

		stop = done(arg);
		got = rmpopt_optimized();
		/* Last, to know that what was seen is everywhere.  It arms poll(). */
		TEST_ASSERT(pread(fd, buf, sizeof(buf), 0) > 0, "read(pending)");
		pending = strtoul(buf, NULL, 10);
		if (stop && rmpopt_equal(&got, want) && !pending)
			break;

		TEST_ASSERT(now_ms() < until,
			    "%d regions optimized, want %d, %lu pending, after %lu rescans",
			    rmpopt_count(&got), rmpopt_count(want), pending,
			    rmpopt_read_number(RMPOPT_SYSFS "rescans"));
		if (lazy && pending) {
			while (!CPU_ISSET(cpu % CPU_SETSIZE, cpus))
				cpu++;
			keep_busy(cpu++ % CPU_SETSIZE);
		} else {
			poll(&pfd, 1, 1000);
		}
	}

	close(fd);
	sched_setaffinity(0, sizeof(*cpus), cpus);
}

static bool always(unsigned long unused)
{
	return true;
}

static bool rescanned(unsigned long rescans)
{
	return rmpopt_read_number(RMPOPT_SYSFS "rescans") > rescans;
}

void rmpopt_wait(const struct rmpopt_regions *want, cpu_set_t *cpus)
{
	wait_until(want, cpus, always, 0);
}

void rmpopt_wait_rescan(const struct rmpopt_regions *want, cpu_set_t *cpus,
			unsigned long rescans)
{
	wait_until(want, cpus, rescanned, rescans);
}
