# SPDX-License-Identifier: GPL-2.0-only
"""'make check': the measurements, once, as 'make bench' has them."""

import json
import os
import unittest

import machine
from tests.test_bench import make

# What depends on how fast this machine is just now
TIMED = "wakes", "VM exits beyond", "ticks by the clock"


class TestBench(unittest.TestCase):
    def test_bench(self):
        out = os.path.join(machine.LOGS, "bench")
        done = make("bench", REPEAT="1", RESULTS=out)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(os.path.join(out, "bench.json")) as file:
            data = json.load(file)
        self.assertEqual([target for target in data["targets"]
                          if not target["met"] and not target["name"].startswith(TIMED)], [])
        self.assertEqual(data["model"]["differs"], [])
        for name in "bench.md", "bench-disturbance.svg", "bench-recovery.svg", "bench-growth.svg":
            self.assertGreater(os.path.getsize(os.path.join(out, name)), 1000)
