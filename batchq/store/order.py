"""The order of jobs: ``after`` and ``after_any``. Who waits for whom, and what the end of a job does to those below it.

A job that is not over knows how many of its parents are not over (``open_parents``). One that waits to be claimed has
none, so a retry of its parent blocks it again; one that runs may have some, and meets them when it is put back. All of
it is set-based: a parent with a million children costs a few statements.
"""

import json
import sqlite3
from typing import NamedTuple

from batchq.store import states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What a job forgets that is to run once more
AFRESH = "failures = 0, crashes = 0, interruptions = 0, cancel_asked = 0, finished_at = NULL, why = NULL, cause = NULL"
_LISTED = "(SELECT value FROM json_each(:jobs))"
_OPEN_PARENTS = """
(SELECT count(*) FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
    WHERE d.child = jobs.id AND p.finished_at IS NULL)"""


# --- parents and children ----------------------------------------------------------------------------------------------


def block(db: sqlite3.Connection, jobs: "Sequence[int]", now: int) -> None:
    """Block those of the jobs, which have got parents, that must wait for one; cancel those one of which has failed."""
    db.execute(f"UPDATE jobs SET open_parents = {_OPEN_PARENTS} WHERE id IN {_LISTED}", {"jobs": json.dumps(jobs)})
    over(db, (), (), now, jobs)


def over(
    db: sqlite3.Connection, ended: "Sequence[int]", dead: "Sequence[int]", now: int, waiting: "Sequence[int]" = ()
) -> int:
    """Some jobs are over, those of ``dead`` without success: free who waited for the last of them, cancel who cannot run.

    The jobs of ``waiting`` are new, or were put back: they wait, or are cancelled, as their parents demand it. How many
    were cancelled.
    """
    cancelled = 0
    if (ended or waiting) and has_any(db):
        named = {"jobs": json.dumps(waiting)}
        dead = [*dead, *_dead_above(db, named)] if waiting else dead
        while ended or dead:
            ended = dead = _close(db, ended, dead, now)
            cancelled += len(ended)
        if waiting:  # only now: who waited for nobody but those of ``ended`` keeps the time of its retry
            mine = f"id IN {_LISTED} AND state IN ('queued', 'scheduled')"
            db.execute(f"UPDATE jobs SET open_parents = {_OPEN_PARENTS} WHERE {mine}", named)
            _block(db, mine, named)
    return cancelled


def _dead_above(db: sqlite3.Connection, named: "Mapping[str, object]") -> list[int]:
    """The parents because of which some of the ``jobs`` can never run."""
    dead = db.execute(
        f"SELECT DISTINCT p.id FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent WHERE d.child IN {_LISTED}"
        " AND d.kind = 'after' AND p.state IN ('failed', 'cancelled')",
        named,
    )
    return [id for (id,) in dead]


def _block(db: sqlite3.Connection, where: str, named: "Mapping[str, object]") -> None:
    """Block those of the jobs that wait to be claimed and have open parents; they need not wait for a retry then."""
    also = "due_at = iif(why = 'retry', NULL, due_at), why = nullif(why, 'retry')"
    for source in ("queued", "scheduled"):
        states.move(db, source, "blocked", f"open_parents > 0 AND {where}", named, also)


def _close(db: sqlite3.Connection, ended: "Sequence[int]", dead: "Sequence[int]", now: int) -> list[int]:
    """One level down; the jobs that were cancelled there."""
    cancelled = _cancel_below(db, dead, now)
    freed = db.execute(
        """
        UPDATE jobs SET open_parents = open_parents - gone.n,
            state = CASE WHEN state <> 'blocked' OR open_parents > gone.n THEN state
                WHEN due_at > :now THEN 'scheduled' ELSE 'queued' END,
            why = CASE WHEN state <> 'blocked' OR open_parents > gone.n THEN why WHEN due_at > :now THEN 'delay' END,
            due_at = CASE WHEN state <> 'blocked' OR open_parents > gone.n OR due_at > :now THEN due_at END
        FROM (SELECT child, count(*) AS n FROM dependencies
            WHERE parent IN (SELECT value FROM json_each(:jobs)) GROUP BY child) AS gone
        WHERE jobs.id = gone.child AND jobs.state IN ('blocked', 'held', 'running')
        RETURNING state, queue, batch""",
        {"jobs": json.dumps(ended), "now": now},
    ).fetchall()
    moves = (("blocked", *cell) for cell in freed if cell[0] in ("queued", "scheduled"))
    states.count(db, states.tally_moves(moves))
    return cancelled


