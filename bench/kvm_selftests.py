# SPDX-License-Identifier: GPL-2.0-only
"""All of Linux's KVM selftests on the emulator; and on Debian's own QEMU with the same
kernel, or on the emulator with the kernel without the series.  What passes there may not
fail on the emulator."""

import json
import os
import re
import time

import kbuild
import machine

OUT = os.path.join(machine.TOP, "out")
STOCK = os.path.join(machine.CACHE, "guest")
SECONDS = int(os.environ.get("LIMIT") or 120)	# for each test, then it is killed

MACHINES = {
    "stock": {"snp": False, "qemu": (os.path.join(STOCK, "lib/ld.so"), "--library-path",
                                     os.path.join(STOCK, "lib"),
                                     os.path.join(STOCK, "bin/qemu-system-x86_64"),
                                     "-L", os.path.join(STOCK, "share"))},
    "base": {},
    "emulator": {},
}

VERDICTS = {0: "pass", 4: "skip", 124: "timeout", 137: "timeout", 143: "timeout"}


class Runner:
    """Runs tests on one of the machines, and boots it again when one breaks it."""

    def __init__(self, which):
        self.which = which
        self.boots = 0
        self.host = None

    def up(self):
        if not self.host:
            self.boots += 1
            self.host = machine.Machine(
                f"kvm-selftests.{self.which}.{self.boots}", mem="6G", cores=2, threads=2,
                initrd=os.path.join(machine.BUILD, "all-initrd"),
                append="kvm.force_emulation_prefix=1", **MACHINES[self.which])
            self.host.start()
            self.host.sh("echo 64 > /proc/sys/vm/nr_hugepages")

    def down(self):
        if self.host:
            self.host.stop()
            self.host = None

    def run(self, test):
        """(verdict, seconds, reason)"""
        self.up()
        program = "/tests/" + os.path.basename(test)
        shell = "sh " if test.endswith(".sh") else ""
        begin = time.monotonic()
        try:
            status, output = self.host.sh(
                f"timeout -s KILL {SECONDS} {shell}{program} 2>&1", 2 * SECONDS, check=False)
        except (machine.Hang, OSError) as error:
            self.down()
            return "hang", time.monotonic() - begin, str(error)
        seconds = time.monotonic() - begin
        splats = self.host.splats()
        verdict = VERDICTS.get(status, "fail")
        if splats:
            verdict = "fail"
        if splats or verdict == "timeout":
            # What the test left behind would be in the way of the next.
            self.down()
        return verdict, seconds, reason(verdict, status, splats, output)


def reason(verdict, status, splats, output):
    """Why a test did not pass, in one line."""
    if splats:
        return "the kernel: " + splats[0].strip()
    lines = [line.strip() for line in output.splitlines()
             if line.strip() and "addr2line: not found" not in line]
    if verdict == "pass":
        return ""
    if verdict == "timeout":
        return f"killed after {SECONDS} s"
    for pattern in (r"SKIP\b|[Ss]kipping|Requirement not met", r"==== Test Assertion Failure|^not ok"):
        for i, line in enumerate(lines):
            if re.search(pattern, line):
                more = lines[i + 1:i + 2] if "Assertion" in line else []
                message = [text for text in lines[i:] if re.match(r"[A-Z].*|\w+: ", text)][-1:]
                return " | ".join(dict.fromkeys([line.strip("= "), *more, *message]))
    return lines[-1] if lines else f"status {status}"


def tests(names):
    """Those of the selftests' own Makefile; (name, whether it was built)."""
    with open(os.path.join(machine.BUILD, "all-selftests.list")) as file:
        listed = file.read().split()
    root = os.path.join(machine.BUILD, "all-root", "tests")
    return [(test, os.path.exists(os.path.join(root, os.path.basename(test)))) for test in listed
            if not names or any(name in test for name in names)]


def load(path):
    try:
        with open(path) as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def save(path, results):
    with open(path + ".new", "w") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)


def table(path, results):
    with open(path, "w") as file:
        ran = [which for which in MACHINES if any(which in result for result in results.values())]
        file.write(f"| test | {' | s | '.join(ran)} | s | reason |\n")
        file.write("|---" * (2 * len(ran) + 2) + "|\n")
        for test, result in results.items():
            cells = [test]
            for which in ran:
                verdict, seconds, _ = result.get(which, ("-", 0, ""))
                cells += [verdict, f"{seconds:.0f}"]
            why = [result[which][2] for which in ran if which in result and result[which][2]]
            cells.append("; ".join(dict.fromkeys(why)).replace("|", "\\|"))
            file.write("| " + " | ".join(cells) + " |\n")


def worse(results):
    """(test, machine): those that pass on another machine and not on the emulator"""
    return [(test, which) for test, result in results.items() for which in result
            if result[which][0] == "pass" and result.get("emulator", ["pass"])[0] != "pass"]


def main(names, which, again):
    os.makedirs(OUT, exist_ok=True)
    path = os.path.join(OUT, "kvm-selftests.json")
    results = load(path)
    if "base" in which:
        MACHINES["base"]["kernel"] = kbuild.base_kernel()
    for machine_name in which:
        runner = Runner(machine_name)
        try:
            for test, built in tests(names):
                result = results.setdefault(test, {})
                if machine_name in result and not again:
                    continue
                result[machine_name] = (runner.run(test) if built else
                                        ("not built", 0, "see build/log/all-selftests.log"))
                verdict, seconds, why = result[machine_name]
                print(f"{machine_name:8} {verdict:8} {seconds:5.0f} s  {test}  {why}", flush=True)
                save(path, results)
        finally:
            runner.down()
    table(path.replace(".json", ".md"), results)
    for machine_name in which:
        counts = {}
        for result in results.values():
            verdict = result.get(machine_name, ["not run"])[0]
            counts[verdict] = counts.get(verdict, 0) + 1
        print(f"{machine_name}: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()))
    for test, other in worse(results):
        print(f"rmpopt: {test} passes on {other}, not on the emulator: "
              f"{results[test]['emulator'][2]}")
    return 1 if worse(results) else 0
