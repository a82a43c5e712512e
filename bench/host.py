# SPDX-License-Identifier: GPL-2.0-only
"""What the demonstration and the tests do on a booted host with the series."""

import base64
import collections
import gzip
import re

import machine

# Each kick of the scheduler's load balancing and each reading of another CPU's TSC by
# the clocksource watchdog is a function call interrupt.  Where those of a rescan are
# counted, CPUs are set aside, as hosts do for guests, and the TSC is trusted.  Devices
# interrupt CPU 0 only: the serial port that brings our commands would wake another.
def quiet(cpus):
    """The command line that sets CPUs aside."""
    return f"isolcpus=domain,managed_irq,{cpus} irqaffinity=0 tsc=reliable"


QUIET = quiet("1-7")

SYSFS = "/sys/devices/system/cpu/rmpopt/"
TRACING = "/sys/kernel/tracing/"

# A trace event; the flags are Linux's: "d" first where interrupts are disabled
Event = collections.namedtuple("Event", "when cpu name text flags")

CALLS = ("call_function_entry", "call_function_single_entry")
EVENTS = ("rmpopt", "ipi/ipi_send_cpu", *(f"irq_vectors/{name}" for name in CALLS))


class Host(machine.Machine):
    """A machine whose kernel has the series and whose init is ours."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        # The guest's shell knows file descriptors of one digit: three VMs at once.
        self.slots = {0, 1, 2}

    def read(self, name):
        return self.sh(f"cat {SYSFS}{name}")

    def list(self, name):
        return machine.regions(self.read(name))

    def number(self, name):
        return int(self.read(name))

    def watch(self, condition, timeout=30):
        """Begin to wait until a shell condition on the files of sysfs holds.

        The kernel notifies 'pending' whenever everything that was to spread has
        spread, so this sleeps until there is news.
        """
        self.sh(f"waitfor {SYSFS}pending 'cd {SYSFS}; {condition}' {timeout * machine.SLOWER} & watcher=$!")

    def watched(self, timeout=60):
        self.sh("wait $watcher", timeout=timeout)

    def wait_for(self, condition, timeout=30):
        self.watch(condition, timeout)
        self.watched(timeout + 30)

    def wait_settled(self):
        """Wait until boot's verification, or another, is on every core, and so are the
        regions that the firmware had pages in while it was started: they come back
        about a second later."""
        self.wait_for('[ $(cat settle_us) != 0 ] && [ $(cat pending) = 0 ]')
        self.wait_all_optimized()

    def watch_optimized(self, regions):
        """Begin to wait until just these regions, a list as sysfs has it, are
        optimized."""
        self.watch(f'[ "$(cat optimized)" = "{regions}" ] && [ $(cat pending) = 0 ]')

    def wait_optimized(self, regions):
        self.watch_optimized(regions)
        self.watched()

    def all_regions(self):
        """The regions that can be optimized: those without an assigned page."""
        return self.list("regions") - set(self.snp()["closed"])

    def wait_all_optimized(self):
        self.wait_optimized(machine.ranges(self.all_regions()))

    def tables(self):
        """The RMPOPT table of each core, as the emulated hardware has it."""
        return [set(core["regions"]) for core in self.snp()["cores"]]

    def dark(self, before):
        """Of the regions of a list as sysfs has it, those that no core has any more."""
        return machine.regions(before) - set.union(*self.tables())

    def windows(self):
        """The regions that each core's table can have; none if it is offline."""
        files = [[f"/sys/devices/system/cpu/cpu{cpu}/rmpopt/window" for cpu in core["cpus"]]
                 for core in self.snp()["cores"]]
        lists = self.sh(";".join("{ " + " || ".join(f"cat {file} 2>/dev/null" for file in core) +
                                 " || echo offline; }" for core in files))
        return [machine.regions(line.replace("offline", "")) for line in lists.split("\n")]

    def per_core(self):
        present = self.list("regions")
        return [len(table & present) for table in self.tables()]

    def rmpopts(self):
        """RMPOPTs executed so far to verify, as the emulated hardware counted."""
        return sum(core["scanned"] + core["cached"] + core["failed"]
                   for core in self.snp()["cores"])

    def keep_busy(self, cores=None):
        """Give cores light work, as those of a host in use have: on their first
        threads, by index, all of them by default."""
        cpus = [core["cpus"][0] for core in self.snp()["cores"]]
        chosen = cpus if cores is None else [cpus[core] for core in cores]
        self.sh("busy " + " ".join(map(str, chosen)))

    def fake_nodes(self):
        """Region -> the NUMA node that numa=fake=1G made of it."""
        return {(int(first, 16) + (1 << 29)) >> 30: int(node) for node, first in re.findall(
            r"Faking node (\d+) at \[mem (0x\w+)-0x\w+\] \(1024MB\)",
            self.sh("dmesg | grep 'Faking node' || true"))}

    def open_nodes(self):
        """Those of regions in which nobody has private pages"""
        closed = self.snp()["closed"]
        return [node for region, node in sorted(self.fake_nodes().items())
                if region not in closed]

    def start_ordinary(self, region, node, how=""):
        """An ordinary guest, with its memory in a region, that writes all the time."""
        self.sh(f"mkfifo -m 600 /tmp/ordinary; {how} ordinary -n {node} {region} forever"
                " > /tmp/ordinary & read -r line < /tmp/ordinary; rm /tmp/ordinary;"
                "[ $line = running ]", timeout=180)

    def start_vm(self, options="", timeout=120):
        """Start an SNP VM; it is there, with its memory, when this returns."""
        return Vm(self, options, timeout)

    def wait_quiet(self):
        """Where the TSC is trusted: the switch to it stops all CPUs, some seconds
        after boot."""
        self.sh("grep -q -m 1 'Switched to clocksource tsc$' /dev/kmsg")

    def wake_by_reschedule(self):
        """Leave it to the reschedule interrupt to wake a task on another CPU, so that
        the grace periods of RCU, say, are not among the function call interrupts."""
        self.sh("for word in NO_TTWU_QUEUE NO_HRTICK;"
                "do echo $word > /sys/kernel/debug/sched/features; done")

    def trace_start(self, events=EVENTS):
        """Trace RMPOPT and the function call interrupts from now on."""
        self.wake_by_reschedule()
        self.sh(f"cd {TRACING}; echo 0 > tracing_on; echo mono > trace_clock; echo > trace;"
                + "".join(f"echo 1 > events/{event}/enable;" for event in events) +
                "echo 1 > tracing_on")

    def trace_lines(self):
        """The events since trace_start(), in order."""
        packed = self.sh(f"cd {TRACING}; echo 0 > tracing_on; gzip -c trace | base64", timeout=300)
        lines = gzip.decompress(base64.b64decode(packed)).decode()
        with open(self.log.replace(".log", ".trace"), "w") as file:
            file.write(lines)
        kept, written = re.search(r"^# entries-in-buffer/entries-written: (\d+)/(\d+)", lines,
                                  re.M).groups()
        if kept != written:
            raise RuntimeError(f"the trace buffer kept {kept} of {written} events")
        return [Event(float(match[3]), int(match[1]), match[4], match[5], match[2])
                for match in re.finditer(r"^.*\[(\d+)\] +(\S+) +([\d.]+): (\w+): (.*)$",
                                         lines, re.M)]

    def trace(self):
        """The events since trace_start(), in order: (name, fields)."""
        return [(event.name, dict(re.findall(r"(\w+)=(\S+)", event.text)))
                for event in self.trace_lines()]


