# SPDX-License-Identifier: GPL-2.0-only
"""The bench itself: bad input, hangs, and the way from commits to trees."""

import os
import subprocess
import sys
import tempfile
import unittest

import machine
from tests import case
from tests.trees import LINUX, QEMU, base, git


def make(*words, **variables):
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", "-C", machine.TOP, "SETUP=no", *words,
                           *(f"{name}={value}" for name, value in variables.items())],
                          env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)


class TestBadInput(unittest.TestCase):
    def refused(self, result, *said):
        self.assertNotEqual(result.returncode, 0)
        for words in said:
            self.assertRegex(result.stderr, words)
        self.assertNotIn("Traceback", result.stderr)

    def test_no_such_kernel(self):
        self.refused(make("boot", KERNEL="/none", INITRD=machine.INITRD),
                     "KERNEL=/none: No such file", "give the path")

    def test_kernel_that_is_none(self):
        self.refused(make("boot", KERNEL=machine.INITRD, INITRD=machine.INITRD), "rmpopt: ")

    def test_kernel_that_panics(self):
        self.refused(make("boot", APPEND="rdinit=/none init=/none"), "the kernel panicked")

    def test_bad_size_and_numbers(self):
        self.refused(make("boot", MEM="much"), "MEM=much")
        self.refused(make("boot", CORES="0"), "CORES=0")
        self.refused(make("boot", CORES="3", NODES="2"), "CORES=3 .* NODES=2")

    def test_bad_guest(self):
        self.refused(make("guest", VCPUS="0"), "VCPUS=0 is not a number from 1 to 4")
        self.refused(make("guest", HOST="mine"), "HOST=mine is neither ours nor stock")

    def test_bad_repeat(self):
        self.refused(make("bench", REPEAT="often"), "REPEAT=often is not a number from 1")

    def test_qemu_refuses(self):
        self.refused(make("boot", QEMU_ARGS="-device no-such-device"), "no-such-device")

    def test_trees_of_another_release(self):
        with tempfile.TemporaryDirectory() as empty:
            self.refused(make("tree", LINUX=empty), "not Linux 7.3")
            self.refused(make("tree", QEMU_SRC=empty), "not QEMU 10.0")
            with open(os.path.join(empty, "Makefile"), "w") as file:
                file.write("VERSION = 6\nPATCHLEVEL = 12\n")
            self.refused(make("kernel", LINUX=empty), "is Linux 6.12, not Linux 7.3")
        self.assertTrue(os.path.exists(machine.KERNEL), "what was built is lost")

    def test_no_mirror(self):
        with tempfile.TemporaryDirectory() as cache:
            os.mkdir(os.path.join(cache, "etc"))
            result = subprocess.run(
                [os.path.join(machine.TOP, "scripts", "fetch"), "tools"], text=True,
                env=dict(os.environ, RMPOPT_CACHE=cache, http_proxy="http://127.0.0.1:9",
                         https_proxy="http://127.0.0.1:9"),
                capture_output=True, check=False)
            self.refused(result, "step fetch-tools failed", "apt-get update")


class TestHang(unittest.TestCase):
    def test_a_guest_that_stops_is_reported_and_ended(self):
        """A kernel that halted all its CPUs: nothing runs, nothing is said."""
        host = machine.Machine("hang")
        self.addCleanup(host.stop)
        host.start()
        was, machine.STALL_SECONDS = machine.STALL_SECONDS, 3
        self.addCleanup(setattr, machine, "STALL_SECONDS", was)
        host.serial.sendall(b"halt -f\n")
        with self.assertRaisesRegex(machine.Hang, "made no progress"):
            host.wait(120)
        log = host.console()
        for sign in ("Thread ", "qemu_main_loop|main_loop_wait", "RIP=", "info lapic"):
            self.assertRegex(log, sign)


class TestInterrupted(unittest.TestCase):
    SCRIPT = """
import signal, sys
import machine
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
host = machine.Machine("interrupted")
host.start()
print(host.process.pid, flush=True)
host.sh("cat /dev/kmsg")
"""

    def test_no_qemu_is_left(self):
        """As with a test that is ended while its class sets up: nobody stops its host."""
        with subprocess.Popen([sys.executable, "-c", self.SCRIPT], stdout=subprocess.PIPE,
                              cwd=os.path.dirname(machine.__file__)) as script:
            qemu = int(script.stdout.readline())
            script.terminate()
            self.assertEqual(script.wait(60), 143)
        self.assertFalse(os.path.exists(f"/proc/{qemu}"))


class TestCommands(case.HostCase):
    options = {"snp": False}
    busy = settle = False

    def test_no_command_is_lost(self):
        """A child of the shell ends while it has half of the next command."""
        self.host.sh("sleep 1 & child=$!;"
                     "{ while grep -qs ' [RSD] ' /proc/$child/stat; do :; done; echo over; } &")
        self.host.serial.sendall(b"echo both ")
        self.assertEqual(self.host.serial.makefile("rb").readline(), b"over\n")
        self.assertEqual(self.host.sh("halves"), "both halves")


class TestTrees(unittest.TestCase):
    def test_commits_give_back_the_pristine_tree(self):
        """Commits are made backwards, so the first one's parent is computed."""
        for tree in LINUX, QEMU:
            first = git("rev-list", "--reverse", f"{base(tree)}..HEAD", tree=tree).split()[0]
            self.assertEqual(git("rev-parse", f"{first}^", tree=tree), base(tree))
            self.assertTrue(git("show", "--stat", first, tree=tree))
