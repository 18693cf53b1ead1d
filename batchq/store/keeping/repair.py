"""``batchq doctor --repair``: mend each breach of ``breaches``, after keeping a copy of the store."""

import _sqlite3 as sqlite3
import graphlib

from batchq.store.file.connection import Store
from batchq.store.keeping import backup
from batchq.store.keeping.breaches import BREACHES, LAST, ORDER, OTHERS, Breach

_NAMED = 5


def found(db: sqlite3.Connection, breach: Breach) -> str | None:
    """Describe the breach in a sentence, with some of the ids; None if there is none."""
    ids = [
        str(id)
        for (id,) in db.execute(f"{breach.find} LIMIT {_NAMED + 1}", {"now": 0} if ":now" in breach.find else {})
    ]
    if not ids:
        return None
    return f"{breach.text}: {', '.join(ids[:_NAMED])}{' and more' if len(ids) > _NAMED else ''}"


def circle(db: sqlite3.Connection) -> list[int]:
    """Find the jobs of one circle, each of which waits for the next; empty if there is none."""
    above: dict[int, list[int]] = {}
    edges = (
        "SELECT d.child, d.parent FROM dependencies AS d"
        " JOIN jobs AS c ON c.id = d.child JOIN jobs AS p ON p.id = d.parent"
        " WHERE c.finished_at IS NULL AND p.finished_at IS NULL"
    )
    for child, parent in db.execute(edges):
        above.setdefault(child, []).append(parent)
    try:
        graphlib.TopologicalSorter(above).prepare()
    except graphlib.CycleError as error:
        return sorted(set(error.args[1]))
    return []


def mend(store: Store, now: int) -> list[str]:
    """Mend every breach in one transaction; return what was mended, in sentences. Raises BusyError, LedgerError."""
    store.check_references(on=False)
    store.db.execute("PRAGMA ignore_check_constraints = ON")
    try:
        with store.writing() as db:
            mended = _settle(db, (*OTHERS, *BREACHES), now)
            while jobs := circle(db):
                mended.append(f"jobs wait for each other; they are cancelled: {', '.join(map(str, jobs))}")
                db.executemany(
                    "UPDATE jobs SET state = 'cancelled', finished_at = ?, due_at = NULL,"
                    " why = 'it waited for itself' WHERE id = ?",
                    [(now, job) for job in jobs],
                )
                both = "SELECT value FROM json_each(:jobs)"
                db.execute(
                    f"DELETE FROM dependencies WHERE child IN ({both}) AND parent IN ({both})", {"jobs": str(jobs)}
                )
            while again := _settle(db, ORDER, now):
                mended += again
            mended += _settle(db, LAST, now)
    finally:
        store.db.execute("PRAGMA ignore_check_constraints = OFF")
        store.check_references(on=True)
    if [text for (text,) in store.fetch("PRAGMA integrity_check(1)") if text != "ok"]:
        with store.writing() as db:
            db.execute("REINDEX")
        mended.append("the indexes were rebuilt")
    return list(dict.fromkeys(mended))


def _settle(db: sqlite3.Connection, breaches: tuple[Breach, ...], now: int) -> list[str]:
    mended = []
    for breach in breaches:
        if (text := found(db, breach)) is not None:
            mended.append(text)
            for statement in breach.mend:
                db.execute(statement, {"now": now} if ":now" in statement else {})
    return mended


def keep_as_it_is(store: Store, stamp: str) -> str:
    """Copy the store, broken as it is, to a new file next to it; return its path. Raises CreateError, LedgerError."""
    return backup.raw(store, f"{store.path}.before-repair-{stamp}")
