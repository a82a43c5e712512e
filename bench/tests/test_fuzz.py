# SPDX-License-Identifier: GPL-2.0-only
"""The emulator's own files, fuzzed for a moment: what is broken at once."""

import os
import re
import shutil
import subprocess
import unittest

import machine

SECONDS = 15		# for each harness


class TestFuzz(unittest.TestCase):
    """No guest runs: see emulator/tests/fuzz/fuzz.h."""

    def fuzz(self, name):
        clang = os.environ.get("CLANG") or "clang-19"
        if not shutil.which(clang):
            self.skipTest(f"{clang} is not installed")
        done = subprocess.run([os.path.join(machine.TOP, "scripts", "fuzz"), name],
                              env=dict(os.environ, MINUTES=str(SECONDS / 60)), timeout=600,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = re.search(rf"^{name} +(\d+) executions, (\d+) edges, no crash$", done.stdout, re.M)
        self.assertTrue(found, done.stdout)
        runs, edges = int(found[1]), int(found[2])
        self.assertGreater(edges, 400, "the seeds got further than that")
        self.notes = [f"{runs} executions", f"{edges} edges"]

    def test_psp(self):
        """The PSP's mailbox, the firmware's commands, the RMP and RMPOPT."""
        self.fuzz("psp")

    def test_cpu(self):
        """Instructions, MSRs, RMP checks, VMRUN and #VMEXIT."""
        self.fuzz("cpu")
