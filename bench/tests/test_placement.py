# SPDX-License-Identifier: GPL-2.0-only
"""The place of private memory: few regions, on a host whose memory was churned."""

import collections
import re

import containment
import host as hosts
import machine
from tests import case, test_guests

SWITCH = hosts.SYSFS + "placement"


class TestPlacement(case.HostCase):
    Host = containment.Host
    options = {"mem": "6G"}
    busy = False

    @classmethod
    def setUpClass(cls, log=""):
        super().setUpClass(log)
        cls.off_at_boot = cls.host.read("placement") == "off"
        cls.host.churn_share(75, 25, rounds=1)

    def tearDown(self):
        self.host.sh(f"echo off > {SWITCH}")
        super().tearDown()

    def free_kb(self):
        """With what CPUs keep for the next one, which goes back some time after churn"""
        pages = re.findall(r"^ +(?:pages free|count:) +(\d+)$",
                           self.host.sh("cat /proc/zoneinfo"), re.M)
        return 4 * sum(map(int, pages))

    def test_it_is_off_at_boot(self):
        self.assertTrue(self.off_at_boot)

    def assertFew(self, life):
        self.assertLessEqual(life["lost"], life["most"], self.notes)

    def test_few_regions_are_lost(self):
        """life() fails if the emulator does not see what sysfs says."""
        for mb in 64, 256:
            lives = {placement: self.host.life(mb, placement) for placement in containment.SWITCH}
            self.notes += [f"{mb} MB {placement}: lost {life['where'] or 'none'}, pages in "
                           f"{containment.where(life)}, {life['migrated']} moved, "
                           f"blocks {life['blocks']}" for placement, life in lives.items()]
            self.assertFew(lives["after"])
            self.assertGreater(lives["before"]["lost"], lives["after"]["lost"], self.notes)

    def test_a_second_vm_takes_what_is_lost(self):
        before = self.host.read("optimized")
        self.host.sh(f"echo on > {SWITCH}")
        self.host.start_log()
        first = self.start_vm("-m 32")
        lost = machine.regions(before) - self.host.list("optimized")
        second = self.start_vm("-m 32")
        pages = self.host.private_pages()
        self.notes = [f"pages in {pages}"]
        self.assertEqual(machine.regions(before) - self.host.list("optimized"), lost)
        self.assertLessEqual(len(pages), 1 + len(self.host.nodes(pages)), self.notes)
        first.end()
        second.end()
        self.host.wait_optimized(before)

    def test_a_region_that_is_back_is_left_alone(self):
        """What is held in there goes back, and the next VM costs no region either."""
        self.host.sh(f"echo on > {SWITCH}")
        self.start_vm("-m 32")
        before = self.host.read("optimized")
        vm = self.start_vm("-m 1024")
        lost = machine.regions(before) - self.host.list("optimized")
        vm.end()
        self.host.wait_optimized(before)
        self.start_vm("-m 32")
        again = machine.regions(before) - self.host.list("optimized")
        self.notes = [f"lost and back: {lost}, then lost: {again}"]
        self.assertTrue(lost, self.notes)
        self.assertFalse(again, self.notes)

    def test_pages_are_moved_to_fill_a_region(self):
        life = self.host.life(1024, "after")
        self.notes = [f"lost {life['where'] or 'none'}, pages in {containment.where(life)}, "
                      f"{life['migrated']} moved, blocks {life['blocks']}"]
        self.assertGreater(life["migrated"], 0, self.notes)
        self.assertFew(life)
        self.assertGreater(life["blocks"][2], life["blocks"][0] * 9 // 10, self.notes)

    def held_kb(self, release):
        """What a VM of which little is in the last block leaves of it to release"""
        self.host.sh(f"echo on > {SWITCH}")
        vm = self.start_vm("-m 4")
        before = self.free_kb()
        self.host.sh(release)
        freed = self.free_kb() - before
        vm.end()
        self.notes += [f"{freed} kB by {release}"]
        return freed

    def test_what_is_held_goes_back_when_it_is_switched_off(self):
        self.assertGreater(self.held_kb(f"echo off > {SWITCH}"), 1024, self.notes)

    def test_what_is_held_goes_back_when_memory_is_short(self):
        shrink = "echo 2 > /proc/sys/vm/drop_caches"
        self.host.sh(shrink)
        self.assertGreater(self.held_kb(shrink), 1024, self.notes)

    def test_what_is_held_goes_back_with_the_last_vm(self):
        regions = self.host.read("optimized")
        self.host.sh(f"echo on > {SWITCH}")
        self.start_vm("-m 4").end()
        self.host.wait_optimized(regions)	# and all that was the VM's is free
        before = self.free_kb()
        self.host.sh(f"echo off > {SWITCH}")
        freed = self.free_kb() - before
        self.notes = [f"{freed} kB"]
        self.assertLess(freed, 1024, self.notes)

    def test_a_vm_that_is_killed(self):
        before = self.host.read("optimized")
        self.host.sh(f"echo on > {SWITCH}")
        for delay in "0.1", "0.3", "0.6":
            self.host.sh(f"timeout -s KILL {delay} snpvm -m 512 < /dev/null > /dev/null 2>&1",
                         check=False)
        self.host.wait_optimized(before)
        self.assertFew(self.host.life(16, "after"))

    def test_the_buffers_of_commands_are_beside_the_rmp(self):
        """They are the firmware's for each command of SEV and SEV-ES that writes to them."""
        self.host.start_log()
        self.host.sh("/tests/sev_smoke_test > /dev/null 2>&1", timeout=test_guests.LIMIT)
        (often, times), = collections.Counter(self.host.firmware_addresses()).most_common(1)
        self.notes = [f"{often:#x}, {times} times"]
        self.assertGreater(times, 10, self.notes)
        self.assertIn(often >> 30, self.rmp_regions(), self.notes)


class TestPlacementOnTwoNodes(TestPlacement):
    options = {"mem": "8G", "nodes": 2}

    def test_the_node_that_is_asked_for(self):
        """Each VM's memory comes from the node of its policy; its VMSA is the kernel's."""
        before = self.host.read("optimized")
        self.host.sh(f"echo on > {SWITCH}")
        for node in 0, 1, 0:
            self.host.start_log()
            vm = self.start_vm(f"-m 64 -n {node}")
            pages = self.host.private_pages()
            self.notes.append(f"node {node}: pages in {pages}")
            elsewhere = sum(count for region, count in pages.items()
                            if self.host.nodes([region]) != {node})
            self.assertLessEqual(elsewhere, 1, self.notes)
            vm.end()
            self.host.wait_optimized(before)


class TestPlacementAmongLargeFolios(case.HostCase):
    Host = containment.Host
    options = {"mem": "6G"}
    busy = False

    def test_large_folios_are_moved(self):
        """With them left where they are, more regions are lost than may be."""
        churn = self.host.churn_share(peak=92, keep=50, rounds=1, large=True)
        life = self.host.life(1024, "after")
        self.notes = [f"{churn['folios']} of {churn['held']} MB in large folios; lost "
                      f"{life['where'] or 'none'}, pages in {containment.where(life)}, "
                      f"{life['migrated']} moved, {life['split']} folios split"]
        self.assertGreater(churn["folios"], churn["held"] * 9 // 10, self.notes)
        self.assertGreater(life["migrated"], 0, self.notes)
        self.assertLessEqual(life["lost"], life["most"], self.notes)
