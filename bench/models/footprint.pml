/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The references of two VMs' footprints, in one region.  Each VM has a page of its
 * own, e.g. its guest context, and one in the guest_memfd that another process
 * creates for it.  Either may have had no memory for its footprint.
 *
 * Broken on purpose by: NO_INODE_REF NO_VM_REF VM_PUT_EARLY INODE_PUT_EARLY
 * TWO_STEP_PUT NOT_UNKNOWN NOT_ADDED
 */
byte private;			/* the hardware */
bool optimized = true;

/* Of each VM: struct kvm */
byte users[2];			/* kvm->users_count */
bool destroyed[2];
bool own[2], filled[2];		/* its own page, and that in the guest_memfd, is private */

/* Its guest_memfd: references to the open file */
byte files[2];

/* struct snp_footprint, or SNP_FOOTPRINT_UNKNOWN */
mtype { NONE, ALLOCATED, FREED };
mtype footprint[2] = NONE;
bool unknown[2], region[2], full_rescan;
byte references[2];

#define VALID(vm)	(footprint[vm] == ALLOCATED)

inline convert(page, to)
{
	/* With rmpopt_lost() */
	d_step {
		assert(page != to);
		page = to;
		private = private + to - !to;
		optimized = false
	}
}

/* Verify the region, as verify.pml has it. */
inline rescan() { d_step { optimized = optimized || !private } }

inline snp_footprint_add(vm)
{
	d_step { assert(unknown[vm] || VALID(vm)); assert(!destroyed[vm]) };
#ifndef NOT_ADDED
	if
	:: !unknown[vm] && !region[vm] -> region[vm] = true
	:: else
	fi
#endif
}

inline snp_footprint_put(vm)
{
	if
#ifdef NOT_UNKNOWN
	:: unknown[vm]
#else
	:: unknown[vm] -> full_rescan = true	/* rmpopt_queue_full_rescan() */
#endif
	:: !unknown[vm] ->
#ifdef TWO_STEP_PUT
		d_step { assert(VALID(vm)); left = references[vm] - 1 };
		d_step { assert(VALID(vm)); references[vm] = left };
#else
		d_step {
			assert(VALID(vm) && references[vm]);
			references[vm]--;
			left = references[vm]
		};
#endif
		if
		:: !left ->
			assert(!own[vm] && !filled[vm]);
			if
			:: region[vm] -> rescan()	/* rmpopt_queue_rescan() */
			:: else
			fi;
			d_step { assert(VALID(vm)); footprint[vm] = FREED }
		:: else
		fi
	fi
}

/* kvm_put_kvm(): the last one destroys the VM, with its own page. */
inline put_vm(vm)
{
	atomic { users[vm]--; gone = !users[vm] };
	if
	:: gone ->
		destroyed[vm] = true;
#ifdef VM_PUT_EARLY
		snp_footprint_put(vm);
		convert(own[vm], false)
#else
		convert(own[vm], false);
		snp_footprint_put(vm)	/* snp_footprint_destroy() */
#endif
	:: else
	fi
}

/* fput(): kvm_gmem_release() puts the VM, and then the inode is evicted. */
inline put_file(vm)
{
	atomic { files[vm]--; gone = !files[vm] };
	if
	:: gone ->
		put_vm(vm);
#ifdef INODE_PUT_EARLY
		snp_footprint_put(vm);
#endif
		if
		:: filled[vm] -> convert(filled[vm], false)
		:: else
		fi;
#if !defined(NO_INODE_REF) && !defined(INODE_PUT_EARLY)
		snp_footprint_put(vm)	/* snp_gmem_destroy() */
#endif
	:: else
	fi
}

/* The VMM: creates the VM, and hands it to the others. */
proctype vmm(byte vm)
{
	byte left;
	bool gone;

	/* snp_footprint_create(), before anyone else knows the VM */
	d_step { users[vm] = 1; references[vm] = 1 };
	if
	:: footprint[vm] = ALLOCATED
	:: unknown[vm] = true
	fi;
	snp_footprint_add(vm);
	convert(own[vm], true);
#ifdef NO_VM_REF
	users[vm] = 2;
#else
	users[vm] = 3;
#endif
	run vcpu(vm);
	run gmem(vm);
	put_vm(vm)
}

/* Another process: creates the guest_memfd, holding the VM, and closes it. */
proctype gmem(byte vm)
{
	byte left;
	bool gone;

	/* snp_gmem_create(): refcount_inc() of 0 is a use after free. */
#ifndef NO_INODE_REF
	if
	:: !unknown[vm] ->
		d_step { assert(VALID(vm) && references[vm]); references[vm]++ }
	:: else
	fi;
#endif
	d_step { assert(users[vm]); users[vm]++; files[vm] = 1 };
#ifndef NO_VM_REF
	put_vm(vm);
#endif
	put_file(vm)
}

/* A vCPU: holds the VM, and the file while it faults in a page. */
proctype vcpu(byte vm)
{
	byte left;
	bool gone;

	if
	:: atomic { files[vm] -> files[vm]++ };
		snp_footprint_add(vm);
		convert(filled[vm], true);
		put_file(vm)
	:: true				/* never faults */
	fi;
	put_vm(vm)
}

proctype rmpopt_full_rescan_work()
{
end:
	do
	:: d_step { full_rescan -> full_rescan = false }; rescan()
	od
}

proctype quiet()
{
	timeout ->
	assert(!private && optimized);
	assert(unknown[0] || footprint[0] == FREED);
	assert(unknown[1] || footprint[1] == FREED)
}

init {
	atomic { run quiet(); run rmpopt_full_rescan_work(); run vmm(0); run vmm(1) }
}
