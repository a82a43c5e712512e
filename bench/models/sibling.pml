/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Spreading one region to a core of two CPUs, which go offline and may come back, one
 * after the other or both.  It is led elsewhere, lost, and led again.
 *
 * Broken on purpose by: NO_FILL_FOR_SIBLING DROP_FOR_SIBLING LEADS_WITHOUT_LOCK
 * NO_LEADS OPTIMIZED_FIRST NO_ADD_ONLINE SET_AFTER_SPREAD
 */
#define EAGAIN	2

bool table = true, optimized = true;		/* the core's bit, and rmpopt_optimized */
bool mask[2] = true;				/* rmpopt_cpus */
bool pending, locked;				/* struct rmpopt_core */
bool armed[2], fill[2];				/* timer and work of each CPU */
bool eager;
byte behind;

/* What only the assertions and the scheduler know */
bool alive[2] = true, online[2] = true, leading, changing;

#define FIRST	(mask[0] -> 0 : (mask[1] -> 1 : 2))

inline rmpopt_add_pending()
{
	if
	:: !pending -> pending = true; behind++
	:: else
	fi
}

inline rmpopt_drop_pending()
{
	if
	:: pending -> pending = false; behind--
	:: else
	fi
}

inline rmpopt_arm(cpu)
{
	if
	:: mask[cpu] -> armed[cpu] = true
	:: else
	fi
}

inline rmpopt_spread(cpu)
{
	if
	:: atomic {
		mask[cpu] ->
#ifdef NO_LEADS
		leads = !cpu
#else
		leads = (cpu == FIRST)
#endif
	   };
		atomic {
			!locked;		/* spin_lock() */
			if
#ifdef LEADS_WITHOUT_LOCK
			:: leads -> rmpopt_add_pending()
#else
			:: leads && mask[cpu] -> rmpopt_add_pending()
#endif
			:: else
			fi;
			if
			:: pending && !eager -> rmpopt_arm(cpu)
			:: else
			fi
		};
		if
		:: leads && eager -> fill[cpu] = true
		:: else
		fi
	:: !mask[cpu]
	fi
}

/* A leader on another core.  Between its two rescans a page is private for a while. */
proctype leader()
{
	bool leads;
	byte times;

	do
	:: times < 2 ->
		d_step { leading = true; behind++; optimized = false; table = false };
#ifdef SET_AFTER_SPREAD
		rmpopt_spread(0);
		rmpopt_spread(1);
		optimized = true;
#else
		optimized = true;
		rmpopt_spread(0);
		rmpopt_spread(1);
#endif
		d_step { behind--; leading = false; leads = false; times++ }
	:: else -> break
	od
}

inline rmpopt_drain(cpu)
{
	if
	:: atomic { !locked && mask[cpu] -> locked = true };
		if
		:: atomic { optimized -> ret = (mask[cpu] -> 1 : EAGAIN); table = table || ret == 1 }
		:: !optimized
		fi;
		d_step {
			if
			:: ret != EAGAIN -> rmpopt_drop_pending()
			:: else
			fi;
			locked = false;
			ret = 0
		}
	:: atomic { !locked && !mask[cpu] }
	fi
}

proctype rmpopt_tick(byte cpu)
{
	byte ret;
end:
	do
	:: atomic { armed[cpu] && alive[cpu] -> armed[cpu] = false };
		rmpopt_drain(cpu)
	od
}

/* The work of a CPU that is offline is done by any other, for its own core. */
proctype rmpopt_fill_work(byte cpu)
{
	byte ret, here;
end:
	do
	:: atomic {
		fill[cpu] -> fill[cpu] = false;
		if
		:: alive[cpu] -> here = cpu
		:: !alive[cpu] && alive[1 - cpu] -> here = 1 - cpu
		:: !alive[cpu] -> here = 2
		fi
	   };
		if
		:: here < 2 -> rmpopt_drain(here)
		:: else
		fi;
		d_step { here = 0 }
	od
}

proctype hotplug(byte cpu)
{
	bool sibling, regions;

	/* rmpopt_cpu_offline() */
	atomic { !changing -> changing = true };
	d_step { online[cpu] = false; mask[cpu] = false; sibling = mask[1 - cpu] };
	atomic {
		!locked;
		if
#ifndef DROP_FOR_SIBLING
		:: !sibling -> rmpopt_drop_pending()
		:: else
#else
		:: true -> rmpopt_drop_pending()
#endif
		fi
	};
	atomic { !locked -> armed[cpu] = false };	/* timer_delete_sync() */
#ifndef NO_FILL_FOR_SIBLING
	if
	:: sibling -> fill[1 - cpu] = true
	:: else
	fi;
#endif
	if
	:: !sibling -> table = false			/* rmpopt_disable_cpu() */
	:: else
	fi;
	d_step { alive[cpu] = false; changing = false };

	/* rmpopt_cpu_online(), or it stays offline */
	if
	:: atomic { !changing -> changing = true }
	:: goto end
	fi;
	alive[cpu] = true;
#ifdef OPTIMIZED_FIRST
	regions = optimized;
	mask[cpu] = true;
#else
	mask[cpu] = true;
	regions = optimized;
#endif
#ifndef NO_ADD_ONLINE
	atomic {
		!locked;
		if
		:: regions -> rmpopt_add_pending()
		:: else
		fi
	};
#endif
	fill[cpu] = true;
	d_step { online[cpu] = true; changing = false; regions = false; sibling = false };
end:
	false
}

/* Nobody is behind: the core has the region, if any of its CPUs is there. */
proctype always()
{
end:
	atomic {
		behind > 2 ||
		(!behind && !leading && optimized && !table && !changing && (online[0] || online[1]));
		assert(false)
	}
}

proctype quiet()
{
	timeout ->
	assert(!behind && !pending && !locked && optimized);
	assert(table || !(mask[0] || mask[1]))
}

init {
	atomic {
		if
		:: eager = true
		:: eager = false
		fi;
		run leader();
		run rmpopt_tick(0); run rmpopt_tick(1);
		run rmpopt_fill_work(0); run rmpopt_fill_work(1);
		run hotplug(0); run hotplug(1);
		run always(); run quiet()
	}
}