def _cancel_below(db: sqlite3.Connection, dead: "Sequence[int]", now: int) -> list[int]:
    """Cancel the jobs that run only after the success of one of the ``dead``; their ids."""
    if not dead:
        return []
    named = {"jobs": json.dumps(dead), "now": now}
    below = f"SELECT child FROM dependencies WHERE parent IN {_LISTED} AND kind = 'after'"
    cancelled = [
        id
        for (id,) in db.execute(
            f"SELECT id FROM jobs WHERE id IN ({below}) AND state IN ('queued', 'scheduled', 'blocked', 'held')", named
        )
    ]
    if cancelled:
        cause = (
            f"(SELECT min(parent) FROM dependencies WHERE child = jobs.id AND kind = 'after' AND parent IN {_LISTED})"
        )
        also = (
            f"cause = {cause}, finished_at = :now, due_at = NULL, why = (SELECT 'job ' || p.id || coalesce(' (' || p.name"
            " || ')', '') || ', after which it was to run, '"
            f" || iif(p.state = 'failed', 'failed', 'was cancelled') FROM jobs AS p WHERE p.id = {cause})"
        )
        for source in ("queued", "scheduled", "blocked", "held"):
            states.move(db, source, "cancelled", f"id IN ({below})", named, also)
    return cancelled


# --- what a retry does -------------------------------------------------------------------------------------------------


def has_any(db: sqlite3.Connection) -> bool:
    """Whether some job of the store runs after another."""
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM dependencies)").fetchone()[0])


class Opened(NamedTuple):
    """How many jobs of the chosen ones left each final state, how many others came back with them, and the ids of the
    chosen ones."""

    chosen: dict[str, int]
    followed: int
    ids: list[int]


def reopen(db: sqlite3.Connection, where: str, named: "Mapping[str, object]") -> Opened:
    """Open the jobs that are over and fulfil ``where`` once more, and those below them that were cancelled because of them.

    Each becomes queued, or blocked by parents that are not over; who waits to be claimed and is to run after one of them
    is blocked again. A job stays cancelled whose parent has failed and is not opened with it.
    """
    db.execute("CREATE TEMP TABLE reopened (id INTEGER PRIMARY KEY, chosen INTEGER)")
    try:
        db.execute(f"INSERT INTO reopened SELECT jobs.id, 1 FROM jobs WHERE {where}", named)
        db.execute(_REVIVE)
        db.execute(_STAY_DEAD)
        chosen = dict(
            db.execute(
                "SELECT state, count(*) FROM reopened JOIN jobs ON jobs.id = reopened.id WHERE chosen GROUP BY state"
            ).fetchall()
        )
        total = 0
        for source in ("failed", "cancelled", "succeeded"):
            for target, waits in (("blocked", _WAITS), ("queued", f"NOT {_WAITS}")):
                mine = f"id IN (SELECT id FROM reopened) AND {waits}"
                total += states.move(db, source, target, mine, {}, f"{AFRESH}, open_parents = {_WAITED_FOR}")
        below = "id IN (SELECT child FROM dependencies WHERE parent IN (SELECT id FROM reopened))"
        db.execute(f"UPDATE jobs SET open_parents = {_OPEN_PARENTS} WHERE finished_at IS NULL AND {below}")
        _block(db, below, {})
        ids = [id for (id,) in db.execute("SELECT id FROM reopened WHERE chosen ORDER BY id")]
    finally:
        db.execute("DROP TABLE reopened")
    return Opened(chosen, total - sum(chosen.values()), ids)


_REVIVE = """
INSERT OR IGNORE INTO reopened
WITH RECURSIVE below (id) AS (
    SELECT id FROM reopened
    UNION SELECT jobs.id FROM below JOIN dependencies AS d ON d.parent = below.id
        JOIN jobs ON jobs.id = d.child AND jobs.state = 'cancelled' AND jobs.cause = below.id)
SELECT id, 0 FROM below"""
# A parent that is dead and not reopened keeps its children, and theirs, where they are. CROSS JOIN keeps this order: to
# begin with all dependencies of the store, as SQLite would, takes long for one job of a million.
_STAY_DEAD = """
DELETE FROM reopened WHERE id IN (
    WITH RECURSIVE stuck (id) AS (
        SELECT d.child FROM reopened CROSS JOIN dependencies AS d ON d.child = reopened.id AND d.kind = 'after'
            JOIN jobs AS p ON p.id = d.parent AND p.state IN ('failed', 'cancelled')
            WHERE p.id NOT IN (SELECT id FROM reopened)
        UNION SELECT d.child FROM stuck JOIN jobs AS p ON p.id = stuck.id AND p.state IN ('failed', 'cancelled')
            JOIN dependencies AS d ON d.parent = p.id AND d.kind = 'after'
            WHERE d.child IN (SELECT id FROM reopened))
    SELECT id FROM stuck)"""
_PARENT_WAITS = """
FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
    WHERE d.child = jobs.id AND (p.finished_at IS NULL OR p.id IN (SELECT id FROM reopened))"""
_WAITS = f"EXISTS (SELECT 1 {_PARENT_WAITS})"
_WAITED_FOR = f"(SELECT count(*) {_PARENT_WAITS})"
