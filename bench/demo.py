# SPDX-License-Identifier: GPL-2.0-only
"""One boot: the host, an SNP VM, and the host after it.  Every figure is
measured in this run: by the emulated hardware where it can be seen there, by
the kernel's own clock and trace events where not."""

import json
import os
import sys
import time

import host as hosts
import machine
import picture

OUT = os.path.join(machine.TOP, "out")
REGIONS, PAGES = 3, 512


class Page:
    """What the person at the terminal sees."""

    def __init__(self, colour):
        self.colour = colour
        self.begin = time.monotonic()

    def title(self, text):
        print(f"\r\033[K\n\033[1m{text}\033[0m" if self.colour else f"\n{text}", flush=True)

    def say(self, text):
        print(f"   {text}", flush=True)

    def busy(self, text):
        """A line that stays until the next title; only where it can be erased."""
        if self.colour:
            print(f"\033[2m   {text} ...\033[0m", end="", flush=True)

    def map(self, moment):
        print("\n".join(picture.text(moment["cores"], moment["regions"], moment["closed"],
                                     self.colour)), flush=True)


def snapshot(host, closed=None):
    """The tables of all cores, and the regions there are."""
    state = host.snp()
    present = host.list("regions")
    return {"cores": [set(core["regions"]) & present for core in state["cores"]],
            "regions": sorted(present),
            "closed": (set(state["closed"]) & present) if closed is None else closed}


def counts(moment):
    return [len(core) for core in moment["cores"]]


def boot(host, page):
    host.wait_settled()
    state = host.snp()
    moment = snapshot(host)
    release = host.sh("uname -r")
    present = moment["regions"]
    result = {"kernel": release,
              "cpus": sum(len(core["cpus"]) for core in state["cores"]),
              "cores": len(state["cores"]), "regions": len(present)}
    result["boot"] = {"optimized_per_core": counts(moment),
                      "expected": len(set(present) - moment["closed"]),
                      "rmpopts": host.rmpopts(),
                      "ms": host.number("settle_us") / 1000}
    page.title(f"The host is up: Linux {release}, {result['cpus']} CPUs on {result['cores']} "
               f"cores, {len(present)} regions of 1 GB")
    page.map(moment)
    page.say(f"{result['boot']['expected']} of {len(present)} regions can be optimized and are, on "
             f"every core, after {result['boot']['rmpopts']} RMPOPTs")
    return result, moment


def vm_lives(host, page, before):
    page.busy("an SNP VM is being launched")
    vm = host.start_vm(f"-r {REGIONS} -p {PAGES}")
    moment = snapshot(host, before["closed"])
    dark = set(moment["regions"]) - moment["closed"] - set.intersection(*moment["cores"])
    page.title(f"An SNP VM lives: {vm.pages} private pages, which lie in {len(dark)} regions")
    page.map(moment)
    page.say("the hardware took these regions away from every core")
    return vm, moment, {"footprint": len(dark), "private_pages": vm.pages,
                        "optimized_per_core": counts(moment)}


def vm_ends(host, page, vm, before):
    was = host.read("optimized")
    wanted = machine.ranges(set.intersection(*before["cores"]))
    rmpopts, rescanned = host.rmpopts(), host.number("rescanned")
    host.watch_optimized(wanted)
    host.trace_start()
    vm.end()
    host.watched()
    events = host.trace()
    moment = snapshot(host, before["closed"])
    if not any(name == "rmpopt_settled" for name, _ in events):
        raise RuntimeError(f"no rescan after the VM; see {host.log}")
    settled = [int(fields["us"]) for name, fields in events if name == "rmpopt_settled"]
    back = len(machine.regions(wanted) - machine.regions(was))
    result = {"optimized_per_core": counts(moment),
              "ms": settled[0] / 1000,
              "ipis": hosts.ipis(events),
              "rmpopts": host.rmpopts() - rmpopts,
              "rescanned": host.number("rescanned") - rescanned}
    page.title("The VM has ended")
    page.map(moment)
    page.say(f"{back} regions came back on every core, {result['ms']:.1f} ms after its last page "
             "was shared,")
    page.say(f"with {result['rmpopts']} RMPOPTs and {result['ipis']} IPIs; "
             f"{result['rescanned']} regions were verified for it")
    return moment, result


def main(colour):
    page = Page(colour)
    os.makedirs(OUT, exist_ok=True)
    for name in "run.json", "run.svg":
        if os.path.exists(os.path.join(OUT, name)):
            os.remove(os.path.join(OUT, name))
    print("Booting Linux as an SEV-SNP host in software: no encryption, no secrets.", flush=True)
    with hosts.Host("run", append=hosts.QUIET) as host:
        host.keep_busy()
        result, first = boot(host, page)
        vm, second, result["vm"] = vm_lives(host, page, first)
        third, result["teardown"] = vm_ends(host, page, vm, first)
        splats = host.splats()
        status = host.poweroff()

    print()
    print("\n".join(picture.legend(colour)))
    with open(os.path.join(OUT, "run.json"), "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    picture.draw(os.path.join(OUT, "run.svg"),
                 [("after boot", first["cores"]), ("an SNP VM lives", second["cores"]),
                  ("the VM has ended", third["cores"])], first["regions"], first["closed"])
    print(f"\n   the figures: out/run.json   the map: out/run.svg   the console: out/logs/run.log"
          f"   ({time.monotonic() - page.begin:.0f} s)")
    return verdict(result, splats, status)


def verdict(result, splats, status):
    """Whether the run showed what it is to show; says what it did not."""
    wrong = [f"the kernel complained: {line}" for line in splats]
    expected = [result["boot"]["expected"]] * result["cores"]
    if result["boot"]["optimized_per_core"] != expected:
        wrong.append("not every region was optimized after boot")
    if max(result["vm"]["optimized_per_core"]) >= result["boot"]["expected"]:
        wrong.append("the VM took no region away")
    if result["teardown"]["optimized_per_core"] != expected:
        wrong.append("not every region came back")
    if result["teardown"]["ipis"]:
        wrong.append("the rescan sent IPIs")
    if status:
        wrong.append(f"QEMU ended with status {status}")
    for line in wrong:
        print(f"rmpopt: {line}; see out/logs/run.log", file=sys.stderr)
    return 1 if wrong else 0
