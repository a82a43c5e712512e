# SPDX-License-Identifier: GPL-2.0-only
"""How many RMPOPTs and IPIs each policy takes, by arithmetic, for hosts that nobody
can boot here.  The bench compares its RMPOPTs with those that the emulator counted,
which must be equal."""

# Cycles that the vendor measured on real machines and published on the Linux
# kernel lists between February and June 2026: (low, high)
VERIFY = (2000, 5700)		# one RMPOPT that reads the RMP: typical to the average over 1TB
CHEAP = (60, 60)		# one that fails at once or finds the region optimized
PARALLEL = (114000, 140000)	# one, when all cores do the same region at the same time

TABLE = 2048			# regions that the table of a core has


def counts(policy, regions, footprint, cores, threads):
    """What the end of a VM takes.

    regions: with RAM, on the host;  footprint: of them, used by the VM and by
    nobody else.  Above 2TB, the public policies leave memory out, and for the others
    this is the most: a core follows in its own window only.

    leader, follower: RMPOPTs of the core that goes first, and of each other one
    total, ipis: RMPOPTs and function call interrupts of all
    """
    if policy in ("march", "june"):
        regions = min(regions, TABLE)
    if policy == "march":		# each region on each CPU at once
        one = regions * threads
        return {"leader": one, "follower": one, "total": one * cores,
                "ipis": regions * (cores * threads - 1)}
    if policy == "june":		# one thread of each core, after a leader
        return {"leader": regions, "follower": regions, "total": regions * cores,
                "ipis": regions * (cores - 1)}
    return {"leader": footprint, "follower": footprint, "total": footprint * cores, "ipis": 0}


def cycles(policy, regions, footprint, threads):
    """Cycles of RMPOPT alone, (low, high), of the leader and of each follower; what
    an IPI costs is not published, and comes on top."""
    each = counts(policy, regions, footprint, 1, threads)
    if policy == "march":
        # On each thread.  Whether all cores at once find it cheap that a region is
        # optimized already is not published.
        rest = each["leader"] // threads - footprint
        cost = [footprint * PARALLEL[0] + rest * CHEAP[0], (footprint + rest) * PARALLEL[1]]
        return {"leader": cost, "follower": cost}
    led = [footprint * verify + (each["leader"] - footprint) * cheap
           for verify, cheap in zip(VERIFY, CHEAP)]
    # That the result is cached spares the reading of the RMP; what is left of the
    # costs is not published: from nothing but the instruction to all of it.
    followed = [footprint * bound + (each["follower"] - footprint) * CHEAP[0]
                for bound in (CHEAP[0], VERIFY[1])]
    return {"leader": led, "follower": followed}
