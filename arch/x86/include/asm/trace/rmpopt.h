/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM rmpopt

#if !defined(_TRACE_RMPOPT_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_RMPOPT_H

#include <linux/tracepoint.h>

/* A core verified a region; @cached if another led it, so that this was cheap. */
TRACE_EVENT(rmpopt_verify,
	TP_PROTO(unsigned int region, int core, bool optimized, bool cached),
	TP_ARGS(region, core, optimized, cached),

	TP_STRUCT__entry(
		__field(unsigned int, region)
		__field(int, core)
		__field(bool, optimized)
		__field(bool, cached)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->core = core;
		__entry->optimized = optimized;
		__entry->cached = cached;
	),
	TP_printk("region=%u core=%d optimized=%d cached=%d", __entry->region,
		  __entry->core, __entry->optimized, __entry->cached)
);

/* For the VM whose VMM had this PID, 0 if it was for none or for many */
TRACE_EVENT(rmpopt_rescan_begin,
	TP_PROTO(pid_t vm, unsigned int regions),
	TP_ARGS(vm, regions),

	TP_STRUCT__entry(
		__field(pid_t, vm)
		__field(unsigned int, regions)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->regions = regions;
	),
	TP_printk("vm=%d regions=%u", __entry->vm, __entry->regions)
);

TRACE_EVENT(rmpopt_rescan_end,
	TP_PROTO(pid_t vm, unsigned int regions, unsigned int regained, u64 us),
	TP_ARGS(vm, regions, regained, us),

	TP_STRUCT__entry(
		__field(pid_t, vm)
		__field(unsigned int, regions)
		__field(unsigned int, regained)
		__field(u64, us)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->regions = regions;
		__entry->regained = regained;
		__entry->us = us;
	),
	TP_printk("vm=%d regions=%u regained=%u us=%llu", __entry->vm,
		  __entry->regions, __entry->regained, __entry->us)
);

/* Every core verified what it was to. */
TRACE_EVENT(rmpopt_settled,
	TP_PROTO(u64 us),
	TP_ARGS(us),

	TP_STRUCT__entry(
		__field(u64, us)
	),
	TP_fast_assign(
		__entry->us = us;
	),
	TP_printk("us=%llu", __entry->us)
);

#endif /* _TRACE_RMPOPT_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH asm/trace/
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE rmpopt
#include <trace/define_trace.h>
