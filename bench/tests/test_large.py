# SPDX-License-Identifier: GPL-2.0-only
"""Private memory beside large pages: no write of the host meets an RMP fault, as each
test of a host wants at its end.  That the hardware counts those through a large mapping,
too, is seen by test_units.TestEmulator.test_instructions."""

from tests import case

HUGE = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
THP = "/sys/kernel/mm/transparent_hugepage/"
KINDS = ("thp", "2m", "1g"), ("thp", "2m", "uffd")	# three VMs at once
MB = 32
RANGES = 100			# of up to 64 pages, for each kind


class TestLargePages(case.HostCase):
    options = {"mem": "6G", "append": "hugepagesz=1G hugepages=1 hugepagesz=2M"}
    busy = False

    def test_conversions(self):
        """Both ways, three VMs at once, with khugepaged and compaction busy"""
        before, assigned = self.host.read("optimized"), self.host.snp()["assigned"]
        self.host.sh(f"cd {THP}; echo always > enabled; cd khugepaged;"
                     "echo 0 > scan_sleep_millisecs; echo 0 > alloc_sleep_millisecs;"
                     "while :; do echo 1 > /proc/sys/vm/compact_memory; done & compact=$!")
        self.addCleanup(self.host.sh, "kill $compact; wait $compact", check=False)
        for kinds in KINDS:
            vms = []
            for kind in kinds:
                self.host.sh(f"echo {MB} > {HUGE}")
                vms.append(self.start_vm(f"-m {MB} -s {kind}", timeout=300))
            for vm in vms:
                vm.ask(f"convert {RANGES}")
            for kind, vm in zip(kinds, vms):
                self.assertEqual(vm.answer(timeout=300), f"ended convert {RANGES}", kind)
            for vm in vms:
                vm.end()
            self.notes.append(f"{RANGES} ranges each: {' '.join(kinds)}")
        self.host.wait_optimized(before)
        self.assertEqual(self.host.snp()["assigned"], assigned)
