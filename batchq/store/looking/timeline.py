"""All attempts in the order of their starts, streamed: however many there are, few are in memory. No lock is taken."""

import _sqlite3 as sqlite3
from collections.abc import Iterator

from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store, translated
from batchq.store.selecting import condition


class Slice(NamedTuple):
    """One attempt: the run that made it, when it started (ms), and how long it took.

    The ``outcome`` of one that runs now is ``running``, and ``seconds`` are those until now.
    """

    run: int
    started_at: int
    seconds: float
    outcome: str
    job: int
    attempt: int
    name: str | None
    host: str | None


_ENDED = """
SELECT a.runner, a.started_at, a.seconds, a.outcome, jobs.id, a.number, jobs.name, a.host
FROM jobs JOIN attempts AS a ON a.job = jobs.id WHERE a.started_at IS NOT NULL AND"""
_RUNNING = """
SELECT jobs.runner, jobs.started_at, max(0, :now - jobs.started_at) / 1000.0, 'running', jobs.id, jobs.attempt, jobs.name,
    NULL
FROM jobs WHERE jobs.started_at IS NOT NULL AND"""


def slices(store: Store, selection: Selection, now: int) -> Iterator[Slice]:
    """Yield the attempts of the selected jobs; with ``since``, those that ended after it or run now."""
    where, named = condition(selection)
    window = " AND a.finished_at >= :since" if selection.since is not None else ""
    running, also = condition(selection.in_state("running"))
    sql = f"{_ENDED} {where}{window} UNION ALL {_RUNNING} {running} ORDER BY 2, 5"
    try:
        for row in store.db.execute(sql, {**named, **also, "now": now}):
            yield Slice._make(row)
    except sqlite3.Error as error:
        raise translated(error, store.path) from error


def slots(store: Store) -> dict[int, int]:
    """How many slots each run has or had, by its id."""
    return dict(store.fetch("SELECT id, slots FROM runners"))
