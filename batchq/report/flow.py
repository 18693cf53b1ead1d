"""What happened when, in numbers small enough to draw, however many attempts there are: pure."""

import math
from collections.abc import Iterable, Mapping

from batchq.named import NamedTuple
from batchq.report.slots import Slots
from batchq.store.looking.sample import Sample, Try

HERE = "local"  #: the host of a lane whose attempts ran on the machine of their run
LANES = 32  #: slots that are drawn one by one; more are only counted
_BINS = 240  #: parts of the time in which lanes and busy slots are averaged
_BARS = 60  #: of the attempts that ended, at most,
_BAR = 0.1  #: and of at least this many seconds: rates of shorter ones say nothing
_PER_DECADE = 8  #: bars of the durations; the scale is logarithmic
_SHORTEST = 1e-4  #: seconds; shorter attempts count as this long
_QUARTERS = 4  #: shares in lanes are rounded, so that most neighbours are equal and become one piece

_Lane = list[tuple[Try, float]]  #: attempts, with the time from which each had the slot
_OK, _BAD, _OFF = range(3)
_KINDS = {"succeeded": _OK, "interrupted": _OFF, "cancelled": _OFF}  # all others failed


class Bar(NamedTuple):
    """A stretch of time, or of durations, in seconds, and what belongs to it by kind of outcome.

    ``off`` are attempts that were interrupted or cancelled.
    """

    start: float
    end: float
    ok: float
    bad: float
    off: float


class Flow(NamedTuple):
    """The course of the attempts, from the first start (``start``, ms) and for ``span`` seconds.

    ``lanes`` are the slots with the share of each stretch that they were busy; ``hidden`` more slots are left out. Of a
    sample (one job in ``step``, step > 1) there are no lanes: attempts that are missing would look like idle slots.
    ``busy`` is how many slots were busy, ``durations`` how many attempts took that long, and ``ended`` how many ended
    per second; these three are estimates for all attempts if they come from a sample.
    ``attempts`` is how many were read. If any ran on another host than its run, lanes are those of hosts: ``hosts`` names
    them, each with how many of the lanes are its own.
    """

    start: int
    span: float
    lanes: list[list[Bar]]
    hidden: int
    busy: list[Bar]
    durations: list[Bar]
    ended: list[Bar]
    step: int
    attempts: int
    hosts: list[tuple[str, int]] = []  # noqa: RUF012 - a field of a tuple


def flow(sample: Sample) -> Flow | None:
    """Return the flow of a sample; None if no attempt has ended."""
    attempts = sample.attempts
    if not attempts:
        return None
    start = attempts[0].started_at
    span = max((one.started_at - start) / 1000 + max(one.seconds, _SHORTEST) for one in attempts)
    timeline = _Timeline(start, span)
    lanes: dict[int, _Lane] = {}
    named: list[tuple[str, int]] = []
    if sample.step == 1 and any(one.host for one in attempts):
        lanes, named = _lanes_by_host(attempts)
    elif sample.step == 1:
        lanes = _lanes(attempts, sample.slots)
    busy = timeline.shares((one, one.started_at) for one in attempts)
    shown = sorted(lanes)[:LANES]
    return Flow(
        start,
        span,
        [timeline.pieces(timeline.shares(lanes[slot])) for slot in shown],
        len(lanes) - len(shown),
        timeline.bars(busy, sample.step),
        _durations(attempts, sample.step),
        _ended(attempts, start, span, sample.step),
        sample.step,
        len(attempts),
        named,
    )


def _lanes_by_host(attempts: list[Try]) -> "tuple[dict[int, _Lane], list[tuple[str, int]]]":
    """Return the attempts of each slot of each host, and the hosts with the number of their slots, of those that are shown.

    How many slots a host has is not stored: as many as it used at once. Its clock counts whole milliseconds.
    """
    lanes: dict[int, _Lane] = {}
    named = []
    for host in sorted({one.host or "" for one in attempts}):
        there = [one for one in attempts if (one.host or "") == host]
        slots = dict.fromkeys((one.run for one in there), len(there))
        own = _lanes(there, slots, at_least=1)
        if (shown := min(len(own), LANES - len(lanes))) > 0:
            named.append((host or HERE, shown))
        lanes |= {len(lanes) + place: own[slot] for place, slot in enumerate(sorted(own))}
    return lanes, named


