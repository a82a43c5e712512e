# SPDX-License-Identifier: GPL-2.0-only
"""What the series adds to the conversion of a page: the emulator logs each instruction
that is executed in functions of RMPOPT, while SNP VMs of two sizes come and go.  The
difference is the pages'.  What is inlined into the callers is not among it: a test of
a static branch, or a call."""

import bisect
import collections
import os
import re

import host as hosts
import machine

PAGES = 256			# in each part of the smaller VM, twice that in the larger
OURS = re.compile(r"^(__)?(rmpopt|snp_footprint)_(?!.*(test|suite|cases|kunit|expect))")


def functions():
    """The functions of RMPOPT in the kernel: (first address, next address, name)"""
    with open(os.path.join(machine.BUILD, "linux", "out", "System.map")) as file:
        symbols = sorted((int(address, 16), name) for address, kind, name in map(str.split, file)
                         if kind in "tT")
    return [(address, after, name) for (address, name), (after, _) in zip(symbols, symbols[1:])
            if OURS.match(name) and after > address]


class Path(hosts.Host):
    def __init__(self, name="bench.path"):
        self.functions = functions()
        ranges = ",".join(f"{first:#x}..{after - 1:#x}" for first, after, _ in self.functions)
        super().__init__(name, cores=1, threads=1, mem="6G", append="nokaslr",
                         qemu_args=("-dfilter", ranges))
        self.instructions = self.log.replace(".log", ".instructions")

    def count(self, command):
        """Instructions by function, while a command runs"""
        if os.path.exists(self.instructions):
            os.remove(self.instructions)
        self.monitor(f"logfile {self.instructions}")
        self.monitor("one-insn-per-tb on")
        self.monitor("log exec,nochain")
        command()
        self.monitor("log none")
        self.monitor("one-insn-per-tb off")
        starts = [first for first, _, _ in self.functions]
        with open(self.instructions) as file:
            return collections.Counter(
                self.functions[bisect.bisect(starts, int(address, 16)) - 1][2]
                for address in re.findall(r"^Trace .*/([0-9a-f]{16})/", file.read(), re.M))

    def life(self, pages):
        """A VM of two parts of memory comes and goes: its pages, and instructions by
        function at its launch and at its end"""
        vm = []
        launch = self.count(lambda: vm.append(self.start_vm(f"-p {pages} -n 0,0")))
        return vm[0].pages, launch, self.count(vm[0].end)

    def footprint_bytes(self):
        """That a VM has allocated for its footprint"""
        self.trace_start(("kmem/kmalloc",))
        vm = self.start_vm("-r 1")
        vm.end()
        return max(int(re.search(r"bytes_alloc=(\d+)", event.text)[1])
                   for event in self.trace_lines() if "call_site=snp_footprint" in event.text)


def measure():
    with Path() as host:
        host.wait_settled()
        size = host.footprint_bytes()
        host.life(PAGES)		# what happens only once
        (few, *small), (many, *large) = host.life(PAGES), host.life(2 * PAGES)
    return {"bytes": size,
            **{what: {name: round((more[name] - less[name]) / (many - few), 2)
                      for name in sorted(more) if more[name] - less[name] >= (many - few) / 100}
               for what, less, more in zip(("private", "shared"), small, large)}}
