// SPDX-License-Identifier: GPL-2.0-only
/*
 * busy - ordinary light work on every CPU that is given: write to memory for a
 * millisecond, sleep for three.
 *
 *   busy CPU...
 */
#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BUFFER	(4UL << 20)
#define WORK_NS	1000000L
#define REST_NS	3000000L	/* shorter than a tick: the core keeps ticking */

static long since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000000000L + now.tv_nsec - start->tv_nsec;
}

static void work(int cpu)
{
	const struct timespec rest = { .tv_nsec = REST_NS };
	struct timespec start;
	cpu_set_t set;
	char *buffer;
	size_t at = 0;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "CPU %d", cpu);
	buffer = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (buffer == MAP_FAILED)
		err(1, "memory");

	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &start);
		while (since(&start) < WORK_NS) {
			memset(buffer + at, (int)at, 4096);
			at = (at + 4096) % BUFFER;
		}
		nanosleep(&rest, NULL);
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		switch (fork()) {
		case -1:
			err(1, "fork");
		case 0:
			work(atoi(argv[i]));
		}
	}
	return 0;
}
