"""What a retry does: it reopens finished jobs, with the jobs below that were cancelled because of them."""

import _sqlite3 as sqlite3
import json
from contextlib import contextmanager

from batchq import clock
from batchq.errors import BatchqError
from batchq.named import NamedTuple
from batchq.store import states
from batchq.store.levels import FAILED, OPEN_PARENTS, UNNOTIFIED, block_again, has_after_failed
from batchq.store.order import finish
from batchq.store.snapshots import snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchq.store.file.connection import Store

    Planned = tuple[int, str, int]  # the id, the final state, and whether it was chosen

#: What is reset when a job is reopened
AFRESH = (
    "failures = 0, crashes = 0, interruptions = 0, snoozes = 0, cancel_asked = 0, finished_at = NULL, why = NULL,"
    " cause = NULL, unneeded = 0"
)

SLICE = 1_000  #: jobs that one transaction changes: 5 to 50 ms
NEAR = 1_000  #: jobs below those that an add requeues that are reopened in the same transaction


class Opened(NamedTuple):
    """How many chosen jobs left each final state, how many others were reopened with them, and the ids of the chosen."""

    chosen: dict[str, int]
    followed: int
    ids: list[int]

    def and_then(self, more: "Opened") -> "Opened":
        """Both together."""
        states = {*self.chosen, *more.chosen}
        chosen = {state: self.chosen.get(state, 0) + more.chosen.get(state, 0) for state in states}
        self.ids.extend(more.ids)
        return Opened(chosen, self.followed + more.followed, self.ids)


def reopen(db: sqlite3.Connection, where: str, named: "Mapping[str, object]", *, orphans: bool = True) -> Opened:
    """Reopen the finished jobs that fulfil ``where``, and those below that were cancelled because of them.

    Each becomes queued, or blocked if it has unfinished parents. Queued and scheduled jobs that run after one of them are
    blocked again. A job stays cancelled if a parent has failed and is not reopened; without ``orphans``, also if that
    parent was pruned since.
    """
    return open_planned(db, plan(db, where, named, orphans=orphans))


def reopen_in_slices(store: "Store", where: str, named: "Mapping[str, object]", *, orphans: bool) -> Opened:
    """Do the same in several transactions, each of which leaves a sound store; others may write between them."""
    # Ends that were put off come first: else they could cancel a job after the plan has missed it.
    finish(store, clock.now())
    done = Opened({}, 0, [])
    with snapshot(store):
        planned = plan(store.db, where, named, orphans=orphans)
    for start in range(0, len(planned), SLICE):
        with store.writing() as db:
            done = done.and_then(open_planned(db, planned[start : start + SLICE]))
    return done


def follow(store: "Store", above: "Sequence[int]") -> None:
    """Reopen the jobs that were cancelled because of ``above``, which an add has requeued. Raises BatchqError."""
    try:
        reopen_in_slices(store, *below(above), orphans=True)
    except BatchqError as error:
        again = (
            "the jobs are added, but some that were to run after them stay cancelled: 'batchq retry --state cancelled'"
        )
        raise type(error)(f"{error}; {again} brings them back") from error


def reopen_near(db: sqlite3.Connection, where: str, named: "Mapping[str, object]") -> bool:
    """Do the same, but without the jobs below if these are many; return whether they are still to be reopened."""
    planned = plan(db, where, named, most=NEAR)
    open_planned(db, planned)
    return len(planned) > 0 and all(chosen for *_, chosen in planned) and _is_any_below(db, planned)


def below(above: "Sequence[int]") -> "tuple[str, dict[str, object]]":
    """The condition, with its parameters, for jobs that were cancelled because of one of ``above``."""
    listed = "(SELECT value FROM json_each(:above))"
    children = f"SELECT child FROM dependencies WHERE parent IN {listed}"
    unneeded = f"jobs.unneeded AND jobs.id IN ({children} AND kind = 'after_failed')"
    where = f"jobs.id IN ({children}) AND jobs.state = 'cancelled' AND (jobs.cause IN {listed} OR {unneeded})"
    return where, {"above": json.dumps(above)}


def _is_any_below(db: sqlite3.Connection, planned: "Sequence[Planned]") -> bool:
    where, named = below([id for id, *_ in planned])
    return bool(db.execute(f"SELECT EXISTS (SELECT 1 FROM jobs WHERE {where})", named).fetchone()[0])


