"""The order of jobs: ``after`` and ``after_any``. Who waits for whom, and what the end of a job does to those below it.

A blocked or held job knows how many of its parents are not over (``open_parents``). All of it is set-based: a parent
with a million children costs a few statements.
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
_IS_OPEN = """
EXISTS (SELECT 1 FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
    WHERE d.child = jobs.id AND p.finished_at IS NULL)"""
_OPEN_PARENTS = """
(SELECT count(*) FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
    WHERE d.child = jobs.id AND p.finished_at IS NULL)"""


# --- parents and children ----------------------------------------------------------------------------------------------


def block(db: sqlite3.Connection, jobs: "Sequence[int]", now: int) -> None:
    """Block those of the jobs whose parents are not over, and cancel those of which one has failed."""
    listed = {"jobs": json.dumps(jobs)}
    for source in ("queued", "scheduled"):
        where = f"id IN {_LISTED} AND {_IS_OPEN}"
        states.move(db, source, "blocked", where, listed, also=f"open_parents = {_OPEN_PARENTS}")
    db.execute(f"UPDATE jobs SET open_parents = {_OPEN_PARENTS} WHERE state = 'held' AND id IN {_LISTED}", listed)
    dead = db.execute(
        f"SELECT DISTINCT p.id FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent WHERE d.child IN {_LISTED}"
        " AND d.kind = 'after' AND p.state IN ('failed', 'cancelled')",
        listed,
    ).fetchall()
    ended = _cancel_below(db, [id for (id,) in dead], now)
    while ended:
        ended = _close(db, ended, ended, now)


def over(db: sqlite3.Connection, ended: "Sequence[int]", dead: "Sequence[int]", now: int) -> int:
    """Some jobs are over, those of ``dead`` without success: free who waited for the last of them, cancel who cannot run.

    How many were cancelled.
    """
    cancelled = 0
    if ended and has_any(db):
        while ended:
            ended = dead = _close(db, ended, dead, now)
            cancelled += len(ended)
    return cancelled


def _close(db: sqlite3.Connection, ended: "Sequence[int]", dead: "Sequence[int]", now: int) -> list[int]:
    """One level down; the jobs that were cancelled there."""
    cancelled = _cancel_below(db, dead, now)
    freed = db.execute(
        """
        UPDATE jobs SET open_parents = open_parents - gone.n,
            state = CASE WHEN state = 'held' OR open_parents > gone.n THEN state
                WHEN due_at > :now THEN 'scheduled' ELSE 'queued' END,
            why = CASE WHEN state = 'held' OR open_parents > gone.n THEN why WHEN due_at > :now THEN 'delay' END,
            due_at = CASE WHEN state = 'held' OR open_parents > gone.n OR due_at > :now THEN due_at END
        FROM (SELECT child, count(*) AS n FROM dependencies
            WHERE parent IN (SELECT value FROM json_each(:jobs)) GROUP BY child) AS gone
        WHERE jobs.id = gone.child AND jobs.state IN ('blocked', 'held')
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

    Each becomes queued, or blocked by parents that are not over. A job stays cancelled whose parent has failed and is
    not opened with it.
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
        db.execute(
            f"UPDATE jobs SET open_parents = {_OPEN_PARENTS} WHERE state IN ('blocked', 'held')"
            " AND id IN (SELECT child FROM dependencies WHERE parent IN (SELECT id FROM reopened))"
        )
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
# A parent that is dead and not reopened keeps its children, and theirs, where they are.
_STAY_DEAD = """
DELETE FROM reopened WHERE id IN (
    WITH RECURSIVE stuck (id) AS (
        SELECT d.child FROM reopened JOIN dependencies AS d ON d.child = reopened.id AND d.kind = 'after'
            JOIN jobs AS p ON p.id = d.parent AND p.state IN ('failed', 'cancelled')
            WHERE p.id NOT IN (SELECT id FROM reopened)
        UNION SELECT d.child FROM stuck JOIN dependencies AS d ON d.parent = stuck.id AND d.kind = 'after'
            WHERE d.child IN (SELECT id FROM reopened))
    SELECT id FROM stuck)"""
_PARENT_WAITS = """
FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
    WHERE d.child = jobs.id AND (p.finished_at IS NULL OR p.id IN (SELECT id FROM reopened))"""
_WAITS = f"EXISTS (SELECT 1 {_PARENT_WAITS})"
_WAITED_FOR = f"(SELECT count(*) {_PARENT_WAITS})"
