/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Verifying one region: RMPUPDATE and rmpopt_lost() against leaders, followers
 * and a CPU that goes and comes.  Two cores of one CPU each.
 *
 * Broken on purpose by: HW_KEEPS_BITS LOST_FIRST SET_AFTER NO_LEADING NO_RETRY
 * RESCAN_NOT_COUNTED MASK_FIRST OPTIMIZED_FIRST BEGAN_HERE UNCOUNTED_SPREAD
 */
#define EAGAIN	2
#define NO_CORE	2

/* The hardware: private pages, and the region's bit in each core's table */
byte private;
bool table[2] = true;

bool optimized = true, leading, mask[2] = true;	/* rmpopt_cpus */
bool pending[2], locked[2], armed[2];		/* struct rmpopt_core, its timer or fill work */
byte behind;
bool full_rescan;					/* of everything, queued */

/* What only the assertions and the scheduler know */
bool online[2] = true, alive[2] = true;
byte vms, updating;
bool begun;

inline rmpupdate(change)
{
	d_step {
		updating++;
		private = private + change;
#ifndef HW_KEEPS_BITS
		table[0] = false; table[1] = false;
#endif
	}
}

inline rmpopt_lost()
{
	if
	:: optimized -> d_step { optimized = false; updating-- }
	:: d_step { !optimized -> updating-- }
	fi
}

/* A page is made private, or shared. */
inline convert(change)
{
#ifdef LOST_FIRST
	rmpopt_lost();
	rmpupdate(change);
#else
	rmpupdate(change);
	rmpopt_lost();
#endif
}

inline rmpopt_fall_behind() { behind++ }
inline rmpopt_caught_up() { behind-- }

/* Only @cpu clears itself in the mask here, so preempt_disable() is atomic. */
inline rmpopt_execute(core)
{
	if
	:: !mask[core] -> ret = EAGAIN
	:: mask[core] && private -> ret = 0
	:: mask[core] && !private -> table[core] = true; ret = 1
	fi
}

inline rmpopt_retry_elsewhere()
{
#ifdef RESCAN_NOT_COUNTED
	full_rescan = true
#else
	rmpopt_fall_behind();
	if
	:: atomic { !full_rescan -> full_rescan = true }
	:: full_rescan -> rmpopt_caught_up()
	fi
#endif
}

/* A worker is on its CPU, or on CPU 0 while that is offline. */
#define BOUND	(!cpu || alive[1])	/* is_percpu_thread() */
#define HERE	(cpu && alive[1])

/* Steps are made one where no other process can tell: see Lipton's reduction. */
inline rmpopt_lead()
{
	atomic {
#ifndef NO_LEADING
		!leading -> leading = true;
#endif
		ret = 0;
		if
		:: optimized -> leading = false; goto led
		:: else
		fi
	};
#ifndef SET_AFTER
	optimized = true;
#endif
	/* rmpopt_verify() */
	if
	:: mask[HERE] -> atomic { rmpopt_execute(HERE) }
	:: !mask[HERE] -> atomic { rmpopt_execute(0) }
	fi;
	if
	:: d_step { ret != 1 -> optimized = false; leading = false }
#ifdef SET_AFTER
	:: d_step { ret == 1 -> optimized = true; leading = false }
#else
	:: d_step { ret == 1 -> leading = false }
#endif
	fi;
#ifndef NO_RETRY
	if
	:: ret == EAGAIN -> rmpopt_retry_elsewhere()
	:: else
	fi;
#endif
led:
	skip
}

#ifdef MASK_FIRST
#define IN_MASK(core)	seen[core]
#else
#define IN_MASK(core)	mask[core]
#endif

inline rmpopt_add_pending(core)
{
	if
	:: !pending[core] -> pending[core] = true; behind++
	:: else
	fi
}

inline rmpopt_spread(core)
{
	if
	:: core != but && IN_MASK(core) ->
		atomic {
			!locked[core];		/* spin_lock() */
			if
			:: mask[core] -> rmpopt_add_pending(core); armed[core] = true
			:: else
			fi
		}
	:: else
	fi
}

