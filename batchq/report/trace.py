"""Attempts in the trace event format of Chrome, for Perfetto, speedscope and chrome://tracing.

A process is a run, or what it ran on one other host; a thread is one of the slots there, and a slice is an attempt. Times
are microseconds since the first start.
"""

from collections.abc import Iterator
from heapq import heappop, heappush

from batchq.jobs.asciijson import dump
from batchq.report.slots import Slots
from batchq.store.looking import tallies, timeline
from batchq.store.looking.timeline import Slice
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.report.formats import Scope

    Event = dict[str, Any]

_FAILED = ("failed", "timed_out", "crashed")
_ALL_RUNS = 0  #: the process of the counters; ids of runs begin with 1
_SAMPLES = 1000  #: values of a counter, at most about this many
_MANY = 1_000_000  #: slots of a host, of which only those are known that it used at once
_MILLISECOND = 1000  #: microseconds
_TOGETHER = 500  #: events in a piece of text


def rows(scope: "Scope") -> Iterator[str]:
    """Yield the trace in pieces: names of runs and slots, a slice for each attempt, and how many ran and had failed."""
    yield '{"displayTimeUnit":"ms","traceEvents":['
    before, lines = "\n", []
    for event in _events(scope):
        lines.append(dump(event, tight=True))
        if len(lines) == _TOGETHER:
            yield before + ",\n".join(lines)
            before, lines = ",\n", []
    yield (before + ",\n".join(lines) if lines else "") + "\n]}\n"


def _events(scope: "Scope") -> "Iterator[Event]":
    timing = tallies.timing(scope.store, scope.selection)
    processes = _Processes(timeline.slots(scope.store))
    zero = timing.first_started
    named: set[tuple[int, int]] = set()
    counters = _Counters(((timing.last_finished or scope.at) - (zero or 0)) * 1000)
    for one in timeline.slices(scope.store, scope.selection, scope.at):
        zero = one.started_at if zero is None else zero
        start = (one.started_at - zero) * 1000
        end = start + round(one.seconds * 1e6)
        process, slot, begin = processes.take(one.run, one.host, start, end)
        for key, name in (((process, 0), processes.name(one.run, one.host)), ((process, slot + 1), f"slot {slot + 1}")):
            if key not in named:
                named.add(key)
                yield _name("thread_name" if key[1] else "process_name", *key, name)
        yield _slice(one, process, slot, int(begin), max(0, end - int(begin)))
        yield from counters.add(start, end, has_failed=one.outcome in _FAILED)
    if named:
        yield _name("process_name", _ALL_RUNS, 0, "all runs")
        yield from counters.finish()


class _Processes:
    """The processes of the trace: runs, of these ``sizes``, have their own numbers, and hosts of a run follow them."""

    def __init__(self, sizes: dict[int, int]) -> None:
        self._sizes = sizes
        self._first = max(sizes, default=0) + 1
        self._afar: dict[tuple[int, str], int] = {}
        self._slots = Slots(sizes)
        self._slots_afar: dict[int, Slots] = {}

    def take(self, run: int, host: str | None, start: int, end: int) -> tuple[int, int, float]:
        """Return the process of an attempt, its slot there, and from when it has the slot."""
        if not host:
            return run, *self._slots.take(run, start, end)
        process = self._afar.setdefault((run, host), self._first + len(self._afar))
        slots = self._slots_afar.setdefault(process, Slots({process: _MANY}))
        # a clock counts whole milliseconds: attempts that overlap by less had one slot, one after the other
        slot, begin = slots.take(process, start, max(start, end - _MILLISECOND))
        return process, slot, begin

    def name(self, run: int, host: str | None) -> str:
        """Return how it is called."""
        if host:
            return f"run {run} on {visible(host, one_line=True)}"
        size = self._sizes.get(run, 1)
        return f"run {run} ({size} slot{'s' if size > 1 else ''})"


def _name(kind: str, run: int, slot: int, name: str) -> "Event":
    return {"name": kind, "ph": "M", "pid": run, "tid": slot, "args": {"name": name}}


def _slice(one: Slice, process: int, slot: int, begin: int, length: int) -> "Event":
    event = {
        "name": visible(one.name or f"job {one.job}", one_line=True),
        "cat": one.outcome,
        "ph": "X",
        "ts": begin,
        "dur": length,
        "pid": process,
        "tid": slot + 1,
        "args": {"job": one.job, "attempt": one.attempt}
        | ({"host": visible(one.host, one_line=True)} if one.host else {}),
    }
    return event | {"cname": "terrible"} if one.outcome in _FAILED else event


class _Counters:
    """How many attempts run, and how many have failed, over the time; they are added in the order of their starts."""

    def __init__(self, span: int) -> None:
        self._every = max(1, span // _SAMPLES)
        self._next = 0  # when values are due again
        self._ends: list[tuple[int, bool]] = []
        self._running = self._failed = self._at = 0

    def add(self, start: int, end: int, *, has_failed: bool) -> "Iterator[Event]":
        """Count an attempt; yield the values that are due."""
        yield from self._until(start)
        heappush(self._ends, (max(start, end), has_failed))
        self._running, self._at = self._running + 1, start
        yield from self._due()

    def finish(self) -> "Iterator[Event]":
        """Yield the values until the last end."""
        while self._ends:
            yield from self._until(self._ends[0][0])
        self._next = self._at
        yield from self._due()

    def _until(self, time: int) -> "Iterator[Event]":
        while self._ends and self._ends[0][0] <= time:
            self._at, has_failed = heappop(self._ends)
            self._running, self._failed = self._running - 1, self._failed + has_failed
            yield from self._due()

    def _due(self) -> "Iterator[Event]":
        if self._at < self._next:
            return
        self._next = self._at + self._every
        for name, value in (("running", self._running), ("failed", self._failed)):
            yield {"name": name, "ph": "C", "pid": _ALL_RUNS, "tid": 0, "ts": self._at, "args": {name: value}}
