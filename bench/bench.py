# SPDX-License-Identifier: GPL-2.0-only
"""'make bench': what the end of an SNP VM costs everybody else on the host.

One boot.  SNP VMs end under each policy in turn, while ordinary KVM guests work
on half of the cores, one more on an isolated (nohz_full) core, and other cores
are idle.  Everything is counted in this run: RMPOPTs by the emulated hardware,
the rest by trace events of the kernel.  Times are those of
an emulator: good to compare policies within one run, for nothing else.
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

IPIS = ("call_function_entry", "call_function_single_entry")
EVENTS = ("rmpopt", *(f"irq_vectors/{name}" for name in (*IPIS, "reschedule_entry")),
          "kvm/kvm_exit", "power/cpu_idle")


class Bench(hosts.Host):
    """The host, and who is on it."""

    def __init__(self, name="bench"):
        isolated = ",".join(str(cpu) for core in ISOLATED for cpu in self.cpus(core))
        super().__init__(name, cores=CORES, threads=THREADS, nodes=NODES, mem=MEM,
                         append=f"isolcpus=domain,managed_irq,2-{CORES * THREADS - 1} "
                         f"irqaffinity=0 tsc=reliable nohz_full={isolated}")

    @staticmethod
    def cpus(core):
        return range(core * THREADS, (core + 1) * THREADS)

    def __enter__(self):
        super().__enter__()
        self.sh("grep -q -m 1 'Switched to clocksource tsc$' /dev/kmsg")
        self.sh("insmod /tests/rmpopt_public.ko")
        self.keep_busy(SNP)
        return self

    def public(self, what):
        self.sh(f"echo {what} > {RUN}", timeout=300)

    def start_guests(self, regions):
        """Ordinary guests that write all the time, each to memory in one of the regions,
        which takes a while to find."""
        for number, core in enumerate(ORDINARY + ISOLATED):
            cpu, region = core * THREADS, sorted(regions)[number % len(regions)]
            self.sh(f"mkfifo -m 600 /tmp/g{core};"
                    f"taskset {1 << cpu:x} ordinary {region} forever 0 > /tmp/g{core} & "
                    f"read -r line < /tmp/g{core}; rm /tmp/g{core}; [ $line = running ]",
                    timeout=180)

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
        self.sh(f"cd {hosts.TRACING}; echo 0 > tracing_on; echo mono > trace_clock; echo > trace;"
                "echo NO_TTWU_QUEUE > /sys/kernel/debug/sched/features;" +
                ";".join(f"echo 1 > events/{event}/enable" for event in EVENTS) +
                f"; echo 1 > tracing_on; echo quiet > trace_marker; sleep {QUIET_SECONDS};"
                "echo end > trace_marker")

    def trace_end(self):
        """(seconds, CPU, name, fields) of each event."""
        text = self.sh(f"cd {hosts.TRACING}; echo 0 > tracing_on; cat trace", timeout=300)
        with open(self.log.replace(".log", ".trace"), "w") as file:
            file.write(text)
        return parse(text)


def parse(text):
    events = []
    for line in text.split("\n"):
        head, found, rest = line.partition(": ")
        words = head.split()
        if not found or line.startswith("#") or len(words) < 3:
            continue
        name, _, fields = rest.partition(": ")
        cpu = next(int(word[1:4]) for word in words if word[0] == "[" and word[1:4].isdigit())
        events.append((float(words[-1]), cpu, name.strip(),
                       dict(field.split("=", 1) for field in fields.split() if "=" in field) or
                       {"text": fields}))
    return events


def outcomes(before, after):
    """RMPOPTs of each core, by outcome."""
    return [{what: b[what] - a[what] for what in ("scanned", "cached", "failed")}
            for a, b in zip(before["cores"], after["cores"])]


def by_core(events, names, begin, end):
    counts = [0] * CORES
    for when, cpu, name, _ in events:
        if name in names and begin <= when <= end:
            counts[cpu // THREADS] += 1
    return counts


def wakes(events, begin, end):
    """Times that a CPU left its idle state, by core."""
    return by_core([event for event in events if event[3].get("state") == "4294967295"],
                   ("cpu_idle",), begin, end)


def wait_complete(host, footprint, seconds=60):
    """Until the busy cores have all of the footprint; through the monitor, which the
    guest does not notice."""
    deadline = time.monotonic() + seconds
    while any(not footprint <= set(host.snp()["cores"][core]["regions"]) for core in BUSY):
        if time.monotonic() > deadline:
            raise machine.Hang(f"not every busy core has {machine.ranges(footprint)}")
        time.sleep(0.02)


def launch(host, regions):
    """An SNP VM with private pages in some regions, of node 0, and which they are"""
    before = host.read("optimized")
    vm = host.start_vm(f"-n 0 -r {regions}")
    return vm, host.dark(before)


def trial(host, policy, regions=3):
    """An SNP VM ends."""
    vm, footprint = launch(host, regions)
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
    events = host.trace_end()
    result = measure(policy, events, len(footprint))
    result.update(policy=policy, footprint=len(footprint), rmpopts=outcomes(start, state))
    host.back_to_ours(policy)
    return result


def measure(policy, events, footprint):
    """What the events say of the time from the rescan's begin to the last busy core,
    and of as much quiet time before the VM ended."""
    marks = {fields["text"]: when for when, _, name, fields in events
             if name == "tracing_mark_write"}
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
        "ipis": by_core(events, IPIS, begin, end),
        "reschedules": by_core(events, ("reschedule_entry",), begin, end),
        "exits": by_core(events, ("kvm_exit",), begin, end),
        "exits_quiet": [count * share for count in calm],
        "wakes": wakes(events, begin, end),
        "wakes_quiet": [count * share for count in wakes(events, quiet, marks["end"])],
    }


def boot(host):
    """How all memory was verified: RMPOPTs of each core, by outcome."""
    host.wait_settled()
    state = host.snp()
    nothing = [dict.fromkeys(("scanned", "cached", "failed"), 0)] * CORES
    return outcomes({"cores": nothing}, state)


def main(repeat):
    begin = time.monotonic()
    print(f"Booting an SNP host: {CORES} cores of {THREADS} threads, {NODES} nodes, {MEM}.", flush=True)
    with Bench() as host:
        data = {"machine": {"cores": CORES, "threads": THREADS, "nodes": NODES, "mem": MEM,
                            "kernel": host.sh("uname -r"), "regions": len(host.list("regions")),
                            "busy": len(BUSY), "ordinary": len(ORDINARY)},
                "boot": boot(host), "trials": []}
        print("Ordinary guests start, and look for memory in regions that the SNP VMs will use.",
              flush=True)
        vm, footprint = launch(host, 3)
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
    total = sum(sum(core.values()) for core in result["rmpopts"])
    print(f"{time.monotonic() - begin:5.0f} s  {result['policy']:6}  {result['footprint']} regions:"
          f" {total:4} RMPOPTs, {sum(result['ipis']):4} IPIs, complete after"
          f" {result['waited'] + result['seconds']:.3f} s", flush=True)
