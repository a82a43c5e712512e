# SPDX-License-Identifier: GPL-2.0-only
"""The figures of 'make containment': that churn is churn, and what is lost is lost."""

import unittest

import containment
from tests import case


class TestContainment(case.HostCase):
    Host = containment.Host
    options = {"mem": "5G"}
    busy = False

    def digest(self, seed):
        return self.host.sh(f"churn -s {seed} -r 2 64 32 < /dev/null").split()[-4:]

    def test_a_seed_gives_the_same_operations(self):
        self.assertEqual(self.digest(1), self.digest(1))
        self.assertNotEqual(self.digest(1), self.digest(2))

    def test_a_small_vm_loses_more_regions_on_a_churned_host(self):
        """life() itself fails if sysfs and the emulator do not agree on those lost."""
        fresh = self.host.life(64)
        # Of another boot: what that VM had would be the first that the next one gets.
        with containment.Host(self.host.name + ".churned", **self.options) as host:
            # Linux takes what lies above 4GB first: all of that, and some more.
            churn = host.churn_share(75, 25, rounds=1)
            churned = host.life(64)
            self.assertEqual(host.splats(), [])
        self.notes = [f"{churn['blocks']} of {churn['free']} MB free in blocks of 2 MB or more",
                      *(f"pages in {containment.where(vm)}, lost {vm['where'] or 'none'}"
                        for vm in (fresh, churned))]
        self.assertLess(churn["blocks"], churn["free"] * 9 // 10, self.notes)
        self.assertGreater(len(churned["pages"]), len(fresh["pages"]), self.notes)
        self.assertGreater(churned["lost"], fresh["lost"], self.notes)


class TestTargets(unittest.TestCase):
    def test_a_target_that_is_missed_is_said(self):
        def missed(lost, count):
            vm = {"mb": 64, "most": 2}
            counted = [{"mb": 64, "memory": "fresh", "placement": placement, "count": count}
                       for placement, count in (("before", 10 << 20), ("after", count))]
            return len(containment.missed({
                "hosts": [{"nodes": 1, "memory": "churned", "vms": [
                    {**vm, "placement": "before", "lost": 3},
                    {**vm, "placement": "after", "lost": lost}]}],
                "instructions": counted}))

        self.assertEqual([missed(2, 11 << 20), missed(3, 11 << 20), missed(3, 12 << 20)], [0, 1, 2])


class TestFresh(case.HostCase):
    """The first VM splits the direct map, whose new page tables lie in most blocks of a
    region from then on.  What is left beside them is lost anyway."""

    Host = containment.Host
    options = {"mem": "5G", "nodes": 2}
    busy = False

    def test_no_region_is_begun_for_want_of_blocks(self):
        lives = [self.host.life(256, placement) for placement in containment.SWITCH]
        self.notes = [f"{vm['placement']}: pages in {containment.where(vm)}, lost "
                      f"{vm['where'] or 'none'}" for vm in lives]
        self.assertLessEqual(lives[1]["lost"], lives[0]["lost"], self.notes)


class TestComeAndGo(case.HostCase):
    Host = containment.Host
    options = {"mem": "5G"}
    busy = False
    vms = 15

    def test_blocks_of_2mb_remain(self):
        """As many are free after all VMs as before the first"""
        self.host.churn_share(75, 25, rounds=1)
        self.host.place("after")
        before, blocks = self.host.read("optimized"), self.host.blocks()
        self.host.come_and_go(self.vms)
        self.host.wait_optimized(before)
        after = self.host.blocks()
        self.notes = [f"{self.vms} VMs: {blocks} free before, {after} after"]
        self.assertGreaterEqual(after, blocks)
