# SPDX-License-Identifier: GPL-2.0
"""
What the kernel's function graph tracer says of a handover.

A line is one call or its end, of one task on one CPU:

    0)  bench-123   |               |  tapxfer_hold [tapxfer]() {
    0)  bench-123   |   0.420 us    |    kmem_cache_alloc();
    0)  bench-123   | ! 120.1 us    |  }
"""

import re
from collections import Counter

import stats

LINE = re.compile(r"\s*\d+\)\s*(\S+)\s*\|\s*(?:[@*!#+$]?\s*([\d.]+) us)?\s*\|(\s*)(.*)$")
CALL = re.compile(r"([\w.]+)( \[\w+\])?\(\)(;| \{)")
WAITS = re.compile(r"synchronize_\w+|rcu_barrier")
ALLOCS = re.compile(r"(__)?(k[mvz]?\w*alloc\w*|vmalloc\w*|alloc_pages\w*|kmem_cache_\w*)")
# The passes that are judged, and the command that parks the rings in each
PASSES = {"token": "freeze_doit", "channel": "hold_doit"}


class Call:
    """One call, with those that it made"""

    def __init__(self, name, module, parent):
        self.name = name
        self.module = module
        self.parent = parent
        self.us = 0.0
        self.calls = []

    def own(self):
        """Without what was traced within"""
        return self.us - sum(call.us for call in self.calls)

    def walk(self):
        """It and all within, as they began"""
        yield self
        for call in self.calls:
            yield from call.walk()

    def matches(self, pattern):
        """Whether it is one of the kernel's that the pattern is for"""
        return not self.module and pattern.fullmatch(self.name)


def parse(lines):
    """The calls at the top, of all tasks"""
    stacks, top = {}, []
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        task, us, indent, text = match.groups()
        stack = stacks.setdefault(task.rpartition("-")[2], [])
        # Who slept when tracing was turned off has calls that never ended.
        depth = max(len(indent) - 2, 0) // 2
        del stack[depth + text.startswith("}"):]
        call = CALL.match(text)
        if call:
            new = Call(call.group(1), call.group(2), stack[-1] if stack else None)
            (stack[-1].calls if stack else top).append(new)
            if call.group(3) == ";":
                new.us = float(us or 0)
            else:
                stack.append(new)
        elif text.startswith("}") and stack:
            stack.pop().us = float(us or 0)
    return top


def within(top, name):
    """The calls of that function, wherever they are"""
    return [call for first in top for call in first.walk() if call.name == name]


def count(calls, pattern):
    """{name: how often} of what is called within"""
    return Counter(call.name for first in calls for call in first.walk()
                   if call is not first and call.matches(pattern))


def names(found):
    """For a bound's text"""
    return ", ".join(f"{name} {n}" for name, n in sorted(found.items())) or "none"


def split(hold):
    """What a hold calls until the last ring is parked, and after that"""
    calls = list(hold.walk())[1:]
    parks = [call for call in calls if call.name == "tapxfer_ring_park"]
    if not parks:
        return calls, []
    end = calls.index(parks[-1]) + len(list(parks[-1].walk()))
    return calls[:end], calls[end:]


# -- whether the trace can be believed ---------------------------------------

def flaw(info, lines, top, park_in):
    """
    Why the trace shows nothing, or None. What it shall not find in a freeze it has
    to find in the same trace's prepare, where a grace period is waited for and the
    rings' memory is allocated.
    """
    n = info["handovers"]
    expect = {"prepare_doit": n, "freeze_doit": n, park_in: n, "tapxfer_hold": n,
              "tapxfer_freeze": n, "claim_doit": n, "thaw_doit": n,
              "tapxfer_ring_park": n * info["queues"]}
    if info["overrun"] or any("LOST" in line for line in lines):
        return "the tracer lost events"
    for name, times in expect.items():
        calls = within(top, name)
        if len(calls) != times:
            return f"{len(calls)} calls of {name}, not {times}"
    prepares = within(top, "prepare_doit")
    if sum(count(prepares, WAITS).values()) < n:
        return "no wait is seen in the prepare"
    seen = count(prepares, ALLOCS)
    if sum(seen.values()) < n * info["queues"] or not any("__kmalloc" in s for s in seen):
        return "no allocation is seen in the prepare"
    return None


