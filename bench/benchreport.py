# SPDX-License-Identifier: GPL-2.0-only
"""What 'make bench' writes: out/bench.json, out/bench.md and the pictures."""

import json
import os
import statistics

import machine
import model

OUT = os.path.join(machine.TOP, "out")
TICK = 1 / 250			# CONFIG_HZ_250
NAMES = {"lazy": "this series", "eager": "this series, eager",
         "june": "public, June 2026", "march": "public, March 2026"}

# Hosts to compute: GB of RAM, cores, threads
HOSTS = ((1024, 128, 2), (2048, 256, 2), (4096, 384, 2))
FOOTPRINT = 100			# GB, a large guest on each of them


def total(trial):
    return sum(sum(core.values()) for core in trial["rmpopts"])


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def figures(trial, about):
    """One trial as the figures that are compared"""
    def ipis(cores):
        return sum(trial["ipis"][core] for core in cores)

    rmpopts = trial["rmpopts"]
    return {
        "rmpopts": total(trial),
        **{what: sum(core[what] for core in rmpopts) for what in rmpopts[0]},
        "leader": max(sum(core.values()) for core in rmpopts),
        "ipis": sum(trial["ipis"]),
        "ipis_ordinary": ipis(about["ordinary"]),
        "exits_added": round(sum(max(0, trial["exits"][core] - trial["exits_quiet"][core])
                                 for core in about["ordinary"]), 1),
        "ipis_idle": ipis(about["idle"]),
        "ipis_isolated": ipis(about["isolated"]),
        "ms": 1000 * (trial["waited"] + trial["seconds"]),
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
    """The model against the RMPOPTs that were counted, which must be equal; and other
    hosts."""
    about, differs = data["machine"], []
    for trial in data["trials"]:
        # An idle core may have woken by itself, and caught up.
        if trial["policy"] == "lazy":
            busy = sum(1 for core in trial["rmpopts"] if core["scanned"] + core["cached"])
        else:
            busy = about["cores"]
        expected = model.counts(trial["policy"], about["regions"], trial["footprint"],
                                about["cores"], about["threads"], busy)
        # What failed was the firmware's, whose region was not the VM's.
        got = total(trial) - (0 if trial["policy"] in ("june", "march") else
                              sum(core["failed"] for core in trial["rmpopts"]))
        if got != expected["total"]:
            differs.append(f"{trial['policy']}: {got} RMPOPTs counted, {expected['total']} computed")
    return {"differs": differs, "hosts": [
        {"gb": gb, "cores": cores, "threads": threads, "footprint": FOOTPRINT, "policy": policy,
         **model.counts(policy, gb, FOOTPRINT, cores, threads),
         "cycles": model.cycles(policy, gb, FOOTPRINT, threads)}
        for gb, cores, threads in HOSTS for policy in NAMES]}


def targets(data):
    """What is wanted of the lazy policy, and whether it is so."""
    lazy, june = data["summary"]["lazy"], data["summary"]["june"]
    trials = [trial for trial in data["trials"] if trial["policy"] == "lazy"]
    footprint = trials[0]["footprint"]
    most = footprint * data["machine"]["cores"]
    chain = max(core["scanned"] + core["failed"] for core in data["boot"])
    share = -(-data["machine"]["regions"] // data["machine"]["cores"])

    def target(name, value, limit, at_least=False):
        return {"name": name, "value": round(value, 2), "limit": round(limit, 2),
                "met": value >= limit if at_least else value <= limit}

    return [
        target("IPIs", lazy["ipis"]["max"], 0),
        # What is expected of a quiet time is not a whole number.
        target("added VM exits of ordinary guests (median)", lazy["exits_added"]["median"], 0.5),
        target("IPIs to idle and isolated cores",
               lazy["ipis_idle"]["max"] + lazy["ipis_isolated"]["max"], 0),
        target("RMPOPTs", lazy["rmpopts"]["median"], 1.05 * most),
        target("ticks until every busy core is complete", lazy["ms"]["median"] / 1000 / TICK, 5),
        target("times fewer RMPOPTs than June's policy",
               june["rmpopts"]["median"] / lazy["rmpopts"]["median"], 8, at_least=True),
        target("regions whose RMP one core reads at boot", chain, share),
    ]


ROWS = (("rmpopts", "RMPOPTs"), ("scanned", "that read the RMP"), ("cached", "with a cached result"),
        ("failed", "that failed"), ("leader", "most on one core"), ("ipis", "IPIs"),
        ("ipis_ordinary", "IPIs to the ordinary guests' cores"),
        ("exits_added", "added VM exits of ordinary guests"),
        ("ipis_idle", "IPIs to the idle core"), ("ipis_isolated", "IPIs to the isolated core"),
        ("ms", "ms until all busy cores were complete"))


def number(value):
    return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def cell(figure):
    text = number(figure["median"])
    if figure["min"] != figure["max"]:
        text += f" ({number(figure['min'])}-{number(figure['max'])})"
    return text


def table(head, rows):
    width = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    line = ["| " + " | ".join(str(text).ljust(wide) for text, wide in zip(row, width)) + " |"
            for row in [head, *rows]]
    return [line[0], "|" + "|".join("-" * (wide + 2) for wide in width) + "|", *line[1:]]


def text(data):
    about, summary = data["machine"], data["summary"]
    trials = len(data["trials"]) // len(summary)
    lines = [f"An SNP VM that used {data['trials'][0]['footprint']} of {about['regions']} regions has "
             f"ended, on {about['cores']} cores of", f"{about['threads']} threads; {trials} times, median "
             "(and spread).  Times are those of an emulator, and", "in June's policy 10000 ms are "
             "the delay that it waits.", ""]
    lines += table(["", *(NAMES[policy] for policy in summary)],
                   [[title, *(cell(summary[policy][what]) for policy in summary)]
                    for what, title in ROWS])
    lines += ["", f"Modelled, a VM of {FOOTPRINT} regions ends: counts by arithmetic, cycles of RMPOPT "
              "alone by the", "vendor's published costs, in millions, on each core that follows.", ""]
    lines += table(["host", "policy", "RMPOPTs", "IPIs", "Mcycles"],
                   [[f"{host['gb']} GB, {host['cores']} cores", NAMES[host["policy"]], host["total"],
                     host["ipis"], "-".join(f"{bound / 1e6:.3f}" for bound in
                                            host["cycles"]["follower"])]
                    for host in data["model"]["hosts"]])
    lines += ["", "Targets:", ""]
    lines += table(["target", "measured", "limit", ""],
                   [[goal["name"], number(goal["value"]), number(goal["limit"]),
                     "met" if goal["met"] else "MISSED"] for goal in data["targets"]])
    lines += [f"The model differs: {line}" for line in data["model"]["differs"]]
    return "\n".join(lines) + "\n"


def write(data):
    os.makedirs(OUT, exist_ok=True)
    with open(os.path.join(OUT, "bench.json"), "w") as file:
        json.dump(data, file, indent=1)
        file.write("\n")
    with open(os.path.join(OUT, "bench.md"), "w") as file:
        file.write(text(data))
    print(text(data))
    print("out/bench.json has all figures, out/bench.md the tables")
