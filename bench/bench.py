# SPDX-License-Identifier: GPL-2.0-only
"""'make bench': what the end of an SNP VM costs everybody else on the host.

One boot.  SNP VMs end under each policy in turn, while ordinary KVM guests work
on half of the cores, one more on an isolated (nohz_full) core, and other cores
are idle.  Everything is counted in this run: RMPOPTs by the emulated hardware,
the rest by trace events of the kernel.  Times are those of an emulator: good to
compare policies within one run, for nothing else.
"""

import time

import benchreport as report
import host as hosts
import machine

CORES, THREADS, NODES, MEM = 8, 2, 2, "32G"
POLICIES = ("lazy", "eager", "june", "march")
PUBLIC = ("june", "march")
RUN = "/sys/module/rmpopt_public/parameters/run"
JUNE_WAITS = 10			# seconds, after a guest was destroyed
QUIET_SECONDS = 2

# What each core is there for, by index.  Interrupts of devices go to core 0.
SNP, ORDINARY, IDLE, ISOLATED = (0, 1), (2, 3, 4, 5), (6,), (7,)
BUSY = SNP + ORDINARY

REGIONS = 3			# that an SNP VM is to use, at least

OUTCOMES = ("scanned", "cached", "failed")
EVENTS = (*hosts.EVENTS, "irq_vectors/reschedule_entry", "kvm/kvm_exit", "power/cpu_idle")


class Bench(hosts.Host):
    """The host, and who is on it."""

    def __init__(self, name="bench"):
        isolated = machine.ranges(core * THREADS + thread
                                  for core in ISOLATED for thread in range(THREADS))
        super().__init__(name, cores=CORES, threads=THREADS, nodes=NODES, mem=MEM,
                         append=hosts.quiet(f"2-{CORES * THREADS - 1}") + f" nohz_full={isolated}")

    def __enter__(self):
        super().__enter__()
        self.wait_quiet()
        self.sh("insmod /tests/rmpopt_public.ko")
        self.keep_busy(SNP)
        return self

    def public(self, what):
        self.sh(f"echo {what} > {RUN}", timeout=300)

    def start_guests(self, regions):
        """Ordinary guests that write all the time, each to memory in one of the regions,
        which takes a while to find.  The regions are those of node 0, so each begins on
        CPU 0."""
        for number, core in enumerate(ORDINARY + ISOLATED):
            cpu, region = core * THREADS, sorted(regions)[number % len(regions)]
            self.sh(f"mkfifo -m 600 /tmp/g{core};"
                    f"taskset 1 ordinary {region} forever > /tmp/g{core} & guest=$!;"
                    f"read -r line < /tmp/g{core}; rm /tmp/g{core}; [ $line = running ] &&"
                    f"taskset -p {1 << cpu:x} $guest > /dev/null", timeout=180)

    def ready(self, policy):
        """Optimize everything, and leave nothing to do, as the policy does it."""
        if policy in PUBLIC:
            self.sh(f"echo off > {hosts.SYSFS}control")
            self.public("on")
            self.public("june")
        else:
            self.sh(f"echo {policy} > {hosts.SYSFS}mode")

    def back_to_ours(self, policy):
        if policy in PUBLIC:
            self.public("off")
        self.sh(f"echo off > {hosts.SYSFS}control; echo on > {hosts.SYSFS}control")
        self.wait_settled()

    def trace_begin(self):
        self.trace_start(EVENTS)
        self.sh(f"cd {hosts.TRACING}; echo quiet > trace_marker; sleep {QUIET_SECONDS};"
                "echo end > trace_marker")


def outcomes(state, since=None):
    """RMPOPTs of each core, by outcome, so far or since another state."""
    if not since:
        since = {"cores": [dict.fromkeys(OUTCOMES, 0)] * CORES}
    return [{what: core[what] - was[what] for what in OUTCOMES}
            for core, was in zip(state["cores"], since["cores"])]


