# SPDX-License-Identifier: GPL-2.0-only
"""The host stays right when the hardware refuses something, when RMPOPT is slow, under
load, and whoever asks for what.  'make soak' has the long forms."""

import faults
import host as hosts
import load
from tests import case


class TestRefusals(case.HostCase):
    """The firmware or RMPUPDATE refuses something in the life of an SNP VM."""

    # Linux leaks a page that it cannot make shared; where RMPUPDATE fails it says so with
    # a backtrace.  Neither has to do with RMPOPT: see check_faults.py.
    EXPECTED = "WARNING: .*(sev|svm|ccp|gmem)|Call Trace:"
    options = faults.OPTIONS

    def test_refusals(self):
        # It is about regions only if the VM takes some.
        self.assertGreaterEqual(len(faults.taken(self.host)), 2)
        failed = 0
        for fault in faults.faults():
            with self.subTest(fault.name):
                assigned = self.host.snp()["assigned"]
                fate = faults.fate(self.host, fault)
                failed += fate.status != 0
                self.assertTrue(fate.reached)
                self.assertIn(fate.status, (0, 1), fate.words)
                self.wait_all_optimized()
                self.assertEqual(self.host.snp()["assigned"] - assigned,
                                 fault.name in faults.LEAKS)
        self.assertEqual(failed, 7)	# launches
        for line in self.host.splats():
            self.assertRegex(line, self.EXPECTED)
        # The next one lives as if nothing had been.
        self.host.start_vm("-r 1").end()
        self.host.wait_all_optimized()


class TestLoad(case.HostCase):
    options = load.OPTIONS
    amount, at_least = "-n 24", 24	# what soak is told, and how many VMs that is
    delay = 0				# of each RMPOPT, in microseconds

    def test_load(self):
        load.ordinary(self.host)
        load.run(self.host, "-n 4 -q")		# caches have what they keep
        before, free = load.slabs(self.host), load.memory(self.host)
        faults.slow_rmpopt(self.host, self.delay)
        self.addCleanup(faults.slow_rmpopt, self.host, 0)
        report = load.run(self.host, self.amount)
        self.notes += report.splitlines()
        vms = load.vms(report)
        self.assertGreaterEqual(vms, self.at_least)
        self.assertEqual((self.host.read("control"), self.host.read("mode")), ("on", "lazy"))
        # No page is leaked, no region lost, and every core has all.
        now = self.host.snp()
        for name in "closed", "assigned":
            self.assertEqual(now[name], self.booted[name], name)
        self.wait_all_optimized()
        self.assertEqual(self.host.number("pending"), 0)
        # Nor is memory of the kernel: a footprint has 4KB, and a VM has one.
        after = load.slabs(self.host)
        for name in after:
            if name.startswith("kmalloc") and name.endswith("-4k") or name.startswith("kvm"):
                self.assertLess(after[name] - before[name], 20, name)
        self.notes.append(f"free memory {load.memory(self.host) - free:+} MB; " +
                          ("slabs are as before" if before else
                           "no slabs to compare, UNDER=debug has them"))
        self.assertEqual(load.find_leaks(self.host), "")


class TestSlow(TestLoad):
    """The same, where each RMPOPT takes so long that whatever can come between does."""

    amount, at_least = "-n 16", 16
    delay = 4000


class TestOrdinaryUser(case.HostCase):
    """One who is not root reads the lists and figures, writes nothing, and has no CPU
    interrupted."""

    def sh(self, command):
        return self.host.sh(f"su nobody -s /bin/sh -c '{command}' 2>&1", check=False)

    def test_ordinary_user(self):
        self.host.sh("mkdir -p /etc; echo nobody:x:65534:65534::/:/bin/sh > /etc/passwd;"
                     "echo nobody:x:65534: > /etc/group")
        self.assertEqual(self.sh("id -u"), (0, "65534"))
        files = self.host.sh(f"ls {hosts.SYSFS}").split()
        self.assertIn("control", files)
        cpu = "/sys/devices/system/cpu/cpu1/rmpopt/"
        reports = sum(core["reports"] for core in self.host.snp()["cores"])
        for path in [hosts.SYSFS + name for name in files] + [cpu + "window"]:
            self.assertEqual(self.sh(f"cat {path}")[0], 0, path)
            status, words = self.sh(f"echo off > {path}")
            self.assertNotEqual(status, 0, path)
            self.assertIn("ermission denied", words)
        status, words = self.sh(f"cat {cpu}regions")
        self.assertNotEqual(status, 0)
        self.assertIn("ermission denied", words)
        self.assertEqual(sum(core["reports"] for core in self.host.snp()["cores"]), reports)
        self.assertEqual(self.host.read("control"), "on")
        events = hosts.TRACING + "events/rmpopt"
        self.assertNotEqual(self.sh(f"cat {events}/enable")[0], 0)
        self.assertAllOptimized()


class TestBadInput(case.HostCase):
    """Whatever root writes to the files, and however it reads them."""

    CPU = "/sys/devices/system/cpu/cpu1/rmpopt/"

    def test_writes(self):
        """Random bytes, too long ones, and every file that is for reading only."""
        was = {name: self.host.read(name) for name in ("control", "mode", "placement")}
        for name in was:
            for size in (1, 7, 4095, 4096, 5000, 70000):
                status, _ = self.host.sh(f"dd if=/dev/urandom of={hosts.SYSFS}{name} bs={size} "
                                         "count=1 2>&1", check=False)
                self.assertNotEqual(status, 0, (name, size))
            for word in ("on on", " on", "ON", "o"):
                status, _ = self.host.sh(f"printf '{word}' | dd of={hosts.SYSFS}{name} 2>&1",
                                         check=False)
                self.assertNotEqual(status, 0, (name, word))
            self.assertEqual(self.host.read(name), was[name])
        for path in (*(hosts.SYSFS + name for name in ("regions", "optimized", "pending",
                                                       "rmpopts", "settle_us")),
                     self.CPU + "regions", self.CPU + "window"):
            status, _ = self.host.sh(f"dd if=/dev/zero of={path} bs=8 count=1 2>&1", check=False)
            self.assertNotEqual(status, 0, path)
        self.assertAllOptimized()

    def test_reads(self):
        """From anywhere in a file, in pieces of any size, is what is there."""
        for path in (hosts.SYSFS + "regions", hosts.SYSFS + "optimized", self.CPU + "regions"):
            whole = self.host.sh(f"cat {path}")
            for size in (1, 3, 4096, 1 << 20):
                self.assertEqual(self.host.sh(f"dd if={path} bs={size} 2>/dev/null"), whole)
            for offset in (4096, 1 << 30, (1 << 62)):
                self.assertEqual(self.host.sh(f"dd if={path} bs=1 count=9 skip={offset} "
                                              "2>/dev/null", check=False)[1], "")

    def test_command_line(self):
        """A word that sev= does not know changes nothing; the last word counts."""
        for words, control in (("sev=rmpopt", "on"), ("sev=", "on"), ("sev=normpopt,x", "forceoff"),
                               ("sev=normpoptx", "on"), ("sev=,,normpopt,", "forceoff"),
                               ("sev=" + "normpop" * 150, "on"), ("sev=\x01\x7f\xff", "on")):
            with hosts.Host("test_faults.command_line", append=words, cores=1, threads=1) as host:
                self.assertEqual(host.read("control"), control, words)
                self.assertEqual(host.splats(), [])
