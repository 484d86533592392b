#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
The judges, on samples that are made up: those of a good run pass, and each thing
that is wrong or missing fails.
"""

import contextlib
import io
import itertools
import os
import random
import sys
import tempfile
import unittest
from unittest import mock

import draw
import report
import stats
import targets
import trace_log

QUEUES = (1, 4, 8, 16, 64, 256)
MIB = 1 << 20
# What a handover takes: at no queue, for each, and for the square of them, in us
COST = {"token": (300, 10), "token-steps": (350, 12), "channel": (700, 9), "fds": (200, 6),
        "plug": (300, 7), "queue": (2000, 3000), "recreate": (90000, 9000),
        "reopen": (20000, 5000), "token-vmm": (400, 12), "fds-vmm": (220, 6)}


def blackout(rounds=200, cost=None, queues=QUEUES, loads=(0, 1), spread=0.1):
    """Handovers of all ways, each round"""
    rng = random.Random(2)
    samples = []
    for way, (base, each, *bend) in (cost or COST).items():
        for q, load in itertools.product(queues, loads):
            if way.endswith("-vmm") and q != 8 or way == "queue" and q > 128:
                continue
            for r in range(5 if base >= 2000 else rounds):
                samples.append({"way": way, "queues": q, "load": load, "round": r, "prepare": 5,
                                "ns": 1000 * (base + each * q + sum(bend) * q * q)})
    for s in samples:
        s["ns"] = int(s["ns"] * rng.uniform(1 - spread, 1 + spread))
        if s["way"] == "token-steps":
            s.update(freeze=s["ns"] // 4, claim=s["ns"] // 4, thaw=s["ns"] // 4)
    return samples


def loss_sample(way, queues, kind, packets, **more):
    """Of a tapxfer that does what it says"""
    s = {"way": way, "queues": queues, "kind": kind, "packets": packets, "lost": 0, "dup": 0,
         "reordered": 0, "hold": 16384, "hold_bytes": 256 * MIB, "held": 0, "held_bytes": 0,
         "dropped": 0, "last": 1000, "ns": 1000}
    s.update(more)
    room = packets
    if kind == "small":
        room = s["hold"] * queues
    elif kind == "large":
        room = int(s["hold_bytes"] * 0.995 / 70000)
    s["lost"] = s["dropped"] = max(0, packets - room)
    s["held"] = packets - s["lost"]
    if way == "token":
        s["held_bytes"] = s["held"] * (70000 if kind == "large" else 768)
    return s


def loss():
    """All points"""
    samples = []
    for way in targets.TAPXFER:
        for q in (1, 4, 16):
            samples += [loss_sample(way, q, "small", n) for n in (500, 200000)]
            samples += [loss_sample(way, q, "small", 2000 * q, hold=1024)]
            samples += [loss_sample(way, q, "large", n) for n in (500, 3000, 5000)]
            samples += [loss_sample(way, q, "edges", 300)]
    return samples


def after(pairs=20, slower=1.0):
    """Alternating pairs"""
    rng = random.Random(3)
    samples = []
    for kind, names in (("handover", ("before", "before-other", "after", "after-other")),
                        ("module", ("without", "without-other", "with", "with-other"))):
        for pair in range(pairs):
            for which in names:
                ns = 1000000 * rng.uniform(0.99, 1.01)
                if which in ("after", "with"):
                    ns *= slower
                samples.append({"kind": kind, "pair": pair, "which": which, "packets": 1000,
                                "ns": int(ns), "cpu": int(ns * rng.uniform(0.99, 1.01)),
                                "instructions": 0})
    return samples


def scale(ratio=0.6, alone=0.5):
    """One pair and four by turns, a control beside it"""
    samples = []
    for devices in (1, 16, 256, 1000):
        for r in range(1 if devices == 1000 else 6):
            for pairs in (1, 4):
                if pairs > devices:
                    continue
                total = devices * 1000000 * (ratio if pairs > 1 else 1)
                samples.append({"what": "turns", "devices": devices, "pairs": pairs, "round": r,
                                "total": int(total), "mean": 1000, "longest": 2000})
                if devices == 256:
                    samples.append({"what": "control", "devices": 256, "pairs": pairs,
                                    "round": r, "total": int(1e9 * (alone if pairs > 1 else 1))})
        samples.append({"what": "frozen", "devices": devices, "pairs": 1, "round": 0,
                        "total": 1000, "mean": 1000, "longest": 2000, "prepared": 1 << 20,
                        "frozen": 2 << 20})
    return samples


MEMORY = [{"kind": kind, "queues": 16, "hold": 8192, "empty": 1 << 20, "full": 1 << 20,
           "held": 100, "charged": 76800} for kind in ("empty", "full")]


# -- a trace -----------------------------------------------------------------

def call(name, *within):
    """The lines of a call; those of the module are told by their names"""
    own = name.startswith("tapxfer_") or name.endswith("_doit")
    text = name + (" [tapxfer]" if own else "") + "()"
    if not within:
        return [text + ";"]
    return [text + " {"] + ["  " + line for lines in within for line in lines] + ["}"]


def traced(lines):
    """As the tracer prints them"""
    return [f" 0)  bench-7    | {'' if line.strip().endswith('{') else '1.5 us':>12} |  {line}"
            for line in lines]


def handover(park_in, *extra, parks=8):
    """One, with more calls in the hold, before the rings are parked"""
    prepare = call("prepare_doit", call("synchronize_rcu"),
                   *[call("kvmalloc_node", call("__kmalloc_node", call("__alloc_pages")))] * 8)
    hold = call("tapxfer_hold", call("tapxfer_ring_check"), *extra,
                *[call("tapxfer_queue_park", call("tapxfer_ring_park"))] * parks,
                call("tapxfer_event", call("kmem_cache_alloc_node")))
    freeze = call("tapxfer_freeze", call("vm_mmap", call("kmem_cache_alloc")))
    if park_in == "freeze_doit":
        commands = [call("freeze_doit", call("kmem_cache_alloc_node"), hold, freeze)]
    else:
        commands = [call("hold_doit", hold), call("freeze_doit", freeze)]
    lines = prepare
    for command in commands:
        lines = lines + call("netlink_sendmsg", call("netlink_rcv_skb", command,
                                                     call("kmem_cache_alloc_node")))
    return lines + call("claim_doit") + call("thaw_doit")


def trace(*extra, parks=8, **info):
    """(traces, infos) of both passes"""
    traces, infos = {}, []
    for name, park_in in trace_log.PASSES.items():
        traces[name] = traced(handover(park_in, *extra, parks=parks) * 3)
        infos.append({"pass": name, "handovers": 3, "queues": 8, "overrun": 0, **info})
    return traces, infos


# -- what is told ------------------------------------------------------------

def verdicts(samples, rounds=200, traces=None, parts=None):
    """{target: (verdict, value)}, and whether all is well"""
    samples = dict(samples, about=[{"rounds": rounds}])
    lines, passed = report.judge(samples, traces or {}, parts or report.PARTS)
    return {line["name"]: (line["verdict"], line["value"]) for line in lines}, passed


def setUpModule():
    """Fewer draws are enough for what is made up."""
    stats.DRAWS = 200


class Case(unittest.TestCase):
    """What a test asks for"""

    def tells(self, samples, target, verdict, part=None, **more):
        """The verdict on one target; its value"""
        told, passed = verdicts(samples, parts=[part or next(iter(samples))], **more)
        self.assertEqual(told[target][0], verdict, told[target])
        if verdict == "FAIL":
            self.assertFalse(passed)
        return told[target][1]


class Whole(Case):
    """Runs as a whole"""

    def test_a_good_run_passes(self):
        """All of it, but for what perf does not count"""
        traces, infos = trace()
        samples = {"blackout": blackout(), "loss": loss(), "after": after(),
                   "scale": scale(), "memory": MEMORY, "trace": infos}
        told, passed = verdicts(samples, traces=traces)
        self.assertTrue(passed, {k: v for k, v in told.items() if v[0] == "FAIL"})
        self.assertEqual({name for name, told in told.items() if told[0] != "PASS"},
                         {"after-handover-instructions", "module-loaded-instructions"})

    def test_no_samples_fail_all(self):
        """Nothing is silent"""
        told, passed = verdicts({})
        self.assertFalse(passed)
        self.assertEqual(set(told.values()), {("FAIL", "no samples")})
        self.assertEqual(len(told), len(list(targets.contract())))

    def test_one_round_can_pass(self):
        """What takes many is left out by name"""
        traces, infos = trace()
        small = {"blackout": blackout(1, queues=(8,)),
                 "loss": [s for s in loss() if s["queues"] == 4], "after": after(2),
                 "scale": [{"what": what, "devices": 8, "pairs": 1, "round": 0, "total": 1,
                            "mean": 1, "longest": 1} for what in ("turns", "frozen")],
                 "memory": [dict(MEMORY[0], kind="try")], "trace": infos}
        told, passed = verdicts(small, rounds=1, traces=traces)
        self.assertTrue(passed, {k: v for k, v in told.items() if v[0] == "FAIL"})
        self.assertEqual(told["handovers-token-idle"],
                         ("not judged", "at N=1, it takes 200"))
        self.assertEqual(told["loss-below-limit"][0], "PASS")

    def test_left_out_is_no_success(self):
        """A part that has measured nothing has not passed"""
        for part in report.PARTS:
            self.assertFalse(verdicts({}, rounds=1, parts=[part])[1], part)

    def test_each_lacking_way_fails(self):
        """No samples of a way: its targets are there, and fail"""
        told, _ = verdicts({"blackout": [s for s in blackout(20) if s["way"] != "recreate"]},
                           parts=["blackout"])
        self.assertEqual(told["blackout-measured"][0], "FAIL")
        for way, names in (("fds", ("blackout-token-to-fds-8-queues-idle",
                                    "slope-token-to-fds-1-256-idle", "handovers-fds-load")),
                           ("reopen", ("blackout-channel-to-reopen-8-queues-idle",)),
                           ("channel", ("growth-channel-to-256-idle",
                                        "slope-channel-to-fds-1-64-load")),
                           ("fds-vmm", ("blackout-token-vmm-to-fds-vmm-8-queues-idle",))):
            told, _ = verdicts({"blackout": [s for s in blackout(20) if s["way"] != way]},
                               parts=["blackout"])
            for name in names:
                self.assertEqual(told[name], ("FAIL", "no samples"), name)

    def test_a_point_less_does_not_end_the_report(self):
        """Lacking and cut off lines: there is a report, and it fails"""
        rows = [s for s in blackout(20) if (s["way"], s["queues"]) != ("token", 256)]
        with tempfile.TemporaryDirectory() as path:
            log = os.path.join(path, "log")
            with open(log, "w", encoding="utf-8") as f:
                f.write("@ about kernel=k rounds=200\n")
                for s in rows:
                    f.write("@ blackout " + " ".join(f"{k}={v}" for k, v in s.items()) + "\n")
                f.write("@ loss way=token que")
            out = io.StringIO()
            with mock.patch.object(sys, "argv", ["report.py", log, path]), \
                    mock.patch.object(report.draw, "figures"), \
                    contextlib.redirect_stdout(out), \
                    self.assertRaises(SystemExit) as end:
                report.main()
        self.assertTrue(end.exception.code)
        self.assertIn("target growth-token-to-256-idle: FAIL no samples", out.getvalue())
        self.assertIn("target loss-below-limit: FAIL no samples", out.getvalue())


class BlackoutCase(Case):
    """Ratios, slopes, growth"""

    def test_handovers_are_counted(self):
        """One less at one point is too few"""
        rows = blackout(queues=(1, 4, 16, 64, 256))
        self.tells({"blackout": rows}, "handovers-token-load", "PASS")
        rows = [s for s in rows if (s["way"], s["queues"], s["load"], s["round"]) !=
                ("token", 16, 1, 7)]
        self.assertEqual(self.tells({"blackout": rows}, "handovers-token-load", "FAIL"), 199)
        self.tells({"blackout": rows}, "handovers-token-idle", "PASS")

    def test_p99_takes_a_hundred(self):
        """Of fewer it is the maximum"""
        self.assertIsNone(stats.p99(list(range(99))))
        self.assertEqual(stats.p99(list(range(100))), 98)
        self.assertEqual(stats.p99(list(range(200))), 197)

    def test_value_is_of_the_interval_s_rounds(self):
        """What only one of both was in does not count"""
        a = {r: 400 for r in range(10)} | {r: 4000 for r in range(10, 30)}
        value, ends = stats.ratio_of_medians(a, {r: 100 for r in range(10)})
        self.assertEqual((value, ends), (4, (4, 4)))
        self.assertIsNone(stats.ratio_of_medians(a, {40: 1}))

    def test_the_interval_is_judged(self):
        """3.9 or so, give or take too much"""
        rows = blackout(20, {"token": (780, 0), "fds": (200, 0)}, (8,), spread=0.4)
        text = self.tells({"blackout": rows}, "blackout-token-to-fds-8-queues-idle", "FAIL")
        self.assertLess(float(text.split()[0]), 4)

    def test_load_is_judged(self):
        """Idle is well, and under load it is not"""
        cost = dict(COST, token=(1000, 100))
        rows = blackout(20, loads=(0,)) + blackout(20, cost, loads=(1,))
        for name in ("blackout-token-to-fds-8-queues", "slope-token-to-fds-1-64"):
            self.tells({"blackout": rows}, name + "-idle", "PASS")
            self.tells({"blackout": rows}, name + "-load", "FAIL")

    def test_negative_slopes_fail(self):
        """Theirs, or ours"""
        for cost in (dict(COST, fds=(300, -0.5)), dict(COST, token=(4000, -10))):
            rows = blackout(20, cost, loads=(0,), spread=0.01)
            self.tells({"blackout": rows}, "slope-token-to-fds-1-256-idle", "FAIL")

    def test_a_steep_slope_fails(self):
        """2.2 times theirs; and what is so with 256 queues only"""
        rows = blackout(20, dict(COST, token=(300, 13.2)), loads=(0,))
        for last in (64, 256):
            self.tells({"blackout": rows}, f"slope-token-to-fds-1-{last}-idle", "FAIL")
        rows = blackout(50, dict(COST, token=(300, 5, 1 / 25)), loads=(0,))
        self.tells({"blackout": rows}, "slope-token-to-fds-1-64-idle", "PASS")
        self.tells({"blackout": rows}, "slope-token-to-fds-1-256-idle", "FAIL")

    def test_a_slope_by_noise_fails(self):
        """Theirs may as well be none"""
        rows = blackout(20, dict(COST, fds=(200, 0)), loads=(0,))
        self.tells({"blackout": rows}, "slope-token-to-fds-1-64-idle", "FAIL")

    def test_what_bends_fails(self):
        """64 % more at 256 queues than a line has"""
        cost = dict(COST, token=(0, 10, 1 / 40))
        rows = blackout(50, cost, loads=(0,), spread=0.05)
        self.tells({"blackout": rows}, "growth-token-to-256-idle", "FAIL")
        self.tells({"blackout": rows}, "growth-channel-to-256-idle", "PASS")

    def test_parts_that_are_none_are_empty(self):
        """Not 0; and between is of each handover"""
        rows = {(r["way"], r["load"]): r for r in report.summary(
            {"blackout": blackout(3, queues=(8,))})}
        self.assertIsNone(rows["fds", 0]["freeze_median"])
        self.assertIsNone(rows["channel", 0]["claim_median"])
        self.assertGreater(rows["token-steps", 0]["thaw_median"], 0)
        self.assertIsNone(rows["token", 0]["ns_p99"])
        self.assertEqual(report.between({"ns": 10, "freeze": 1, "claim": 2, "thaw": 3}), 4)


class LossCase(Case):
    """Zero, then counted"""

    def broken(self, target, choose, **change):
        """One sample is otherwise"""
        rows = loss()
        s = next(s for s in rows if choose(s))
        for key, value in change.items():
            s[key] += value
        return self.tells({"loss": rows}, target, "FAIL")

    def test_one_packet(self):
        """Wherever it is"""
        self.broken("loss-below-limit", lambda s: s["packets"] == 500, lost=1)
        self.broken("loss-below-limit", lambda s: s["packets"] == 3000, lost=1)
        self.broken("loss-across-edges", lambda s: s["kind"] == "edges", lost=1)
        self.broken("order-and-duplicates", lambda s: s["way"] == "channel", dup=1)
        self.broken("order-and-duplicates", lambda s: s["kind"] == "edges", reordered=1)
        self.broken("loss-beyond-limit-kept-packets", lambda s: s["packets"] == 200000, lost=1)

    def test_both_ways_tell(self):
        """What is lost is what they say"""
        for way in targets.TAPXFER:
            self.broken(f"loss-beyond-limit-counted-{way}",
                        lambda s, way=way: s["way"] == way and s["lost"], dropped=-1)

    def test_closing_early_or_late(self):
        """By bytes: anywhere between 3000 and 5000 was well once"""
        for lost in (300, -300):
            self.broken("loss-beyond-limit-kept-bytes",
                        lambda s: (s["kind"], s["packets"]) == ("large", 5000), lost=lost)

    def test_what_lacks(self):
        """No samples at 16 queues beyond the limit; of the edges of one way; at all"""
        rows = [s for s in loss() if not (s["queues"] == 16 and s["lost"])]
        self.tells({"loss": rows}, "loss-below-limit", "FAIL")
        self.tells({"loss": rows}, "order-and-duplicates", "FAIL")
        rows = [s for s in loss() if (s["way"], s["kind"]) != ("token", "edges")]
        self.tells({"loss": rows}, "loss-across-edges", "FAIL")
        rows = [dict(s, way="fds") for s in loss()]
        self.assertEqual(self.tells({"loss": rows}, "order-and-duplicates", "FAIL"),
                         "no samples")

    def test_smaller_limits_are_named(self):
        """In the tables; and the figures have none of them"""
        rows = loss() + [loss_sample("token", 4, "large", 1000, hold_bytes=32 * MIB)]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            report.loss_table(rows, "small", 4)
            report.loss_table(rows, "large", 4)
        heads = [line.split() for line in out.getvalue().splitlines() if line.strip()]
        self.assertEqual(heads[1], ["500", "8000/1024", "200000"])
        self.assertEqual(heads[5], ["500", "1000/32", "MiB", "3000", "5000"])
        for kind, offered in (("small", [500, 200000]), ("large", [500, 3000, 5000])):
            with mock.patch.object(draw, "plot") as plot:
                draw.loss(rows, {"token": "by token"}, 4, kind, "a.svg")
            (_, _, points), = plot.call_args.args[3]
            self.assertEqual([n for n, _ in points], offered)


class RestCase(Case):
    """After, scale, memory"""

    def test_after(self):
        """Slower by more than the interval is wide; too few pairs; one kind only"""
        self.tells({"after": after(slower=1.03)}, "after-handover-time", "FAIL")
        self.tells({"after": after(slower=1.03)}, "module-loaded-cpu", "FAIL")
        self.assertEqual(self.tells({"after": after(19)}, "module-loaded-time", "FAIL"),
                         "19 pairs")
        rows = [s for s in after() if s["kind"] == "handover"]
        self.assertEqual(self.tells({"after": rows}, "module-loaded-time", "FAIL"),
                         "no samples")
        self.assertEqual(self.tells({"after": [dict(s, cpu=0) for s in after()]},
                                    "after-handover-cpu", "FAIL"), "no samples")
        self.tells({"after": [dict(s, instructions=s["ns"]) for s in after(slower=1.03)]},
                   "module-loaded-instructions", "FAIL")

    def test_scale(self):
        """Serialised; by one pair only; on a machine that cannot tell"""
        self.tells({"scale": scale(1.0)}, "scale-pairs", "FAIL")
        self.tells({"scale": scale(0.9)}, "scale-pairs", "FAIL")
        self.tells({"scale": scale(0.9, 0.95)}, "scale-pairs", "FAIL")
        rows = [s for s in scale() if s["pairs"] == 1]
        self.tells({"scale": rows}, "scale-pairs", "FAIL")
        self.tells({"scale": rows}, "scale-measured", "FAIL")
        rows = [s for s in scale() if s["what"] != "frozen"]
        self.tells({"scale": rows}, "scale-measured", "FAIL")

    def test_memory(self):
        """Full ones are wanted as well"""
        self.tells({"memory": MEMORY}, "memory-measured", "PASS")
        self.tells({"memory": MEMORY[:1]}, "memory-measured", "FAIL")


class TraceCase(Case):
    """The tracer's log"""

    def judged(self, target, verdict, *extra, drop=None, **info):
        """Of a trace that has these calls more, or lacks lines"""
        traces, infos = trace(*extra, **info)
        if drop:
            traces = {name: [line for line in lines if drop not in line]
                      for name, lines in traces.items()}
        return self.tells({"trace": infos}, target, verdict, traces=traces)

    def test_each_allocator_is_seen(self):
        """All that are traced, one at a time, between the rings"""
        for name in ("__kmalloc", "__kmalloc_node", "__kmalloc_node_track_caller",
                     "__kmalloc_track_caller", "kmalloc_trace", "kmem_cache_alloc_trace",
                     "kmem_cache_alloc", "kmem_cache_alloc_lru", "kmem_cache_alloc_node",
                     "kvmalloc_node", "__vmalloc_node", "vmalloc", "__alloc_pages"):
            self.assertEqual(self.judged("park-allocates", "FAIL", call(name)), 6, name)
        self.judged("park-allocates", "PASS", call("tapxfer_token_alloc"))

    def test_each_wait_is_seen(self):
        """Of grace periods"""
        for name in ("synchronize_rcu", "synchronize_rcu_expedited", "synchronize_net",
                     "rcu_barrier"):
            self.judged("freeze-waits-for-rcu", "FAIL", call(name))
        self.judged("freeze-waits-for-rcu", "PASS", call("schedule_timeout"))

    def test_a_blind_trace_fails(self):
        """It has to show what is there"""
        for drop in ("synchronize_rcu", "alloc", "thaw_doit", "tapxfer_ring_check"):
            self.judged("park-allocates",
                        "PASS" if drop == "tapxfer_ring_check" else "FAIL", drop=drop)
        self.judged("park-allocates", "FAIL", parks=7)
        self.judged("freeze-waits-for-rcu", "FAIL", overrun=1)
        self.judged("freeze-waits-for-rcu", "FAIL", handovers=4)

    def test_a_call_without_an_end_has_none_within(self):
        """It slept when tracing was turned off: what comes next is not its own."""
        lines = traced(["schedule_timeout() {"] + call("freeze_doit", call("tapxfer_hold")))
        top = trace_log.parse(lines)
        self.assertEqual([c.name for c in top], ["schedule_timeout", "freeze_doit"])
        self.assertEqual([c.name for c in top[1].calls], ["tapxfer_hold"])

    def test_lost_events_fail(self):
        """In the middle of it, with nothing else missing"""
        traces, infos = trace()
        traces["channel"].append(" CPU:0 [LOST 12 EVENTS]")
        self.tells({"trace": infos}, "park-allocates", "FAIL", traces=traces)

    def test_both_ways_are_traced(self):
        """The channel's as well, which asks for events"""
        traces, infos = trace()
        del traces["channel"]
        self.tells({"trace": infos}, "park-allocates", "FAIL", traces=traces)

    def test_the_table_has_the_rest(self):
        """Before, and when all are parked"""
        found = trace_log.allocations(trace_log.parse(trace()[0]["token"]))
        self.assertEqual(found, {
            ("before", "kmem_cache_alloc_node", "freeze_doit"): 3,
            ("parked", "kmem_cache_alloc_node", "tapxfer_event"): 3,
            ("parked", "kmem_cache_alloc", "vm_mmap"): 3,
            ("parked", "kmem_cache_alloc_node", "netlink_rcv_skb"): 3,
        })
        found = trace_log.allocations(trace_log.parse(trace()[0]["channel"]))
        self.assertEqual(found["parked", "kmem_cache_alloc", "vm_mmap"], 3)


if __name__ == "__main__":
    unittest.main()
