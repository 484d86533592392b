# SPDX-License-Identifier: GPL-2.0
"""
Medians, and how far off they may be.

Intervals are of 95 %, by the bootstrap: what was measured is drawn anew, with
replacement, a thousand times, from a seed that is always the same. Two ways that
were measured by turns are compared in the rounds that both were in, and drawn round
by round; the value is of the same rounds as its interval.
"""

import math
import random
import statistics

DRAWS = 1000
P99_MIN = 100		# samples: of fewer it is the maximum


def median(values):
    """Of none it is None"""
    return statistics.median(values) if values else None


def percentile(values, p):
    """The least value that P percent are not above"""
    return sorted(values)[math.ceil(len(values) * p / 100) - 1]


def p99(values):
    """None where there are too few to tell it from the maximum"""
    return percentile(values, 99) if len(values) >= P99_MIN else None


def interval(values):
    """The middle 95 % of what was drawn"""
    return percentile(values, 2.5), percentile(values, 97.5)


def draws(n, seed=1):
    """Which of N to take, again and again"""
    rng = random.Random(seed)
    for _ in range(DRAWS):
        yield [rng.randrange(n) for _ in range(n)]


def median_of_ratios(pairs):
    """The median of a/b and its interval, of pairs measured by turns"""
    ratios = [a / b for a, b in pairs]
    drawn = [median([ratios[i] for i in which]) for which in draws(len(ratios))]
    return median(ratios), interval(drawn)


def common(a, b):
    """Two lists, of the rounds that both were in; a and b are {round: value}"""
    rounds = sorted(set(a) & set(b))
    return [a[r] for r in rounds], [b[r] for r in rounds]


def ratio_of_medians(a, b):
    """median(a)/median(b) and its interval, or None if they have no round in common"""
    a, b = common(a, b)
    if not a:
        return None
    drawn = [median([a[i] for i in which]) / median([b[i] for i in which])
             for which in draws(len(a))]
    return median(a) / median(b), interval(drawn)


def line(points):
    """Least squares through (x, y): what it is at 0, and its slope"""
    mx = sum(x for x, _ in points) / len(points)
    my = sum(y for _, y in points) / len(points)
    slope = (sum((x - mx) * (y - my) for x, y in points) /
             sum((x - mx) ** 2 for x, _ in points))
    return my - slope * mx, slope


def medians_drawn(series):
    """
    Of {x: [[y of a way, by round], of another...]}: [[(x, median)] of each way], of
    all that was measured, and then of what was drawn, of the same rounds for all.
    """
    def medians(which):
        ways = len(next(iter(series.values())))
        return [[(x, median([ys[way][i] for i in which[x]])) for x, ys in series.items()]
                for way in range(ways)]

    yield medians({x: range(len(ys[0])) for x, ys in series.items()})
    for drawn in zip(*(draws(len(ys[0]), x) for x, ys in series.items())):
        yield medians(dict(zip(series, drawn)))


def slopes(ours, theirs):
    """
    Of two {x: {round: y}}: (value, interval) of our slope, of theirs, and of the
    ratio of both, which is None unless theirs is certainly above 0. None if a point
    has no round in common.
    """
    series = {x: common(ours[x], theirs[x]) for x in ours}
    if not all(ys[0] for ys in series.values()):
        return None
    pairs = [tuple(line(points)[1] for points in ways) for ways in medians_drawn(series)]
    value, drawn = pairs[0], pairs[1:]
    both = [(value[i], interval([pair[i] for pair in drawn])) for i in (0, 1)]
    ratio = None
    if min(value[1], both[1][1][0]) > 0:
        ratio = (value[0] / value[1], interval([a / b for a, b in drawn if b > 0]))
    return both[0], both[1], ratio


def growth(series):
    """
    Of {x: {round: y}}: the last y by that of the line through all before it, and its
    interval; None if a point has no samples, or that line does not rise.
    """
    series = {x: [list(ys.values())] for x, ys in sorted(series.items())}
    if len(series) < 3 or not all(ys[0] for ys in series.values()):
        return None
    ratios = []
    for (points,) in medians_drawn(series):
        base, slope = line(points[:-1])
        x, y = points[-1]
        ratios.append(y / (base + slope * x) if slope > 0 and base + slope * x > 0 else None)
    if None in ratios:
        return None
    return ratios[0], interval(ratios[1:])
