# SPDX-License-Identifier: GPL-2.0
"""
What the samples are judged by, part by part. A judge that finds no samples says
nothing: then the target has failed, see targets.py.
"""

import stats
from targets import FULL, HANDOVERS, LOADS, PAIRS, QUICK, TAPXFER

# Queues
HELD_POINTS = (1, 4, 16, 64, 256)
ALL_POINTS = (1, 4, 8, 16, 64, 256)
# How many each way can have; the driver counts detached queues, too.
WAYS = {"token": 256, "token-steps": 256, "channel": 256, "fds": 256, "plug": 256,
        "queue": 128, "reopen": 256, "recreate": 256}


def spread(value, ends, digits=2):
    """A value with its interval"""
    return f"{value:.{digits}f} [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


# -- the blackout ------------------------------------------------------------

class Blackout:
    """Handovers by way, queues and load"""

    def __init__(self, samples):
        self.queues = sorted({s["queues"] for s in samples})
        self.points = {}
        for s in samples:
            point = self.points.setdefault((s["way"], s["queues"], s["load"]), {})
            point[s["round"]] = s

    def get(self, way, queues, load, key="ns"):
        """{round: ns}"""
        return {r: s[key] for r, s in self.points.get((way, queues, load), {}).items()
                if key in s}

    def values(self, way, queues, load, key="ns"):
        """Of a point, without their rounds"""
        return list(self.get(way, queues, load, key).values())

    def series(self, way, load, last):
        """{queues: {round: ns}}, up to the last"""
        return {q: self.get(way, q, load) for q in self.queues if q <= last}


def judge_ratio(blackout, targets, ours, theirs, load):
    """Of 8 queues, by the upper end of the interval"""
    name = f"blackout-{ours}-to-{theirs}-8-queues-{LOADS[load]}"
    ratio = stats.ratio_of_medians(blackout.get(ours, 8, load), blackout.get(theirs, 8, load))
    bound = 0.05 if theirs == "reopen" else 4
    if ratio:
        targets.judge(name, ratio[1][1] <= bound, spread(*ratio, 4 if bound < 1 else 2))


def judge_slope(blackout, targets, way, load, last):
    """What a queue more costs, by what it costs plain passing"""
    name = f"slope-{way}-to-fds-1-{last}-{LOADS[load]}"
    if not targets.wants(name) or last not in blackout.queues:
        return
    slopes = stats.slopes(blackout.series(way, load, last), blackout.series("fds", load, last))
    if not slopes:
        return
    ours, theirs, ratio = slopes
    more = f"{spread(ours[0] / 1000, [e / 1000 for e in ours[1]])} and " \
           f"{spread(theirs[0] / 1000, [e / 1000 for e in theirs[1]])} us a queue"
    if not ratio or ours[1][0] <= 0:
        targets.judge(name, False, "no slope that is certainly above 0", more)
    else:
        targets.judge(name, ratio[1][1] <= 2, spread(*ratio), more)


def judge_growth(blackout, targets, way, load):
    """Linear: the last point is where those before it point to"""
    name = f"growth-{way}-to-256-{LOADS[load]}"
    if not targets.wants(name) or 256 not in blackout.queues:
        return
    series = blackout.series(way, load, 256)
    growth = stats.growth(series)
    if growth:
        targets.judge(name, growth[1][1] <= 1.25, spread(*growth))
    elif all(series.values()):
        targets.judge(name, False, "no growth below 256")


def judge_blackout(samples, targets):
    """The ratios to keep"""
    blackout = Blackout(samples)
    queues = ALL_POINTS if targets.rounds >= FULL else \
        (1, 8, 64) if targets.rounds >= QUICK else (8,)
    lacking = [(way, q, text) for way, most in WAYS.items() for q in queues
               for load, text in enumerate(LOADS)
               if q <= most and not blackout.get(way, q, load)]
    targets.judge("blackout-measured", not lacking, lacking[0] if lacking else len(samples))
    for load, text in enumerate(LOADS):
        for way in TAPXFER + ("fds",):
            least = min(len(blackout.get(way, q, load)) for q in HELD_POINTS)
            if least:
                targets.judge(f"handovers-{way}-{text}", least >= HANDOVERS, least)
        for way in TAPXFER:
            judge_ratio(blackout, targets, way, "fds", load)
            judge_ratio(blackout, targets, way, "reopen", load)
            for last in (64, 256):
                judge_slope(blackout, targets, way, load, last)
            judge_growth(blackout, targets, way, load)
        judge_ratio(blackout, targets, "token-steps", "fds", load)
        judge_ratio(blackout, targets, "token-vmm", "fds-vmm", load)


