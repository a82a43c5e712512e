# SPDX-License-Identifier: GPL-2.0-only
"""Placement for as long as one likes: VMS=100 VMs come and go at random."""

import os

from tests import test_containment


class TestComeAndGo(test_containment.TestComeAndGo):
    vms = int(os.environ.get("VMS") or 100)
