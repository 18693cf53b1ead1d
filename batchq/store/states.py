"""State changes: every statement that writes ``jobs.state`` for many jobs, and all writing of ``counters``.

The counters store how many jobs are in each (state, queue, batch). They are updated in the transaction that moves the
jobs: counting ten million rows takes seconds, reading a counter takes microseconds.
"""

import _sqlite3 as sqlite3
from collections import Counter

HELD_BY_HAND = "held by hand"  #: the ``why`` of a job that a person holds,
ADDED_ON_HOLD = (
    "added with hold"  #: and of one added with ``hold``; any other held job was put on hold by batchq itself
)
# Written exactly as in the index jobs_on_hold, or SQLite would not use it.
ON_HOLD = f"jobs.state = 'held' AND jobs.why <> '{HELD_BY_HAND}' AND jobs.why <> '{ADDED_ON_HOLD}'"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Tally = dict[tuple[str, str, str], int]  # (state, queue, batch) -> change of the number of jobs


def count(db: sqlite3.Connection, tally: "Mapping[tuple[str, str, str], int]") -> None:
    """Add the changes of ``tally`` to the counters."""
    changes = [(*cell, change) for cell, change in tally.items() if change]
    db.executemany(
        "INSERT INTO counters VALUES (?, ?, ?, max(?4, 0)) ON CONFLICT DO UPDATE SET jobs = jobs + ?4", changes
    )
    gone = [cell for cell, change in tally.items() if change < 0]
    db.executemany("DELETE FROM counters WHERE state = ? AND queue = ? AND batch = ? AND jobs = 0", gone)


def tally_moves(moves: "Iterable[tuple[str, str, str, str]]") -> "Tally":
    """The counter changes of moves (from state, to state, queue, batch): an iterable of moves, or a count of each."""
    tally: Tally = {}
    for (source, target, queue, batch), jobs in Counter(moves).items():
        left, entered = (source, queue, batch), (target, queue, batch)
        tally[left] = tally.get(left, 0) - jobs
        tally[entered] = tally.get(entered, 0) + jobs
    return tally


def hold_by_hand(db: sqlite3.Connection, where: str, parameters: "Mapping[str, object]") -> list[int]:
    """Mark those of the jobs that batchq itself has put on hold as held by a person; return their ids."""
    sql = f"UPDATE jobs SET why = '{HELD_BY_HAND}' WHERE {ON_HOLD} AND {where} RETURNING id"
    return [id for (id,) in db.execute(sql, parameters).fetchall()]


def move(
    db: sqlite3.Connection, source: str, target: str, where: str, parameters: "Mapping[str, object]", also: str = ""
) -> int:
    """Move the jobs in state ``source`` that fulfil ``where`` to ``target``; return how many.

    ``also`` is for further assignments. Two passes inside SQLite, so a million jobs never become Python objects.
    """
    named = {**parameters, "source": source, "target": target}
    groups = db.execute(
        f"SELECT queue, batch, count(*) FROM jobs WHERE state = :source AND {where} GROUP BY queue, batch", named
    ).fetchall()
    if not groups:
        return 0
    assignments = f"state = :target{', ' + also if also else ''}"
    db.execute(f"UPDATE jobs SET {assignments} WHERE state = :source AND {where}", named)
    tally: Tally = {}
    for queue, batch, jobs in groups:
        tally[source, queue, batch] = -jobs
        tally[target, queue, batch] = jobs
    count(db, tally)
    return int(sum(jobs for _, _, jobs in groups))


COUNTED = "SELECT state, queue, batch, count(*) AS jobs FROM jobs GROUP BY 1, 2, 3"
MISCOUNTED = (
    f"SELECT state || ' ' || queue FROM (SELECT * FROM ({COUNTED} EXCEPT SELECT * FROM counters)"
    f" UNION ALL SELECT * FROM (SELECT * FROM counters WHERE jobs <> 0 EXCEPT {COUNTED}))"
)
RECOUNT = ("DELETE FROM counters", f"INSERT INTO counters {COUNTED}")


def recount(db: sqlite3.Connection) -> bool:
    """Correct the counters by counting all jobs; return whether they were wrong."""
    ((is_wrong,),) = db.execute(f"SELECT EXISTS ({MISCOUNTED})").fetchall()
    for statement in RECOUNT if is_wrong else ():
        db.execute(statement)
    return bool(is_wrong)
