# SPDX-License-Identifier: GPL-2.0-only
"""Guests that this project did not write: KVM's selftests, and a whole Debian
stack, on our kernel and on Debian's."""

import os
import re

import host as hosts
import machine
import stack
from tests import case, test_stock

with open(os.path.join(machine.TOP, "bench", "selftests", "list")) as names:
    SELFTESTS = [line.strip() for line in names if not line.startswith("#")]

# The slowest of them, and the SNP smoke test in particular, end within 3 minutes.
LIMIT = 180


class Selftests(case.KtapCase):
    """Each is judged by its KTAP report where it prints one, else by its status."""

    busy = settle = False

    def run_selftest(self, name):
        status, output = self.host.sh(
            f"timeout -s KILL {LIMIT} /tests/{os.path.basename(name)} 2>&1",
            timeout=LIMIT + 60, check=False)
        if status == 4:
            self.skipTest(output.splitlines()[-1] if output else "it says not why")
        self.assertNotEqual(status, 137, f"killed after {LIMIT} s: {output}")
        self.assertEqual(status, 0, output)
        if re.search(r"^TAP version", output, re.M):
            self.check_ktap(output)
        self.assertNotRegex(output, r"Test Assertion Failure")
        self.notes += re.findall(r".*\bSKIP\b.*|.*[Ss]kipping.*", output)

    def test_snp_guest(self):
        self.run_selftest("snp_guest_test")

    def test_host_reads_a_guest(self):
        self.run_selftest("sev_view_test")

    def test_random_guest(self):
        self.run_selftest("snp_fuzz_test -t 5")


def selftest(name):
    return lambda self: self.run_selftest(name)


for path in SELFTESTS:
    setattr(Selftests, "test_" + re.sub(r"\W|_tests?$", lambda m: "_" * (m[0] == "/"), path),
            selftest(path))


class TestSelftests(Selftests):
    options = {}


class TestStockSelftests(Selftests):
    options = test_stock.TestStock.options


del Selftests


class TestChecks(case.HostCase):
    """What an ordinary guest pays, by the figures of its ASID."""

    options = dict(cores=2, threads=2)

    # ASIDs below are those of SEV guests and, 0, of the host.
    ORDINARY = 510

    def paid(self, region):
        """(checks, skipped) of a guest whose memory is in a region, when it writes."""
        def sums():
            ordinary = [asid for asid in self.host.snp()["asids"]
                        if asid["asid"] >= self.ORDINARY]
            return [sum(asid[what] for asid in ordinary) for what in ("checks", "skipped")]

        before = sums()
        self.host.sh(f"ordinary {region}", timeout=120)
        return tuple(after - was for after, was in zip(sums(), before))

    def assertPays(self, region, pays):
        checks, skipped = self.paid(region)
        self.assertEqual((checks > 0, skipped > 0), (pays, not pays),
                         f"region {region}: {checks} checks, {skipped} skipped")

    def test_pays_for_checks_exactly_where_a_bit_is_clear(self):
        before = self.host.read("optimized")
        vm = self.start_vm()
        dark = self.host.dark(before)
        light = machine.regions(before) - dark
        mixed = min(dark), min(light)
        self.assertPays(mixed[0], True)
        self.assertPays(mixed[1], False)
        vm.end()
        self.host.wait_optimized(before)
        for region in mixed:
            self.assertPays(region, False)
        self.host.sh(f"echo off > {hosts.SYSFS}control")
        for region in mixed:
            self.assertPays(region, True)
        self.host.sh(f"echo on > {hosts.SYSFS}control")
        self.host.wait_optimized(before)


class TestGuest(case.HostCase):
    """The whole stack on our kernel, with our kernel as the guest."""

    options = dict(stack.HOSTS["ours"], cores=2, threads=2)

    def boot(self, vcpus, kernel=stack.OURS):
        report = stack.Guest(self.host, kernel, vcpus).run()
        self.assertRegex("\n".join(report["lines"]), "Memory Encryption .*SEV-SNP")
        self.assertEqual(report["online"], "0" if vcpus == 1 else f"0-{vcpus - 1}")
        self.assertEqual(report["vmpl"], "0")

    def check_regions(self, *args):
        before = self.host.read("optimized")
        self.boot(*args)
        self.host.wait_optimized(before)
        self.assertAllOptimized()

    def test_one_vcpu(self):
        self.check_regions(1)

    def test_two_vcpus(self):
        self.check_regions(2)

    def test_debian_with_two_vcpus(self):
        self.check_regions(2, stack.DEBIAN)


class TestStockGuest(TestGuest):
    """The same on Debian's kernel, which has no regions to give back."""

    options = dict(stack.HOSTS["stock"], cores=2, threads=2)
    busy = settle = False

    def check_regions(self, *args):
        self.boot(*args)
