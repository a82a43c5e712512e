# SPDX-License-Identifier: GPL-2.0-only
"""How a host can end while RMPOPT is in use, and what comes after."""

import os
import tempfile
import unittest

import faults
import host as hosts
import initrd
import machine
from tests import case

SLOW = 300000		# microseconds of an RMPOPT, so that work is pending


class TestKexec(case.HostCase):
    """Another kernel takes over, and finds the RMP and the windows of the first."""

    @classmethod
    def setUpClass(cls, log=""):
        with tempfile.TemporaryDirectory() as root:
            os.mkdir(os.path.join(root, "next"))
            for name, file in ("kernel", machine.KERNEL), ("initrd", machine.INITRD):
                os.symlink(file, os.path.join(root, "next", name))
            path = initrd.add(root, os.path.join(machine.BUILD, "kexec-initrd"))
        cls.options = {"initrd": path}
        super().setUpClass(log)

    def kexec(self, append=""):
        line = self.host.sh("cat /proc/cmdline")
        self.host.serial.sendall(f"kexec /next/kernel /next/initrd '{line} {append}'\n".encode())
        self.host.sh(None, timeout=180)

    def test_kexec(self):
        self.check_vm_life()
        # While a leader still works
        faults.slow_rmpopt(self.host, SLOW)
        self.start_vm().end()
        self.assertGreater(self.host.number("pending"), 0)
        self.kexec("second")
        faults.slow_rmpopt(self.host, 0)
        self.assertIn("second", self.host.sh("cat /proc/cmdline"))
        self.host.keep_busy()
        self.host.wait_settled()
        self.assertAllOptimized()
        self.check_vm_life()


class TestPanic(unittest.TestCase):
    """Other CPUs are stopped, and nothing is left to do it."""

    options = {}

    def test_panic(self):
        with hosts.Host("test_ends.TestPanic", **self.options) as host:
            host.wait_settled()
            host.start_vm()
            # One more, whose leader still works
            vm = host.start_vm()
            faults.slow_rmpopt(host, SLOW)
            vm.end()
            self.assertGreater(host.number("pending"), 0)
            host.serial.sendall(b"echo c > /proc/sysrq-trigger\n")
            self.assertEqual(host.wait(60), 0)
            _, panic, after = host.console().partition("Kernel panic - not syncing")
            self.assertTrue(panic)
            for words in "invalid opcode", "RMPOPT", "WARNING", "BUG":
                self.assertNotIn(words, after)
