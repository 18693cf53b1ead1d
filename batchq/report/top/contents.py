"""What ``batchq top`` shows, read in one short snapshot of the store, and from /proc for runs of this machine."""

import time
from collections.abc import Mapping, Sequence

from batchq import clock
from batchq.jobs.lifecycle import FINAL, STATES
from batchq.jobs.selection import Selection, of_ids
from batchq.named import NamedTuple
from batchq.processes import machine, usage
from batchq.report import reasons
from batchq.report.printed import gap, lines, on_a_terminal
from batchq.report.reasons import Reason
from batchq.report.top import rates
from batchq.store.changing import queues
from batchq.store.changing.queues import Queue
from batchq.store.file.connection import Store
from batchq.store.looking import activity, details, outputs, queries
from batchq.store.looking.activity import Leader, Run
from batchq.store.looking.rows import Detail, Job
from batchq.store.snapshots import snapshot

MOST = 200  #: jobs of a list that are read
FAILURES = 100  #: jobs that failed last, whose reasons are shown

Clocked = tuple[float, float]  #: when it was read (monotonic seconds), and seconds of processor time until then


class Row(NamedTuple):
    """A job of the list. For one that runs on this machine ``cpu`` is how many cores it uses, ``memory`` how many bytes;
    ``line`` is the last line that it has printed."""

    job: Job
    cpu: float | None = None
    memory: int | None = None
    line: str = ""


class Contents(NamedTuple):
    """Everything in the picture. ``at`` is now (ms); ``counts`` are all selected jobs by state, lost ones apart.

    ``jobs`` are the first jobs of the list that was asked for. ``open`` are the jobs that runs will still take.
    """

    path: str
    at: int
    counts: Mapping[str, int]
    queues: Sequence[Queue]
    runs: Sequence[Run]
    jobs: Sequence[Row]
    reasons: Sequence[Reason]
    per_second: float | None
    open: int


class Reader:
    """Reads the contents of one store time after time; what needs two readings to be known is remembered between them."""

    def __init__(self, store: Store, selection: Selection) -> None:
        self._store = store
        self._selection = selection
        self._here = (machine.boot_id(), machine.namespace())
        self._ended = rates.EndedJobs()
        self._used: dict[str, Clocked] = {}
        self._failed: tuple[list[tuple[int, int]], list[Reason]] = ([], [])

    def read(self, state: str, text: str, most: int = MOST) -> Contents:
        """Read everything, with the first ``most`` jobs (-1: all) in ``state`` whose command or name contains ``text``."""
        store, selection = self._store, self._selection
        with snapshot(store):
            found = queues.queues(store, selection)
            counts = _summed(found)
            runs = activity.runs(store)
            is_any = not state or counts.get(state) or (state == "running" and counts.get("lost"))
            ids = activity.ids(store, selection, state, most, text) if is_any else []
            jobs = {job.id: job for job in queries.jobs(store, of_ids(ids), -1)} if ids else {}
            leaders = activity.leaders(store, ids)
            printed = activity.printed(store, ids)
            failed = activity.last_failed(store, selection, FAILURES) if counts.get("failed") else []
            if failed != self._failed[0]:
                self._failed = failed, reasons.find(store, of_ids(id for id, _ in failed)) if failed else []
            per_second = self._rate(counts, runs)
        cpu, memory = self._usage({one.id: one for one in runs}, leaders, jobs)
        rows = [Row(jobs[id], cpu.get(id), memory.get(id), last_line(printed.get(id, b""))) for id in ids if id in jobs]
        waiting = sum(_open(queue) for queue in found)
        return Contents(store.path, clock.now(), counts, found, runs, rows, self._failed[1], per_second, waiting)

    def log(self, id: int) -> tuple[Detail, list[str]]:
        """Read a job, and the lines that its last attempt has printed so far. Raises MissingError."""
        with snapshot(self._store):
            detail = details.job(self._store, id)
            found = outputs.printed(self._store, id, None)
        return detail, [
            gap(one, None) if one.missing else on_a_terminal(one.data, colour=False) for one in lines(found.pieces())
        ]

    def _rate(self, counts: Mapping[str, int], runs: Sequence[Run]) -> float | None:
        self._ended.count(sum(counts.get(state, 0) for state in FINAL), time.monotonic())
        if (counted := self._ended.per_second()) is not None:
            return counted
        now = clock.now()
        return sum(
            rates.estimated(activity.ended(self._store, one.id), one.started_at, now, activity.ENDED)
            for one in runs
            if not one.is_dead
        )

    def _usage(
        self, runs: Mapping[int, Run], leaders: Mapping[int, Leader], jobs: Mapping[int, Job]
    ) -> tuple[dict[int, float], dict[int, int]]:
        """The cores and the memory that jobs of this boot and these namespaces use, by job."""
        cpu: dict[int, float] = {}
        memory: dict[int, int] = {}
        used: dict[str, Clocked] = {}
        for id, leader in leaders.items():
            run = runs.get(leader.run)
            if run is None or leader.pid is None or (run.boot_id, run.namespace) != self._here or id not in jobs:
                continue
            if (found := usage.of_tree(leader.pid, leader.born)) is not None:
                memory[id] = found.memory
                used[leader.token] = now, seconds = time.monotonic(), found.seconds
                if leader.token in self._used:
                    before, spent = self._used[leader.token]
                    cpu[id] = max(0.0, seconds - spent) / max(now - before, 0.01)
                elif jobs[id].kind not in ("call", "payload"):  # a worker has had other jobs before
                    cpu[id] = seconds / max(jobs[id].running_for(clock.now()) / 1000, 0.01)
        self._used = used
        return cpu, memory


def last_line(data: bytes) -> str:
    """The last line that is not blank, as a terminal shows it, without its colours."""
    for line in reversed(data.splitlines()):
        if shown := on_a_terminal(line, colour=False).strip():
            return shown
    return ""


def _summed(found: Sequence[Queue]) -> dict[str, int]:
    counts = dict.fromkeys((*STATES, "lost"), 0)
    for queue in found:
        for state, jobs in queue.jobs.items():
            counts[state] = counts.get(state, 0) + jobs
    return {state: jobs for state, jobs in counts.items() if jobs}


def _open(queue: Queue) -> int:
    """How many jobs of a queue runs will still take or end."""
    running = queue.jobs.get("running", 0)
    is_shut = queue.paused or queue.limit == 0
    return running if is_shut else running + queue.jobs.get("queued", 0) + queue.jobs.get("blocked", 0)
