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


class TestKunit(unittest.TestCase):
    def kunit(self, *words):
        path = os.path.dirname(machine.QEMU) + ":" + os.environ["PATH"]
        return subprocess.run(["/usr/bin/python3", case.KUNIT, *words], capture_output=True,
                              env=dict(os.environ, PATH=path), stdin=subprocess.DEVNULL,
                              text=True, check=False, timeout=300)

    def test_kunit(self):
        """By kunit.py, in the emulator; RMPOPT is off, because one test wants that."""
        done = self.kunit("exec", "--arch=x86_64", "--kernel_args=sev=normpopt",
                          "--build_dir=" + os.path.join(machine.BUILD, "linux", "out"),
                          "--qemu_config=" + os.path.join(machine.TOP, "bench", "kunit_snp.py"))
        total = re.search(r"Ran (\d+) tests: passed: (\d+)$", done.stdout, re.M)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(total and total[1] == total[2], done.stdout)
        for name in os.listdir(os.path.join(machine.BUILD, "linux", "arch/x86/virt/svm")):
            if name.endswith("_kunit.c"):
                self.assertIn(f" {name.removesuffix('_kunit.c')} (", done.stdout)
        self.assertIn(" snp-footprint (", done.stdout)
        self.notes = [total[0]]

    def test_kunitconfig(self):
        """The series' own .kunitconfig is all that kunit.py needs."""
        with tempfile.TemporaryDirectory() as directory:
            done = self.kunit("config", "--arch=x86_64", "--kunitconfig=arch/x86/virt/svm",
                              "--build_dir=" + directory)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class TestSelftest(case.KtapCase):
    options = {"append": hosts.QUIET}
    settle = True

    def test_selftest(self):
        self.check_ktap(self.host.sh("/tests/snp_rmpopt_test.sh", timeout=300))

    def test_selftest_restores_the_knob(self):
        """However it ends: here it is ended while it runs, with the knob on."""
        self.host.sh(f"cd {hosts.SYSFS}; echo eager > mode; echo off > control")
        self.host.sh("/tests/snp_rmpopt_test.sh > /tmp/report & wrapper=$!")
        self.host.wait_for("[ $(cat control) = on ] && [ $(cat mode) = lazy ]")
        self.host.sh("kill $wrapper; wait $wrapper", check=False)
        self.assertEqual((self.host.read("control"), self.host.read("mode")), ("off", "eager"))
        self.assertEqual(self.host.sh("pidof snp_rmpopt_test || true"), "")
        self.host.sh(f"cd {hosts.SYSFS}; echo lazy > mode; echo on > control")


class TestEmulator(case.KtapCase):
    options = {"append": "kunit.enable=1 kunit.filter_glob=snp* sev=normpopt"}
    violates = True

    def test_instructions(self):
        """Some write to what is assigned, or lies beside it in a large page."""
        before = self.host.rmp_faults()
        self.check_module("snp_insn_test")
        self.assertRegex(self.host.sh("dmesg"), r"\bok \d+ write_faults_on_2m\s*\n")
        self.assertGreater(self.host.rmp_faults(), before)

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
