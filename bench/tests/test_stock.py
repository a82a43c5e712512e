# SPDX-License-Identifier: GPL-2.0-only
"""Debian's own kernel, which knows nothing of this project."""

import os
import unittest

import host as hosts
import machine
from tests import case


class TestStock(case.HostCase):
    options = {"kernel": os.path.join(machine.BUILD, "stock-vmlinuz"),
               "initrd": os.path.join(machine.BUILD, "stock-initrd.gz")}
    busy = settle = False

    def test_boots_as_an_snp_host(self):
        for line in (r"SEV-SNP: Segmented RMP base table physical range",
                     r"AMD-Vi: IOMMU SNP support enabled",
                     r"ccp .*SEV-SNP API:\d+\.\d+ build:\d+",
                     r"kvm_amd: SEV-SNP enabled \(ASIDs \d+ - \d+\)"):
            self.assertConsole(line)
        self.assertNoComplaint()

    def test_runs_an_snp_vm(self):
        vm = self.start_vm("-r 1 -p 64")
        self.assertTrue(self.host.snp()["closed"])
        vm.end()
        self.assertNoComplaint()


class TestStockContiguous(case.HostCase):
    options = dict(TestStock.options, machine="rmp=contiguous")
    busy = settle = False

    def test_boots_with_a_contiguous_rmp(self):
        self.assertConsole(r"SEV-SNP: RMP table physical range")
        self.assertConsole(r"kvm_amd: SEV-SNP enabled")
        self.assertNoComplaint()
        self.start_vm("-r 1 -p 64").end()


class TestBootTime(unittest.TestCase):
    """A boot costs at most half as much again as one of the same machine without SNP."""

    RATIO = 1.5

    def boot(self, snp):
        """CPU time, in ticks, until init takes commands."""
        host = hosts.Host(f"test_stock.TestBootTime.{snp}", cores=2, threads=2, snp=snp)
        self.addCleanup(host.stop)
        host.start()
        with open(f"/proc/{host.process.pid}/stat") as stat:
            ran = sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
        self.assertEqual(host.poweroff(), 0)
        return ran

    def test_boot(self):
        # What else the machine does can only add to it: the least of each counts.
        times = {True: [], False: []}
        for snp in (True, False) * 3:
            times[snp].append(self.boot(snp))
        ratio = min(times[True]) / min(times[False])
        self.notes = [f"with SNP {ratio:.2f} times the CPU time of a boot without"]
        self.assertLessEqual(ratio, self.RATIO, times)
