# SPDX-License-Identifier: GPL-2.0-only
"""What 'make bench' writes: out/bench.md, the pictures, and out/bench.json:

series      the tree of Linux that was measured;  hz: its ticks per second
machine     what was booted, and the kernel; cores by what they did, by index
boot        RMPOPTs of each core for the verification at boot, by outcome: scanned
            (read the RMP and optimized), cached (optimized without), failed
trials      one for each end of an SNP VM:
  policy        lazy, eager, june or march;  footprint: regions that the VM had
  rmpopts       of each core, by outcome, as the emulated hardware counted, until all
                busy cores had all of the footprint;  rmpopts_all: until all cores had
  lacks_idle, lacks_isolated   pairs of a region and such a core without it just then
  began_ms      from the last page shared until the first RMPOPT
  recovered_ms  from the last page shared until a busy core had a region, for each
                pair of them, in order: the last is when all had all
  checks        RMP checks that ordinary guests' writes paid in that time, counted at
                intervals of 10 ms or more, and interpolated
  window_ms     from the rescan's begin to the last busy core, the time of:
  leader_ms     the leader's time in the rescan;  for the public policies, the task's
  ipis, reschedules, exits, wakes   by core; function call interrupts, others that
                reschedule, VM exits of ordinary guests, and leavings of idle CPUs
  exits_quiet, wakes_quiet   what as much quiet time has, by measurement of 2 s
  ipis_of_policy  those that call the policy's function;  callers: all, by function
  ipi_ms, ipi_longest_ms, exits_with_ipi   time in them, in the longest, and VM exits at
                which there was one, by core
  work_ms       time in the timers and work items of the series, by core
  irqs_off      RMPOPTs executed with interrupts disabled
  ticks         the most that a busy core took meanwhile, under ours
growth      the same, with VMs of several footprints;  many: small VMs at once
cases       all memory verified: private (a private page at the end of so many regions),
            empty, again;  rmpopts as above
path        instructions of the series for each page that becomes private, or shared, and
            bytes that a VM's footprint takes
summary, model, targets   as in the tables
"""

import json
import os
import statistics
import subprocess

import benchplot
import machine
import model

NAMES = {"lazy": "this series", "eager": "eager", "june": "June 2026", "march": "March 2026"}

# Hosts to compute: GB of RAM, cores, threads
HOSTS = ((1024, 128, 2), (2048, 256, 2), (4096, 384, 2))
FOOTPRINT = 100			# GB, a large guest on each of them


def series():
    """The tree that was measured, as 'make series' knows it"""
    return subprocess.run(["git", "-C", os.path.join(machine.BUILD, "linux"), "rev-parse",
                           "HEAD^{tree}"], capture_output=True, text=True,
                          check=True).stdout.strip()


def total(trial, which="rmpopts"):
    return sum(sum(core.values()) for core in trial[which])


def gained(trial):
    """RMPOPTs of each core, but those that failed: all of a VM's regions come back, and
    what does not is the firmware's."""
    return [core["scanned"] + core["cached"] for core in trial["rmpopts_all"]]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def figures(trial, about):
    """One trial as the figures that are compared"""
    def on(what, cores):
        return sum(trial[what][core] for core in about[cores])

    def added(what, cores):
        return round(max(0, on(what, cores) - on(what + "_quiet", cores)), 1)

    rmpopts = trial["rmpopts"]
    sums = sorted(sum(core.values()) for core in rmpopts)
    return {
        "rmpopts": total(trial),
        "rmpopts_all": total(trial, "rmpopts_all"),
        "gained": sum(gained(trial)),
        **{what: sum(core[what] for core in rmpopts) for what in rmpopts[0]},
        "leader": sums[-1],
        "follower": statistics.median(sums[:-1]),
        "ipis": sum(trial["ipis"]),
        "ipis_of_policy": trial["ipis_of_policy"],
        "ipis_ordinary": on("ipis", "ordinary"),
        "irqs_off": trial["irqs_off"],
        "spent_ms": round(on("ipi_ms", "ordinary") + on("work_ms", "ordinary"), 2),
        "ipi_ms": round(on("ipi_ms", "ordinary"), 2),
        "ipi_longest_ms": round(max(trial["ipi_longest_ms"]), 2),
        "exits": on("exits", "ordinary"),
        "exits_quiet": round(on("exits_quiet", "ordinary"), 1),
        "exits_added": added("exits", "ordinary"),
        "exits_with_ipi": on("exits_with_ipi", "ordinary"),
        "reschedules": sum(trial["reschedules"]),
        "disturbed_idle": on("ipis", "idle") + on("reschedules", "idle"),
        "disturbed_isolated": on("ipis", "isolated") + on("reschedules", "isolated"),
        "exits_isolated": added("exits", "isolated"),
        "wakes_idle": added("wakes", "idle"),
        "lacks_idle": trial["lacks_idle"],
        "lacks_isolated": trial["lacks_isolated"],
        "ticks": trial["ticks"],
        "leader_ms": round(trial["leader_ms"], 2),
        "checks": trial["checks"],
        "began_ms": trial["began_ms"],
        "ms": trial["recovered_ms"][-1],
    }


