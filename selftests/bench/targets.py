# SPDX-License-Identifier: GPL-2.0
"""
The targets: all of them, by name, and what became of each.

What is to be judged is known before anything was measured: a target that nobody
has judged in the end had no samples, and has failed. Those that take more than
the run was asked for are told by name, and are neither.
"""

TRY, QUICK, FULL = 1, 10, 100		# rounds, as bench.c has them
HANDOVERS = 200
PAIRS = 20

TAPXFER = ("token", "channel")
LOADS = ("idle", "load")

UPPER = "the interval's upper end is judged"


def contract():
    """(part, name, rounds that it takes, bound) of each"""
    for part in ("blackout", "after", "scale", "memory"):
        yield part, f"{part}-measured", TRY, "all points"
    for load in LOADS:
        for way in TAPXFER + ("fds",):
            yield ("blackout", f"handovers-{way}-{load}", HANDOVERS,
                   f"at least {HANDOVERS} at each of 1, 4, 16, 64, 256 queues")
        for way in TAPXFER:
            yield ("blackout", f"blackout-{way}-to-fds-8-queues-{load}", QUICK,
                   f"at most 4; {UPPER}")
        yield ("blackout", f"blackout-token-steps-to-fds-8-queues-{load}", QUICK,
               f"at most 4, claim and thaw apart; {UPPER}")
        yield ("blackout", f"blackout-token-vmm-to-fds-vmm-8-queues-{load}", QUICK,
               f"at most 4, target sets header size and offloads; {UPPER}")
        for way in TAPXFER:
            yield ("blackout", f"blackout-{way}-to-reopen-8-queues-{load}", QUICK,
                   f"at most 0.05; {UPPER}")
        for way in TAPXFER:
            # Of 256 queues plain passing takes a second message: it is judged
            # without as well.
            yield ("blackout", f"slope-{way}-to-fds-1-64-{load}", QUICK,
                   f"at most 2; {UPPER}")
            yield ("blackout", f"slope-{way}-to-fds-1-256-{load}", FULL,
                   f"at most 2; {UPPER}")
            yield ("blackout", f"growth-{way}-to-256-{load}", FULL,
                   f"at most 1.25: 256 queues by the line through those below; {UPPER}")
    yield "loss", "loss-below-limit", TRY, "0 packets"
    for way in TAPXFER:
        yield "loss", f"loss-beyond-limit-counted-{way}", TRY, "0: told less lost"
    yield "loss", "loss-beyond-limit-kept-packets", TRY, "0: kept less the hold limit"
    yield ("loss", "loss-beyond-limit-kept-bytes", TRY,
           "all within a 64th below the limit in bytes and what is in flight above it")
    yield "loss", "loss-across-edges", TRY, "0 packets, sent on while all is handed over"
    yield "loss", "order-and-duplicates", TRY, "0"
    for kind in ("after-handover", "module-loaded"):
        for what in ("time", "cpu", "instructions"):
            yield ("after", f"{kind}-{what}", FULL,
                   f"interval of {PAIRS} pairs has 1 in it and is within 0.95 and 1.05")
    yield ("scale", "scale-pairs", FULL,
           "at most half way between what children alone gain and no gain; " + UPPER)
    yield "trace", "freeze-waits-for-rcu", TRY, "0, in hold and freeze"
    yield "trace", "park-allocates", TRY, "0, from a hold's begin to its last ring's park"


class Targets:
    """The verdicts"""

    def __init__(self, rounds, parts):
        self.rounds = rounds
        self.expected = {name: (takes, bound) for part, name, takes, bound in contract()
                         if part in parts}
        self.lines = {}

    def wants(self, name):
        """Whether it is to be judged at all"""
        return name in self.expected and self.rounds >= self.expected[name][0]

    def judge(self, name, passed, value, more=""):
        """One verdict; nothing where it is not to be judged"""
        if name not in self.expected:
            raise KeyError(name)
        if self.wants(name):
            self._tell(name, "PASS" if passed else "FAIL", value, more)

    def leave_out(self, name, why):
        """What this machine cannot measure"""
        if self.wants(name):
            self._tell(name, "not judged", why)

    def _tell(self, name, verdict, value, more=""):
        if name in self.lines:
            raise KeyError(f"{name} was judged before")
        bound = self.expected[name][1] + (f"; {more}" if more else "")
        self.lines[name] = {"name": name, "verdict": verdict, "value": value,
                            "bound": bound}

    def finish(self):
        """All verdicts, in the contract's order; whether none has failed"""
        for name, (takes, _) in self.expected.items():
            if self.rounds < takes:
                self._tell(name, "not judged", f"at N={self.rounds}, it takes {takes}")
            elif name not in self.lines:
                self._tell(name, "FAIL", "no samples")
        lines = [self.lines[name] for name in self.expected]
        return lines, lines and not any(line["verdict"] == "FAIL" for line in lines)


def tell(lines):
    """One line each, at the end"""
    print()
    for line in lines:
        if line["verdict"] == "not judged":
            print(f"target {line['name']}: not judged {line['value']}")
        else:
            print(f"target {line['name']}: {line['verdict']} {line['value']} ({line['bound']})")
