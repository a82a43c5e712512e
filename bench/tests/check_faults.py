# SPDX-License-Identifier: GPL-2.0-only
"""'make check': faults that need another kernel than that of the bench."""

import os
import unittest

import faults
import host as hosts
import kbuild
import load
from tests import case, test_guests


class TestUnpatched(unittest.TestCase):
    """What others see is what they see on the same kernel without the series."""

    @classmethod
    def setUpClass(cls):
        cls.base = kbuild.base_kernel()

    def compare(self, what):
        with hosts.Host("check_faults.without", kernel=self.base, **faults.OPTIONS) as host:
            without = what(host)
        with hosts.Host("check_faults.with", **faults.OPTIONS) as host:
            ours = what(host)
        for name, expected in without.items():
            with self.subTest(name):
                self.assertEqual(ours[name], expected)
        return without

    def test_fates(self):
        """The end of an SNP VM when the hardware refuses something, and what is said of it."""
        fates = self.compare(lambda host: {fault.name: faults.fate(host, fault)
                                           for fault in faults.faults()})
        self.notes = [f"{len(fates)} faults, {sum(fate.status != 0 for fate in fates.values())} "
                      "of them the end of the VM"]

    def test_selftests(self):
        """The verdicts of KVM's selftests."""
        def verdict(host, test):
            return host.sh(f"timeout -s KILL {test_guests.LIMIT} /tests/{os.path.basename(test)}"
                           " > /dev/null 2>&1", timeout=2 * test_guests.LIMIT, check=False)[0]

        verdicts = self.compare(lambda host: {test: verdict(host, test)
                                              for test in test_guests.SELFTESTS})
        passed = sum(status == 0 for status in verdicts.values())
        self.assertGreater(passed, 5)
        self.notes = [f"{passed} of {len(verdicts)} pass on both"]


class TestAllocations(case.HostCase):
    """Each allocation in turn fails: when a VM is created, when a file is written or
    read, when a CPU comes online."""

    MOST = 1000			# more than any of these needs

    @classmethod
    def setUpClass(cls, log=""):
        cls.options = dict(load.OPTIONS, kernel=kbuild.debug_kernel())
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
        self.assertGreater(nth, 1)
        # What fails here shows a backtrace, and nothing else may, but for a lock that Linux
        # asks for when the creation of a VM fails.
        for line in self.host.splats():
            self.assertRegex(line, "Call Trace:|page allocation failure|WARNING: .* at sev_guest")
        self.host.wait_for("[ $(cat pending) = 0 ]")
        self.wait_all_optimized()
        self.notes.append(f"{nth - 1} allocations, {failed} failures")
        return nth - 1, failed

    def test_a_vm_is_created(self):
        tries, failed = self.each("echo end | snpvm -n 4 -p 16 -f {nth} 2>&1", "nothing failed")
        # The footprint's is the one that a VM can do without.
        self.assertGreaterEqual(tries - failed, 1)

    def each_page(self, vm):
        """An error at once, or none, also if the direct map cannot be split for a page."""
        before, assigned = self.host.read("optimized"), self.host.snp()["assigned"]
        self.addCleanup(self.host.sh, f"echo off > {hosts.SYSFS}placement")
        for placement in "off", "on":
            self.host.sh(f"echo {placement} > {hosts.SYSFS}placement; dmesg -c > /dev/null")
            self.host.splats()
            words = vm(placement)
            for line in self.host.splats():
                self.assertRegex(line, "Call Trace:|page allocation failure")
            split = self.host.sh("dmesg | grep -c 'Failed to split direct map'", check=False)[1]
            self.notes.append(f"placement {placement}: {words}; {split} of the direct map")
            self.assertGreater(int(split), 0, self.notes)
            self.assertGreaterEqual(int(words.split()[0]), int(split), self.notes)
            self.host.wait_optimized(before)
            self.assertEqual(self.host.snp()["assigned"], assigned)

    def test_a_launch(self):
        def vm(placement):
            node = {"off": 4, "on": 5}[placement]	# none had private memory there
            words = self.host.sh(f"echo end | snpvm -p 1024 -n {node} -F 2>&1", timeout=600)
            self.assertRegex(words, r"^\d+ errors, ready 1024$")
            return words

        self.each_page(vm)

    def test_a_page_becomes_private(self):
        def vm(_):
            vm = self.start_vm("-r 1 -p 512")
            vm.ask("fail 1024")
            words = vm.answer(timeout=600)
            self.assertRegex(words, r"^\d+ errors, ended fail 1024$")
            vm.end()
            return words

        self.each_page(vm)

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


class TestSuspend(case.HostCase):
    """Devices, then CPUs too, go to sleep and come back, as Linux rehearses it, while an
    SNP VM lives and another one has just gone."""

    @classmethod
    def setUpClass(cls, log=""):
        build = kbuild.Build("suspend")
        build.configure("CONFIG_SUSPEND=y", "CONFIG_PM_DEBUG=y")
        build.make("bzImage")
        cls.options = {"kernel": build.kernel,
                       "append": "no_console_suspend suspend.pm_test_delay=1"}
        super().setUpClass(log)

    def test_suspend(self):
        vm = self.start_vm("-r 1")
        for level in "devices", "platform", "processors", "core":
            with self.subTest(level):
                self.host.sh(f"echo {level} > /sys/power/pm_test")
                self.start_vm().end()
                self.host.sh("echo mem > /sys/power/state", timeout=120)
                self.wait_all_optimized()
        vm.end()
        self.wait_all_optimized()
