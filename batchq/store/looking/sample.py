"""An even sample of attempts, for charts: however many there are, a bounded number is read. No lock is taken."""

from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.selecting import condition

MOST = 20_000  #: attempts of a sample

#: The multiples of this number, the golden section of 2^32, spread evenly over 2^32 whatever the step between the ids, so
#: jobs that repeat in a pattern do not distort a sample.
_SPREAD = 2_654_435_769


class Try(NamedTuple):
    """One attempt that has ended: the run that made it, when it started (ms), how long it took, and the host if that was
    another than that of its run."""

    run: int
    started_at: int
    seconds: float
    outcome: str
    host: str | None = None


class Sample(NamedTuple):
    """The attempts of one job in ``step``, in the order of their starts; ``slots`` is the size of each run."""

    step: int
    attempts: list[Try]
    slots: dict[int, int]


def evenly(id: str) -> str:
    """Return the SQL condition for one in ``:step`` of the jobs; ``id`` is the column with their ids."""
    return f"(({id} & 1073741823) * {_SPREAD} & 4294967295) * :step < 4294967296"


def sample(store: Store, selection: Selection, attempts: int) -> Sample:
    """Read a sample of the ``attempts`` of the selected jobs; with ``since``, of those that ended after it."""
    where, named = condition(selection)
    window = " AND a.finished_at >= :since" if selection.since is not None else ""
    step = max(1, -(-attempts // MOST))
    picked = f" AND {evenly('a.job')}" if step > 1 else ""
    source = "attempts AS a" if where == "1" else "jobs JOIN attempts AS a ON a.job = jobs.id"
    rows = store.fetch(
        f"SELECT a.runner, a.started_at, a.seconds, a.outcome, a.host FROM {source}"
        f" WHERE {where}{window}{picked} ORDER BY a.started_at LIMIT {2 * MOST}",
        {**named, "step": step},
    )
    return Sample(step, [Try._make(row) for row in rows], dict(store.fetch("SELECT id, slots FROM runners")))
