"""Numbers about a store for monitoring: its jobs by batch, queue and state, and the newest add of each batch.

The work grows with the newest adds, not with the store. Adds of a batch that failed are passed over by their rows.
"""

from collections.abc import Sequence
from itertools import islice

from batchq.jobs.lifecycle import FINAL, STATES
from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.looking import adds, times
from batchq.store.looking.adds import Add
from batchq.store.looking.rows import Spread

BATCHES = 200  #: batches that are measured, those with the newest jobs: each is a time series for every number
LOOK_BACK = 1_000  #: adds that succeeded in part, among which the last one without a failure is looked for

_COURSE = """
SELECT state, count(*), min(started_at), max(finished_at) FROM jobs
WHERE id BETWEEN :first AND :last AND batch = :batch GROUP BY state"""
_ANY_FAILED = "SELECT 1 FROM jobs WHERE state = 'failed' AND id BETWEEN :first AND :last AND batch = :batch LIMIT 1"
_WORK = """
SELECT count(*), total(a.seconds) FROM jobs JOIN attempts AS a ON a.job = jobs.id
WHERE jobs.id BETWEEN :first AND :last AND jobs.batch = :batch"""


class Course(NamedTuple):
    """How far the jobs of a batch in one add are: how many in each state, when the first started, and when the last one
    ended (ms); None while one is open."""

    jobs: dict[str, int]
    started_at: int | None
    ended_at: int | None

    @property
    def succeeded_at(self) -> int | None:
        """When the last job ended, if every one succeeded."""
        return self.ended_at if {*self.jobs} == {"succeeded"} else None


class Batch(NamedTuple):
    """The newest add of a batch, made at ``added_at`` (ms), and its attempts: how many, how long in all (s), how they are
    spread. ``succeeded_at`` is when the newest add of which every job succeeded ended; None if none is known."""

    name: str
    added_at: int
    course: Course
    attempts: int
    seconds: float
    took: Spread | None
    succeeded_at: int | None


def cells(store: Store, batches: Sequence[str]) -> list[tuple[str, str, str, int]]:
    """The number of jobs by batch, queue and state, of these batches."""
    wanted = set(batches)
    rows = store.fetch("SELECT batch, queue, state, jobs FROM counters WHERE jobs > 0 ORDER BY batch, queue, state")
    return [row for row in rows if row[0] in wanted]


def batches(store: Store, only: str | None) -> tuple[list[str], int]:
    """The names of the ``BATCHES`` batches with the newest jobs, sorted, and how many more there are.

    ``only`` is the one batch that is asked for.
    """
    names = [name for (name,) in store.fetch("SELECT DISTINCT batch FROM counters WHERE jobs > 0 ORDER BY batch")]
    if only is not None:
        return [name for name in names if name == only], 0
    if len(names) > BATCHES:
        names.sort(key=lambda name: _newest_id(store, name), reverse=True)
    return sorted(names[:BATCHES]), max(0, len(names) - BATCHES)


def batch(store: Store, name: str) -> Batch | None:
    """The newest add of a batch; None if the batch has no job any more."""
    for add in adds.newest(store, Selection(batch=name)):
        course = _course(store, add, name)
        ((attempts, seconds),) = store.fetch(_WORK, _named(add, name))
        took = times.times(store, Selection((add.ids,), batch=name), course.jobs).took
        succeeded_at = course.succeeded_at or _succeeded_at(store, name, add)
        return Batch(name, add.at, course, attempts, seconds, took, succeeded_at)
    return None


def _succeeded_at(store: Store, name: str, newest: Add) -> int | None:
    with_success = adds.newest(store, Selection(batch=name, states=("succeeded",)))
    for add in islice(with_success, LOOK_BACK):
        if add.first == newest.first or store.fetch(_ANY_FAILED, _named(add, name)):
            continue
        if at := _course(store, add, name).succeeded_at:
            return at
    return None


def _course(store: Store, add: Add, name: str) -> Course:
    rows = store.fetch(_COURSE, _named(add, name))
    found = {state: jobs for state, jobs, _, _ in rows}
    started = min((at for _, _, at, _ in rows if at is not None), default=None)
    ended = max((at for _, _, _, at in rows if at is not None), default=None)
    return Course(
        {state: found[state] for state in STATES if state in found}, started, ended if {*found} <= {*FINAL} else None
    )


def _newest_id(store: Store, name: str) -> int:
    of_batch = "batch = ? AND batch <> 'default'" if name != "default" else "batch = ?"
    rows = store.fetch(f"SELECT id FROM jobs WHERE {of_batch} ORDER BY id DESC LIMIT 1", (name,))
    return int(rows[0][0]) if rows else 0


def _named(add: Add, name: str) -> dict[str, object]:
    return {"first": add.first, "last": add.last, "batch": name}