class Vm:
    """An SNP VM in the guest: bench/guest/snpvm.c and the pipes to it."""

    def __init__(self, host, options, timeout):
        self.host = host
        self.slot = host.slots.pop()
        self.name = f"vm{self.slot}"
        self.into, self.out = 3 + 2 * self.slot, 4 + 2 * self.slot
        line = host.sh(
            f"rm -f /tmp/{self.name}.*; mkfifo /tmp/{self.name}.in /tmp/{self.name}.out;"
            f"snpvm {options} < /tmp/{self.name}.in > /tmp/{self.name}.out 2>&1 & {self.name}=$!;"
            f"exec {self.into}<>/tmp/{self.name}.in {self.out}<>/tmp/{self.name}.out;"
            f"{self._answer()}", timeout=timeout)
        if not line.startswith("ready "):
            host.slots.add(self.slot)
            raise RuntimeError(f"the SNP VM did not start: {line}")
        self.pages, *self.cycles = map(int, line.split()[1:])

    def _answer(self):
        return f"read -r line <&{self.out}; echo $line"

    def ask(self, what):
        self.host.sh(f"echo {what} >&{self.into}")

    def answer(self, timeout=60):
        return self.host.sh(self._answer(), timeout=timeout)

    def tell(self, what):
        """Have it end its 'vm' or its 'memory'."""
        return self.host.sh(f"echo {what} >&{self.into}; {self._answer()}")

    def end(self, then=""):
        """Have it exit, wait until it did, and have the shell go on at once."""
        self._gone(f"echo end >&{self.into}; wait ${self.name}; {then}", timeout=300)

    def kill(self):
        self._gone(f"kill -9 ${self.name}; wait ${self.name} || true")

    def _gone(self, how, **options):
        self.host.sh(how, **options)
        self.host.slots.add(self.slot)


def ipis(events):
    """Function call interrupts while a rescan ran or its result spread."""
    count, scans, spreads = 0, False, False
    for name, fields in events:
        if name == "rmpopt_rescan_begin":
            scans = True
        elif name == "rmpopt_rescan_end":
            scans, spreads = False, spreads or fields["regained"] != "0"
        elif name == "rmpopt_settled":
            spreads = False
        elif name.startswith("call_function") and (scans or spreads):
            count += 1
    return count
