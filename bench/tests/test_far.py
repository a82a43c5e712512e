# SPDX-License-Identifier: GPL-2.0-only
"""A host with memory above 3TB, on its second node: a core's table covers 2TB."""

import re
import unittest

import host as hosts
import machine
from tests import case

GB = 1 << 30
FAR, END = 3 << 40, (3 << 40) + 6 * GB
OPTIONS = {"cores": 4, "threads": 1, "nodes": 2, "mem": "12G", "far": "3T"}


class TestFar(case.KtapCase):
    options = OPTIONS
    settle = True
    far = set(range(FAR // GB, END // GB))

    def test_linux_finds_the_second_node_there(self):
        self.assertConsole(rf"Node 1 PXM 1 \[mem {FAR:#x}-{END - 1:#x}\]")
        ram = [tuple(int(end, 16) for end in line.split(" ")[0].split("-"))
               for line in self.host.sh("grep 'System RAM' /proc/iomem").splitlines()]
        self.assertIn((FAR, END - 1), ram)
        for first, last in ram:
            self.assertTrue(last < 16 * GB or first >= FAR, f"{first:#x}-{last:#x}")
        zones = self.host.sh("cat /proc/zoneinfo").partition("\nNode 1,")[2]
        begins = [int(pfn) * 4096 for pfn in re.findall(r"start_pfn: +(\d+)", zones)]
        self.assertEqual(begins and max(begins), FAR)

    def test_nothing_else_is_mapped_over_it(self):
        for line in self.host.sh("grep 'PCI Bus' /proc/iomem").splitlines():
            first, last = (int(end, 16) for end in line.split()[0].split("-"))
            self.assertTrue(last < FAR or first >= END, line)

    def test_the_rmp_covers_it(self):
        state = self.host.snp()
        self.assertTrue(state["enabled"])
        self.assertConsole(r"kvm_amd: SEV-SNP enabled")
        self.assertConsole(rf"RMP segment \d+ .* covering \[{FAR:#x} - ")
        self.assertLessEqual(self.far, set(state["regions"]))
        self.assertFalse({region for region in state["regions"]
                          if 16 <= region < FAR // GB})
        self.assertNoComplaint()

    def test_cores_optimize_the_memory_of_their_node(self):
        near, far = self.all_regions() - self.far, self.all_regions() & self.far
        self.assertGreaterEqual(len(near), 3)
        self.assertGreaterEqual(len(far), 3)
        self.assertEqual(self.host.list("optimized"), near | far)
        node1 = self.host.sh("cat /sys/devices/system/node/node1/cpulist")
        for core, table in zip(self.host.snp()["cores"], self.host.tables()):
            own = far if set(core["cpus"]) <= machine.regions(node1) else near
            self.assertEqual(table, own, f"core of CPUs {core['cpus']}")
        self.assertAllOptimized()
        self.assertOnlyTheRmpIsLost()

    def start_far_vm(self, node):
        """A VM on the CPUs of a node has memory up there, and a VMSA and pages of the
        firmware on that node."""
        before = self.host.read("optimized")
        cpus = self.host.sh(f"cat /sys/devices/system/node/node{node}/cpulist")
        self.host.sh(f"taskset -pc {cpus} $$")
        try:
            vm = self.start_vm("-r 1 -n 1")
        finally:
            self.host.sh("taskset -pc 0-3 $$")
        dark = machine.regions(before) - self.host.list("optimized")
        self.assertTrue(dark & self.far, machine.ranges(dark))
        self.assertEqual(len(dark - self.far), 0 if node else 1, machine.ranges(dark))
        return vm

    def check_vm(self, node):
        """Its memory comes back."""
        before = self.host.read("optimized")
        self.start_far_vm(node).end()
        self.host.wait_optimized(before)
        self.assertAllOptimized()

    def set_node1(self, online):
        self.host.sh("for cpu in 2 3;"
                     f"do echo {online} > /sys/devices/system/cpu/cpu$cpu/online; done")

    def test_a_vm_has_its_memory_there(self):
        self.check_vm(1)

    def test_a_vm_of_the_other_node_has_its_memory_there(self):
        """No core of its own node can verify what it leaves."""
        self.check_vm(0)

    def test_regions_without_a_leader_get_one(self):
        """A VM ends while no CPU that can have its regions is online."""
        before = self.host.read("optimized")
        vm = self.start_far_vm(0)
        self.set_node1(0)
        try:
            rescans = self.host.read("rescans")
            vm.end()
            self.host.wait_for(f'[ $(cat rescans) != {rescans} ] && [ $(cat pending) = 0 ]')
            self.assertNotEqual(self.host.read("optimized"), before)
        finally:
            self.set_node1(1)
        self.host.wait_optimized(before)
        self.assertAllOptimized()

    def test_started_while_a_node_is_offline(self):
        before = self.host.read("optimized")
        self.set_node1(0)
        try:
            self.host.sh(f"for word in off on; do echo $word > {hosts.SYSFS}control; done")
            self.host.wait_optimized(machine.ranges(machine.regions(before) - self.far))
        finally:
            self.set_node1(1)
        self.host.wait_optimized(before)
        self.assertAllOptimized()

    def test_selftest(self):
        """It knows which core can have what."""
        self.check_ktap(self.host.sh("snp_rmpopt_test.sh -t vm_comes_and_goes -t off_is_off",
                                     timeout=120))


class TestFarInstructions(case.KtapCase):
    """The instructions there, and where a window ends."""

    options = dict(OPTIONS, append="kunit.enable=1 kunit.filter_glob=snp* sev=normpopt")
    violates = True

    def test_instructions(self):
        self.check_module("snp_insn_test", "node=1")
        where = self.host.sh("dmesg | sed -n 's/.*snp_insn: testing at //p'")
        self.assertGreaterEqual(int(where, 16), FAR)


class TestRefused(unittest.TestCase):
    """What cannot be had is refused, and the reason given."""

    def check(self, said, **options):
        host = hosts.Host("refused", agent=False, **dict(OPTIONS, **options))
        self.addCleanup(host.stop)
        host.start()
        self.assertEqual(host.wait(30), 1)
        self.assertRegex(host.messages(), said)

    def test_address(self):
        self.check("a multiple of 1G", far="3145729M")
        self.check("1T or more", far="512G")
        self.check("do not end below 0x10000000000, .* phys-bits=40", cpu="phys-bits=40")
        self.check("do not end below 0x1000000000000,", far="256T")
        self.check("above all else",
                   qemu_args=["-global", "q35-pcihost.pci-hole64-size=4T"])

    def test_memory(self):
        self.check("two NUMA nodes", nodes=1)
        self.check("1024 MB, and only 0 MB", mem="2G")

    def test_machine(self):
        self.check("segmented RMP", machine="rmp=contiguous")
        self.check("snp-host=on", snp=False)