def commands_of(top):
    """Those that hold or freeze, in the order of a trace"""
    return [call for call in top for call in call.walk()
            if call.name in ("hold_doit", "freeze_doit")]


def judge(traces, infos, targets):
    """What a freeze may not do"""
    waits, allocs, handovers, why = Counter(), Counter(), 0, None
    for name, park_in in PASSES.items():
        info = next((info for info in infos if info["pass"] == name), None)
        top = parse(traces.get(name, []))
        reason = flaw(info, traces[name], top, park_in) if info and top else "no samples"
        if reason:
            why = why or f"{name}: {reason}"
            continue
        handovers += info["handovers"]
        waits += count(commands_of(top), WAITS)
        for hold in within(top, "tapxfer_hold"):
            allocs += Counter(call.name for call in split(hold)[0] if call.matches(ALLOCS))
    for name, found in (("freeze-waits-for-rcu", waits), ("park-allocates", allocs)):
        targets.judge(name, not why and not found, why or sum(found.values()),
                      f"{handovers} handovers, {names(found)}")


# -- tables ------------------------------------------------------------------

def command_of(call):
    """The system call that it is part of, or the command"""
    while call.parent:
        call = call.parent
    return call


def caller(call):
    """The nearest that is no allocator itself"""
    call = call.parent
    while call and call.matches(ALLOCS):
        call = call.parent
    return call.name if call else "-"


PHASES = ("before", "parking", "parked")


def allocations(top):
    """{(phase, function, caller): how often} of the commands that hold or freeze"""
    found = Counter()
    for command in commands_of(top):
        walk = list(command_of(command).walk())
        begin = next((i for i, call in enumerate(walk) if call.name == "tapxfer_hold"), -1)
        end = begin + len(split(walk[begin])[0]) if begin >= 0 else -1
        for i, call in enumerate(walk):
            if call.matches(ALLOCS) and not (call.parent and call.parent.matches(ALLOCS)):
                found[PHASES[(i > begin) + (i > end)], call.name, caller(call)] += 1
    return found


def tell(traces, infos, table):
    """The tables"""
    rows = []
    for name in PASSES:
        n = next((info["handovers"] for info in infos if info["pass"] == name), 0)
        if not n:
            continue
        found = allocations(parse(traces.get(name, [])))
        for key in sorted(found, key=lambda key: (PHASES.index(key[0]), key)):
            rows.append([f"{name}, {key[0]}: {key[1]}", key[2], f"{found[key] / n:.1f}"])
    table("Memory that hold and freeze allocate: before any ring is parked, while they are "
          "being parked, and when all hold what comes", ["", "by", "a handover"], rows)

    rows = []
    for command in ("freeze_doit", "claim_doit", "thaw_doit"):
        rows += shares(within(parse(traces.get("profile", [])), command))
    table("Where the time goes, traced, of 8 queues; a handover's command, medians:",
          ["", "calls", "us, with callees", "us, own"], rows)


def shares(commands):
    """The functions that take most of a command, itself included"""
    sums = []
    for first in commands:
        mine = {}
        for call in first.walk():
            entry = mine.setdefault(call.name, [0, 0.0, 0.0])
            entry[0] += 1
            entry[1] += call.us
            entry[2] += call.own()
        sums.append(mine)
    rows = []
    for name in {name for mine in sums for name in mine}:
        values = [mine.get(name, (0, 0.0, 0.0)) for mine in sums]
        rows.append([stats.median(column) for column in zip(*values)] + [name])
    rows.sort(key=lambda row: -row[2])
    return [[f"{commands[0].name}: {name}", f"{n:.0f}", f"{us:.1f}", f"{own:.1f}"]
            for n, us, own, name in rows[:12]]
