#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
What the benchmark's samples say: tables, CSV, JSON, figures, verdicts.

    report.py LOG OUTDIR [PART...]

LOG has the program's lines, "@ WHAT KEY=VALUE...", among others. Of the parts that
are named, or else of all, each target is told of: the last lines are
"target NAME: PASS|FAIL value (bound)", or "target NAME: not judged WHY". The exit
status is 1 if one fails.
"""

import csv
import json
import os
import sys

import draw
import judges
import stats
import targets
import trace_log

WAYS = {
    "token": "tapxfer, by token",
    "channel": "tapxfer, over a UNIX socket",
    "fds": "SCM_RIGHTS alone",
    "plug": "tc plug around SCM_RIGHTS",
    "queue": "TUNSETQUEUE, new queues",
    "reopen": "close and re-open",
    "recreate": "delete and re-create",
    "token-steps": "tapxfer, by token, claim and thaw apart",
    "token-vmm": "tapxfer, by token, target sets it up",
    "fds-vmm": "SCM_RIGHTS alone, target sets it up",
}
PARTS = ("blackout", "loss", "after", "scale", "memory", "trace")
STEPS = ("freeze", "claim", "thaw")


def number(text):
    """What is a number is one"""
    try:
        return int(text)
    except ValueError:
        return text


def read_log(path):
    """{what: [{key: value}]}, and the lines of the tracer by pass"""
    samples, traces = {}, {}
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            word, _, rest = line.rstrip("\n").partition(" ")
            what, _, rest = rest.partition(" ")
            if word == "@trace":
                traces.setdefault(what, []).append(rest)
            elif word == "@":
                # A line that the machine's end has cut off is none.
                fields = [field.partition("=") for field in rest.split()]
                if all(sep for _, sep, _ in fields):
                    samples.setdefault(what, []).append(
                        {key: number(value) for key, _, value in fields})
    return samples, traces


def table(title, head, rows):
    """Columns as wide as they have to be; the first is text"""
    print(f"\n{title}\n")
    rows = [[str(cell) for cell in row] for row in [head] + rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip())


def us(ns):
    """Microseconds, readable"""
    if ns is None:
        return "-"
    return f"{ns / 1000:.0f}" if ns >= 100000 else f"{ns / 1000:.1f}"


# -- tables ------------------------------------------------------------------

def between(s):
    """What is none of tapxfer's own steps, of one handover"""
    return s["ns"] - sum(s[step] for step in STEPS)


def blackout_tables(samples):
    """Medians, p99 and how often; the parts of tapxfer's"""
    blackout = judges.Blackout(samples)
    for load in (0, 1):
        rows = []
        for way, text in WAYS.items():
            row = [text]
            for queues in blackout.queues:
                ns = blackout.values(way, queues, load)
                row.append(f"{us(stats.median(ns))} / {us(stats.p99(ns))} ({len(ns)})"
                           if ns else "-")
            rows.append(row)
        table(f"Blackout, us, median / p99 (handovers), {'under load' if load else 'idle'}; "
              "queues:", [""] + blackout.queues, rows)
    rows = []
    for load in (0, 1):
        for queues in blackout.queues:
            mine = list(blackout.points.get(("token-steps", queues, load), {}).values())
            if mine:
                columns = [[s[key] for s in mine] for key in STEPS]
                columns += [[between(s) for s in mine]]
                columns += [[s[key] for s in mine] for key in ("ns", "prepare")]
                rows.append([f"{queues}{', load' if load else ''}"] +
                            [f"{us(stats.median(c))} / {us(stats.p99(c))}" for c in columns])
    table("tapxfer by token, claim and thaw apart, us, median / p99 (prepare is while the guest "
          "runs)",
          ["queues"] + list(STEPS) + ["between", "all", "prepare"], rows)


def offered(s):
    """How much came, and what tapxfer was to hold of it"""
    return s["packets"], s["hold"], s["hold_bytes"]


def offered_text(point, points):
    """A column's head: a limit is named that is below the usual one"""
    packets, hold, size = point
    return (f"{packets}" + (f"/{hold}" if hold < max(p[1] for p in points) else "") +
            (f"/{size >> 20} MiB" if size < max(p[2] for p in points) else ""))


def loss_table(samples, kind, queues):
    """What each way loses"""
    mine = [s for s in samples if (s["kind"], s["queues"]) == (kind, queues)]
    points = sorted({offered(s) for s in mine})
    if kind == "edges":
        # As many as come while it takes place: each way has its own.
        rows = [[WAYS[s["way"]], s["packets"], s["lost"]] for s in mine]
        table(f"Lost of the packets that came from before a handover until after it, {queues} "
              "queues:", ["", "packets", "lost"], rows)
    elif points:
        rows = []
        for way, text in WAYS.items():
            lost = {offered(s): s["lost"] for s in mine if s["way"] == way}
            if lost:
                rows.append([text] + [lost.get(p, "-") for p in points])
        table(f"Lost of so many packets that came while nobody read, {kind}, {queues} queues"
              " (/N: tapxfer is to hold N a queue; /N MiB: as much of all):",
              [""] + [offered_text(p, points) for p in points], rows)


def loss_tables(samples):
    """All of them, and how long what was held takes to be read"""
    for kind in ("small", "large", "edges"):
        for queues in sorted({s["queues"] for s in samples}):
            loss_table(samples, kind, queues)
    rows = []
    for s in samples:
        if s["way"] in targets.TAPXFER + ("fds", "plug") and s["kind"] == "small":
            got = s["packets"] - s["lost"]
            rows.append([f"{WAYS[s['way']]}, {s['queues']} queues", s["packets"], got,
                         us(s["last"]), us(s["last"] / got if got else None)])
    table("From the end to the last packet, us", ["", "packets", "read", "until the last",
                                                  "each"], rows)