def summary(data):
    result = {}
    for policy in NAMES:
        trials = [figures(trial, data["machine"]) for trial in data["trials"]
                  if trial["policy"] == policy]
        if trials:
            result[policy] = {what: spread([one[what] for one in trials]) for what in trials[0]}
    return result


def computed(data):
    """The model against what was counted, which must be equal; and other hosts."""
    about, differs = data["machine"], []
    for trial in data["trials"] + data["growth"]:
        expected = model.counts(trial["policy"], about["regions"], trial["footprint"],
                                about["cores"], about["threads"])
        public = trial["policy"] in ("june", "march")
        got = [sum(core.values()) for core in trial["rmpopts_all"]] if public else gained(trial)
        for what, counted, wanted in (
                ("RMPOPTs", sum(got), expected["total"]),
                ("RMPOPTs of one core, the most", max(got), expected["leader"]),
                ("RMPOPTs of one core, the fewest", min(got), expected["follower"]),
                ("IPIs", trial["ipis_of_policy"], expected["ipis"])):
            if counted != wanted:
                differs.append(f"{trial['policy']}, {trial['footprint']} regions: "
                               f"{counted} {what}, counted, {wanted} computed")
    for case in data["cases"]:
        if case["case"] == "private" and case["private"] != about["regions"]:
            differs.append(f"private pages: in {case['private']} of {about['regions']} regions")
    return {"differs": differs, "hosts": [
        {"gb": gb, "cores": cores, "threads": threads, "footprint": FOOTPRINT, "policy": policy,
         **model.counts(policy, gb, FOOTPRINT, cores, threads),
         "cycles": model.cycles(policy, gb, FOOTPRINT, threads)}
        for gb, cores, threads in HOSTS for policy in NAMES]}


