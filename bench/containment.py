# SPDX-License-Identifier: GPL-2.0-only
"""'make containment': which regions an SNP VM takes from everybody, by its size.

SNP VMs of several sizes come and go on a host that has just booted, and on one whose memory
was churned, by bench/guest/churn.c.  They have their memory where Linux has it: "before", and
"after" with the placement of private memory, where the kernel has a switch for that.  What
it writes, out/containment.json:

series      the tree of Linux that was measured
machine     MB of RAM, and the kernel;  seed, peak, keep: as churn was told, in % of the
            free memory
hosts       one for each boot:
  nodes, memory, regions    NUMA nodes; "fresh", "churned", or "large": churned in large
                folios, of all sizes, where Linux has them; how many regions could be lost
  free, blocks  MB free, and 2MB blocks among them, when the first VM came
  churn         MB held, free, in blocks (of 2MB or more) and in folios (large ones),
                operations, digest
  vms           one for each VM, in order:
    mb, placement   its size; "before" or "after"
    most            regions that it may cost: as many as hold it, and one for each node
    lost, where     regions that were optimized and no longer are, as sysfs has it, which the
                    emulated hardware has to confirm: by the RMPOPT tables of all cores, and
                    by the regions in the RMP that got an assigned page
    pages           its pages in each region, as the emulated hardware made them private:
                    some of the regions were not optimized before it came
    footprint       how many regions it had private pages in, and the firmware some for it,
                    as the kernel's trace event has it
    blocks          free blocks of 2MB before, while it lived, and afterwards
    migrated, split pages that Linux moved for it, or in that time, and large folios that it
                    split instead
instructions  of the kernel and the VMM, for the launch and all memory of VMs, one after the
            other: a boot of its own, in which the emulator's clock counts them, with one CPU,
            so that those that move pages are among them;  mb, memory, placement, count,
            migrated
"""

import collections
import os
import random
import re
import statistics
import time

import benchplot
import benchreport as report
import host as hosts
import machine

MEM = "8G"
SIZES = (64, 256, 1024, 4096)	# MB
HOSTS = [(1, "fresh"), (1, "churned"), (1, "large"), (2, "fresh"), (2, "churned")]
MEMORY = {"fresh": "fresh", "churned": "churned", "large": "churned in large folios"}
SEED = 1
PEAK, KEEP = 92, 33		# % of the free memory
ROOM = 85			# % of the free memory that a VM may have
# A VM's last page is shared, and its footprint known; /proc/vmstat is not in this kernel.
EVENTS = ("rmpopt/rmpopt_rescan_begin", "migrate/mm_migrate_pages")
COUNTED = {"mem": "5G", "mb": 1024, "times": 3}
MOST_INSTRUCTIONS = 1.1		# with placement, to those without
PLACEMENT = hosts.SYSFS + "placement"
SWITCH = {"before": "off", "after": "on"}
THP = "/sys/kernel/mm/transparent_hugepage/"
HOUR = 3600
ABOUT = """\
SNP VMs came and went, one after the other, on hosts with {mem} of memory.  Lost are the regions
of 1GB that were optimized, and are not while it lives, for everybody.  Its pages lie in these,
and in others that were not optimized anyway.  Churned: all kinds of memory were taken and freed
in random order.  Free blocks, of 2MB: before it, while it lived, after it.  Before and after:
without and with the placement of private memory, one after the other in one boot: what the last
one had is the first that the next one gets, in blocks if it was placed.  At most: as many regions
as hold the VM, and one for each node it has memory of.
"""


