# SPDX-License-Identifier: GPL-2.0-only
"""'make bench': what the end of an SNP VM costs everybody else on the host.

One boot.  SNP VMs end under each policy in turn, while ordinary KVM guests work
on half of the cores, one more on an isolated (nohz_full) core, and another core
is idle.  Everything is counted in this run: RMPOPTs, RMP checks and conversions
of pages by the emulated hardware, the rest by trace events of the kernel.  Times
are those of an emulator: good to compare policies within one run, for nothing
else.
"""

import bisect
import os
import re
import threading
import time

import benchreport as report
import benchpath
import host as hosts
import machine

CORES, THREADS, NODES, MEM = 8, 2, 2, "32G"
POLICIES = ("lazy", "eager", "june", "march")
PUBLIC = ("june", "march")
LINUX = os.path.join(machine.TOP, "build", "linux")
RUN = "/sys/module/rmpopt_public/parameters/run"
PRIVATE = "/sys/module/rmpopt_pages/parameters/private"
JUNE_WAITS = 10			# seconds, after a guest was destroyed
QUIET_SECONDS = 2

# What each core is there for, by index.  Interrupts of devices go to core 0.
SNP, ORDINARY, IDLE, ISOLATED = (0, 1), (2, 3, 4, 5), (6,), (7,)
BUSY = SNP + ORDINARY

REGIONS = 3			# that an SNP VM uses
GROWTH = (1, 3, 6, 12)		# and where it is seen what more of them cost
MANY = 8			# VMs that end at once
PAGES = 64			# private ones in each region; a page takes long to launch here

OUTCOMES = ("scanned", "cached", "failed")
EVENTS = (*hosts.EVENTS, "irq_vectors/call_function_exit",
          "irq_vectors/call_function_single_exit", "irq_vectors/reschedule_entry",
          "csd/csd_function_entry", "kvm/kvm_exit", "power/cpu_idle",
          "timer/timer_expire_entry", "timer/timer_expire_exit",
          "workqueue/workqueue_execute_start", "workqueue/workqueue_execute_end")
TICK = "irq_vectors/local_timer_entry"
# The part of a policy on each CPU: function calls of the public ones and, if there
# were any, of the series; timers and work items of the series.
VERIFY = "func=verify [rmpopt_public]"
CALLED = re.compile(re.escape(VERIFY) + "|func=rmpopt_")
RUNNER = 0			# the CPU that runs the public policies, hence needs no IPI


