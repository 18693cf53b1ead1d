"""One level of the order of jobs: what the end of some jobs does to the jobs right after them."""

import _sqlite3 as sqlite3
import json

from batchq.store import states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALL = 2**63 - 1  #: no id is above
LISTED = "(SELECT value FROM json_each(:jobs))"
#: Whether job ``p`` has finished and the child of dependency ``d`` has not been notified
UNNOTIFIED = "EXISTS (SELECT 1 FROM endings AS e WHERE e.job = p.id AND e.told < d.child)"
OPEN_PARENTS = f"""
(SELECT count(*) FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
    WHERE d.child = jobs.id AND (p.finished_at IS NULL OR {UNNOTIFIED}))"""
#: Whether job ``p`` counts as failed for a job after it
FAILED = "(p.state = 'failed' OR (p.state = 'cancelled' AND p.unneeded = 0))"
#: The parents ``p`` of which one must fail for job ``jobs`` to run, and whether one did or still can
HOPED = "FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent WHERE d.child = jobs.id AND d.kind = 'after_failed'"
HOPES = f"(p.finished_at IS NULL OR {FAILED} OR {UNNOTIFIED})"


def dead_above(db: sqlite3.Connection, named: "Mapping[str, object]") -> list[int]:
    """The failed or cancelled parents because of which some of the ``jobs`` can never run."""
    dead = db.execute(
        f"SELECT DISTINCT p.id FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent WHERE d.child IN {LISTED}"
        " AND d.kind = 'after' AND p.state IN ('failed', 'cancelled')",
        named,
    )
    return [id for (id,) in dead]


def block_again(db: sqlite3.Connection, where: str, named: "Mapping[str, object]") -> None:
    """Block those of the queued and scheduled jobs that have open parents; a pending retry delay is dropped."""
    also = "due_at = iif(why = 'retry', NULL, due_at), why = nullif(why, 'retry')"
    for source in ("queued", "scheduled"):
        states.move(db, source, "blocked", f"open_parents > 0 AND {where}", named, also)


def close(
    db: sqlite3.Connection,
    ended: "Sequence[int]",
    dead: "Sequence[int]",
    now: int,
    waiting: "Sequence[int]" = (),
    low: int = 0,
    high: int = ALL,
) -> list[int]:
    """Notify the children one level down, with ids above ``low`` up to ``high``; return those that were cancelled, with
    those of ``waiting``."""
    cancelled = cancel_below(db, dead, now, low, high)
    cancelled += cancel_unneeded(db, ended, now, waiting, low, high)
    freed = db.execute(
        """
        UPDATE jobs SET open_parents = open_parents - gone.n,
            state = CASE WHEN state <> 'blocked' OR open_parents > gone.n THEN state
                WHEN due_at > :now THEN 'scheduled' ELSE 'queued' END,
            why = CASE WHEN state <> 'blocked' OR open_parents > gone.n THEN why WHEN due_at > :now THEN 'delay' END,
            due_at = CASE WHEN state <> 'blocked' OR open_parents > gone.n OR due_at > :now THEN due_at END
        FROM (SELECT child, count(*) AS n FROM dependencies WHERE parent IN (SELECT value FROM json_each(:jobs))
            AND child > :low AND child <= :high GROUP BY child) AS gone
        WHERE jobs.id = gone.child AND jobs.state IN ('blocked', 'held', 'running')
        RETURNING state, queue, batch""",
        {"jobs": json.dumps(ended), "now": now, "low": low, "high": high},
    ).fetchall()
    moves = (("blocked", *cell) for cell in freed if cell[0] in ("queued", "scheduled"))
    states.count(db, states.tally_moves(moves))
    return cancelled


