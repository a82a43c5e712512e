// SPDX-License-Identifier: GPL-2.0-only
/*
 * RMPOPT, windows: which regions a core can have in its table.
 *
 * All cores of a NUMA node have the same window, the 2TB of physical memory
 * that are nearest to the node.  Nodes may share a window, windows may overlap,
 * and on a host with no more than 2TB there is one for all.  On cores whose
 * window does not cover a region, writes to it are checked.
 */
#include <linux/minmax.h>
#include <linux/nodemask.h>
#include <linux/topology.h>

#include "rmpopt.h"

/* The memory of one node, in regions, and how far from another node it is */
struct rmpopt_memory {
	unsigned int first;
	unsigned int end;
	unsigned int distance;
};

/* The first region of the window of each node's cores */
static unsigned int rmpopt_windows[MAX_NUMNODES];

unsigned int rmpopt_window(unsigned int cpu)
{
	int node = cpu_to_node(cpu);

	return node == NUMA_NO_NODE ? 0 : rmpopt_windows[node];
}

bool rmpopt_covers(unsigned int cpu, unsigned int region)
{
	unsigned int first = rmpopt_window(cpu);

	return region >= first && region < first + RMPOPT_WINDOW;
}

/* Keep those @regions that the window of @cpu covers. */
void rmpopt_keep_covered(unsigned int cpu, unsigned long *regions)
{
	unsigned int first = rmpopt_window(cpu), end = first + RMPOPT_WINDOW;

	bitmap_clear(regions, 0, first);
	bitmap_clear(regions, end, RMPOPT_REGIONS - end);
}

/* Whether another CPU that may execute RMPOPT has the same window as @cpu */
bool rmpopt_shares_window(unsigned int cpu)
{
	unsigned int other;

	for_each_cpu(other, rmpopt_cpus) {
		if (other != cpu && rmpopt_window(other) == rmpopt_window(cpu))
			return true;
	}

	return false;
}

/* What is in a window: the regions with memory, and the sum of their distances */
struct rmpopt_content {
	u64 regions;
	u64 distance;
};

static struct rmpopt_content rmpopt_window_content(const struct rmpopt_memory *memory,
						   unsigned int nr, unsigned int first)
{
	struct rmpopt_content content = { };

	for (; nr--; memory++) {
		unsigned int begin = max(memory->first, first);
		unsigned int end = min(memory->end, first + RMPOPT_WINDOW);

		if (begin < end) {
			content.regions += end - begin;
			content.distance += (u64)(end - begin) * memory->distance;
		}
	}

	return content;
}

/* Whether @a has the lower average distance, or the same and more memory */
static bool rmpopt_content_better(struct rmpopt_content a, struct rmpopt_content b)
{
	u64 ab = a.distance * b.regions, ba = b.distance * a.regions;

	if (!a.regions || !b.regions || ab == ba)
		return a.regions > b.regions;

	return ab < ba;
}

/*
 * Where the window may be best: where it, within the physical memory, begins or
 * ends with an edge of a node's memory.  In between, as it slides, the average
 * only rises or only falls.
 */
static unsigned int rmpopt_window_candidate(const struct rmpopt_memory *memory, unsigned int nth,
					    unsigned int last)
{
	unsigned int edge = nth & 1 ? memory->end : memory->first;

	if (nth & 2)
		edge = max(edge, RMPOPT_WINDOW) - RMPOPT_WINDOW;

	return min(edge, last);
}

/* The window, within the physical memory, with the lowest average distance */
static unsigned int rmpopt_best_window(const struct rmpopt_memory *memory, unsigned int nr)
{
	unsigned int i, first, last = 0, best = 0;
	struct rmpopt_content most = rmpopt_window_content(memory, nr, 0);

	for (i = 0; i < nr; i++)
		last = max(last, max(memory[i].end, RMPOPT_WINDOW) - RMPOPT_WINDOW);

	for (i = 0; i < 4 * nr; i++) {
		struct rmpopt_content content;

		first = rmpopt_window_candidate(&memory[i / 4], i % 4, last);
		content = rmpopt_window_content(memory, nr, first);
		if (rmpopt_content_better(content, most) ||
		    (first < best && !rmpopt_content_better(most, content))) {
			most = content;
			best = first;
		}
	}

	return best;
}

static unsigned int rmpopt_memory_of_nodes(struct rmpopt_memory *memory, int from)
{
	unsigned int nr = 0;
	int node;

	for_each_node_state(node, N_MEMORY) {
		u64 first = rmpopt_region(node_start_pfn(node));
		u64 last = rmpopt_region(node_end_pfn(node) - 1);

		if (first >= RMPOPT_REGIONS)
			continue;
		memory[nr++] = (struct rmpopt_memory) {
			.first = first,
			.end = min(last + 1, RMPOPT_REGIONS),
			.distance = node_distance(from, node),
		};
	}

	return nr;
}

/* Find the windows for the memory that there is, before they are enabled. */
void rmpopt_find_windows(void)
{
	static struct rmpopt_memory memory[MAX_NUMNODES];
	int node;

	for_each_node(node)
		rmpopt_windows[node] = rmpopt_best_window(memory,
							  rmpopt_memory_of_nodes(memory, node));
}

#include "rmpopt-window_kunit.c"