def _lanes(attempts: list[Try], sizes: Mapping[int, int], *, at_least: int = 0) -> "dict[int, _Lane]":
    """Return the attempts of each slot, with the time from which they had it. Runs one after another share slots.

    Attempts that overlap by ``at_least`` milliseconds had different slots, if there are enough.
    """
    slots = Slots(sizes)
    taken = [
        (one, *slots.take(one.run, one.started_at, one.started_at + max(0, one.seconds * 1000 - at_least)))
        for one in attempts
    ]
    spans: dict[int, tuple[int, float, int]] = {}  # of a run: its first start, its last end, and the slots that it used
    for one, slot, begin in taken:
        first, last, used = spans.get(one.run, (one.started_at, 0, 0))
        spans[one.run] = first, max(last, begin + one.seconds * 1000), max(used, slot + 1)
    lowest: dict[int, int] = {}
    for run, (first, _, _) in spans.items():
        lowest[run] = max(
            (low + spans[other][2] for other, low in lowest.items() if spans[other][1] > first), default=0
        )
    lanes: dict[int, _Lane] = {}
    for one, slot, begin in taken:
        lanes.setdefault(lowest[one.run] + slot, []).append((one, begin))
    return lanes


class _Timeline:
    """The time from ``start`` (ms) in equal bins."""

    def __init__(self, start: int, span: float) -> None:
        self._start, self._span = start, span
        self._width = span / _BINS

    def shares(self, attempts: "Iterable[tuple[Try, float]]") -> list[list[float]]:
        """Return for each bin how many attempts ran in it on average, by kind."""
        found = [[0.0, 0.0, 0.0] for _ in range(_BINS)]
        for one, begin in attempts:
            kind = _KINDS.get(one.outcome, _BAD)
            low = (begin - self._start) / 1000
            high = max((one.started_at - self._start) / 1000 + one.seconds, low + _SHORTEST)
            first, last = int(low / self._width), min(_BINS - 1, int(high / self._width))
            for n in range(min(first, _BINS - 1), last + 1):
                found[n][kind] += max(0.0, min(high, (n + 1) * self._width) - max(low, n * self._width)) / self._width
        return found

    def bars(self, shares: list[list[float]], step: int) -> list[Bar]:
        """Return a bar for each bin."""
        return [
            Bar(n * self._width, (n + 1) * self._width, *(share * step for share in kinds))
            for n, kinds in enumerate(shares)
        ]

    def pieces(self, shares: list[list[float]]) -> list[Bar]:
        """Return the busy stretches of a lane; equal neighbours are one, and no failure is too small to be seen."""
        found: list[Bar] = []
        for n, (ok, bad, off) in enumerate(shares):
            failed = math.ceil(min(1, bad) * _QUARTERS - 1e-9)
            rounded = (round(min(1, ok) * _QUARTERS), max(failed, bad > 0), round(min(1, off) * _QUARTERS))
            if not any(rounded):
                continue
            here = Bar(n * self._width, (n + 1) * self._width, *(share / _QUARTERS for share in rounded))
            if found and found[-1][2:] == here[2:] and math.isclose(found[-1].end, here.start):
                found[-1] = found[-1]._replace(end=here.end)
            else:
                found.append(here)
        return found


def _durations(attempts: list[Try], step: int) -> list[Bar]:
    logs = [math.log10(max(one.seconds, _SHORTEST)) for one in attempts]
    low, high = math.floor(min(logs) * 4) / 4, math.ceil(max(logs) * 4 + 1e-9) / 4
    count = max(4, round((high - low) * _PER_DECADE))
    edges = [10 ** (low + (high - low) * n / count) for n in range(count + 1)]
    places = (min(count - 1, int((log - low) / (high - low) * count)) for log in logs)
    return _counted(attempts, places, edges, step)


def _ended(attempts: list[Try], start: int, span: float, step: int) -> list[Bar]:
    count = max(1, min(_BARS, int(span / _BAR)))
    edges = [span * n / count for n in range(count + 1)]
    ends = ((one.started_at - start) / 1000 + one.seconds for one in attempts)
    places = (min(count - 1, max(0, int(end / span * count))) for end in ends)
    return _counted(attempts, places, edges, step * count / span)


def _counted(attempts: list[Try], places: Iterable[int], edges: list[float], each: float) -> list[Bar]:
    """Return the bars between ``edges`` with ``each`` for every attempt, by the place of its bar."""
    found = [[0.0, 0.0, 0.0] for _ in edges[1:]]
    for one, place in zip(attempts, places, strict=True):
        found[place][_KINDS.get(one.outcome, _BAD)] += each
    return [Bar(low, high, *kinds) for low, high, kinds in zip(edges, edges[1:], found, strict=False)]