def after_tables(samples):
    """Packets a second and CPU: before and after, without and with"""
    rows = []
    for kind, name in judges.AFTER:
        for value, what in judges.COSTS:
            pairs = judges.after_ratios(samples, kind, value)
            if pairs:
                rows.append([f"{name}, {what} a packet", len(pairs),
                             judges.spread(*stats.median_of_ratios(pairs), 4)])
    table("After by before, without by with", ["", "pairs", "ratio"], rows)


SCALE = {
    "turns": "one after the other",
    "frozen": "all frozen, then claimed",
    "control": "(as many children that compute)",
}


def scale_tables(samples):
    """Many devices; of what was done several times, medians"""
    points = {}
    for s in samples:
        points.setdefault((s["what"], s["devices"], s["pairs"]), []).append(s)
    rows = []
    for (what, devices, pairs), mine in sorted(points.items()):
        row = [SCALE[what], devices, pairs, len(mine)]
        row += [us(stats.median([s[key] for s in mine if key in s]))
                for key in ("total", "mean", "longest")]
        row += [stats.median([s[key] for s in mine]) // 1024 if key in mine[0] else "-"
                for key in ("prepared", "frozen")]
        rows.append(row)
    table("Devices at once", ["", "devices", "pairs", "rounds", "all, us", "each, us",
                              "longest, us", "memory prepared, KiB", "frozen, KiB"], rows)


def memory_tables(samples):
    """What a frozen queue takes"""
    rows = []
    for s in samples:
        rows.append([s["queues"], s["hold"], s["held"], s["empty"] // s["queues"],
                     (s["empty"] + s["full"]) // s["queues"] if s["held"] else "-",
                     s["charged"] // s["held"] if s["held"] else "-"])
    table("Memory, bytes", ["queues", "hold", "packets held", "a queue, empty",
                            "a queue, full", "charged a packet"], rows)


# -- files -------------------------------------------------------------------

def summary(samples):
    """Of each point of the blackout: how often, median, p99; nothing where none was taken"""
    points = {}
    for s in samples.get("blackout", []):
        points.setdefault((s["way"], s["queues"], s["load"]), []).append(s)
    for (way, queues, load), mine in sorted(points.items()):
        row = {"way": way, "queues": queues, "load": load, "handovers": len(mine)}
        for key in ("ns", "prepare") + STEPS:
            values = [s[key] for s in mine if key in s]
            row[f"{key}_median"] = int(stats.median(values)) if values else None
            row[f"{key}_p99"] = stats.p99(values)
        yield row


def write_csv(path, rows):
    """A sample may lack what others have."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    with open(path, "w", encoding="utf-8") as f:
        writer = csv.DictWriter(f, keys, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write(samples, verdicts, outdir):
    """CSV of the samples, JSON of all; and what is short enough to be kept"""
    for what, rows in samples.items():
        if what != "about":
            write_csv(os.path.join(outdir, what + ".csv"), rows)
    rows = list(summary(samples))
    if rows:
        write_csv(os.path.join(outdir, "summary.csv"), rows)
    with open(os.path.join(outdir, "targets.json"), "w", encoding="utf-8") as f:
        json.dump({"about": samples["about"][0], "targets": verdicts}, f, indent=1)
        f.write("\n")
    with open(os.path.join(outdir, "bench.json"), "w", encoding="utf-8") as f:
        json.dump({"about": samples["about"][0], "targets": verdicts,
                   "samples": {k: v for k, v in samples.items() if k != "about"}}, f)
        f.write("\n")


PART_TABLES = {
    "blackout": blackout_tables,
    "loss": loss_tables,
    "after": after_tables,
    "scale": scale_tables,
    "memory": memory_tables,
}

PART_JUDGES = {
    "blackout": judges.judge_blackout,
    "loss": judges.judge_loss,
    "after": judges.judge_after,
    "scale": judges.judge_scale,
    "memory": judges.judge_memory,
}


def judge(samples, traces, parts):
    """All verdicts, and whether none has failed"""
    verdicts = targets.Targets(samples["about"][0]["rounds"], parts)
    for part in parts:
        if part == "trace":
            if traces:
                trace_log.judge(traces, samples.get("trace", []), verdicts)
        elif part in samples:
            PART_JUDGES[part](samples[part], verdicts)
    return verdicts.finish()


def main():
    """The report"""
    if len(sys.argv) < 3 or set(sys.argv[3:]) - set(PARTS):
        sys.exit("usage: report.py LOG OUTDIR [PART...]")
    samples, traces = read_log(sys.argv[1])
    if not samples.get("about"):
        sys.exit("bench: the log has no samples")
    print("# " + ", ".join(f"{key} {value}" for key, value in samples["about"][0].items()))
    for part, tables in PART_TABLES.items():
        if part in samples:
            tables(samples[part])
    if traces:
        trace_log.tell(traces, samples.get("trace", []), table)
    verdicts, passed = judge(samples, traces, sys.argv[3:] or PARTS)
    write(samples, verdicts, sys.argv[2])
    draw.figures(samples, WAYS, sys.argv[2])
    targets.tell(verdicts)
    sys.exit(not passed)


if __name__ == "__main__":
    main()