# -- loss --------------------------------------------------------------------

def memory_of_one(samples):
    """What a large packet takes: the kernel's own account of those that it held"""
    return stats.median([s["held_bytes"] / s["held"] for s in samples
                         if s["kind"] == "large" and s.get("held_bytes") and s.get("held")])


def limit_of(s, truesize):
    """By which limit it is too much: "packets", "bytes", or None, or it is not known"""
    if s["kind"] == "small":
        return "packets" if s["packets"] > s["hold"] * s["queues"] else None
    if not truesize:
        return "unknown"
    if s["packets"] * truesize > s["hold_bytes"]:
        return "bytes"
    # What chunks of others there may be (limits.c)
    return None if s["packets"] * truesize <= s["hold_bytes"] * 63 / 64 else "unknown"


def missing_points(samples, rounds, truesize):
    """What was not measured of what has to be: text, or None"""
    for way in TAPXFER:
        for queues in (1, 4, 16) if rounds >= FULL else (4,):
            for kind in ("small", "large"):
                mine = [limit_of(s, truesize) for s in samples
                        if (s["way"], s["queues"], s["kind"]) == (way, queues, kind)]
                if None not in mine or not {"packets", "bytes"} & set(mine):
                    return f"no samples below and beyond, {way}, {queues} queues, {kind}"
    return None


def kept_bytes(s, truesize):
    """What was kept, and what the limit allows for: (low, bytes, high)"""
    kept = (s["packets"] - s["lost"]) * truesize
    # Chunks that others have are a 64th at most (limits.c); beyond it is what a
    # CPU is just sending, and each queue's first.
    return (s["hold_bytes"] * 63 / 64 - truesize, kept,
            s["hold_bytes"] + (s["queues"] + 2) * truesize)


def judge_kept_bytes(beyond, truesize, targets):
    """How much of the large ones was kept"""
    if not truesize or not beyond:
        return
    ranges = [kept_bytes(s, truesize) for s in beyond]
    off = sum(not low <= kept <= high for low, kept, high in ranges)
    shares = [kept / s["hold_bytes"] for s, (_, kept, _) in zip(beyond, ranges)]
    targets.judge("loss-beyond-limit-kept-bytes", off == 0, f"{off} of {len(ranges)} off",
                  f"{min(shares):.3f} to {max(shares):.3f} of the limit, "
                  f"{truesize:.0f} bytes a packet")


def judge_edges(edges, targets):
    """What came while it was parked, claimed, unparked"""
    if {s["way"] for s in edges} != set(TAPXFER):
        return
    lost = sum(s["lost"] for s in edges)
    targets.judge("loss-across-edges", lost == 0 and all(s["packets"] for s in edges), lost,
                  f"of {sum(s['packets'] for s in edges)} packets")


def judge_loss(samples, targets):
    """tapxfer: zero up to the limit, then counted"""
    ours = [s for s in samples if s["way"] in TAPXFER]
    gaps = [s for s in ours if s["kind"] != "edges"]
    truesize = memory_of_one(gaps)
    missing = missing_points(gaps, targets.rounds, truesize)
    below = [s for s in gaps if limit_of(s, truesize) is None]
    beyond = [s for s in gaps if limit_of(s, truesize) in ("packets", "bytes")]
    lost = sum(s["lost"] for s in below)
    if missing or below:
        targets.judge("loss-below-limit", not missing and lost == 0, missing or lost,
                      f"of {sum(s['packets'] for s in below)} packets")
    for way in TAPXFER:
        told = [s for s in beyond if s["way"] == way]
        off = sum(abs(s["lost"] - s["dropped"]) for s in told)
        lost = sum(s["lost"] for s in told)
        if told:
            targets.judge(f"loss-beyond-limit-counted-{way}", off == 0 and lost > 0, off,
                          f"of {lost} lost")
    exact = [s for s in beyond if s["kind"] == "small"]
    off = sum(abs(s["packets"] - s["lost"] - s["hold"] * s["queues"]) for s in exact)
    if exact:
        targets.judge("loss-beyond-limit-kept-packets", not missing and off == 0,
                      missing or off)
    judge_kept_bytes([s for s in beyond if s["kind"] == "large"], truesize, targets)
    judge_edges([s for s in ours if s["kind"] == "edges"], targets)
    wrong = sum(s["dup"] + s["reordered"] for s in ours)
    if ours:
        targets.judge("order-and-duplicates", not missing and wrong == 0, missing or wrong)


