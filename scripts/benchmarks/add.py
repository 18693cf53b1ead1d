"""What adding costs: one ``batchq add``, and many rows in one transaction."""

import sqlite3
import sys
from pathlib import Path
from typing import Any

import stores
import tables
from measure import BATCHQ, Process, Work, rounds
from sqlite_utils import Database

from batchq.jobs.model import JobSpec, job_spec
from batchq.store.adding import intake
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at

LINES = 10_000
ROWS = 100_000


def one_add(scratch: Path, count: int) -> None:
    """A whole ``batchq add`` beside the Python that it needs at least."""
    empty, path, lines = stores.make(scratch / "empty.db"), scratch / "add.db", scratch / "lines"
    lines.write_text("true\n" * LINES)
    fresh = stores.copier(empty, path)
    variants = {
        "python -c pass": Process([sys.executable, "-c", "pass"]),
        "batchq add -- true": Process([BATCHQ, "add", "--db", str(path), "--", "true"], fresh),
        f"batchq add -   ({LINES:,} lines)": Process([BATCHQ, "add", "--db", str(path), "-"], fresh, lines),
        "batchq report": Process([BATCHQ, "report", "--db", str(path)], fresh),
    }
    times = rounds(variants, 4 * count)
    base = times["python -c pass"]
    tables.show(
        f"ADD: one command, {4 * count} rounds",
        ("command", "ms", "from–to", "× python -c pass"),
        [
            (name, tables.milliseconds(taken), tables.spread(taken), tables.ratio(taken, base))
            for name, taken in times.items()
        ],
    )


def bulk(scratch: Path, count: int) -> None:
    """Rows of one transaction: ``intake.add`` beside the statement that it cannot do without, and beside sqlite-utils."""
    _bulk(scratch, count, "jobs that differ in their command alone", named=False)
    _bulk(scratch, count, "jobs that each have a name too", named=True)


def _bulk(scratch: Path, count: int, what: str, *, named: bool) -> None:
    specs = [_spec(number, named) for number in range(ROWS)]
    columns, rows = _as_stored(scratch, specs)
    place = _Place(scratch)
    variants = {
        "bare executemany": Work(lambda: place.executemany(columns, rows), place.renew),
        "batchq intake.add": Work(lambda: intake.add(place.store, specs), place.renew),
        "sqlite-utils insert_all": Work(lambda: place.insert_all(columns, rows), place.renew),
    }
    times = rounds(variants, count)
    place.store.close()
    base = times["bare executemany"]
    tables.show(
        f"BULK: {ROWS:,} {what}, {count} rounds",
        ("how", "ms", "rows/s", "speed × executemany"),
        [
            (name, tables.milliseconds(taken), tables.rate(ROWS, taken), tables.speed(taken, base))
            for name, taken in times.items()
        ],
    )


def _spec(number: int, named: bool) -> JobSpec:
    fields: dict[str, Any] = {"command": ["convert", f"{number}.png", f"{number}.jpg"]}
    if named:
        fields["name"] = f"image-{number}"
    return job_spec(fields, "benchmark", "/", "/usr/bin:/bin")


def _as_stored(scratch: Path, specs: list[JobSpec]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The rows that these jobs become, in the columns that hold anything but their default in any of them."""
    path = scratch / "rows.db"
    path.unlink(missing_ok=True)
    with open_at(str(path), create=True) as store:
        intake.add(store, specs)
        about = store.db.execute("SELECT name, dflt_value FROM pragma_table_info('jobs')").fetchall()
        columns = [
            name
            for name, default in about
            if store.db.execute(f"SELECT count(*) FROM jobs WHERE {name} IS NOT {default or 'NULL'}").fetchone()[0]
        ]
        return columns, store.db.execute(f"SELECT {', '.join(columns)} FROM jobs ORDER BY id").fetchall()


class _Place:
    """A store that is new, but for the context that all rows refer to, in each round."""

    def __init__(self, scratch: Path) -> None:
        self._template = scratch / "template.db"
        self._path = scratch / "bulk.db"
        self._template.unlink(missing_ok=True)
        with open_at(str(self._template), create=True) as store:
            store.db.execute("INSERT INTO contexts (cwd, path) VALUES (?, ?)", (b"/", b"/usr/bin:/bin"))
        self._copy = stores.copier(self._template, self._path)
        self.store: Store = self._open()

    def renew(self) -> None:
        self.store.close()
        self.store = self._open()

    def _open(self) -> Store:
        self._copy()
        return open_at(str(self._path))

    def executemany(self, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
        db: sqlite3.Connection = self.store.db
        db.execute("BEGIN IMMEDIATE")
        marks = ", ".join("?" * len(columns))
        db.executemany(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({marks})", rows)
        db.execute("COMMIT")

    def insert_all(self, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
        db = self.store.db
        db.execute("BEGIN IMMEDIATE")
        Database(db, execute_plugins=False).table("jobs").insert_all(
            (dict(zip(columns, row, strict=True)) for row in rows), batch_size=1000
        )
        db.execute("COMMIT")
