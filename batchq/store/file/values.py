"""Whether the values in a store are possible: checked when a command fails on a store that batchq did not make.

STRICT tables reject values of a wrong type, but a store made by another program need not be strict.
"""

import _sqlite3 as sqlite3

from batchq.jobs.lifecycle import STATES
from batchq.store.file import log, objects
from batchq.store.file.patience import connect

_TYPES = {
    "INTEGER": ("integer",),
    "INT": ("integer",),
    "TEXT": ("text",),
    "BLOB": ("blob",),
    "REAL": ("real", "integer"),
}
_JSON = {("jobs", "work"), ("jobs", "env"), ("jobs", "tags"), ("runners", "selection")}
_LAST = 253_402_300_799_999  #: the last millisecond of the year 9999
_MOST = 1e15


def wrong(path: str) -> str | None:
    """Find the first value that batchq cannot have written, as ``jobs.priority in the row of 3``; None if there is none."""
    try:
        db = connect(path, "ro")
        try:
            return next((text for table in sorted(objects.tables()) if (text := _in(db, table))), None) or _unsound(db)
        finally:
            db.close()
    except (sqlite3.Error, UnicodeError, ValueError) as error:
        return f"something that cannot be read ({error})"


def _in(db: sqlite3.Connection, table: str) -> str | None:
    columns = db.execute(f"PRAGMA table_info({table})").fetchall()
    tests = []
    for _, name, kind, is_needed, _, key in columns:
        allowed = [*_TYPES.get(str(kind).upper(), ()), *(() if is_needed else ("null",))]
        if not _TYPES.get(str(kind).upper()) or (key and not is_needed):
            continue
        listed = ", ".join(f"'{one}'" for one in allowed)
        test = f"typeof({name}) NOT IN ({listed})"
        if (table, name) in _JSON:
            test += f" OR ({name} IS NOT NULL AND NOT json_valid({name}))"
            if name == "env":
                test += f" OR CASE WHEN json_valid({name}) THEN json_type({name}) <> 'object' END"
        elif name.endswith("_at"):
            test += f" OR {name} NOT BETWEEN 0 AND {_LAST}"
        elif kind not in {"TEXT", "BLOB"} and name != "liveness":
            test += f" OR abs({name}) > {_MOST}"
        elif kind == "TEXT":
            test += f" OR (typeof({name}) = 'text' AND instr({name}, char(0)))"
        if (table, name) in {("jobs", "state"), ("counters", "state")}:
            test += f" OR {name} NOT IN {STATES!r}"
        tests.append((name, test))
    if not tests:
        return None
    cases = " ".join(f"WHEN {test} THEN '{name}'" for name, test in tests)
    row = db.execute(
        f"SELECT * FROM (SELECT CASE {cases} END AS found, {columns[0][1]} FROM {table}) WHERE found IS NOT NULL LIMIT 1"
    ).fetchone()
    return None if row is None else f"{table}.{row[0]} in the row of {row[1]!r}"


def _unsound(db: sqlite3.Connection) -> str | None:
    """Return SQLite's own first finding: a CHECK that does not hold, or a broken page."""
    found = [text for (text,) in db.execute("PRAGMA integrity_check(1)") if text != "ok"]
    return log.first_finding(found[0]) if found else None
