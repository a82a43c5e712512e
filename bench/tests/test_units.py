# SPDX-License-Identifier: GPL-2.0-only
"""Tests that run inside the guest or beside it, and bring a KTAP report of
their own: KUnit, the KVM selftest, the instructions, the firmware commands."""

import os
import re
import shlex
import subprocess
import tempfile
import unittest

import host as hosts
import machine
from tests import case

KUNIT = os.path.join(machine.BUILD, "linux", "tools", "testing", "kunit", "kunit.py")


class KtapCase(case.HostCase):
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


class TestKunit(KtapCase):
    options = {"append": "kunit.enable=1 kunit.filter_glob=rmpopt*"}

    def test_kunit(self):
        self.check_ktap(self.host.console())


class TestSelftest(KtapCase):
    options = {"append": hosts.QUIET}
    settle = True

    def test_selftest(self):
        self.check_ktap(self.host.sh("/tests/snp_rmpopt_test", timeout=300))


class TestEmulator(KtapCase):
    options = {"append": "kunit.enable=1 kunit.filter_glob=snp* sev=normpopt"}

    def test_instructions(self):
        self.check_module("snp_insn_test")

    def test_instructions_of_a_process(self):
        self.check_ktap(self.host.sh("/tests/insn_user"))

    def test_xsavec(self):
        self.check_ktap(self.host.sh("/tests/xsavec"))

    def test_firmware_commands(self):
        self.check_module("snp_firmware_test")

    def test_random_instructions_and_vmcbs(self):
        self.check_module("snp_fuzz")


class TestQtest(unittest.TestCase):
    """The PSP from outside: registers, interrupt, refusals. No guest runs."""

    def test_psp(self):
        self.notes = []
        with tempfile.TemporaryDirectory() as directory:
            # qtest takes the architecture from the name, and gives no -L.
            qemu = os.path.join(directory, "qemu-system-x86_64")
            with open(qemu, "w") as file:
                file.write(f"#!/bin/sh\nexec {machine.QEMU} {shlex.join(machine.ROMS)} \"$@\"\n")
            os.chmod(qemu, 0o755)
            done = subprocess.run([os.path.join(os.path.dirname(machine.QEMU),
                                                "tests/qtest/amd-psp-test"), "--tap"],
                                  env=dict(os.environ, QTEST_QEMU_BINARY=qemu), timeout=120,
                                  capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        passed = re.findall(r"^ok \d+", done.stdout, re.M)
        self.assertTrue(passed)
        self.notes.append(f"{len(passed)} passed")
