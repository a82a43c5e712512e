/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The knob: rmpopt_disable() and rmpopt_enable() against whoever executes RMPOPT,
 * on two cores.  One region, and one VM that ends.  CPUs stay: the knob holds
 * cpus_read_lock().  It goes off and on, and once more.
 *
 * Broken on purpose by: NO_RCU WINDOW_FIRST MASK_NOT_TESTED SPREAD_STOP_FIRST
 * LEADERS_NOT_COUNTED RESCAN_NOT_COUNTED NO_SCAN KEEP_OPTIMIZED
 */
#define EAGAIN	2

byte private;				/* the hardware */
bool table[2] = true, window[2] = true;

bool running = true, mask[2] = true;	/* rmpopt_cpus */
bool optimized = true, leading;
bool pending[2], locked[2];		/* struct rmpopt_core */
bool armed[2];				/* its timer or fill work */
byte behind, leaders;
bool full_queued, full_running;		/* rmpopt_full_rescan */
bool share_queued[2], share_running[2];	/* rmpopt_share */
byte preempt[2];			/* preempt_disable() on a CPU */

/* What only the assertions know: the VM lives, the knob is on, or off */
byte lives;
bool on = true, off;

inline rmpopt_fall_behind() { behind++ }
inline rmpopt_caught_up() { behind-- }

inline rmpopt_execute(cpu)
{
	atomic {
		preempt[cpu]++;
		if
		:: mask[cpu]
		:: else -> ret = EAGAIN; preempt[cpu]--; goto executed
		fi
	};
	d_step {
		assert(window[cpu]);			/* or #UD */
		ret = !private;
		table[cpu] = table[cpu] || ret;
		preempt[cpu]--
	};
executed:
	skip
}

inline rmpopt_retry_elsewhere()
{
	if
	:: mask[0] || mask[1] ->
		rmpopt_fall_behind();
		if
		:: atomic { !full_queued -> full_queued = true }
		:: full_queued -> rmpopt_caught_up()
		fi
	:: else
	fi
}

/* verify.pml has the details. */
inline rmpopt_lead(core)
{
	atomic {
		!leading -> leading = true;
		ret = 0;
		if
		:: optimized -> leading = false; goto led
		:: else
		fi
	};
	optimized = true;
	/* rmpopt_verify() */
	if
	:: mask[core] -> rmpopt_execute(core)
	:: !mask[core] ->
		if
		:: mask[1 - core] -> rmpopt_execute(1 - core)
		:: else
		fi
	fi;
	if
	:: d_step { ret != 1 -> optimized = false; leading = false }
	:: d_step { ret == 1 -> leading = false }
	fi;
	if
	:: ret == EAGAIN -> rmpopt_retry_elsewhere()
	:: else
	fi;
led:
	skip
}

#ifdef MASK_NOT_TESTED
#define TEST_MASK(cpu)	true
#else
#define TEST_MASK(cpu)	mask[cpu]
#endif

/* If @now, rmpopt_queue_fill() comes after the lock, whatever became of the mask. */
inline rmpopt_spread_one(cpu, now)
{
	if
	:: mask[cpu] ->
		atomic {
			!locked[cpu];
			if
			:: TEST_MASK(cpu) ->
				behind = behind + !pending[cpu];
				pending[cpu] = true;
				armed[cpu] = !now || armed[cpu]
			:: else
			fi
		};
		armed[cpu] = now || armed[cpu]
	:: else
	fi
}

inline rmpopt_rescan_regions(core)
{
	if
	:: running ->
		rmpopt_lead(core);
		if
		:: ret == 1 -> rmpopt_spread_one(1 - core, false)
		:: else
		fi
	:: else
	fi
}

proctype vm()
{
	byte ret;

	d_step { lives++; private++; table[0] = false; table[1] = false };
	optimized = false;		/* rmpopt_lost() */
	d_step { private--; table[0] = false; table[1] = false };
	optimized = false;
	d_step { rmpopt_fall_behind(); lives-- };
	rmpopt_rescan_regions(0);	/* rmpopt_rescan_work(): nobody cancels it */
	d_step { rmpopt_caught_up(); ret = 0 };
end:
	false
}

proctype rmpopt_full_rescan_work()
{
	byte ret;
end:
	do
	:: d_step { full_queued -> full_queued = false; full_running = true };
		rmpopt_rescan_regions(1);
		d_step { rmpopt_caught_up(); full_running = false; ret = 0 }
	od
}

