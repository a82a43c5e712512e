# SPDX-License-Identifier: GPL-2.0-only
"""The series, on a host with SMT and light work on every core."""

import os
import re

import host as hosts
import machine
from tests import case


def documented():
    """The files that Documentation/ABI has, those of the CPUs as those of cpuX."""
    with open(os.path.join(machine.TOP, "Documentation", "ABI", "testing",
                           "sysfs-devices-system-cpu-rmpopt")) as file:
        blocks = re.findall(r"^What:(.*\n(?:\t.*\n)*)", file.read(), re.M)
    return set(" ".join(blocks).split())


def existing(host):
    paths = host.sh("ls -d /sys/devices/system/cpu/rmpopt/* /sys/devices/system/cpu/cpu[0-9]*/rmpopt/*"
                    " 2>/dev/null || true")
    return set(paths.split())


class TestSeries(case.HostCase):
    def test_boot_optimizes_every_region_on_every_core(self):
        self.assertGreater(len(self.all_regions()), 4)
        self.assertAllOptimized()
        self.assertEqual(self.host.list("optimized"), self.all_regions())
        self.assertEqual(self.host.number("pending"), 0)

    def test_boot_costs_no_region_but_that_of_the_rmp(self):
        self.assertOnlyTheRmpIsLost()

    def test_boot_shares_the_work(self):
        cores = self.booted["cores"]
        regions = len(self.host.list("regions"))
        for core in cores:
            self.assertLessEqual(core["scanned"], regions // len(cores) + 1)
            self.assertGreater(core["cached"], 0)

    def test_figures_agree_with_the_hardware(self):
        present = self.host.list("regions")
        tables = self.host.tables()
        for core, info in enumerate(self.host.snp()["cores"]):
            for cpu in info["cpus"]:
                seen = self.host.sh(f"cat /sys/devices/system/cpu/cpu{cpu}/rmpopt/regions")
                self.assertEqual(machine.regions(seen), tables[core] & present)

    def test_writes_skip_checks_only_while_it_is_on(self):
        def skipped(control):
            self.host.sh(f"echo {control} > {hosts.SYSFS}control")
            before = self.host.snp()["cores"]
            self.host.sh("dd if=/dev/zero of=/tmp/file bs=1M count=32 2>/dev/null; rm /tmp/file")
            after = self.host.snp()["cores"]
            checks, skipped = (sum(core[what] for core in after) -
                               sum(core[what] for core in before)
                               for what in ("checks", "skipped"))
            self.assertGreater(checks, 0)
            return skipped

        self.assertEqual(skipped("off"), 0)
        self.assertGreater(skipped("on"), 0)

    def test_off_means_off(self):
        optimized = self.host.read("optimized")
        self.host.sh(f"echo off > {hosts.SYSFS}control")
        self.assertEqual(self.host.read("control"), "off")
        rmpopts = self.host.rmpopts()
        vm = self.start_vm()
        vm.end()
        self.host.sh("cat /sys/devices/system/cpu/cpu1/rmpopt/regions", check=False)
        state = self.host.snp()
        self.assertEqual(self.host.rmpopts(), rmpopts)
        for core in state["cores"]:
            self.assertFalse(core["enabled"])
            self.assertEqual(core["regions"], [])
        self.host.sh(f"echo on > {hosts.SYSFS}control")
        self.host.wait_optimized(optimized)
        self.assertAllOptimized()

    def test_bad_writes_change_nothing(self):
        for name in ("control", "mode", "placement"):
            was = self.host.read(name)
            for bad in ("", "onn", "1", "notsupported", "x" * 3000, "\\\\001"):
                status, output = self.host.sh(
                    f"printf '{bad}\\n' 2>/dev/null | tee {hosts.SYSFS}{name} > /dev/null",
                    check=False)
                self.assertNotEqual(output, "", f"{name} took {bad!r}")
                self.assertEqual(self.host.read(name), was)
        for name in ("regions", "optimized", "pending"):
            self.assertEqual(self.host.sh(f"stat -c %a {hosts.SYSFS}{name}"), "444")

    def test_every_file_is_documented(self):
        """And every file that is documented is there, and can be read."""
        cpus = [cpu for core in self.host.snp()["cores"] for cpu in core["cpus"]]
        wanted = {path.replace("cpuX", f"cpu{cpu}") for path in documented() for cpu in cpus}
        self.assertGreater(len(wanted), len(cpus))
        self.assertEqual(existing(self.host), wanted)
        self.host.sh("cat " + " ".join(sorted(wanted)))

    def test_eager(self):
        self.host.sh(f"echo eager > {hosts.SYSFS}mode")
        try:
            self.assertEqual(self.host.read("mode"), "eager")
            self.check_vm_life()
        finally:
            self.host.sh(f"echo lazy > {hosts.SYSFS}mode")

    def test_two_vms_in_one_region(self):
        before = self.host.read("optimized")
        first = self.start_vm()
        taken = self.host.dark(before)
        second = self.start_vm()
        rescans = self.host.read("rescans")
        first.end()
        # The first VM's work has been done when its counter says so.
        self.host.wait_for(f'[ $(cat rescans) != {rescans} ] && [ $(cat pending) = 0 ]')
        shared = self.host.dark(before)
        self.assertTrue(shared & taken, "the two VMs share no region")
        self.assertFalse(self.host.list("optimized") & shared)
        second.end()
        self.host.wait_optimized(before)
        self.assertAllOptimized()

    def test_vmm_is_killed_in_the_middle_of_a_launch(self):
        before = self.host.read("optimized")
        vm = self.start_vm("-u")
        self.assertNotEqual(self.host.read("optimized"), before)
        vm.kill()
        self.host.wait_optimized(before)
        self.assertAllOptimized()

    def test_memory_outlives_its_vm(self):
        before = self.host.read("optimized")
        vm = self.start_vm()
        dark = self.host.dark(before)
        vm.tell("vm")
        self.assertFalse(set.union(*self.host.tables()) & dark)
        vm.tell("memory")
        self.host.wait_optimized(before)
        self.assertAllOptimized()
        vm.end()

    def test_a_core_goes_and_comes_back(self):
        """While it is away, a VM lives; it comes back with everything."""
        cpus = self.host.snp()["cores"][2]["cpus"]
        before = self.host.read("optimized")
        vm = self.start_vm()
        self.host.sh(";".join(f"echo 0 > /sys/devices/system/cpu/cpu{cpu}/online" for cpu in cpus))
        vm.end()
        self.host.wait_optimized(before)
        self.host.sh(";".join(f"echo 1 > /sys/devices/system/cpu/cpu{cpu}/online" for cpu in cpus))
        self.host.wait_for('[ $(cat pending) = 0 ]')
        self.assertAllOptimized()

    def test_one_thread_of_each_core_is_enough(self):
        cpus = [core["cpus"][0] for core in self.host.snp()["cores"][1:]]
        try:
            self.host.sh(";".join(f"echo 0 > /sys/devices/system/cpu/cpu{cpu}/online"
                                  for cpu in cpus))
            self.check_vm_life()
        finally:
            self.host.sh(";".join(f"echo 1 > /sys/devices/system/cpu/cpu{cpu}/online"
                                  for cpu in cpus))
        self.host.wait_for('[ $(cat pending) = 0 ]')
        self.assertAllOptimized()

    def test_events(self):
        """They tell of the rescan whose VM it was for, and of what each core did."""
        before = self.host.read("optimized")
        vm = self.start_vm()
        pid, dark = self.host.sh(f"echo ${vm.name}"), self.host.dark(before)
        self.host.trace_start()
        vm.end()
        self.host.wait_optimized(before)
        events = self.host.trace()
        begun = [fields for name, fields in events
                 if name == "rmpopt_rescan_begin" and fields["vm"] == pid]
        ended = [fields for name, fields in events
                 if name == "rmpopt_rescan_end" and fields["vm"] == pid]
        self.assertEqual([len(begun), len(ended)], [1, 1], events)
        self.assertEqual(begun[0]["regions"], ended[0]["regions"])
        self.assertGreaterEqual(int(ended[0]["regained"]), len(dark) - 1)
        cores = range(len(self.host.snp()["cores"]))
        verified = {(int(fields["region"]), int(fields["core"])) for name, fields in events
                    if name == "rmpopt_verify" and fields["optimized"] == "1"}
        self.assertGreaterEqual(verified, {(region, core) for region in dark for core in cores})
        self.assertIn("rmpopt_settled", [name for name, _ in events])


class TestTeardown(case.HostCase):
    """What the end of a VM costs, where nothing else sends interrupts."""

    options = {"append": hosts.QUIET}

    def test_vm_life(self):
        self.host.trace_start()
        rmpopts = self.host.rmpopts()
        footprint, rescanned = self.check_vm_life()
        self.assertEqual(hosts.ipis(self.host.trace()), 0)
        # The firmware's own pages lie in one region beside the VM's, or two.
        self.assertLessEqual(rescanned, footprint + 2)
        self.assertLessEqual(self.host.rmpopts() - rmpopts, (footprint + 2) * 4)


class TestIdle(case.HostCase):
    """Idle cores sleep through a teardown, and complete when they wake."""

    options = {"append": hosts.QUIET}
    busy = False

    def test_idle_cores_are_left_asleep(self):
        before = self.host.read("optimized")
        self.host.keep_busy([0, 1, 2])
        vm = self.start_vm()
        self.host.trace_start()
        vm.end()
        self.host.sh(f"grep -q -m 1 rmpopt_rescan_end {hosts.TRACING}trace_pipe")
        self.assertGreater(self.host.number("pending"), 0)
        self.assertLess(self.host.per_core()[3], self.host.per_core()[0])
        self.host.keep_busy([3])
        self.host.wait_optimized(before)
        self.assertAllOptimized()


class TestOneCpu(case.HostCase):
    options = {"cores": 1, "threads": 1, "mem": "8G"}

    def test_one_cpu(self):
        self.assertAllOptimized()
        self.check_vm_life()


class TestNodes(case.HostCase):
    # So much that a VM finds three regions on one node.
    options = {"cores": 4, "threads": 1, "nodes": 2, "mem": "16G"}

    def test_two_nodes(self):
        self.assertAllOptimized()
        self.assertOnlyTheRmpIsLost()
        self.check_vm_life()


class TestReport(case.KtapCase):
    """The report for real hosts, from a host where more is known."""

    options = {"append": hosts.QUIET}
    settle = True

    def report(self, what):
        self.host.wake_by_reschedule()
        rmpopts = self.host.rmpopts()
        self.said = report = self.host.sh(f"rmpopt-report {what}", timeout=120)
        self.check_ktap(report)
        figures = {name: int(value) for name, value in
                   re.findall(r"^# +(\S.*?\S) +(\d+)$", report, re.M)}
        self.assertEqual(figures["RMPOPTs"], self.host.rmpopts() - rmpopts)
        return figures

    def test_vm(self):
        figures = self.report("snpvm -r 3")
        self.assertGreaterEqual(figures["that read the RMP and optimized"], 3, self.said)
        self.assertGreaterEqual(figures["with a cached result"], 3 * 3, self.said)
        self.assertEqual(figures["function call IPIs meanwhile, of anybody"], 0)
        self.assertEqual(figures["pending, on cores that were idle"], 0)

    def test_verify(self):
        figures = self.report("--verify")
        self.assertGreaterEqual(figures["RMPOPTs"], 4 * len(self.all_regions()))

    def test_bad_input(self):
        status, usage = self.host.sh("rmpopt-report 2>&1", check=False)
        self.assertEqual(status, 2)
        self.assertRegex(usage, r"rmpopt-report COMMAND(.|\n)*rmpopt-report --verify")
        status, report = self.host.sh("rmpopt-report sh -c 'echo it is broken; exit 3'",
                                      check=False)
        self.assertEqual(status, 1)
        self.assertIn("not ok 1 the command ended well\n# it is broken", report)
        self.assertEqual(self.host.sh(f"ls {hosts.TRACING}instances"), "")


class WithoutRmpopt(case.KtapCase):
    """Hosts where RMPOPT is not used, and say why."""

    busy = False

    def check(self, control, reason, snp=True):
        self.assertEqual(self.host.read("control"), control)
        if control == "notsupported":
            self.assertEqual(existing(self.host), {hosts.SYSFS + "control"})
            self.assertEqual(self.host.sh(f"stat -c %a {hosts.SYSFS}control"), "444")
        if snp:
            self.assertConsole(reason)
            self.assertConsole(r"SEV-SNP enabled")
            self.start_vm("-r 1 -p 16").end()
            self.assertEqual(self.host.rmpopts(), 0)
        self.assertNotEqual(self.host.sh(f"echo on > {hosts.SYSFS}control 2>&1", check=False)[0], 0)
        self.assertEqual(self.host.read("control"), control)
        self.check_ktap(self.host.sh("snp_rmpopt_test.sh"))
        self.assertRegex(self.notes[-1], "passed: 1, skipped")
        status, report = self.host.sh("rmpopt-report snpvm", check=False)
        self.assertEqual(status, 4)
        self.assertIn("SKIP RMPOPT is " + control, report)


class TestSwitchedOff(WithoutRmpopt):
    options = {"append": "sev=normpopt"}

    def test_sev_normpopt(self):
        self.check("forceoff", r"RMPOPT: .*(normpopt|command line|switched off)")


class TestNoInstruction(WithoutRmpopt):
    options = {"cpu": "rmpopt=off"}

    def test_cpu_without_rmpopt(self):
        self.check("notsupported", r"RMPOPT: .*instruction")


class TestContiguous(WithoutRmpopt):
    options = {"machine": "rmp=contiguous"}

    def test_contiguous_rmp(self):
        self.check("notsupported", r"RMPOPT: .*(contiguous|segmented)")


class TestSnpOff(WithoutRmpopt):
    options = {"snp": False, "threads": 1}

    def test_snp_off(self):
        self.check("notsupported", None, snp=False)