def by_core(events, names, begin, end):
    counts = [0] * CORES
    for when, cpu, name, _ in events:
        if name in names and begin <= when <= end:
            counts[cpu // THREADS] += 1
    return counts


def wakes(events, begin, end):
    """Times that a CPU left its idle state, by core."""
    return by_core([event for event in events if "state=4294967295" in event[3]],
                   ("cpu_idle",), begin, end)


def wait_complete(host, footprint, seconds=60):
    """Until the busy cores have all of the footprint; through the monitor, which the
    guest does not notice."""
    deadline = time.monotonic() + seconds
    while any(not footprint <= set(host.snp()["cores"][core]["regions"]) for core in BUSY):
        if time.monotonic() > deadline:
            raise machine.Hang(f"not every busy core has {machine.ranges(footprint)}")
        time.sleep(0.02)


def launch(host):
    """An SNP VM with private pages in some regions, of node 0, and which they are"""
    before = host.read("optimized")
    vm = host.start_vm(f"-n 0 -r {REGIONS}")
    return vm, host.dark(before)


def trial(host, policy):
    """An SNP VM ends."""
    vm, footprint = launch(host)
    host.ready(policy)
    start = host.snp()
    host.trace_begin()
    vm.end()
    if policy in PUBLIC:
        if policy == "june":
            host.sh(f"sleep {JUNE_WAITS}")
        host.sh(f"cd {hosts.TRACING}; echo scan > trace_marker; echo {policy} > {RUN};"
                "echo done > trace_marker", timeout=300)
    wait_complete(host, footprint)
    state = host.snp()
    result = measure(policy, host.trace_lines())
    result.update(policy=policy, footprint=len(footprint), rmpopts=outcomes(state, start))
    host.back_to_ours(policy)
    return result


def measure(policy, events):
    """What the events say of the time from the rescan's begin to the last busy core,
    and of as much quiet time before the VM ended."""
    marks = {text: when for when, _, name, text in events if name == "tracing_mark_write"}
    if policy in PUBLIC:
        begin, end = marks["scan"], marks["done"]
    else:
        begin = next(when for when, _, name, _ in events if name == "rmpopt_rescan_begin")
        end = max(when for when, cpu, name, _ in events
                  if name == "rmpopt_verify" and cpu // THREADS in BUSY)
    quiet, share = marks["quiet"], (end - begin) / (marks["end"] - marks["quiet"])
    calm = by_core(events, ("kvm_exit",), quiet, marks["end"])
    return {
        "seconds": end - begin,
        "waited": JUNE_WAITS if policy == "june" else 0,
        "ipis": by_core(events, hosts.CALLS, begin, end),
        "reschedules": by_core(events, ("reschedule_entry",), begin, end),
        "exits": by_core(events, ("kvm_exit",), begin, end),
        "exits_quiet": [count * share for count in calm],
        "wakes": wakes(events, begin, end),
        "wakes_quiet": [count * share for count in wakes(events, quiet, marks["end"])],
    }


def main(repeat):
    begin = time.monotonic()
    print(f"Booting an SNP host: {CORES} cores of {THREADS} threads, {NODES} nodes, {MEM}.", flush=True)
    with Bench() as host:
        host.wait_settled()
        data = {"machine": {"cores": CORES, "threads": THREADS, "nodes": NODES, "mem": MEM,
                            "kernel": host.sh("uname -r"), "regions": len(host.list("regions")),
                            "ordinary": ORDINARY, "idle": IDLE, "isolated": ISOLATED},
                "boot": outcomes(host.snp()), "trials": []}
        print("Ordinary guests start, and look for memory in regions that the SNP VMs will use.",
              flush=True)
        vm, footprint = launch(host)
        vm.end()
        host.back_to_ours("lazy")
        host.start_guests(footprint)
        for turn in range(repeat):
            for number in range(len(POLICIES)):
                policy = POLICIES[(turn + number) % len(POLICIES)]
                data["trials"].append(trial(host, policy))
                say(data["trials"][-1], begin)
        splats = host.splats()
    data["summary"] = report.summary(data)
    data["model"] = report.computed(data)
    data["targets"] = report.targets(data)
    report.write(data)
    for line in splats:
        print(f"rmpopt: the kernel complained: {line}")
    missed = [target for target in data["targets"] if not target["met"]]
    print(f"{len(data['targets']) - len(missed)} of {len(data['targets'])} targets met"
          f" ({time.monotonic() - begin:.0f} s)")
    return 1 if splats or data["model"]["differs"] else 0


def say(result, begin):
    print(f"{time.monotonic() - begin:5.0f} s  {result['policy']:6}  {result['footprint']} regions:"
          f" {report.total(result):4} RMPOPTs, {sum(result['ipis']):4} IPIs, complete after"
          f" {result['waited'] + result['seconds']:.3f} s", flush=True)
