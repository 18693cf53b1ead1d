"""``batchq logs -f``: print what jobs print, until they have finished."""

import contextlib
import select
import sys
import time
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from batchq.cli.logs.printer import Printer
from batchq.cli.look.obstacles import Obstacles
from batchq.jobs.lifecycle import FINAL
from batchq.jobs.selection import NO_JOB, Range, Selection, merged
from batchq.notes import note
from batchq.report.printed import Lines, last
from batchq.report.program import program
from batchq.store.answering import awaited
from batchq.store.file.bell import Bell
from batchq.store.file.connection import Store
from batchq.store.looking import live, outputs, queries
from batchq.store.looking.outputs import Totals
from batchq.store.looking.rows import Job
from batchq.store.running import runners

LONGEST = 0.25  #: seconds between looks while no bell rings,
SHORTEST = 0.02  #: and at least, even if it rings all the time
SHARE = 10  #: looks at all jobs take at most one part in ten of the time
_RUNNING = ("running",)


def follow(store: Store, selection: Selection, printer: Printer, db: str | None) -> None:
    """Print the output of the selected jobs as it reaches the store, at most a second late, attempt after attempt.

    Jobs that come into the selection meanwhile join. It ends when all of them have finished. Without a selection, with
    only the state ``running``, and for the jobs of a run, it ends with the run; by default that is the last one at work.
    """
    of_runs = selection.is_empty or selection.states == _RUNNING or selection.run is not None
    if selection.states == _RUNNING:
        selection = selection._replace(states=())
    elif selection.states:
        selection = live.of(awaited.chosen(store, selection, set()))  # these jobs, whatever state they get to
    bell = Bell(store.path)
    try:
        _Following(store, selection, printer, program(db), of_runs=of_runs).until_over(bell)
    finally:
        bell.close()


class _Followed:
    """A job that is followed, from ``attempt`` on: how much of that was seen, by stream, and its lines that have begun."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.seen: dict[str, int] = {}
        self.lines = Lines()


class _Following:
    def __init__(self, store: Store, selection: Selection, printer: Printer, batchq: str, *, of_runs: bool) -> None:
        self._store = store
        self._selection = selection._replace(ran=None)  # with the jobs that the run has yet to start
        self._watched = selection._replace(run=None, ran=None)
        self._printer = printer
        self._batchq = batchq
        self._of_runs = of_runs
        self._obstacles = Obstacles(store, "logs", batchq)
        self._followed: dict[int, _Followed] = {}
        self._has_met_a_run = self._has_noted = False
        self._first = self._now = live.look(store, self._watched)
        self._look_at = 0.0  # monotonic seconds
        self._printed: set[int] = set()  # jobs that have finished since the last look, and were printed to their end

    def until_over(self, bell: Bell) -> None:
        """Print the finished jobs, then what comes, until nothing more can come or the reader is gone."""
        if not self._of_runs or self._selection.run is not None:
            self._print_finished()
        while True:
            is_over = (
                self._of_runs and self._has_run_ended()
            )  # before the look: by then the run has recorded everything
            is_look = is_over or time.monotonic() >= self._look_at
            self._catch_up(self._look() if is_look else self._running())
            self._printer.flush()
            if is_over or not (self._of_runs or self._now.unfinished):
                return
            if is_look and not self._of_runs:
                self._obstacles.report(self._now.unfinished)
            if _wait(bell):
                return

    def _look(self) -> Iterable[int]:
        """Look at all jobs of the selection; return those that have begun or finished."""
        began = time.monotonic()
        self._now = live.look(self._store, self._watched, self._now)
        now = time.monotonic()
        self._look_at = now + (now - began) * SHARE
        finished = {id for low, high in self._now.finished for id in range(low, high + 1)} - self._printed
        self._printed.clear()
        return finished.union(self._now.begun)

    def _running(self) -> Iterable[int]:
        """Return the jobs that run now and those that ran, between two looks at a large selection."""
        running = queries.running_ids(self._store)
        return {id for id in running if _is_in(self._now.unfinished, id)}.union(self._followed)

    def _has_run_ended(self) -> bool:
        """Whether no run is at work any more; while none has been met, a note reports that once."""
        run = self._selection.run
        if run is not None:
            return bool(runners.dead(self._store, {run}))
        is_any = runners.at_work(self._store) > 0
        self._has_met_a_run |= is_any or bool(self._now.finished)
        if not self._has_met_a_run and not self._has_noted:
            self._has_noted = True
            note(f"logs: no run is at work; start one with '{self._batchq} run'")
        return self._has_met_a_run and not is_any

    def _print_finished(self) -> None:
        for page in queries.pages(self._store, self._selection):
            for job in page:
                if job.id <= self._first.highest and not _is_in(self._first.unfinished, job.id):
                    self._printer.job(job, job.attempt)

    def _catch_up(self, ids: Iterable[int]) -> None:
        """Print what is new of these jobs."""
        chosen = self._selection.within(tuple(merged((id, id) for id in ids)) or NO_JOB)
        for page in queries.pages(self._store, chosen):
            totals = outputs.totals(self._store, [job.id for job in page], self._printer.manner.streams)
            for job in page:
                one = self._followed.get(job.id) or self._begin(job)
                self._continue(job, one, totals)

    def _begin(self, job: Job) -> _Followed:
        """Return a job of which nothing was printed yet, to be followed from its attempt at the start or its first one."""
        if job.id not in self._first.begun:
            is_new = job.id > self._first.highest or _is_in(self._first.unfinished, job.id)
            one = _Followed(1 if is_new else job.attempt)
        elif self._of_runs and self._selection.run is None and job.state not in ("running", *FINAL):
            one = _Followed(job.attempt + 1)  # it does not run now, but waits for that attempt
        else:
            one = _Followed(self._first.begun[job.id])
            if (lines := self._printer.manner.lines) is not None:
                self._printer.feed(job, one.lines, last(self._printer.pieces(job.id, one.attempt, one.seen), lines))
        self._followed[job.id] = one
        return one

    def _continue(self, job: Job, one: _Followed, totals: Totals) -> None:
        for number in range(one.attempt, job.attempt + 1):  # the first one again: it may have printed more since
            if number > one.attempt:
                self._printer.finish(job, one.lines)
                one.attempt, one.seen, one.lines = number, {}, Lines()
            if totals.get((job.id, number), {}) != one.seen:
                self._printer.feed(job, one.lines, self._printer.pieces(job.id, number, one.seen))
        if job.state != "running":
            self._printer.finish(job, one.lines)
        if job.state in FINAL:
            del self._followed[job.id]
            self._printed.add(job.id)


def _is_in(ranges: Sequence[Range], id: int) -> bool:
    """Whether an id is in sorted ranges."""
    at = bisect_right(ranges, id, key=lambda span: span[0]) - 1
    return at >= 0 and id <= ranges[at][1]


def _wait(bell: Bell) -> bool:
    """Wait until the store is written, for a quarter of a second at most; return whether the reader of stdout is gone."""
    time.sleep(SHORTEST)
    waiting = select.poll()
    if bell.fd is not None:
        waiting.register(bell.fd, select.POLLIN)
    with contextlib.suppress(OSError):  # stdout need not be a file
        waiting.register(sys.stdout.fileno(), 0)
    found = [fd for fd, _ in waiting.poll(LONGEST * 1000)]
    bell.has_rung()
    return any(fd != bell.fd for fd in found)
