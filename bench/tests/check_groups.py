# SPDX-License-Identifier: GPL-2.0-only
"""'make check': placement, and who is charged and who says where memory may come from: a
kernel with memory cgroups, cpusets and memory that can be taken offline."""

import contextlib

import containment
import host as hosts
import kbuild
import machine
from tests import case

CONFIGURATION = ("CONFIG_SLUB_TINY=n", "CONFIG_CGROUPS=y", "CONFIG_MEMCG=y", "CONFIG_CPUSETS=y",
                 "CONFIG_MEMORY_HOTPLUG=y", "CONFIG_MEMORY_HOTREMOVE=y")
GROUPS, GROUP = "/sys/fs/cgroup", "/sys/fs/cgroup/vm"
MEMORY = "/sys/devices/system/memory"
SWITCH = hosts.SYSFS + "placement"
MB = 1 << 20


class Groups(case.HostCase):
    Host = containment.Host
    options = {"mem": "8G", "nodes": 2}
    busy = False

    @classmethod
    def setUpClass(cls, log=""):
        build = kbuild.Build("groups")
        build.configure(*CONFIGURATION)
        build.make("bzImage")
        cls.options = dict(cls.options, kernel=build.kernel)
        super().setUpClass(log)
        cls.host.sh(f"mount -t cgroup2 none {GROUPS} &&"
                    f"echo +memory +cpuset > {GROUPS}/cgroup.subtree_control")

    def setUp(self):
        super().setUp()
        self.before = self.host.read("optimized")
        self.host.sh(f"mkdir {GROUP}")
        self.addCleanup(self.host.sh, f"echo off > {SWITCH}; rmdir {GROUP}")

    @contextlib.contextmanager
    def grouped(self):
        """What is started meanwhile is in the group, and stays there."""
        self.host.sh(f"echo $$ > {GROUP}/cgroup.procs")
        try:
            yield
        finally:
            self.host.sh(f"echo $$ > {GROUPS}/cgroup.procs")

    def group_vm(self, options):
        with self.grouped():
            return self.start_vm(options)

    def charged(self):
        """MB, by what they are for"""
        stat = dict(line.split() for line in self.host.sh(f"cat {GROUP}/memory.stat").splitlines())
        return {name: int(stat[name]) / MB for name in ("file", "anon", "kernel")}


class TestGroups(Groups):
    def test_a_vm_is_charged_as_without_placement(self):
        charges = []
        for switch in "off", "on":
            self.host.sh(f"echo {switch} > {SWITCH}")
            free = self.charged()
            vm = self.group_vm("-m 64 -p 4")
            charges.append(self.charged())
            lost = machine.regions(self.before) - self.host.list("optimized")
            vm.end()
            self.host.wait_optimized(self.before)
            left = self.charged()
            self.notes.append(f"{switch}: MB charged {free}, {charges[-1]}, then {left}; lost {lost}")
            for name in free:
                self.assertLess(left[name], free[name] + 2, self.notes)
        self.assertGreater(charges[0]["file"], 60, self.notes)
        for name in charges[0]:
            self.assertLess(abs(charges[0][name] - charges[1][name]), 1, self.notes)

    def test_a_limit_ends_a_vm_as_without_placement(self):
        fates = []
        for switch in "off", "on":
            self.host.sh(f"echo {switch} > {SWITCH}; echo 32M > {GROUP}/memory.max")
            with self.grouped():
                fates.append(self.host.sh("snpvm -m 64 2>&1", check=False))
            self.host.wait_optimized(self.before)
        self.notes = [str(fates)]
        # Linux says where it was that memory could not be charged.
        self.assertEqual({line.partition("] ")[2] for line in self.host.splats()}, {"Call Trace:"})
        self.assertNotEqual(fates[0][0], 0)
        self.assertEqual(*fates)

    def test_a_cpuset_says_which_node(self):
        self.host.sh(f"echo on > {SWITCH}")
        for node in 1, 0:
            self.host.sh(f"echo {node} > {GROUP}/cpuset.mems")
            self.host.start_log()
            vm = self.group_vm("-m 64")
            pages = self.host.private_pages()
            self.notes.append(f"node {node}: pages in {pages}")
            elsewhere = {region for region in pages if self.host.nodes([region]) != {node}}
            vm.end()
            self.host.wait_optimized(self.before)
            self.assertFalse(elsewhere, self.notes)


class TestOffline(Groups):
    """The first VM: what others leave in its memory, such as page tables, is not ours."""

    def offline(self, blocks):
        """Those of these memory blocks that can be taken offline; they come back."""
        done = []
        for block in blocks:
            state = f"{MEMORY}/memory{block}/state"
            status, _ = self.host.sh(f"timeout 5 sh -c 'echo offline > {state}'", check=False)
            if not status:
                done.append(block)
                self.host.sh(f"echo online > {state}")
        return done

    def test_memory_goes_offline_when_nothing_is_held(self):
        """It does where a VM was that was placed, and not while it lives."""
        self.host.sh(f"echo on > {SWITCH}")
        self.host.start_log()
        vm = self.start_vm("-m 256 -n 0")	# not where the RMP is: that is on the other node
        size = int(self.host.sh(f"cat {MEMORY}/block_size_bytes"), 16)
        blocks = sorted({spa // size for spa in self.host.private_addresses()})
        lives = self.offline(blocks)
        vm.end()
        self.host.wait_optimized(self.before)
        self.host.sh(f"echo off > {SWITCH}")
        gone = self.offline(blocks)
        self.notes = [f"of the memory blocks {blocks}, {lives} can be offline while it lives, "
                      f"{gone} afterwards"]
        self.assertEqual(lives, [], self.notes)
        self.assertTrue(gone, self.notes)
        self.host.wait_optimized(self.before)
        self.assertAllOptimized()
