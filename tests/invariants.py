"""The invariants that hold in every store after every test: I1–I10 of docs/architecture.md."""

import graphlib
import os
import sqlite3
from pathlib import Path

from survivors import contents

from batchq.store.file.opening import open_at
from batchq.store.file.schema import APPLICATION_ID


def check_all(folder: Path) -> None:
    """Check every batchq store below ``folder``."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".db", ".sqlite") and _is_ours(path):
            check(path)


def _is_ours(path: Path) -> bool:
    header = path.read_bytes()[:100]
    return header[:15] == b"SQLite format 3" and int.from_bytes(header[68:72], "big") == APPLICATION_ID


def check(path: Path) -> None:
    """Check one store; AssertionError names the invariant."""
    assert not carriers(path), f"I7: processes of {path} are alive: {carriers(path)}"
    with open_at(str(path)) as store:
        problems = _problems(store.db)
    assert not problems, f"{path}: {problems}"
    beside = {entry.name for entry in path.parent.iterdir() if entry.name.startswith(path.name)}
    beside = {name for name in beside if not name.startswith(f"{path.name}.old")}  # what a restore has kept
    beside.discard(path.name + "-logs")  # of jobs that leave something running
    assert beside == {path.name, path.name + "-lock"}, f"I8: {beside}"


def carriers(path: Path) -> list[str]:
    """The processes whose environment says that they are jobs of this store."""
    cookie = b"BATCHQ_DB=" + os.fsencode(path.resolve()) + b"\0"
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if (
                cookie in contents(f"/proc/{pid}/environ")
                and contents(f"/proc/{pid}/stat").rpartition(b")")[2][1:2] != b"Z"
            ):
                found.append(f"{pid} {contents(f'/proc/{pid}/cmdline')!r}")
        except OSError:
            continue
    return found


CHECKS = {
    "I2 a running job has a token and a runner that has not ended": """
        SELECT id FROM jobs WHERE (state = 'running') <> (token IS NOT NULL) OR (state = 'running') <> (runner IS NOT NULL)
        UNION SELECT j.id FROM jobs AS j JOIN runners AS r ON r.id = j.runner WHERE r.ended_at IS NOT NULL""",
    "only what failed has a cause": """
        SELECT job FROM attempts WHERE cause IS NOT NULL AND outcome NOT IN ('failed', 'timed_out', 'crashed')""",
    "I3 attempts are numbered 1..k": """
        SELECT j.id FROM jobs AS j LEFT JOIN attempts AS a ON a.job = j.id GROUP BY j.id
        HAVING count(a.number) <> j.attempt - (j.state = 'running') OR coalesce(max(a.number), 0) <> count(a.number)""",
    "I4 the last attempt of an ended job says how it ended": """
        SELECT j.id FROM jobs AS j LEFT JOIN attempts AS a ON a.job = j.id AND a.number = j.attempt
        WHERE (j.state = 'succeeded' AND a.outcome IS NOT 'succeeded')
           OR (j.state = 'failed' AND coalesce(a.outcome, '') NOT IN ('failed', 'timed_out', 'crashed'))""",
    "I9 the counters equal a full count": """
        SELECT * FROM (SELECT state, queue, batch, count(*) AS jobs FROM jobs GROUP BY 1, 2, 3
                       EXCEPT SELECT state, queue, batch, jobs FROM counters)
        UNION ALL
        SELECT * FROM (SELECT state, queue, batch, jobs FROM counters
                       EXCEPT SELECT state, queue, batch, count(*) FROM jobs GROUP BY 1, 2, 3)""",
    "I10 a job that is not over counts its open parents, and only one that is blocked, held or running has any": """
        SELECT j.id FROM jobs AS j WHERE j.finished_at IS NULL AND (
            j.open_parents <> (SELECT count(*) FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
                               WHERE d.child = j.id AND (p.finished_at IS NULL OR EXISTS (
                                    SELECT 1 FROM endings AS e WHERE e.job = p.id AND e.told < d.child)))
            OR (j.open_parents > 0 AND j.state IN ('queued', 'scheduled'))
            OR (j.open_parents = 0 AND j.state = 'blocked'))""",
    "I10 no job waits that is to run after the success of one that failed or was cancelled": """
        SELECT j.id FROM dependencies AS d JOIN jobs AS j ON j.id = d.child JOIN jobs AS p ON p.id = d.parent
        WHERE d.kind = 'after' AND p.state IN ('failed', 'cancelled')
          AND NOT EXISTS (SELECT 1 FROM endings AS e WHERE e.job = p.id AND e.told < d.child)
          AND j.state IN ('queued', 'scheduled', 'blocked', 'held')""",
    "I10 no job waits for a failure when none of those before it failed or still can": """
        SELECT d.child FROM dependencies AS d JOIN jobs AS j ON j.id = d.child JOIN jobs AS p ON p.id = d.parent
        WHERE d.kind = 'after_failed' AND j.state IN ('queued', 'scheduled', 'blocked', 'held') GROUP BY d.child
        HAVING sum(p.finished_at IS NULL OR p.state = 'failed' OR (p.state = 'cancelled' AND NOT p.unneeded)
            OR EXISTS (SELECT 1 FROM endings AS e WHERE e.job = p.id AND e.told < d.child)) = 0""",
    "only a cancelled job is unneeded": "SELECT id FROM jobs WHERE unneeded AND state <> 'cancelled'",
}


def _problems(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    found = {name: db.execute(sql).fetchall() for name, sql in CHECKS.items()}
    found["I10 no circle"] = _circles(db)
    found["I1 integrity"] = [row for row in db.execute("PRAGMA integrity_check") if row != ("ok",)]
    found["I1 foreign keys"] = db.execute("PRAGMA foreign_key_check").fetchall()
    found["I1 schema"] = sorted(set(schema_of(db)) ^ set(_fresh_schema()))
    return {name: rows for name, rows in found.items() if rows}


def _circles(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    """The jobs of one circle of dependencies."""
    above: dict[int, set[int]] = {}
    for child, parent in db.execute("SELECT child, parent FROM dependencies"):
        above.setdefault(child, set()).add(parent)
    sorter = graphlib.TopologicalSorter(above)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        return [(job,) for job in error.args[1]]
    return []


def schema_of(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Every object of a store with its text."""
    return db.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'").fetchall()


_FRESH: list[tuple[object, ...]] = []


def _fresh_schema() -> list[tuple[object, ...]]:
    if not _FRESH:
        from batchq.store.file.migrations import upgrade

        db = sqlite3.connect(":memory:", isolation_level=None)
        db.execute("BEGIN")
        upgrade(db)
        _FRESH.extend(schema_of(db))
        db.close()
    return _FRESH