class Host(hosts.Host):
    """What is started on it runs on the first CPU: each VM begins on the same node."""

    def __init__(self, name, nodes=1, **options):
        super().__init__(name, cores=nodes, threads=1, nodes=nodes, **options)
        self.hardware = self.log.replace(".log", ".hardware")

    def start(self):
        super().start()
        # An idle core would keep its regions pending.
        self.sh(f"taskset -pc 0 $$; echo eager > {hosts.SYSFS}mode")
        self.wait_settled()
        missing, _ = self.sh(f"[ -e {PLACEMENT} ]", check=False)
        self.placements = ("before",) if missing else ("before", "after")

    def free_mb(self):
        return int(re.search(r"MemFree: +(\d+)", self.sh("cat /proc/meminfo"))[1]) // 1024

    def blocks(self):
        """Free blocks of 2MB"""
        return sum(int(count) << order for line in self.sh("cat /proc/buddyinfo").splitlines()
                   for order, count in enumerate(line.split()[4 + 9:]))

    def churn(self, peak, keep, seed=SEED, rounds=3, large=False):
        """Have memory churned, MB at the peak and in the end; it is held from then on."""
        if large:
            # Each size, and in page cache as long as it does not exceed a file's
            self.sh(f"for size in {THP}hugepages-*/enabled; do echo always > $size; done;"
                    f"echo within_size > {THP}shmem_enabled")
        line = self.sh("mkfifo /tmp/churn.in /tmp/churn.out;"
                       f"churn {'-l' * large} -s {seed} -r {rounds} {peak} {keep} < /tmp/churn.in"
                       " > /tmp/churn.out 2>&1 & exec 9<>/tmp/churn.in;"
                       "read -r line < /tmp/churn.out; echo $line", timeout=HOUR)
        said = re.fullmatch(r"churned: (\d+) MB held, (\d+) MB free, (\d+) .*; (\d+) MB .*; "
                            r"(\d+) operations, digest (\w+)", line)
        if not said:
            raise RuntimeError(f"churn did not churn: {line}")
        names = "held", "free", "blocks", "folios", "operations"
        return {**dict(zip(names, map(int, said.groups()))), "digest": said[6]}

    def churn_share(self, peak=PEAK, keep=KEEP, **options):
        """The same, in % of the free memory"""
        # Whole 64MB, so that each boot has the same operations
        free = self.free_mb()
        return self.churn(*(free * share // 100 // 64 * 64 for share in (peak, keep)), **options)

    def start_log(self):
        """Have the hardware log which pages become private."""
        if os.path.exists(self.hardware):
            os.remove(self.hardware)
        self.monitor(f"logfile {self.hardware}")
        self.query("trace-event-set-state", name="snp_rmpupdate", enable=True)

    def _assigned(self):
        """Address and ASID of what was assigned since the log began, which ends"""
        self.query("trace-event-set-state", name="snp_rmpupdate", enable=False)
        with open(self.hardware) as file:
            logged = re.findall(r" spa 0x(\w+) .* operand 0x(\w+): status 0$", file.read(), re.M)
        os.remove(self.hardware)
        return [(int(spa, 16), int(operand, 16) >> 32) for spa, operand in logged
                if int(operand, 16) & 1]

    def private_addresses(self):
        """Of the pages that became a VM's since the log began, which ends"""
        return [spa for spa, asid in self._assigned() if asid]

    def firmware_addresses(self):
        """Of those that became the firmware's, each as often as it did"""
        return [spa for spa, asid in self._assigned() if not asid]

    def private_pages(self):
        """Region -> how many of these it has"""
        pages = collections.Counter(spa >> 30 for spa in self.private_addresses())
        return dict(sorted(pages.items()))

    def nodes(self, regions):
        """The NUMA nodes of these"""
        said = re.findall(r"node +(\d+): \[mem 0x(\w+)-0x(\w+)\]",
                          self.sh("dmesg | grep 'node .*: .mem '"))
        return {int(node) for node, first, last in said for region in regions
                if int(first, 16) >> 30 <= region <= int(last, 16) >> 30}

    def place(self, placement):
        if "after" in self.placements:
            self.sh(f"echo {SWITCH[placement]} > {PLACEMENT}")

    def life(self, mb, placement="before"):
        """A VM comes and goes."""
        self.place(placement)
        before, closed = self.read("optimized"), set(self.snp()["closed"])
        blocks = [self.blocks()]
        self.trace_start(EVENTS)
        self.start_log()
        vm = self.start_vm(f"-m {mb}", timeout=HOUR)
        pages = self.private_pages()
        lost = machine.regions(before) - self.list("optimized")
        self.confirm(lost, "tables", self.dark(before))
        self.confirm(lost, "RMP", set(self.snp()["closed"]) - closed)
        blocks.append(self.blocks())
        vm.end()
        self.wait_optimized(before)
        events = self.trace()
        blocks.append(self.blocks())
        if footprint(events) < len(pages):
            raise RuntimeError(f"{len(pages)} regions have private pages, and the footprint has "
                               f"{footprint(events)}")
        return {"mb": mb, "placement": placement, "most": -(-mb // 1024) + len(self.nodes(pages)),
                "lost": len(lost),
                "where": machine.ranges(lost), "pages": pages, "footprint": footprint(events),
                "blocks": blocks, "migrated": migrated(events),
                "split": migrated(events, "nr_split"), "cycles": vm.cycles[0]}

    def come_and_go(self, count, seed=SEED):
        """VMs of 6 to 128 MB, up to three at once; they end, or are killed, at random."""
        chance, vms = random.Random(seed), []
        for _ in range(count):
            if len(vms) == 3:
                vm = vms.pop(chance.randrange(3))
                (vm.kill if chance.random() < 0.3 else vm.end)()
            vms.append(self.start_vm(f"-m {int(2 ** chance.uniform(2.6, 7))}"))
        for vm in vms:
            vm.end()

    @staticmethod
    def confirm(lost, where, regions):
        if regions != lost:
            raise RuntimeError(f"lost by sysfs: {machine.ranges(lost) or 'none'}, by the "
                               f"emulator's {where}: {machine.ranges(regions) or 'none'}")


def footprint(events):
    """Of the VM: the firmware's rescans have none."""
    return sum(int(fields["regions"]) for name, fields in events
               if name == "rmpopt_rescan_begin" and fields["vm"] != "0")


def migrated(events, which="nr_succeeded"):
    return sum(int(fields[which]) for name, fields in events
               if name == "mm_migrate_pages")


def one_host(say, nodes, memory, mem, sizes):
    name = title({"nodes": nodes, "memory": memory})
    with Host(f"containment.{memory}{nodes}", nodes, mem=mem) as host:
        say(f"{name}: booted")
        regions = len(host.list("optimized"))
        churn = host.churn_share(large=memory == "large") if memory != "fresh" else None
        result = {"nodes": nodes, "memory": memory, "regions": regions, "churn": churn,
                  "free": host.free_mb(), "blocks": host.blocks(), "kernel": host.sh("uname -r"),
                  "vms": []}
        say(f"{name}: {result['free']} MB free, {2 * result['blocks']} of them in blocks of 2 MB")
        for mb in sizes:
            if mb > result["free"] * ROOM // 100:
                say(f"{name}: no room for {mb} MB")
                continue
            for placement in host.placements:
                vm = host.life(mb, placement)
                del vm["cycles"]	# of a clock that is not the emulated CPU's
                result["vms"].append(vm)
                say(f"{name}: a VM of {mb} MB, {placement}, in regions {where(vm)}: lost are "
                    f"{vm['where'] or 'none'}, {vm['lost']} of {result['regions']}")
        return result, host.splats()


def count(say):
    """Instructions: see above"""
    result = []
    with Host("containment.count", mem=COUNTED["mem"], count=True) as host:
        for memory in "fresh", "churned":
            if memory == "churned":
                host.churn_share()
            for placement in host.placements * COUNTED["times"]:
                vm = host.life(COUNTED["mb"], placement)
                result.append({"mb": vm["mb"], "memory": memory, "placement": placement,
                               "count": vm["cycles"], "migrated": vm["migrated"]})
                say(f"{memory}, a VM of {vm['mb']} MB, {placement}: {vm['cycles']} "
                    f"instructions, {vm['migrated']} pages moved")
        return result, host.splats()


def groups(counted):
    """Of instructions: those of the same kind of host and placement, in order"""
    kinds = {}
    for vm in counted:
        kinds.setdefault((vm["memory"], vm["placement"]), []).append(vm)
    return kinds


def medians_of(data):
    return {kind: statistics.median(map(per_page, vms))
            for kind, vms in groups(data["instructions"]).items()}


def missed(data):
    """What is not as it should be with placement"""
    lines = [f"{title(host)}, a VM of {vm['mb']} MB: {vm['lost']} regions lost, {vm['most']} at most"
             for host in data["hosts"] for vm in host["vms"]
             if vm["placement"] == "after" and vm["lost"] > vm["most"]]
    medians = medians_of(data)
    for (memory, placement), median in medians.items():
        ratio = median / medians[memory, "before"]
        if placement == "after" and ratio > MOST_INSTRUCTIONS:
            lines.append(f"{memory}: {ratio:.2f} times as many instructions, "
                         f"{MOST_INSTRUCTIONS} at most")
    return lines


def per_page(vm):
    return round(vm["count"] / (vm["mb"] * 256))


def commas(numbers):
    return ", ".join(map(str, numbers))


def where(vm):
    """The regions of its pages, with their share: at 0 % there are some, too."""
    return " ".join(f"{region}:{round(100 * pages / sum(vm['pages'].values()))}%"
                    for region, pages in vm["pages"].items())


def title(host):
    return f"{MEMORY[host['memory']]}, {host['nodes']} node{'s' * (host['nodes'] > 1)}"


def text(data):
    lines = [ABOUT.format(**data["machine"])]
    lines += report.table(
        ["host", "VM, MB", "", "lost", "at most", "which", "its pages in", "free blocks",
         "pages moved", "per GB", "folios split"],
        [[title(host), vm["mb"], vm["placement"], f"{vm['lost']} of {host['regions']}",
          vm["most"], vm["where"] or "none", where(vm), " / ".join(map(str, vm["blocks"])),
          vm["migrated"], vm["migrated"] * 1024 // vm["mb"], vm["split"]]
         for host in data["hosts"] for vm in host["vms"]])
    lines += ["", "What was churned:", ""]
    lines += report.table(["host", "MB held", "in large folios", "MB free",
                           "in blocks of 2MB or more", "operations", "digest"],
                          [[title(host), churn["held"],
                            f"{100 * churn['folios'] // churn['held']} %", churn["free"],
                            f"{100 * churn['blocks'] // churn['free']} %",
                            churn["operations"], churn["digest"]]
                           for host in data["hosts"] if (churn := host["churn"])])
    lines += ["", f"VMs that took turns on a host of {COUNTED['mem']}: instructions, by the "
              "emulator's count, for each page of",
              "a VM's memory, with those that move other pages away, one VM after the other:", ""]
    kinds, medians = groups(data["instructions"]), medians_of(data)
    lines += report.table(["host", "VM, MB", "", "instructions", "median", "to before",
                           "pages moved"],
                          [[memory, vms[0]["mb"], placement, commas(map(per_page, vms)),
                            round(medians[memory, placement]),
                            f"{medians[memory, placement] / medians[memory, 'before']:.2f}",
                            commas(vm["migrated"] for vm in vms)]
                           for (memory, placement), vms in kinds.items()])
    return "\n".join(lines) + "\n"


def draw(data, path):
    pyplot = benchplot.style()
    panels = {}
    for host in data["hosts"]:
        panels.setdefault((host["nodes"], host["memory"] == "large"), []).append(host)
    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.8), sharey=True,
                                   squeeze=False, layout="constrained")
    for axis, ((number, large), chosen) in zip(axes[0], sorted(panels.items())):
        for host in chosen:
            fresh = host["memory"] == "fresh"
            for placement, line in ("before", "-"), ("after", "--"):
                points = [(vm["mb"], vm["lost"]) for vm in host["vms"]
                          if vm["placement"] == placement]
                if points:
                    axis.plot(*zip(*points), linestyle=line,
                              color="#1b7a47" if fresh else "#7a2f2f",
                              marker="o" if fresh else "D",
                              label=f"{'fresh' if fresh else 'churned'} host, {placement}")
        sizes = sorted({vm["mb"] for host in chosen for vm in host["vms"]})
        axis.plot(sizes, [-(-mb // 1024) + 1 for mb in sizes], color="#9a9a9a", linestyle=":",
                  label="as many as hold it, and one")
        axis.axhline(max(host["regions"] for host in chosen), color="#9a9a9a", linewidth=0.8)
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, [f"{mb} MB" if mb < 1024 else f"{mb // 1024} GB" for mb in sizes])
        axis.minorticks_off()
        axis.yaxis.set_major_locator(pyplot.MaxNLocator(integer=True))
        axis.set_ylim(bottom=0)
        axis.set_xlabel("memory of the SNP VM")
        axis.set_title(f"{number} node{'s' * (number > 1)}, {data['machine']['mem']}"
                       f"{', in large folios' * large}", fontsize=10)
    axes[0][0].set_ylabel("regions of 1 GB lost for everybody\n(of those at the line)")
    figure.legend(*axes[0][0].get_legend_handles_labels(), frameon=False, ncol=5, fontsize=9,
                  loc="lower center")
    figure.get_layout_engine().set(rect=(0, 0.08, 1, 0.92))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main(out, mem=MEM, sizes=SIZES):
    began, splats = time.monotonic(), []

    def say(line):
        print(f"{time.monotonic() - began:5.0f} s  {line}", flush=True)

    data = {"series": report.series(), "machine": {"mem": mem}, "seed": SEED, "peak": PEAK,
            "keep": KEEP, "hosts": []}
    for nodes, memory in HOSTS:
        host, said = one_host(say, nodes, memory, mem, sizes)
        data["hosts"].append(host)
        splats += said
    data["machine"]["kernel"] = data["hosts"][0]["kernel"]
    data["instructions"], said = count(say)
    tables = text(data)
    report.write(data, tables, os.path.join(out, "containment"))
    draw(data, os.path.join(out, "containment.svg"))
    print(tables)
    where = os.path.relpath(out, machine.TOP)
    print(f"{where}/containment.json has all figures, containment.md the tables, containment.svg "
          "the picture")
    for line in splats + said:
        print(f"rmpopt: the kernel complained: {line}")
    targets = missed(data)
    for line in targets:
        print(f"rmpopt: a target was missed: {line}")
    return 1 if splats + said + targets else 0
