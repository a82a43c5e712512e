# SPDX-License-Identifier: GPL-2.0-only
"""'make check': faults that need another kernel than that of the bench."""

import os
import shutil
import unittest

import faults
import host as hosts
import kbuild
import machine
from tests import case
from tests.trees import base, git


class TestFates(unittest.TestCase):
    """When the hardware refuses something, an SNP VM's fate, and what the kernel says of
    it, is that on the same kernel without the series."""

    def fates(self, name, **options):
        with hosts.Host(f"check_faults.{name}", **options) as host:
            return {fault.name: faults.fate(host, fault) for fault in faults.faults()}

    def test_fates(self):
        tree = os.path.join(machine.BUILD, "check", "base")
        shutil.rmtree(tree, ignore_errors=True)
        git("worktree", "prune")
        git("worktree", "add", "--detach", tree, base())
        self.addCleanup(git, "worktree", "remove", "--force", tree)
        build = kbuild.Build("base", tree=tree)
        build.configure()
        build.make("bzImage")
        without = self.fates("without", kernel=build.kernel)
        ours = self.fates("with")
        for name, fate in without.items():
            with self.subTest(name):
                self.assertEqual(ours[name], fate)
        self.notes = [f"{len(without)} faults, {sum(fate[0] != 0 for fate in without.values())} "
                      "of them the end of the VM"]


class TestAllocations(case.HostCase):
    """Each allocation in turn fails: when a VM is created, when a file is written or
    read, when a CPU comes online."""

    MOST = 300			# more than any of these needs

    @classmethod
    def setUpClass(cls, log=""):
        cls.options = {"kernel": kbuild.debug_kernel()}
        super().setUpClass(log)
        for name in "failslab", "fail_page_alloc":
            cls.host.sh(f"cd /sys/kernel/debug/{name}; echo N > ignore-gfp-wait; echo 0 > verbose")
        cls.host.sh("echo 0 > /sys/kernel/debug/fail_page_alloc/min-order")

    def each(self, action, done):
        """Do it until a try whose output `done` knows: there nothing failed."""
        failed = 0
        for nth in range(1, self.MOST):
            status, words = self.host.sh(action.format(nth=nth), check=False, timeout=120)
            if done in words:
                break
            failed += status != 0
        else:
            self.fail(f"still something to fail after {self.MOST} allocations: {words}")
        # What fails here shows a backtrace, and nothing else may.
        for line in self.host.splats():
            self.assertRegex(line, "Call Trace:|page allocation failure")
        self.host.wait_for("[ $(cat pending) = 0 ]")
        self.wait_all_optimized()
        self.notes.append(f"{nth - 1} allocations, {failed} failures")
        return nth - 1, failed

    def test_a_vm_is_created(self):
        tries, failed = self.each("echo end | snpvm -r 1 -p 16 -f {nth} 2>&1", "nothing failed")
        # The footprint's is the one that a VM can do without.
        self.assertEqual(tries - failed, 1)

    def test_the_knob(self):
        """A failure of ours is not seen: everything is checked, or as it should be."""
        cd = f"cd {hosts.SYSFS}; "
        self.each(cd + "(echo {nth} > /proc/self/fail-nth; echo off > control; echo on > control;"
                  " read left < /proc/self/fail-nth; echo 0 > /proc/self/fail-nth;"
                  ' [ "$left" -gt 0 ] && echo nothing failed) 2>&1; echo on > control',
                  "nothing failed")

    def test_the_files(self):
        files = [hosts.SYSFS + "optimized", hosts.SYSFS + "pending",
                 "/sys/devices/system/cpu/cpu1/rmpopt/regions"]
        for file in files:
            self.each(f"read line < {file}; "
                      "(echo {nth} > /proc/self/fail-nth;" f" read line < {file};"
                      " read left < /proc/self/fail-nth; echo 0 > /proc/self/fail-nth;"
                      ' [ "$left" -gt 0 ] && echo nothing failed) 2>&1', "nothing failed")

    def test_a_cpu_comes(self):
        """In the CPU's own thread, where the series' callback runs."""
        cpu = "/sys/devices/system/cpu/cpu2/"
        file = f"/proc/{self.host.sh('pidof cpuhp/2')}/fail-nth"
        self.each(f"echo 0 > {cpu}online; echo {{nth}} > {file}; echo 1 > {cpu}online;"
                  f"read left < {file}; echo 0 > {file};"
                  f"[ $(cat {cpu}online) = 1 ] || echo 1 > {cpu}online;"
                  '[ "$left" -gt 0 ] && echo nothing failed', "nothing failed")
