# SPDX-License-Identifier: GPL-2.0-only
"""A host under load: SNP VMs come and go in all ways at once, beside ordinary guests,
while RMPOPT is switched off and on and CPUs go and come."""

import re

# A NUMA node for each GB, so that a VM's memory comes from random regions
OPTIONS = {"cores": 4, "threads": 2, "mem": "8G", "append": "numa=fake=1G"}

KMEMLEAK = "/sys/kernel/debug/kmemleak"
# They are in a table that is a page of its own, where it does not look.
NO_LEAK = "alloc_rmp_segment_desc"


def slabs(host):
    """Objects of the kernel in use, by the kind; {} if this kernel does not tell, or KASAN
    keeps what was freed and kmemleak says what was not."""
    # What CPUs keep for the next one counts as in use until it is given back.
    text = host.sh(f"[ -e {KMEMLEAK} ] || [ ! -e /proc/slabinfo ] || {{ "
                   "echo 3 > /proc/sys/vm/drop_caches;"
                   "for shrink in /sys/kernel/slab/*/shrink; do echo 1 > $shrink; done;"
                   "cat /proc/slabinfo; }")
    return {name: int(used) for name, used in re.findall(r"^(\S+) +(\d+) +\d+ ", text, re.M)}


def memory(host):
    """Free memory in MB, when the caches were dropped."""
    text = host.sh("echo 3 > /proc/sys/vm/drop_caches; cat /proc/meminfo")
    return int(re.search(r"MemFree: +(\d+)", text)[1]) // 1024


def leaks(host):
    """What kmemleak has found so far; '' if nothing, or if this kernel does not look."""
    said = host.sh(f"[ ! -e {KMEMLEAK} ] || cat {KMEMLEAK}", timeout=900)
    return "".join(leak for leak in re.split(r"^(?=unreferenced object)", said, flags=re.M)
                   if NO_LEAK not in leak)


def find_leaks(host):
    """The same, after having it look"""
    # It wants to see an object twice, some seconds apart.
    host.sh(f"[ ! -e {KMEMLEAK} ] || {{ echo scan > {KMEMLEAK}; sleep 6;"
            f"echo scan > {KMEMLEAK}; }}", timeout=900)
    return leaks(host)


def run(host, options):
    """Run soak. Returns what it reports."""
    return host.sh(f"soak {options} 2>&1", timeout=86400)


def ordinary(host, guests=2):
    """Guests that write all the time, until the host ends, where there are fake nodes."""
    for region, node in sorted(host.fake_nodes().items())[1:1 + guests]:
        host.start_ordinary(region, node)


def vms(report):
    """How many VMs there were."""
    return sum(map(int, re.findall(r"(\d+) ", re.search(r"^ends: (.*)$", report, re.M)[1])))
