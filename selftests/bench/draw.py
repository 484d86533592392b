# SPDX-License-Identifier: GPL-2.0
"""
The figures: gnuplot draws them as SVG.
"""

import os
import shutil
import subprocess

import stats

# Ours stand out, and can be told apart without colours.
STYLES = {
    "token": "lw 3 lc rgb '#c0392b' pt 7",
    "channel": "lw 3 lc rgb '#e67e22' pt 5",
    "fds": "lw 2 lc rgb '#2c3e50' pt 9",
    "plug": "lw 2 lc rgb '#8e44ad' pt 11",
    "queue": "lw 2 lc rgb '#16a085' pt 13",
    "reopen": "lw 2 lc rgb '#2980b9' pt 4",
    "recreate": "lw 2 lc rgb '#7f8c8d' pt 6",
    "token-steps": "lw 1 lc rgb '#c0392b' pt 8",
    # They are there at one point only: no line.
    "token-vmm": "lw 3 lc rgb '#c0392b' pt 12",
    "fds-vmm": "lw 2 lc rgb '#2c3e50' pt 14",
}

HEAD = """set terminal svg size 760,540 dynamic noenhanced font 'sans-serif,13' background '#ffffff'
set output '{out}'
set title "{title}"
set xlabel "{x}"
set ylabel "{y}"
set grid xtics ytics lt 1 lw 1 lc rgb '#dddddd'
set key below maxcols 2
{more}
"""


def plot(path, title, labels, lines, more=""):
    """LINES: [(style, text, [(x, y)])]; nothing is drawn of none"""
    lines = [line for line in lines if line[2]]
    if not lines:
        return
    xs = sorted({x for _, _, points in lines for x, _ in points})
    more += f"\nset logscale x 2\nset xtics ({', '.join(str(x) for x in xs)})"
    more += f"\nset xrange [{xs[0] * 0.9}:{xs[-1] * 1.1}]"
    script = HEAD.format(out=path, title=title, x=labels[0], y=labels[1], more=more)
    script += "plot " + ", ".join(
        f"'-' with linespoints {style} title \"{text}\"" for style, text, _ in lines) + "\n"
    for _, _, points in lines:
        script += "".join(f"{x} {y}\n" for x, y in sorted(points)) + "e\n"
    # it warns where all is zero
    subprocess.run(["gnuplot"], input=script, text=True, stderr=subprocess.PIPE, check=True)


def blackout(samples, ways, load, path):
    """Median against queues"""
    lines = []
    for way, text in ways.items():
        by_queues = {}
        for s in samples:
            if s["way"] == way and s["load"] == load:
                by_queues.setdefault(s["queues"], []).append(s["ns"] / 1e6)
        lines.append((STYLES[way], text,
                      [(q, stats.median(v)) for q, v in by_queues.items()]))
    plot(path, "How long the guest is cut off, " + ("under load" if load else "idle"),
         ("queues", "ms, median"), lines, "set logscale y\nset format y '%g'")


def loss(samples, ways, queues, kind, path):
    """Lost against offered, with the default limits, which are the largest"""
    most = max(((s["hold"], s["hold_bytes"]) for s in samples), default=None)
    lines = []
    for way, text in ways.items():
        lines.append((STYLES[way], text,
                      [(s["packets"], s["lost"]) for s in samples
                       if (s["way"], s["queues"], s["kind"]) == (way, queues, kind) and
                       (s["hold"], s["hold_bytes"]) == most]))
    plot(path, f"Lost of the {kind} packets that came while nobody read, {queues} queues",
         ("packets", "lost"), lines,
         "set format y '%.0f'\nset yrange [0:1<*]")


def parts(samples, path):
    """Freeze, claim, thaw, and what is between, of the token's way"""
    names = ("freeze", "claim", "thaw", "between")
    lines = {name: [] for name in names}
    for queues in sorted({s["queues"] for s in samples}):
        mine = [s for s in samples
                if s["way"] == "token-steps" and s["queues"] == queues and not s["load"]]
        if not mine:
            continue
        for s in mine:
            s["between"] = s["ns"] - s["freeze"] - s["claim"] - s["thaw"]
        for name in names:
            lines[name].append((queues, stats.median([s[name] for s in mine]) / 1e6))
        for s in mine:
            del s["between"]
    plot(path, "Where tapxfer's time goes, idle", ("queues", "ms, median"),
         [(f"lw 2 pt {5 + 2 * i}", name, lines[name]) for i, name in enumerate(names)],
         "set logscale y\nset format y '%g'")


def figures(samples, ways, outdir):
    """All that the samples are there for"""
    if not shutil.which("gnuplot"):
        print("# no figures: gnuplot is not installed")
        return
    if "blackout" in samples:
        for load in (0, 1):
            blackout(samples["blackout"], ways, load,
                     os.path.join(outdir, f"blackout-{'load' if load else 'idle'}.svg"))
        parts(samples["blackout"], os.path.join(outdir, "parts.svg"))
    for queues in sorted({s["queues"] for s in samples.get("loss", [])}):
        for kind in ("small", "large"):
            loss(samples["loss"], ways, queues, kind,
                 os.path.join(outdir, f"loss-{kind}-{queues}.svg"))
