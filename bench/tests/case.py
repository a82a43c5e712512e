# SPDX-License-Identifier: GPL-2.0-only
"""A class of tests that share one boot."""

import os
import re
import subprocess
import tempfile
import unittest

import host as hosts
import load
import machine

KUNIT = os.path.join(machine.BUILD, "linux", "tools", "testing", "kunit", "kunit.py")

# What an SNP host says when something about SNP is wrong.
COMPLAINT = re.compile(r"^(?!.*firmware: failed to load).*(SEV|RMP|SNP|PSP|ccp|AMD-Vi|kvm).*"
                       r"(fail|error|unable|invalid|timed out|not assigned|broken)", re.I)


class HostCase(unittest.TestCase):
    """Boots the machine that `options` describe; each test must leave the host
    as it found it, and a warning on the console fails the test it came in."""

    Host = hosts.Host
    options = {}
    busy = True			# every core has light work, as on a host in use
    settle = True		# wait for boot's verification
    violates = False		# the RMP, on purpose

    @classmethod
    def setUpClass(cls, log=""):
        cls.host = cls.Host(f"{cls.__module__}.{cls.__name__}{log}", **cls.options)
        cls.addClassCleanup(cls.host.stop)
        cls.host.start()
        if hosts.QUIET in cls.options.get("append", ""):
            cls.host.wait_quiet()
        if cls.busy:
            cls.host.keep_busy()
        if cls.settle:
            cls.host.wait_settled()
        cls.booted = cls.host.snp() if cls.settle else None

    @classmethod
    def tearDownClass(cls):
        leaks = load.leaks(cls.host) if cls.host.process.poll() is None else ""
        status = cls.host.poweroff()
        complaints = cls.host.splats()
        if status or complaints or leaks:
            raise AssertionError(f"at power-off: status {status} {complaints} {leaks}")

    def setUp(self):
        self.notes = []
        if self.host.process.poll() is not None:	# an earlier test broke it
            self.setUpClass(f".{self._testMethodName}")

    def tearDown(self):
        splats = self.host.splats()
        self.assertFalse(splats, f"the kernel complained, see {self.host.log}")
        snp = self.options.get("snp", True) and self.host.process.poll() is None
        if snp and not self.violates:
            self.assertEqual(self.host.rmp_faults(), 0)

    def assertNoComplaint(self):
        found = [line for line in self.host.console().splitlines() if COMPLAINT.search(line)]
        self.assertFalse(found)

    def assertConsole(self, pattern):
        self.assertRegex(self.host.console(), pattern)

    def all_regions(self):
        return self.host.all_regions()

    def assertAllOptimized(self, but=()):
        """Every core has every region that it can have, but those of a VM."""
        present, regions = self.host.list("regions"), self.all_regions() - set(but)
        for core, (table, window) in enumerate(zip(self.host.tables(), self.host.windows())):
            self.assertEqual(table & present, regions & window, f"core {core}")

    def rmp_regions(self):
        """Those with a part of the RMP"""
        parts = re.findall(r"RMP segment \d+ physical address \[(\w+) - (\w+)\]", self.host.console())
        self.assertTrue(parts)
        return {int(end, 16) >> 30 for part in parts for end in part}

    def assertOnlyTheRmpIsLost(self):
        """What the firmware keeps is in regions with a part of the RMP."""
        lost = self.host.list("regions") - self.all_regions()
        self.assertEqual(lost, self.rmp_regions())

    def wait_all_optimized(self):
        """Every core gets every region that can be optimized now."""
        self.host.wait_all_optimized()
        self.assertAllOptimized()

    def start_vm(self, options="", **more):
        """A VM that ends with the test, if the test does not end it."""
        vm = self.host.start_vm(options, **more)
        self.addCleanup(lambda: vm.slot in self.host.slots or vm.kill())
        return vm

    def check_vm_life(self, options=""):
        """A VM takes its regions from every core, and all come back."""
        before, rescanned = self.host.read("optimized"), self.host.number("rescanned")
        vm = self.start_vm(options)
        dark = self.host.dark(before)
        self.assertGreaterEqual(
            len(dark), 3, f"of {before}; optimized {self.host.read('optimized')}, closed "
            f"{self.host.snp()['closed']}, tables {self.host.tables()}")
        self.assertEqual(self.host.list("optimized") & dark, set())
        vm.end()
        self.host.wait_optimized(before)
        self.assertAllOptimized()
        return len(dark), self.host.number("rescanned") - rescanned


class KtapCase(HostCase):
    """Reports are judged by the kernel's own parser."""

    settle = False

    def check_ktap(self, report):
        begin = re.search(r"^.*TAP version", report, re.M)
        report = report[begin.start():] if begin else "TAP version 14\n" + report
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(report)
            file.flush()
            done = subprocess.run(["/usr/bin/python3", KUNIT, "parse", file.name],
                                  capture_output=True, text=True, check=False)
        total = re.search(r"Ran (\d+) tests: .*", done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(total and int(total[1]), done.stdout)
        self.assertNotRegex(total[0], "failed|crashed|errors")
        self.notes.append(total[0])

    def check_module(self, name, options=""):
        self.host.splats()
        last = self.host.sh("dmesg | tail -n 1")
        self.host.sh(f"insmod /tests/{name}.ko {options}", timeout=120)
        # The console may be some lines behind.
        self.check_ktap(self.host.sh("dmesg").rpartition(last)[2])