# -- after -------------------------------------------------------------------

AFTER = (("handover", "after-handover"), ("module", "module-loaded"))
COSTS = (("ns", "time"), ("cpu", "cpu"), ("instructions", "instructions"))


def after_ratios(samples, kind, value):
    """[(with, without)] of each pair; what was measured beside takes a drift out"""
    by_pair = {}
    for s in samples:
        if s["kind"] == kind and s[value]:
            by_pair.setdefault(s["pair"], {})[s["which"]] = s[value] / s["packets"]
    new, old = ("with", "without") if kind == "module" else ("after", "before")
    return [(p[new] / p[f"{new}-other"], p[old] / p[f"{old}-other"])
            for p in by_pair.values()
            if {new, f"{new}-other", old, f"{old}-other"} <= set(p)]


def judge_after(samples, targets):
    """Packets a second and CPU: before and after, without and with"""
    lacking = [f"{name}-{what}" for kind, name in AFTER for value, what in COSTS[:2]
               if not after_ratios(samples, kind, value)]
    targets.judge("after-measured", not lacking, ", ".join(lacking) or len(samples))
    for kind, name in AFTER:
        for value, what in COSTS:
            target = f"{name}-{what}"
            pairs = after_ratios(samples, kind, value)
            if pairs and len(pairs) < PAIRS:
                targets.judge(target, False, f"{len(pairs)} pairs")
            elif pairs:
                ratio, ends = stats.median_of_ratios(pairs)
                targets.judge(target, ends[0] <= 1 <= ends[1] and
                              ends[0] >= 0.95 and ends[1] <= 1.05, spread(ratio, ends, 4))
            elif value == "instructions" and any(s["kind"] == kind for s in samples):
                targets.leave_out(target, "where perf counts no instructions")


# -- scale and memory --------------------------------------------------------

def pair_ratios(samples, what, devices):
    """[(four pairs, one pair)] in ns, of what was measured by turns"""
    rounds = {}
    for s in samples:
        if s["what"] == what and s["devices"] == devices:
            rounds.setdefault(s["round"], {})[s["pairs"] > 1] = s["total"]
    return [(r[True], r[False]) for r in rounds.values() if len(r) == 2]


def judge_scale_points(samples, targets):
    """All numbers of devices were measured."""
    full, quick = targets.rounds >= FULL, targets.rounds >= QUICK
    most = 1000 if full else 64 if quick else 8
    points = [(d, p) for d in (1, 16, 256, 1000) if d <= most for p in (1, 4) if p <= d]
    have = {(s["devices"], s["pairs"]) for s in samples if s["what"] == "turns"}
    lacking = [point for point in points if full and point not in have]
    all_frozen = any(s["what"] == "frozen" and s["devices"] == most for s in samples)
    targets.judge("scale-measured", bool(have) and not lacking and all_frozen,
                  lacking or (len(have) if all_frozen else f"no {most} frozen at once"))


def judge_scale(samples, targets):
    """Several pairs of processes are faster than one, as far as the machine is"""
    judge_scale_points(samples, targets)
    ours = pair_ratios(samples, "turns", 256)
    control = pair_ratios(samples, "control", 256)
    if len(ours) < 5 or len(control) < 5:
        if ours or control:
            targets.judge("scale-pairs", False, f"{len(ours)} pairs, {len(control)} of control")
        return
    ratio, ends = stats.median_of_ratios(ours)
    alone, alone_ends = stats.median_of_ratios(control)
    more = f"256 devices, 4 pairs by 1; children alone {spread(alone, alone_ends)}"
    if alone > 0.75:
        targets.judge("scale-pairs", False, "the machine has no second CPU free", more)
    else:
        targets.judge("scale-pairs", ends[1] <= (1 + alone) / 2, spread(ratio, ends), more)


def judge_memory(samples, targets):
    """Empty ones and full ones"""
    wanted = {"empty", "full"} if targets.rounds >= QUICK else {"try"}
    kinds = {s["kind"] for s in samples}
    targets.judge("memory-measured", wanted <= kinds, ", ".join(sorted(kinds)))
