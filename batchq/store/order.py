"""The order of jobs, ``after``, ``after_any`` and ``after_failed``: which jobs wait for which, and what the end of a job
does below it.

An unfinished job stores how many of its parents are unfinished (``open_parents``). One that is queued or scheduled has
none; if a parent is retried, it is blocked again. One that is running may have some, and waits for them if requeued.

When jobs finish, ``propagate`` goes down one level at a time:

    1 failed                      has just finished
    |-- after ---- 2 cancelled    level 1: it can never run, so it has finished, too
    |              |-- after ---- 4 cancelled    level 2
    |              `-- any ------ 5 queued       (``after_any``: any end is enough)
    |-- any ------ 3 blocked      one open parent fewer; queued once it has none
    `-- failed --- 6 queued       (``after_failed``: once all have finished, if one of them has ``FAILED``)

If none of the parents in ``after_failed`` has failed, the job is cancelled and ``unneeded``, and so is everything after
it: that is not a failure.

After ``DEEP`` levels, or before a level of more than ``WIDE`` children, it stops: the finished jobs whose children have
not been notified go into the table ``endings``, and still count as open parents. Any run continues there, a slice at a
time (``proceed``), so no transaction is long, and a crash between two slices loses nothing.
"""

import _sqlite3 as sqlite3
import contextlib
import json
import time

from batchq.errors import BatchqError
from batchq.store import levels
from batchq.store.levels import ALL, LISTED, OPEN_PARENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchq.store.file.connection import Store

DEEP = 20  #: levels that are notified in the transaction of the end itself
WIDE = 2_000  #: children of one level that are
SLICE = 0.04  #: seconds that one transaction spends on ends that were put off
CHUNK = 500  #: children of one job that are notified in one step of that


# --- parents and children ----------------------------------------------------------------------------------------------


def has_any(db: sqlite3.Connection) -> bool:
    """Whether some job of the store runs after another."""
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM dependencies)").fetchone()[0])


def block(db: sqlite3.Connection, jobs: "Sequence[int]", now: int) -> None:
    """Block those of the jobs that have an unfinished parent, and cancel those that have a failed one."""
    db.execute(f"UPDATE jobs SET open_parents = {OPEN_PARENTS} WHERE id IN {LISTED}", {"jobs": json.dumps(jobs)})
    propagate(db, (), (), now, jobs)


def propagate(
    db: sqlite3.Connection, ended: "Sequence[int]", dead: "Sequence[int]", now: int, waiting: "Sequence[int]" = ()
) -> int:
    """Notify the jobs below those that have ``ended``, the ``dead`` ones without success; return how many were cancelled.

    A child without open parents is freed, one that can never run is cancelled. The jobs of ``waiting`` are new or were
    requeued: they are blocked or cancelled, as their parents require. What goes too deep or too wide is put off, and
    may cancel more.
    """
    cancelled = 0
    if (ended or waiting) and has_any(db):
        named = {"jobs": json.dumps(waiting)}
        above = levels.dead_above(db, named) if waiting else []
        if _is_wide(db, ended) or (above and is_unfinished(db)):
            stopped = levels.cancel_below(db, above, now, among=waiting) + levels.cancel_unneeded(db, (), now, waiting)
            cancelled += len(stopped)
            _put_off(db, [*ended, *stopped])
        else:
            dead = [*dead, *above]
            new = waiting
            for _ in range(DEEP):
                ended = dead = levels.close(db, ended, dead, now, new)
                new = ()
                cancelled += len(ended)
                if not ended or _is_wide(db, ended):
                    break
            _put_off(db, ended)
        if waiting:  # only now: a job that waited only for those of ``ended`` keeps the time of its retry
            mine = f"id IN {LISTED} AND state IN ('queued', 'scheduled')"
            db.execute(f"UPDATE jobs SET open_parents = {OPEN_PARENTS} WHERE {mine}", named)
            levels.block_again(db, mine, named)
    return cancelled


# --- what is put off ---------------------------------------------------------------------------------------------------


def _is_wide(db: sqlite3.Connection, ended: "Sequence[int]") -> bool:
    """Whether the jobs have too many children to notify at once."""
    if not ended:
        return False
    few = f"SELECT 1 FROM dependencies WHERE parent IN {LISTED} LIMIT :most"
    ((children,),) = db.execute(f"SELECT count(*) FROM ({few})", {"jobs": json.dumps(ended), "most": WIDE + 1})
    return bool(children > WIDE)


def _put_off(db: sqlite3.Connection, ended: "Sequence[int]") -> None:
    """Enter those of the jobs that have children into ``endings``."""
    if ended:
        db.execute(
            "INSERT OR IGNORE INTO endings SELECT value, 0 FROM json_each(:jobs)"
            " WHERE EXISTS (SELECT 1 FROM dependencies WHERE parent = value)",
            {"jobs": json.dumps(ended)},
        )


def is_unfinished(db: sqlite3.Connection) -> bool:
    """Whether some jobs have not been notified that a parent has finished."""
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM endings)").fetchone()[0])


def proceed(db: sqlite3.Connection, now: int) -> int:
    """Continue with the ends that were put off, for ``SLICE`` seconds; return how many jobs were cancelled."""
    until = time.monotonic() + SLICE
    cancelled = 0
    while time.monotonic() < until and (row := db.execute(_NEXT_ENDING).fetchone()) is not None:
        job, told, state = row
        last = db.execute(_LAST_OF_CHUNK, (job, told, CHUNK - 1)).fetchone()
        high = ALL if last is None else last[0]
        below = levels.close(db, [job], [job] if state in ("failed", "cancelled") else [], now, low=told, high=high)
        cancelled += len(below)
        _put_off(db, below)
        if last is None:
            db.execute("DELETE FROM endings WHERE job = ?", (job,))
        else:
            db.execute("UPDATE endings SET told = ? WHERE job = ?", (high, job))
    return cancelled


_NEXT_ENDING = (
    "SELECT e.job, e.told, jobs.state FROM endings AS e LEFT JOIN jobs ON jobs.id = e.job ORDER BY e.job LIMIT 1"
)
_LAST_OF_CHUNK = "SELECT child FROM dependencies WHERE parent = ? AND child > ? ORDER BY child LIMIT 1 OFFSET ?"


def finish(store: "Store", now: int) -> int:
    """Work off all ends that were put off; others may write between the slices. Return how many jobs were cancelled.

    If the store is busy for long, this stops, and the next run continues.
    """
    cancelled = 0
    with contextlib.suppress(BatchqError):
        while is_unfinished(store.db):
            with store.writing() as db:
                cancelled += proceed(db, now)
    return cancelled