def plan(
    db: sqlite3.Connection, where: str, named: "Mapping[str, object]", *, orphans: bool = True, most: int = -1
) -> "list[Planned]":
    """List what ``reopen`` would reopen, parents before their children, and change nothing.

    If there are more than ``most`` below, these are left out.
    """
    with _reopened(db):
        db.execute(f"INSERT INTO reopened SELECT jobs.id, 1 FROM jobs WHERE {where}", named)
        ((chosen,),) = db.execute("SELECT count(*) FROM reopened").fetchall()
        db.execute(_REVIVE, {"most": -1 if most < 0 else chosen + most + 1})
        ((found_below,),) = db.execute("SELECT count(*) - ? FROM reopened", (chosen,)).fetchall()
        if 0 <= most < found_below:
            db.execute("DELETE FROM reopened WHERE NOT chosen")
        if not orphans:
            db.execute(_LEAVE_ORPHANS)
        _leave_cancelled(db)
        found = db.execute(
            "SELECT reopened.id, state, chosen FROM reopened CROSS JOIN jobs ON jobs.id = reopened.id ORDER BY reopened.id"
        ).fetchall()
        if db.execute(f"SELECT EXISTS (SELECT 1 {_INNER} AND d.parent > d.child)").fetchone()[0]:
            from graphlib import TopologicalSorter

            above: dict[int, list[int]] = {id: [] for id, _, _ in found}
            for parent, child in db.execute(f"SELECT d.parent, d.child {_INNER}"):
                above[child].append(parent)
            place = {id: place for place, id in enumerate(TopologicalSorter(above).static_order())}
            found.sort(key=lambda job: place[job[0]])
    return found


def open_planned(db: sqlite3.Connection, planned: "Sequence[Planned]") -> Opened:
    """Reopen those of the planned jobs that are still in the same state, and whose parents allow it."""
    with _reopened(db):
        db.execute(
            "INSERT INTO reopened SELECT jobs.id, value ->> 2 FROM json_each(?) CROSS JOIN jobs"
            " ON jobs.id = value ->> 0 AND jobs.state = value ->> 1",
            (json.dumps(planned),),
        )
        _leave_cancelled(db)
        db.execute("DELETE FROM endings WHERE job IN (SELECT id FROM reopened)")
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
        db.execute(f"UPDATE jobs SET open_parents = {OPEN_PARENTS} WHERE finished_at IS NULL AND {below}")
        block_again(db, below, {})
        ids = [id for (id,) in db.execute("SELECT id FROM reopened WHERE chosen ORDER BY id")]
    return Opened(chosen, total - sum(chosen.values()), ids)


def _leave_cancelled(db: sqlite3.Connection) -> None:
    """Remove those from ``reopened`` whose other parents do not let them run."""
    db.execute(_STAY_DEAD)
    while has_after_failed(db) and db.execute(_STAY_UNNEEDED).rowcount:
        db.execute(_STAY_DEAD)


@contextmanager
def _reopened(db: sqlite3.Connection) -> "Iterator[None]":
    db.execute("CREATE TEMP TABLE reopened (id INTEGER PRIMARY KEY, chosen INTEGER)")
    try:
        yield
    finally:
        db.execute("DROP TABLE reopened")


_INNER = """
FROM reopened CROSS JOIN dependencies AS d ON d.child = reopened.id WHERE +d.parent IN (SELECT id FROM reopened)"""
_REVIVE = """
INSERT OR IGNORE INTO reopened
WITH RECURSIVE below (id) AS (
    SELECT id FROM reopened
    UNION SELECT jobs.id FROM below JOIN dependencies AS d ON d.parent = below.id
        JOIN jobs ON jobs.id = d.child AND jobs.state = 'cancelled'
            AND (jobs.cause = below.id OR (jobs.unneeded AND d.kind = 'after_failed')))
SELECT id, 0 FROM below LIMIT :most"""
_LEAVE_ORPHANS = """
DELETE FROM reopened WHERE id IN (SELECT jobs.id FROM reopened CROSS JOIN jobs ON jobs.id = reopened.id
    WHERE jobs.state = 'cancelled' AND jobs.cause IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM jobs AS p WHERE p.id = jobs.cause))"""
# A failed or cancelled parent that is not reopened keeps its children, and theirs, as they are. CROSS JOIN fixes the
# order: SQLite would begin with all dependencies of the store, which takes long for one job of a million.
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
# So do parents in after_failed that have all finished, did not fail, and are not reopened.
_STAY_UNNEEDED = f"""
DELETE FROM reopened WHERE id IN (
    SELECT d.child FROM reopened CROSS JOIN dependencies AS d ON d.child = reopened.id AND d.kind = 'after_failed')
    AND NOT EXISTS (
        SELECT 1 FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
            WHERE d.child = reopened.id AND d.kind = 'after_failed' AND (p.finished_at IS NULL OR {FAILED}
                OR p.id IN (SELECT id FROM reopened) OR {UNNOTIFIED}))"""
_PARENT_WAITS = f"""
FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
    WHERE d.child = jobs.id AND (p.finished_at IS NULL OR p.id IN (SELECT id FROM reopened) OR {UNNOTIFIED})"""
_WAITS = f"EXISTS (SELECT 1 {_PARENT_WAITS})"
_WAITED_FOR = f"(SELECT count(*) {_PARENT_WAITS})"