def cancel_below(
    db: sqlite3.Connection,
    dead: "Sequence[int]",
    now: int,
    low: int = 0,
    high: int = ALL,
    among: "Sequence[int] | None" = None,
) -> list[int]:
    """Cancel the jobs (``among`` these) that were to run after the success of one of the ``dead``; return their ids."""
    if not dead:
        return []
    named: dict[str, object] = {"jobs": json.dumps(dead), "now": now, "low": low, "high": high}
    below = f"SELECT child FROM dependencies WHERE parent IN {LISTED} AND kind = 'after'"
    below += " AND child > :low AND child <= :high"
    if among is not None:
        below += " AND child IN (SELECT value FROM json_each(:among))"
        named["among"] = json.dumps(among)
    found = db.execute(
        f"SELECT id, state, queue, batch FROM jobs WHERE id IN ({below}) AND state IN {_WAITING}", named
    ).fetchall()
    if found:
        cause = (
            "(SELECT p.id FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent WHERE d.child = jobs.id"
            f" AND d.kind = 'after' AND d.parent IN {LISTED} ORDER BY p.unneeded, p.id LIMIT 1)"
        )
        db.execute(
            f"UPDATE jobs SET state = 'cancelled', cause = {cause}, finished_at = :now, due_at = NULL, (why, unneeded) ="
            " (SELECT 'job ' || p.id || coalesce(' (' || p.name || ')', '') || ', after which it was to run, '"
            " || iif(p.state = 'failed', 'failed', iif(p.unneeded, 'was not needed', 'was cancelled')), p.unneeded"
            f" FROM jobs AS p WHERE p.id = {cause}) WHERE id IN ({below}) AND state IN {_WAITING}",
            named,
        )
        states.count(db, states.tally_moves((source, "cancelled", *place) for _, source, *place in found))
    return [id for id, *_ in found]


def has_after_failed(db: sqlite3.Connection) -> bool:
    """Whether some job of the store runs only after the failure of another."""
    # Literally the condition of the index dependencies_after_failed, or SQLite would not use it.
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM dependencies WHERE kind = 'after_failed')").fetchone()[0])


def cancel_unneeded(
    db: sqlite3.Connection,
    ended: "Sequence[int]",
    now: int,
    waiting: "Sequence[int]",
    low: int = 0,
    high: int = ALL,
) -> list[int]:
    """Cancel the jobs of ``waiting``, and those below ``ended``, whose parents in ``after_failed`` have all finished and
    none failed; return their ids."""
    if not has_after_failed(db):
        return []
    named = {"jobs": json.dumps(ended), "among": json.dumps(waiting), "now": now, "low": low, "high": high}
    found = db.execute(_FIND_UNNEEDED, named).fetchall()
    db.executemany(_CANCEL_UNNEEDED, [{"id": id, "now": now} for id, *_ in found])
    states.count(db, states.tally_moves((source, "cancelled", *place) for _, source, *place in found))
    return [id for id, *_ in found]


_WAITING = "('queued', 'scheduled', 'blocked', 'held')"
_FIND_UNNEEDED = f"""
SELECT id, state, queue, batch FROM jobs WHERE state IN {_WAITING} AND id IN (
    SELECT child FROM dependencies
        WHERE kind = 'after_failed' AND parent IN {LISTED} AND child > :low AND child <= :high
    UNION SELECT d.child FROM json_each(:among) CROSS JOIN dependencies AS d ON d.child = value
        WHERE d.kind = 'after_failed')
    AND NOT EXISTS (
        SELECT 1 {HOPED} AND (p.finished_at IS NULL OR {FAILED} OR (p.id NOT IN {LISTED} AND {UNNOTIFIED})))"""
_CANCEL_UNNEEDED = f"""
UPDATE jobs SET state = 'cancelled', unneeded = 1, finished_at = :now, due_at = NULL, (cause, why) = (
    SELECT min(p.id), 'it was to run only if job ' || p.id || coalesce(' (' || p.name || ')', '')
        || iif(count(*) > 1, ' or ' || (count(*) - 1) || iif(count(*) > 2, ' others', ' other'), '') || ' failed' {HOPED})
    WHERE id = :id"""
