# SPDX-License-Identifier: GPL-2.0-only
"""'make soak': load for as long as one likes, VMS=1000 VMs or MINUTES=60."""

import os

import faults
import load
from tests import test_faults

VMS = int(os.environ.get("VMS") or 1000)
MINUTES = int(os.environ.get("MINUTES") or 0)
AMOUNT = (f"-m {MINUTES}", 1) if MINUTES else (f"-n {VMS}", VMS)


class TestSoak(test_faults.TestLoad):
    def test_load(self):
        self.check_load(*AMOUNT)


class TestSlowSoak(test_faults.TestLoad):
    """The same, with an RMPOPT that takes long."""

    def test_load(self):
        faults.arrange(self.host, "", {"snp-rmpopt-delay": 4000})
        self.check_load(*AMOUNT)


class TestFarSoak(test_faults.TestLoad):
    """The same, with two windows: every region has a leader on its own node."""

    options = dict(load.OPTIONS, nodes=2, mem="12G", far="3T", append="")

    def test_load(self):
        self.check_load(*AMOUNT)
