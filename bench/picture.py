# SPDX-License-Identifier: GPL-2.0-only
"""The map: which core has which region optimized, at several moments."""

FULL, DARK, NEVER = "full", "dark", "never"
CHARS = {FULL: "#", DARK: ".", NEVER: "-"}
BLOCKS = {FULL: "\033[32m\u25a0\033[0m", DARK: "\033[31m\u25a1\033[0m",
          NEVER: "\033[2m\u00b7\033[0m"}
COLOURS = {FULL: "#3a8f5c", DARK: "#e8e2d0", NEVER: "#9a9a9a"}
LEGEND = {FULL: "optimized: writes skip the RMP check",
          DARK: "every write is checked",
          NEVER: "holds firmware pages or the RMP: never optimized"}


def cell(core, region, closed):
    """The state of one region on one core; closed are the regions that were
    out of reach before any VM came."""
    if region in core:
        return FULL
    return NEVER if region in closed else DARK


def text(cores, regions, closed, colour):
    """One moment as lines: a row for each core, a column for each region."""
    marks = BLOCKS if colour else CHARS
    lines = ["   region  " + " ".join(f"{region:>2}" for region in regions)]
    for number, core in enumerate(cores):
        row = " ".join(" " + marks[cell(core, region, closed)] for region in regions)
        lines.append(f"   core {number:<3} {row}")
    return lines


def legend(colour):
    marks = BLOCKS if colour else CHARS
    return ["   " + marks[state] + " " + LEGEND[state] for state in (FULL, DARK, NEVER)]


def draw(path, moments, regions, closed):
    """Write the moments, (title, cores) pairs, side by side as one picture."""
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    states = (FULL, DARK, NEVER)
    figure, axes = pyplot.subplots(
        1, len(moments), sharey=True, layout="constrained",
        figsize=(max(3.4, 0.3 * len(regions)) * len(moments), 1.9 + 0.32 * len(moments[0][1])))
    for axis, (title, cores) in zip(axes, moments):
        axis.pcolormesh([[states.index(cell(core, region, closed)) for region in regions]
                         for core in cores],
                        cmap=ListedColormap([COLOURS[state] for state in states]),
                        vmin=0, vmax=2, edgecolors="white", linewidth=2)
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("1 GB region")
        axis.set_xticks([n + 0.5 for n in range(len(regions))], regions)
        axis.set_yticks([n + 0.5 for n in range(len(cores))], range(len(cores)))
        axis.tick_params(length=0)
        axis.invert_yaxis()
        axis.set_aspect("equal")
        axis.spines[:].set_visible(False)
    axes[0].set_ylabel("core")
    figure.legend(handles=[Patch(color=COLOURS[state], label=LEGEND[state])
                           for state in states],
                  loc="lower center", ncol=3, frameon=False, fontsize=9)
    figure.get_layout_engine().set(rect=(0, 0.1, 1, 0.9))
    figure.savefig(path, metadata={"Date": None})
