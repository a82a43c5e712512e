/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM rmpopt

#if !defined(_TRACE_RMPOPT_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_RMPOPT_H

#include <linux/tracepoint.h>

/* A core verified a region; that of a leader comes within a rescan. */
TRACE_EVENT(rmpopt_verify,
	TP_PROTO(unsigned int region, bool optimized),
	TP_ARGS(region, optimized),

	TP_STRUCT__entry(
		__field(unsigned int, region)
		__field(bool, optimized)
	),
	TP_fast_assign(
		__entry->region = region;
		__entry->optimized = optimized;
	),
	TP_printk("region=%u optimized=%d", __entry->region, __entry->optimized)
);

TRACE_EVENT(rmpopt_rescan_begin,
	TP_PROTO(unsigned int regions),
	TP_ARGS(regions),

	TP_STRUCT__entry(
		__field(unsigned int, regions)
	),
	TP_fast_assign(
		__entry->regions = regions;
	),
	TP_printk("regions=%u", __entry->regions)
);

TRACE_EVENT(rmpopt_rescan_end,
	TP_PROTO(unsigned int regions, unsigned int regained, u64 us),
	TP_ARGS(regions, regained, us),

	TP_STRUCT__entry(
		__field(unsigned int, regions)
		__field(unsigned int, regained)
		__field(u64, us)
	),
	TP_fast_assign(
		__entry->regions = regions;
		__entry->regained = regained;
		__entry->us = us;
	),
	TP_printk("regions=%u regained=%u us=%llu", __entry->regions,
		  __entry->regained, __entry->us)
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
