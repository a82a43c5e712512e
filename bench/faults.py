# SPDX-License-Identifier: GPL-2.0-only
"""What becomes of an SNP VM when the hardware refuses something, once."""

import collections
import re

import load

Fault = collections.namedtuple("Fault", "name device settings")
# The VM's end, its VMM's words and the kernel's; if what was to fail did come
Fate = collections.namedtuple("Fate", "status words said reached")

# The firmware's commands in a VM's life
COMMANDS = {"SNP_GCTX_CREATE": 0x93, "SNP_LAUNCH_START": 0xa0, "SNP_ACTIVATE": 0x91,
            "SNP_LAUNCH_UPDATE": 0xa1, "SNP_LAUNCH_FINISH": 0xa2,
            "SNP_DECOMMISSION": 0x90, "SNP_PAGE_RECLAIM": 0xc7}
# Linux leaks the page that it was about.
LEAKS = "SNP_DECOMMISSION", "SNP_PAGE_RECLAIM"
# What RMPUPDATE can say (APM vol. 3), and when: there are about 40 in the life of a VM of
# 16 pages, of which the first half makes pages private, the second shared.  There is no
# FAIL_INUSE for the second half: Linux frees a page of guest_memfd that it cannot make
# shared, and falls into it later, with the series or without.
REFUSALS = {"FAIL_INUSE": (3, (1, 2, 5, 9, 13, 17)),
            "FAIL_OVERLAP": (4, (1, 9, 17, 18, 19, 20, 27, 36))}
# With room for a VM in two regions that are optimized
OPTIONS = dict(load.OPTIONS, mem="12G")


def refusal(name, command, status=0x17):
    """The firmware refuses a command, once; HWERROR_PLATFORM if nothing else is said."""
    return Fault(name, "peripheral/psp", {"fail-cmd": command, "fail-status": status,
                                          "fail-nth": 1})


def faults():
    for name, command in COMMANDS.items():
        yield refusal(name, command)
    for name, (status, when) in REFUSALS.items():
        for nth in when:
            yield Fault(f"{name} by RMPUPDATE {nth}", "", {
                "snp-rmpupdate-fail-status": status, "snp-rmpupdate-fail-nth": nth})


def arrange(host, device, settings):
    for name, value in settings.items():
        host.query("qom-set", path=f"/machine/{device}".rstrip("/"), property=name, value=value)


def reached(host, fault):
    """If it has come.  Later it must not hit somebody else."""
    name = next(name for name in fault.settings if name.endswith("nth"))
    left = host.query("qom-get", path=f"/machine/{fault.device}".rstrip("/"), property=name)
    arrange(host, fault.device, {name: 0})
    return left == 0


def slow_rmpopt(host, microseconds):
    """Have each RMPOPT take so much longer."""
    arrange(host, "", {"snp-rmpopt-delay": microseconds})


def vm_options(host):
    """Memory from two regions in which nobody has private pages"""
    return "-p 8 -n {},{}".format(*host.open_nodes())


def taken(host):
    """The regions that a VM takes from RMPOPT while it lives, when nothing is refused."""
    before = host.read("optimized")
    vm = host.start_vm(vm_options(host))
    dark = host.dark(before)
    vm.end()
    host.wait_optimized(before)
    return dark


def _said(console):
    """What the kernel said of it, without what differs from boot to boot."""
    lines = re.findall(r"^\[ *[\d.]+\] .*?(SEV.*|ccp .*|WARNING: \S+)", console, re.M)
    differs = r"0x[0-9a-f]+|(?<=PFN )[0-9a-f]+|\b[0-9a-f]{5,}\b|\d+"
    return [re.sub(differs, "N", line) for line in lines
            if "entr" not in line and not re.search(r"PFN: .*\[", line)]


def fate(host, fault):
    """How an SNP VM fares."""
    options = vm_options(host)
    arrange(host, fault.device, fault.settings)
    before = len(host.console())
    status, words = host.sh(f"echo end | snpvm {options} 2>&1", timeout=120, check=False)
    came = reached(host, fault)
    # The console may be some lines behind.
    host.sh(f"echo '<5>after {fault.name}' > /dev/kmsg; sleep 0.2")
    return Fate(status, words, _said(host.console()[before:]), came)