/* Work on @cpu; a region that is led goes to the others but the one it is on. */
inline rmpopt_rescan_regions()
{
#ifdef BEGAN_HERE
	d_step { but = HERE };
#else
	d_step { but = (BOUND -> HERE : NO_CORE) };
#endif
#ifdef MASK_FIRST
	d_step { seen[0] = mask[0]; seen[1] = mask[1] };
#endif
	rmpopt_lead();
	/* For a sibling, of which there is none here. */
	d_step {
		if
		:: !BOUND || !mask[HERE] -> but = NO_CORE
		:: else
		fi
	};
#ifdef UNCOUNTED_SPREAD
	rmpopt_caught_up();
#endif
	if
	:: ret == 1 -> rmpopt_spread(0); rmpopt_spread(1)
	:: else
	fi
}

#ifdef MASK_FIRST
#define LOCALS	byte cpu, but, ret; bool seen[2]
#else
#define LOCALS	byte cpu, but, ret
#endif

/* A VM that has a private page.  It may live on, or ends and has it verified. */
proctype vm(bool second)
{
	LOCALS;

	/* One is the first to begin. */
	atomic { !second || begun; begun = true; vms++ };
	convert(1);
	if
	:: cpu = 0
	:: cpu = 1
	:: goto end				/* lives on */
	fi;
	convert(-1);
	d_step { rmpopt_fall_behind(); vms-- };	/* rmpopt_queue_rescan() */
	rmpopt_rescan_regions();		/* rmpopt_rescan_work() */
#ifndef UNCOUNTED_SPREAD
	rmpopt_caught_up();
#endif
	d_step { cpu = 0; but = 0; ret = 0 };
end:
	false
}

proctype rmpopt_full_rescan_work()
{
	LOCALS;
end:
	do
	:: atomic {
		full_rescan -> full_rescan = false;
		if
		:: cpu = 0
		:: cpu = 1
		fi
	   };
		rmpopt_rescan_regions();
#if !defined(RESCAN_NOT_COUNTED) && !defined(UNCOUNTED_SPREAD)
		rmpopt_caught_up();
#endif
		d_step { cpu = 0; but = 0; ret = 0 }
	od
}

inline rmpopt_drop_pending(core)
{
	if
	:: pending[core] -> pending[core] = false; rmpopt_caught_up()
	:: else
	fi
}

/* rmpopt_tick() or rmpopt_fill_work(), with rmpopt_drain() */
proctype follower(byte core)
{
	byte ret;
end:
	do
	:: atomic {
		armed[core] && !locked[core];
		armed[core] = false;
		if
		:: pending[core] && mask[core] -> locked[core] = true
		:: else -> goto end
		fi
	   };
		if
		:: optimized -> atomic { rmpopt_execute(core) }
		:: else
		fi;
		d_step {
			if
			:: ret != EAGAIN -> rmpopt_drop_pending(core)
			:: else
			fi;
			locked[core] = false;
			ret = 0
		}
	od
}

/* CPU 1 goes offline, and comes online again. */
proctype hotplug()
{
	bool regions;

	/* rmpopt_cpu_offline() */
	d_step { online[1] = false; mask[1] = false };
	atomic { !locked[1] -> rmpopt_drop_pending(1) };
	atomic { !locked[1] -> armed[1] = false };	/* timer_delete_sync() */
	table[1] = false;
	alive[1] = false;

	/* rmpopt_cpu_online() */
	alive[1] = true;
#ifdef OPTIMIZED_FIRST
	regions = optimized;
	mask[1] = true;
#else
	mask[1] = true;
	regions = optimized;
#endif
	atomic {
		!locked[1];
		if
		:: regions -> rmpopt_add_pending(1)
		:: else
		fi
	};
	d_step { armed[1] = true; online[1] = true; regions = false };
end:
	false
}

#define HAS(core)	(!online[core] || table[core])

/* True at any time, so this never runs. */
proctype always()
{
end:
	atomic {
		behind > 9 || (private && (table[0] || table[1])) ||
		/* rmpopt_pending() is 0. */
		(!behind && !updating && optimized && !(HAS(0) && HAS(1))) ||
		(!behind && !vms && !optimized) ||
		(!behind && (full_rescan || leading || pending[0] || pending[1]));
		assert(!(private && (table[0] || table[1])));
		assert(behind && behind <= 9)
	}
}

proctype quiet()
{
	timeout ->
	assert(!behind && !leading && !full_rescan);
	assert(private || (optimized && HAS(0) && HAS(1)));
	assert(!private || !optimized)
}

init {
	atomic {
		run vm(false); run vm(true);
		run rmpopt_full_rescan_work();
		run follower(0); run follower(1);
		run hotplug(); run always(); run quiet()
	}
}
