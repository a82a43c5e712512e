# SPDX-License-Identifier: GPL-2.0-only
"""Private memory beside large pages: no write of the host meets an RMP fault, as each
test of a host wants at its end.  That the hardware counts those through a large mapping,
too, is seen by test_units.TestEmulator.test_instructions."""

import containment
from tests import case

HUGE = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
THP = "/sys/kernel/mm/transparent_hugepage"
KSM = "/sys/kernel/mm/ksm"
POISON = "/sys/kernel/debug/hwpoison/corrupt-pfn"
# What VMs share, three at once, and how to see in kB or pages that it is of its kind
KINDS = ("thp", "2m", "1g"), ("ksm", "swap", "uffd")
SEEN = {
    "thp": "sed -n 's/AnonHugePages: *//p' /proc/meminfo",
    "ksm": f"cat {KSM}/pages_sharing",
    "swap": "awk '/ram0/ { print $4 }' /proc/swaps",
}
MB = 32
RANGES = 100			# of up to 64 pages, for each


class TestLargePages(case.HostCase):
    Host = containment.Host
    options = {"mem": "6G", "append": "hugepagesz=1G hugepages=1 hugepagesz=2M"}
    busy = False
    placement = "before"

    def setUp(self):
        super().setUp()
        self.host.place(self.placement)

    def disturb(self):
        """khugepaged, ksmd and compaction busy, and something to swap to"""
        self.host.sh(f"mkswap /dev/ram0 && swapon /dev/ram0; cd {THP}; echo always > enabled;"
                     "cd khugepaged; echo 0 > scan_sleep_millisecs; echo 0 > alloc_sleep_millisecs;"
                     f"cd {KSM}; echo 1 > run; echo 0 > sleep_millisecs;"
                     "while :; do echo 1 > /proc/sys/vm/compact_memory; done & compact=$!")
        self.addCleanup(self.host.sh, f"kill $compact; wait $compact; echo 2 > {KSM}/run;"
                        "swapoff /dev/ram0", check=False)

    def convert(self, kinds):
        vms = []
        for kind in kinds:
            self.host.sh(f"echo {MB} > {HUGE}")
            vms.append(self.start_vm(f"-m {MB} -s {kind}", timeout=300))
        for vm in vms:
            vm.ask(f"convert {RANGES}")
        for kind, vm in zip(kinds, vms):
            self.assertEqual(vm.answer(timeout=300), f"ended convert {RANGES}", kind)
        for kind in set(kinds) & set(SEEN):
            seen = int(self.host.sh(SEEN[kind]).split()[0])
            self.notes.append(f"{kind}: {seen}")
            self.assertGreater(seen, 0, kind)
        for vm in vms:
            vm.end()

    def test_conversions(self):
        """Both ways"""
        before, assigned = self.host.read("optimized"), self.host.snp()["assigned"]
        self.disturb()
        for kinds in KINDS:
            self.convert(kinds)
        self.host.wait_optimized(before)
        self.assertEqual(self.host.snp()["assigned"], assigned)

    def test_a_private_page_fails(self):
        """By Linux's own injection; the VM may end, and nothing else."""
        before, assigned = self.host.read("optimized"), self.host.snp()["assigned"]
        self.host.start_log()
        vm = self.start_vm(f"-m {MB} -s thp")
        page = self.host.private_addresses()[1000]
        self.host.sh(f"echo {page >> 12:#x} > {POISON}", check=False)
        self.notes = self.host.sh("dmesg | sed -n 's/.* Memory failure: //p'").splitlines()
        self.assertTrue(any(note.startswith(f"{page >> 12:#x}: recovery action")
                            for note in self.notes), self.notes)
        vm.end()
        self.host.wait_optimized(before)
        self.assertEqual(self.host.snp()["assigned"], assigned)


class TestPlaced(TestLargePages):
    """The same, with blocks of private pages for which others are moved away"""

    placement = "after"
