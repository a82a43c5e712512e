# SPDX-License-Identifier: GPL-2.0-only
"""'make check': many boots, none of which may hang.  A host that makes no progress is
ended, with all there is to know of it in its log."""

import os
import unittest

import host as hosts
import stack

BOOTS = int(os.environ.get("BOOTS") or 100)

# With 8 CPUs each
MACHINES = (
    {},
    {"cores": 8, "threads": 1, "nodes": 2},
    {"machine": "rmp=contiguous"},
    {"cores": 4, "threads": 2, "nodes": 2, "mem": "12G", "far": "3T"},
)


class TestBoots(unittest.TestCase):
    def test_hosts(self):
        for boot in range(BOOTS):
            options = MACHINES[boot % len(MACHINES)]
            with hosts.Host("check_boots.host", **options) as host:
                if host.read("control") == "on":
                    host.wait_settled()
                self.assertEqual(host.poweroff(), 0, f"boot {boot}")
                self.assertEqual(host.splats(), [])
        self.notes = [f"{BOOTS} boots"]

    def test_guests(self):
        """Debian with two vCPUs, by Debian's QEMU; a host for each."""
        guests = max(1, BOOTS // 5)
        for boot in range(guests):
            with stack.host("check_boots.guest") as host:
                report = stack.Guest(host, vcpus=2).run()
                self.assertEqual(report["online"], "0-1")
                self.assertEqual(host.poweroff(), 0, f"boot {boot}")
                self.assertEqual(host.splats(), [])
        self.notes = [f"{guests} boots"]
