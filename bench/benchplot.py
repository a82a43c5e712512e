# SPDX-License-Identifier: GPL-2.0-only
"""The pictures of 'make bench': how much a policy disturbs, how fast regions come
back, and what more memory costs.  Shades and line styles tell policies apart in
grey, too."""

import os

import model

STYLES = {				# colour, line, marker
    "lazy": ("#1b7a47", "-", "o"),
    "eager": ("#7dbb94", "--", "s"),
    "june": ("#c98b2b", "-.", "^"),
    "march": ("#7a2f2f", ":", "D"),
}
LABELS = {"lazy": "this series", "eager": "this series,\neager",
          "june": "public,\nJune 2026", "march": "public,\nMarch 2026"}
PANELS = (("rmpopts", "RMPOPTs"), ("ipis", "interrupts (IPIs)"),
          ("checks", "RMP checks that\nordinary guests paid"))
FOOTPRINT = 100			# regions of the VM that is modelled
SIZES = [256, 512, 1024, 2048, 4096, 8192]	# GB of the hosts that are modelled
GB_PER_CORE = 8


def style():
    """pyplot, for pictures that look alike and do not change by themselves"""
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 10, "axes.spines.top": False,
                            "axes.spines.right": False, "svg.hashsalt": "rmpopt"})
    return pyplot


def draw(data, directory):
    pyplot = style()
    for name, picture in ("disturbance", disturbance), ("recovery", recovery), ("growth", growth):
        figure = picture(pyplot, data)
        figure.savefig(os.path.join(directory, f"bench-{name}.svg"), metadata={"Date": None})
        pyplot.close(figure)


def one_line(policy):
    return LABELS[policy].replace("\n", " ")


def disturbance(pyplot, data):
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(9.5, 3.4), layout="constrained")
    policies = list(data["summary"])
    for axis, (what, title) in zip(axes, PANELS):
        values = [data["summary"][policy][what]["median"] for policy in policies]
        bars = axis.barh(range(len(policies)), values,
                         color=[STYLES[policy][0] for policy in policies])
        axis.bar_label(bars, labels=[f"{value:,.0f}" for value in values], padding=3)
        axis.set_yticks(range(len(policies)),
                        [LABELS[policy] for policy in policies] if axis is axes[0] else [])
        axis.invert_yaxis()
        axis.set_title(title, fontsize=10)
        axis.set_xlim(0, 1.25 * max(*values, 1))
        axis.set_xticks([])
        axis.spines["bottom"].set_visible(False)
        axis.tick_params(length=0)
    about = data["machine"]
    figure.suptitle(f"An SNP VM with {data['trials'][0]['footprint']} of {about['regions']} regions "
                    f"ends, on {about['cores']} cores (median)", fontsize=11)
    return figure


def recovery(pyplot, data):
    figure, axis = pyplot.subplots(figsize=(7.5, 4), layout="constrained")
    last = 0
    for trial in data["trials"]:
        colour, line, _ = STYLES[trial["policy"]]
        times, count = trial["recovered_ms"], len(trial["recovered_ms"])
        last = max(last, times[-1])
        first = not any(text.get_label() == one_line(trial["policy"]) for text in axis.lines)
        axis.step([0.1, *(max(when, 0.1) for when in times)],
                  [0, *(100 * (number + 1) / count for number in range(count))],
                  where="post", color=colour, linestyle=line, linewidth=2,
                  label=one_line(trial["policy"]) if first else None)
    axis.set_xscale("log")
    axis.set_xlim(0.1, 3 * last)
    axis.set_ylim(0, 104)
    axis.set_xlabel("ms since the last page of the VM became shared (emulated)")
    axis.set_ylabel("% of the VM's regions back,\non the busy cores")
    axis.legend(frameon=False, loc="upper left")
    return figure


def growth(pyplot, data):
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    for policy in "lazy", "june":
        colour, line, marker = STYLES[policy]
        points = sorted((trial["footprint"], sum(sum(core.values()) for core in trial["rmpopts"]))
                        for trial in data["growth"] if trial["policy"] == policy)
        left.plot(*zip(*points), color=colour, linestyle=line, marker=marker,
                  label=one_line(policy))
    left.set_ylim(bottom=0)
    left.set_xlabel("regions that the VM had")
    left.set_ylabel("RMPOPTs")
    left.set_title(f"counted: {data['machine']['regions']} regions, "
                   f"{data['machine']['cores']} cores", fontsize=10)
    left.legend(frameon=False, loc="center right")
    for policy in "lazy", "june", "march":
        colour, line, marker = STYLES[policy]
        right.plot(SIZES, [model.counts(policy, size, FOOTPRINT, size // GB_PER_CORE, 2)["total"]
                           for size in SIZES],
                   color=colour, linestyle=line, marker=marker, label=one_line(policy))
    right.set_xscale("log", base=2)
    right.set_yscale("log")
    right.set_xticks(SIZES, [f"{size // 1024} TB" if size >= 1024 else f"{size} GB"
                             for size in SIZES])
    right.set_xlabel(f"memory of the host, a core for each {GB_PER_CORE} GB")
    right.set_ylabel("RMPOPTs")
    right.set_title(f"modelled: a VM with {FOOTPRINT} regions", fontsize=10)
    right.legend(frameon=False)
    return figure