def targets(data):
    """What is wanted of the lazy policy, and whether it is so."""
    lazy, june = data["summary"]["lazy"], data["summary"]["june"]
    growth = [trial for trial in data["growth"] if trial["policy"] == "lazy"]
    footprint = max(trial["footprint"] for trial in data["trials"] if trial["policy"] == "lazy")
    most = footprint * data["machine"]["cores"]
    chain = max(core["scanned"] + core["failed"] for core in data["boot"])
    share = -(-data["machine"]["regions"] // data["machine"]["cores"])
    cached = max(core["cached"] for core in data["boot"])

    def target(name, value, limit, at_least=False, why="not known"):
        met = value >= limit if at_least else value <= limit
        return {"name": name, "value": round(value, 2), "limit": round(limit, 2), "met": met,
                "why": "" if met else why}

    cpus = data["machine"]["cores"] * data["machine"]["threads"]
    taking_turns = f"{cpus} emulated CPUs take turns on {os.cpu_count()}"
    noise = "what else runs there varies, here as in a quiet time"
    return [
        target("IPIs", lazy["ipis"]["max"], 0),
        target("VM exits of ordinary guests with an IPI", lazy["exits_with_ipi"]["max"], 0),
        # What is expected of a quiet time is not a whole number.
        target("VM exits beyond a quiet time's (median)", lazy["exits_added"]["median"], 0.5,
               why=noise),
        target("VM exits beyond a quiet time's, isolated core (median)",
               lazy["exits_isolated"]["median"], 0.5, why=noise),
        target("interrupts to idle and isolated cores",
               lazy["disturbed_idle"]["max"] + lazy["disturbed_isolated"]["max"], 0),
        target("wakes of the idle core, beyond a quiet time's (median)",
               lazy["wakes_idle"]["median"], 0.5, why=noise),
        target("RMPOPTs that optimize, all cores", lazy["gained"]["median"], 1.05 * most),
        target("ticks that a busy core takes until it is complete", lazy["ticks"]["max"], 5),
        target("ticks by the clock until all busy cores are complete",
               lazy["ms"]["median"] * data["hz"] / 1000, 5, why=taking_turns),
        target("times fewer RMPOPTs than June's policy, all cores",
               june["rmpopts_all"]["median"] / lazy["rmpopts_all"]["median"], 8, at_least=True),
        target("the same, for each region and core, at any footprint",
               max(sum(gained(trial)) / trial["footprint"] for trial in growth) /
               data["machine"]["cores"], 1),
        target("the same, with many VMs at once", sum(gained(data["many"])) /
               data["many"]["footprint"] / data["machine"]["cores"], 1),
        target("regions whose RMP one core reads at boot", chain, share),
        target("regions that it has from others", cached, data["machine"]["regions"]),
    ]


ROWS = (("rmpopts", "RMPOPTs until all busy cores have all"), ("scanned", "that read the RMP"),
        ("cached", "with a cached result"), ("failed", "that failed"),
        ("leader", "the core with the most"), ("follower", "other cores (median)"),
        ("irqs_off", "with interrupts disabled"),
        ("lacks_idle", "regions that the idle core lacks then"),
        ("lacks_isolated", "regions that the isolated core lacks then"),
        ("rmpopts_all", "RMPOPTs until all cores have all"),
        ("ipis", "IPIs"), ("ipis_of_policy", "that call the policy's function"),
        ("ipis_ordinary", "IPIs to cores of ordinary guests"),
        ("ipi_ms", "ms in them, on these cores"), ("ipi_longest_ms", "ms in the longest, any core"),
        ("spent_ms", "ms in IPIs, timers and work for it, on these cores"),
        ("exits_with_ipi", "their VM exits with an IPI"),
        ("exits", "all of their VM exits"), ("exits_quiet", "in as much quiet time"),
        ("reschedules", "reschedule interrupts, all cores"),
        ("disturbed_idle", "interrupts to the idle core"),
        ("disturbed_isolated", "interrupts to the isolated core"),
        ("wakes_idle", "wakes of the idle core, beyond a quiet time's"),
        ("leader_ms", "ms of the leader (public: of it all)"),
        ("checks", "RMP checks of ordinary guests (interpolated)"),
        ("began_ms", "ms until the first RMPOPT"), ("ms", "ms until all busy cores have all"))
CASES = {"private": "a private page in each", "empty": "none private", "again": "again"}


def number(value):
    if isinstance(value, float) and value < 100:
        return f"{value:.{2 if value < 10 else 1}f}".rstrip("0").rstrip(".")
    return f"{value:.0f}"


def cell(figure):
    text, low, high = map(number, (figure["median"], figure["min"], figure["max"]))
    return text if low == high else f"{text} ({low}-{high})"


def table(head, rows):
    width = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    line = ["| " + " | ".join(str(text).ljust(wide) for text, wide in zip(row, width)) + " |"
            for row in [head, *rows]]
    return [line[0], "|" + "|".join("-" * (wide + 2) for wide in width) + "|", *line[1:]]


def text(data):
    about, summary = data["machine"], data["summary"]
    trials = f"{data['repeat']} times" if data["repeat"] > 1 else "once"
    lines = [f"An SNP VM that used {data['trials'][0]['footprint']} of {about['regions']} regions has "
             f"ended, on {about['cores']} cores of", f"{about['threads']} threads; {trials}, median "
             "(and spread).  Times are those of an emulator,", "from the last page shared on; "
             "June's policy waits 10000 ms of them, both public ones begin", "here when the VMM's "
             "process is gone.  Wake-ups are reschedule interrupts here, not", "IPIs that call a "
             "function.  The VM has few pages, which a launch here takes long for,", "and does not "
             "get far.  Linux sees a NUMA node for each GB, to place memory.  Eager is", "a mode of "
             "this series; June and March 2026 are the public ones.", ""]
    lines += table(["", *(NAMES[policy] for policy in summary)],
                   [[title, *(cell(summary[policy][what]) for policy in summary)]
                    for what, title in ROWS])
    lines += ["", "VMs of other footprints, the largest scattered over both nodes, and small VMs that end",
              "at once:", ""]
    rows = [(NAMES[trial["policy"]], trial["footprint"], trial) for trial in data["growth"]]
    many = data["many"]
    rows.append((NAMES["lazy"] + ", many VMs", many["footprint"], many))
    lines += table(["policy", "regions", "RMPOPTs", "IPIs", "ms"],
                   [[name, size, total(trial), sum(trial["ipis"]),
                     number(trial["recovered_ms"][-1])]
                    for name, size, trial in sorted(rows, key=lambda row: row[:2])])
    if many["callers"]:
        lines += ["", "The end of many VMs itself has IPIs: " + ", ".join(
            f"{count} {name}()" for name, count in sorted(many["callers"].items())) + "."]
    lines += ["", f"All {about['regions']} regions verified, by the core that did the most and by "
              "the others (median):", "RMPOPTs that read the RMP and optimized, or had a cached "
              "result, or failed.", "This series has nothing to do for what is optimized.", ""]
    lines += table(["policy", "private pages", "leader", "followers"],
                   [[NAMES[case["policy"]], CASES[case["case"]], *apart(case["rmpopts"])]
                    for case in data["cases"]])
    lines += ["", f"Modelled, a VM of {FOOTPRINT} regions ends: counts by arithmetic, cycles of RMPOPT "
              "alone by the", "vendor's published costs, in millions, on each core that follows.  "
              "IPIs and waiting for them", "are not in: the vendor measured 391 and 457 ms for March's "
              "way on a host with 2TB, 317 and", "369 ms for a leader first.  The public ones leave "
              "out memory above 2TB; above it, the counts", "of this series are the most that they "
              "can be.", ""]
    lines += table(["host", "policy", "RMPOPTs", "IPIs", "Mcycles"],
                   [[f"{host['gb']} GB, {host['cores']} cores", NAMES[host["policy"]], host["total"],
                     host["ipis"], "-".join(f"{bound / 1e6:.3f}" for bound in
                                            host["cycles"]["follower"])]
                    for host in data["model"]["hosts"]])
    lines += ["", "Instructions of the series for each page that becomes private, and shared again:",
              ""]
    names = sorted(set(data["path"]["private"]) | set(data["path"]["shared"]))
    lines += table(["function", "private", "shared"],
                   [[f"{name}()", *(number(data["path"][way].get(name, 0.0))
                                    for way in ("private", "shared"))] for name in names] +
                   [["all", *(number(sum(data["path"][way].values()))
                              for way in ("private", "shared"))]])
    lines += ["", f"A VM's footprint takes {data['path']['bytes']} bytes, with a bit for each "
              "region that there can be.", "", "Targets:", ""]
    lines += table(["target", "measured", "limit", ""],
                   [[goal["name"], number(goal["value"]), number(goal["limit"]),
                     "met" if goal["met"] else f"MISSED: {goal['why']}"]
                    for goal in data["targets"]])
    lines += [f"The model differs: {line}" for line in data["model"]["differs"]]
    return "\n".join(lines) + "\n"


def apart(rmpopts):
    """The core with the most work, and the median of the others, as words"""
    cores = sorted(rmpopts, key=lambda core: (core["scanned"] + core["failed"], core["cached"]))
    return ["/".join(number(value) for value in core.values()) for core in
            (cores[-1], {what: statistics.median(core[what] for core in cores[:-1])
                         for what in cores[0]})]


def write(data, tables, path):
    """All figures as path.json, and the tables as path.md"""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".json", "w") as file:
        json.dump(data, file, indent=1)
        file.write("\n")
    with open(path + ".md", "w") as file:
        file.write(tables)


def finish(data, out):
    """Compute what follows from the measurements, and write everything."""
    data["summary"] = summary(data)
    data["model"] = computed(data)
    data["targets"] = targets(data)
    tables = text(data)
    write(data, tables, os.path.join(out, "bench"))
    print(tables)
    benchplot.draw(data, out)
    where = os.path.relpath(out, machine.TOP)
    print(f"{where}/bench.json has all figures, bench.md the tables, bench-*.svg the pictures")