class Bench(hosts.Host):
    """The host, and who is on it.  It has a fake NUMA node for about each GB, so that
    a memory policy chooses the region that a VM has its memory in."""

    def __init__(self, name="bench"):
        isolated = machine.ranges(core * THREADS + thread
                                  for core in ISOLATED for thread in range(THREADS))
        super().__init__(name, cores=CORES, threads=THREADS, nodes=NODES, mem=MEM,
                         append=hosts.quiet(f"1-{CORES * THREADS - 1}") +
                         f" nohz_full={isolated} numa=fake=1G",
                         qemu_args=("-msg", "timestamp=on"))
        self.hardware = self.log.replace(".log", ".hardware")

    def __enter__(self):
        super().__enter__()
        try:
            self.set_up()
        except BaseException:
            self.stop()
            raise
        return self

    def set_up(self):
        self.wait_quiet()
        self.sh("insmod /tests/rmpopt_public.ko; insmod /tests/rmpopt_pages.ko")
        self.keep_busy(SNP)
        self.run_on(SNP)
        self.wait_settled()
        self.nodes = self.fake_nodes()
        # The first ones are close to each other and have the ordinary guests, too.
        self.chosen = sorted(self.list("optimized") & set(self.nodes))
        self.start_log()

    def run_on(self, cores=(), cpus=()):
        """Have the shell, and what it starts, on some CPUs only."""
        cpus = cpus or [core * THREADS + thread for core in cores for thread in range(THREADS)]
        self.sh(f"taskset -pc {machine.ranges(cpus)} $$")

    def start_log(self):
        """Have the hardware log RMPOPTs and RMPUPDATEs, with the time."""
        if os.path.exists(self.hardware):
            os.remove(self.hardware)
        self.monitor(f"logfile {self.hardware}")
        for event in "snp_rmpopt", "snp_rmpupdate":
            self.query("trace-event-set-state", name=event, enable=True)
        self.logged = 0

    def log_lines(self):
        """What the hardware logged since the last time: (seconds, name, CPU, region, the
        rest)."""
        with open(self.hardware) as file:
            file.seek(self.logged)
            text = file.read()
            self.logged = file.tell()
        return [(float(when), name, int(cpu), int(address, 16) >> 30, rest)
                for when, name, cpu, address, rest in re.findall(
                    r"^\d+@([\d.]+):snp_(\w+) cpu (\d+) spa (0x\w+) (.*)$", text, re.M)]

    def public(self, what):
        self.sh(f"echo {what} > {RUN}", timeout=300)

    def start_guests(self):
        """Ordinary guests that write all the time, each to memory in one of the regions
        that an SNP VM will use."""
        for number, core in enumerate(ORDINARY + ISOLATED):
            region = self.chosen[number % REGIONS]
            self.start_ordinary(region, self.nodes[region], f"taskset {1 << core * THREADS:x}")

    def launch(self, regions):
        """An SNP VM with private pages in as many regions, and which they are"""
        before = self.read("optimized")
        vm = self.start_vm(f"-r 1 -p {PAGES} -n " + ",".join(str(self.nodes[region])
                                                 for region in self.spread(regions)))
        return vm, self.dark(before)

    def spread(self, regions):
        """So many regions: those of the ordinary guests, and more from everywhere"""
        more = self.chosen[REGIONS:]
        step = max(1, len(more) // max(1, max(GROWTH) - REGIONS))
        return (self.chosen[:REGIONS] + more[::step])[:regions]

    def ready(self, policy):
        """Optimize everything, and leave nothing to do, as the policy does it."""
        if policy in PUBLIC:
            self.sh(f"echo off > {hosts.SYSFS}control")
            self.public("on")
            self.public("june")
        else:
            self.sh(f"echo {policy} > {hosts.SYSFS}mode")

    def back_to_ours(self, policy="lazy"):
        if policy in PUBLIC:
            self.public("off")
        self.sh(f"echo lazy > {hosts.SYSFS}mode;"
                f"echo off > {hosts.SYSFS}control; echo on > {hosts.SYSFS}control")
        self.wait_settled()

    def trace_begin(self, policy):
        ticks = int(policy not in PUBLIC)	# they would be too many in 10 seconds
        self.trace_start(EVENTS)
        self.sh(f"cd {hosts.TRACING}; echo 0 > events/{TICK}/enable; echo quiet > trace_marker;"
                f"sleep {QUIET_SECONDS}; echo end > trace_marker; echo {ticks} > events/{TICK}/enable")


class Watch(threading.Thread):
    """Looks at the hardware all the time, through the monitor, which the guest does not
    notice: until the busy cores have all of the footprint."""

    def __init__(self, host, footprint):
        super().__init__(daemon=True)
        self.host = host
        self.footprint = footprint
        self.samples = []		# (seconds, RMP checks that ordinary guests paid)
        self.left = threading.Event()
        self.error = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.left.set()
        self.join()

    def run(self):
        try:
            while not self.left.is_set():
                state = self.host.snp()
                self.samples.append((time.time(), sum(guest["checks"] for guest in state["asids"]
                                                      if guest["asid"])))
                if len(self.samples) > 1 and not lacking(state, self.footprint, BUSY):
                    return
                self.left.wait(0.01)
        except Exception as error:  # whoever waits is to know of it
            self.error = error

    def complete(self, seconds=60):
        self.join(seconds)
        if self.error:
            raise self.error
        if self.is_alive():
            raise machine.Hang(f"not every busy core has {machine.ranges(self.footprint)}")

    def checks(self, begin, end):
        """RMP checks in a time, between the samples by interpolation"""
        def at(when):
            times = [sample[0] for sample in self.samples]
            here = min(max(bisect.bisect(times, when), 1), len(times) - 1)
            (early, low), (late, high) = self.samples[here - 1:here + 1]
            share = (when - early) / (late - early) if late > early else 1
            return low + (high - low) * min(1, max(0, share))
        return at(end) - at(begin)


def outcomes(state, since=None):
    """RMPOPTs of each core, by outcome, so far or since another state."""
    if not since:
        since = {"cores": [dict.fromkeys(OUTCOMES, 0)] * len(state["cores"])}
    return [{what: core[what] - was[what] for what in OUTCOMES}
            for core, was in zip(state["cores"], since["cores"])]


def lacking(state, footprint, cores):
    """Pairs of a region and one of the cores that does not have it"""
    return sum(len(footprint - set(state["cores"][core]["regions"])) for core in cores)


def by_core(events, names, begin, end):
    counts = [0] * CORES
    for event in events:
        if event.name in names and begin <= event.when <= end:
            counts[event.cpu // THREADS] += 1
    return counts


def wakes(events, begin, end):
    """Times that a CPU left its idle state, by core."""
    return by_core([event for event in events if "state=4294967295" in event.text],
                   ("cpu_idle",), begin, end)


def end_under(host, policy, end, footprint):
    """Have VMs end under a policy, and measure it."""
    host.ready(policy)
    start = host.snp()
    host.trace_begin(policy)
    host.log_lines()
    then = ""
    if policy in PUBLIC:
        # The shell itself begins as soon as it knows that the VM is gone.
        host.run_on(cpus=(RUNNER,))
        wait = f"sleep {JUNE_WAITS};" if policy == "june" else ""
        then = (f"{wait} echo scan > {hosts.TRACING}trace_marker; echo {policy} > {RUN};"
                f"echo done > {hosts.TRACING}trace_marker")
    with Watch(host, footprint) as watch:
        end(then)
        watch.complete()
    state = host.snp()
    result = {"policy": policy, "footprint": len(footprint), "rmpopts": outcomes(state, start),
              "lacks_idle": lacking(state, footprint, IDLE),
              "lacks_isolated": lacking(state, footprint, ISOLATED)}
    result.update(recovery(host.log_lines(), footprint, watch))
    result.update(disturbance(policy, host.trace_lines(), footprint))
    if policy not in PUBLIC:
        # What idle cores were spared, they do when they wake.
        host.sh(f"echo eager > {hosts.SYSFS}mode")
        host.wait_for('[ $(cat pending) = 0 ]')
    result["rmpopts_all"] = outcomes(host.snp(), start)
    host.run_on(SNP)
    host.back_to_ours(policy)
    return result


def trial(host, policy, regions):
    vm, footprint = host.launch(regions)
    return end_under(host, policy, vm.end, footprint)


def recovery(log, footprint, watch):
    """When the busy cores got the regions back, counted from the last page shared: the
    one that held the firmware's context of the VM, wherever it was."""
    got = {}
    for when, name, cpu, region, rest in log:
        core = cpu // THREADS
        if (name == "rmpopt" and "function 0: CF 1" in rest and region in footprint and
                core in BUSY):
            got.setdefault((core, region), when)
    led = max(min(got[core, region] for core in BUSY) for region in footprint)
    shared = max(when for when, name, _, _, rest in log
                 if name == "rmpupdate" and "operand 0x0:" in rest and when < led)
    times = sorted(when - shared for when in got.values())
    began = min(when for when, name, _, _, rest in log
                if name == "rmpopt" and "function 0:" in rest and when > shared)
    return {"began_ms": round(1000 * (began - shared), 3),
            "recovered_ms": [round(1000 * when, 3) for when in times],
            "checks": round(watch.checks(shared, shared + times[-1]))}


def disturbance(policy, events, footprint):
    """What the events say of the time from the rescan's begin to the last busy core,
    and of as much quiet time before the VM ended."""
    marks = {event.text: event.when for event in events if event.name == "tracing_mark_write"}
    if policy in PUBLIC:
        begin, end = marks["scan"], marks["done"]
        leader = end - begin
    else:
        # The firmware's rescans have no VM.
        begin = next(event.when for event in events
                     if event.name == "rmpopt_rescan_begin" and value(event, "vm"))
        end = max(event.when for event in events
                  if event.name == "rmpopt_verify" and event.cpu // THREADS in BUSY and
                  value(event, "region") in footprint)
        leader = sum(value(event, "us") for event in events
                     if event.name == "rmpopt_rescan_end" and value(event, "vm")) / 1e6
    quiet, share = marks["quiet"], (end - begin) / (marks["end"] - marks["quiet"])
    calm = by_core(events, ("kvm_exit",), quiet, marks["end"])
    within = [event for event in events if begin <= event.when <= end]
    called = [event for event in within if event.name == "csd_function_entry" and
              CALLED.search(event.text)]
    return {
        "leader_ms": 1000 * leader,
        "window_ms": 1000 * (end - begin),
        "ipis": by_core(events, hosts.CALLS, begin, end),
        "ipis_of_policy": sum(1 for event in called if event.cpu != RUNNER or policy not in PUBLIC),
        "callers": callers(within),
        "ticks": ticks(within),
        "reschedules": by_core(events, ("reschedule_entry",), begin, end),
        "irqs_off": len(called) + sum(1 for event in within if event.name == "rmpopt_verify" and
                                      event.flags[0] in "dD"),
        "exits": by_core(events, ("kvm_exit",), begin, end),
        "exits_quiet": [count * share for count in calm],
        "wakes": wakes(events, begin, end),
        "wakes_quiet": [count * share for count in wakes(events, quiet, marks["end"])],
        "work_ms": worked(within),
        **interrupted(within),
    }


def value(event, name):
    return int(re.search(rf"\b{name}=(\d+)", event.text)[1])


def worked(events):
    """Milliseconds in the timers and work items of the series, by core"""
    spent, since = [0.0] * CORES, {}
    for event in events:
        if not event.name.startswith(("timer_expire", "workqueue_execute")):
            continue
        which = re.match(r"(timer=|work struct )\w+", event.text)[0]
        if not event.name.endswith(("exit", "end")):
            if re.search(r"function[= ]rmpopt_", event.text):
                since[which] = event.when
        elif which in since:
            spent[event.cpu // THREADS] += 1000 * (event.when - since.pop(which))
    return spent


def ticks(events):
    """The most ticks that a busy core took until it had verified everything"""
    taken, needed = [0] * CORES * THREADS, 0
    for event in events:
        if event.name == "local_timer_entry":
            taken[event.cpu] += 1
        elif event.name == "rmpopt_verify" and event.cpu // THREADS in BUSY:
            needed = max(needed, taken[event.cpu])
    return needed


def callers(events):
    """What had the IPIs sent: function -> how often"""
    counts = {}
    for event in events:
        if event.name == "csd_function_entry":
            name = re.search(r"func=(\w+)", event.text)[1]
            counts[name] = counts.get(name, 0) + 1
    return counts


def interrupted(events):
    """What function call interrupts did: milliseconds in them, in the longest, and VM
    exits with one, by core"""
    spent, exits, longest = [0.0] * CORES, [0] * CORES, [0.0] * CORES
    since, left = {}, set()
    for event in events:
        core = event.cpu // THREADS
        if event.name == "kvm_exit":
            left.add(event.cpu)
        elif event.name in hosts.CALLS:
            since[event.cpu] = event.when
            exits[core] += event.cpu in left
            left.discard(event.cpu)
        elif event.name.startswith("call_function") and event.cpu in since:
            took = 1000 * (event.when - since.pop(event.cpu))
            spent[core] += took
            longest[core] = max(longest[core], took)
    return {"ipi_ms": spent, "ipi_longest_ms": longest, "exits_with_ipi": exits}


def many(host):
    """Small VMs, each in a region of its own, end at the same moment."""
    regions = host.spread(max(GROWTH))[:MANY]
    before = host.read("optimized")
    start = "".join(f"snpvm -r 1 -p {PAGES} -n {host.nodes[region]} < /tmp/many 9>&- > /tmp/many.{region} & "
                    for region in regions)
    ready = " && ".join(f"read -r line < /tmp/many.{region}" for region in regions)
    host.sh("mkfifo /tmp/many " + " ".join(f"/tmp/many.{region}" for region in regions) +
            f"; exec 9<>/tmp/many; {start} {ready}; rm /tmp/many*", timeout=180)
    return end_under(host, "lazy", lambda _: host.sh("exec 9>&-"), host.dark(before))


def cases(host):
    """All memory verified: with a private page at the end of each region, with none, and
    once more; by the core that did the most, and by the others."""
    result = []
    for policy in ("lazy", *PUBLIC):
        host.ready(policy)
        host.sh(f"echo 1 > {PRIVATE}", timeout=120)
        private = int(host.sh(f"cat {PRIVATE}"))
        for case in "private", "empty", "again":
            if case == "empty":
                host.sh(f"echo 0 > {PRIVATE}", timeout=120)
            start = host.snp()
            if policy in PUBLIC:
                if case != "again":
                    host.public("off")
                    host.public("on")
                host.public(policy)
            else:
                if case != "again":
                    host.sh(f"echo off > {hosts.SYSFS}control")
                host.sh(f"echo on > {hosts.SYSFS}control")
                host.wait_for('[ $(cat pending) = 0 ]')
            result.append({"policy": policy, "case": case, "private": private,
                           "rmpopts": outcomes(host.snp(), start)})
        host.back_to_ours(policy)
    return result


def hz():
    with open(os.path.join(LINUX, "out", ".config")) as file:
        return int(re.search(r"^CONFIG_HZ=(\d+)$", file.read(), re.M)[1])


class Say:
    """Lines with the time since the start"""

    def __init__(self):
        self.begin = time.monotonic()

    def __call__(self, text):
        print(f"{time.monotonic() - self.begin:5.0f} s  {text}", flush=True)

    def trial(self, result):
        self(f"{result['policy']:6} {result['footprint']:3} regions: {report.total(result):4} RMPOPTs,"
             f" {sum(result['ipis']):4} IPIs, complete {result['recovered_ms'][-1]:.0f} ms after"
             " the last page was shared")


def main(repeat, out):
    say = Say()
    say(f"booting an SNP host: {CORES} cores of {THREADS} threads, {NODES} nodes, {MEM}")
    with Bench() as host:
        data = {"series": report.series(), "hz": hz(), "repeat": repeat,
                "machine": {"cores": CORES, "threads": THREADS, "nodes": NODES, "mem": MEM,
                            "kernel": host.sh("uname -r"), "regions": len(host.list("regions")),
                            "busy": BUSY, "ordinary": ORDINARY, "idle": IDLE,
                            "isolated": ISOLATED},
                "boot": outcomes(host.snp()), "trials": [], "growth": []}
        say("all memory verified with a private page in each region, without, and again")
        data["cases"] = cases(host)
        say("ordinary guests start")
        host.start_guests()
        for turn in range(repeat):
            for number in range(len(POLICIES)):
                policy = POLICIES[(turn + number) % len(POLICIES)]
                data["trials"].append(trial(host, policy, REGIONS))
                say.trial(data["trials"][-1])
        for regions in GROWTH:
            for policy in "lazy", "june":
                data["growth"].append(trial(host, policy, regions))
                say.trial(data["growth"][-1])
        say(f"{MANY} small VMs end at once")
        data["many"] = many(host)
        say.trial(data["many"])
        splats = host.splats()
    say("instructions for each page that becomes private, and shared")
    data["path"] = benchpath.measure()
    report.finish(data, out)
    for line in splats:
        print(f"rmpopt: the kernel complained: {line}")
    missed = [target for target in data["targets"] if not target["met"]]
    say(f"{len(data['targets']) - len(missed)} of {len(data['targets'])} targets met")
    return 1 if splats or data["model"]["differs"] else 0
