# SPDX-License-Identifier: GPL-2.0-only
"""'make soak': load for as long as one likes, VMS=1000 VMs or MINUTES=60."""

import os

from tests import test_faults

VMS = int(os.environ.get("VMS") or 1000)
MINUTES = int(os.environ.get("MINUTES") or 0)


class TestSoak(test_faults.TestLoad):
    amount, at_least = (f"-m {MINUTES}", 1) if MINUTES else (f"-n {VMS}", VMS)


class TestSlowSoak(TestSoak):
    """The same, with an RMPOPT that takes long."""

    delay = 4000