proctype rmpopt_lead_share(byte core)
{
	byte ret;
end:
	do
	:: d_step { share_queued[core] -> share_queued[core] = false; share_running[core] = true };
		rmpopt_lead(core);
		d_step { leaders--; ret = !leaders };
		if
		:: ret && optimized -> rmpopt_spread_one(0, true); rmpopt_spread_one(1, true)
		:: else
		fi;
		d_step { behind = behind - ret; share_running[core] = false; ret = 0 }
	od
}

inline rmpopt_drop_pending(core)
{
	behind = behind - pending[core];
	pending[core] = false
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
		:: optimized -> rmpopt_execute(core)
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

inline rmpopt_scan_stop()
{
	/* cancel_work_sync() */
	d_step { share_queued[0] = false; share_queued[1] = false };
	!share_running[0] && !share_running[1];
#ifdef LEADERS_NOT_COUNTED
	leaders = 0;
#else
	d_step { behind = behind - (leaders > 0); leaders = 0 };
#endif
#ifdef RESCAN_NOT_COUNTED
	full_queued = false;
#else
	d_step { behind = behind - full_queued; full_queued = false };
#endif
	!full_running;
#ifndef KEEP_OPTIMIZED
	optimized = false
#endif
}

inline rmpopt_spread_stop()
{
	atomic { !locked[0] -> rmpopt_drop_pending(0) };
	atomic { !locked[1] -> rmpopt_drop_pending(1) };
	/* timer_delete_sync(), cancel_work_sync() */
	atomic { !locked[0] -> armed[0] = false };
	atomic { !locked[1] -> armed[1] = false }
}

inline disable_cpu(core) { d_step { window[core] = false; table[core] = false } }

inline rmpopt_disable()
{
	d_step { on = false; running = false };
#ifdef SPREAD_STOP_FIRST
	rmpopt_spread_stop();
#endif
#ifdef WINDOW_FIRST
	disable_cpu(0);
	disable_cpu(1);
#endif
	mask[0] = false;
	mask[1] = false;
#ifndef NO_RCU
	!preempt[0];			/* synchronize_rcu() */
	!preempt[1];
#endif
	disable_cpu(0);
	disable_cpu(1);
	rmpopt_scan_stop();
#ifndef SPREAD_STOP_FIRST
	rmpopt_spread_stop();
#endif
	off = true
}

inline rmpopt_enable()
{
	d_step { off = false; running = true };
	d_step { window[0] = true; mask[0] = true };
	d_step { window[1] = true; mask[1] = true };
#ifndef NO_SCAN
	/* rmpopt_scan_start() */
	d_step { leaders = 2; rmpopt_fall_behind() };
	share_queued[0] = true;
	share_queued[1] = true;
#endif
	on = true
}

/* rmpopt_set_control(); the host may be left in peace in between */
inline off_and_on()
{
	rmpopt_disable();
	if
	:: true
	:: skip; timeout -> assert(!behind && !optimized)
	fi;
	rmpopt_enable();
	/* rmpopt_scan_flush(), rmpopt_spread_flush() */
	if
	:: true
	:: !share_queued[0] && !share_running[0] && !share_queued[1] && !share_running[1];
		!armed[0] && !locked[0];
		!armed[1] && !locked[1];
		d_step { assert(behind || lives || optimized && table[0] && table[1]) }
	fi
}

proctype knob()
{
	off_and_on();
	off_and_on();
	timeout ->
	assert(!behind && !leading && !full_queued);
	assert(optimized && table[0] && table[1])
}

/* True at any time, so this never runs. */
proctype always()
{
end:
	atomic {
		behind > 9 || (private && (table[0] || table[1])) ||
		(off && (window[0] || window[1] || table[0] || table[1] ||
			 pending[0] || pending[1])) ||
		(on && !behind && !lives && !(optimized && table[0] && table[1]));
		assert(behind <= 9);
		assert(!private || !table[0] && !table[1]);
		assert(!off || !window[0] && !window[1] && !table[0] && !table[1]);
		assert(!off || !pending[0] && !pending[1]);
		assert(!on || behind || lives)
	}
}

init {
	atomic {
		run always(); run rmpopt_full_rescan_work();
		run rmpopt_lead_share(0); run rmpopt_lead_share(1);
		run follower(0); run follower(1); run vm(); run knob()
	}
}
