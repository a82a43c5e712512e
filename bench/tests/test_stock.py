# SPDX-License-Identifier: GPL-2.0-only
"""Debian's own kernel, which knows nothing of this project."""

import os

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
