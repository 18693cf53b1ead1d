"""News of attempts that run: their start, their output, their logs, their processes. Inside a transaction."""

import _sqlite3 as sqlite3
import os
from collections.abc import Sequence

from batchq.jobs.attempt import Claim, Leader, Logged, Printed, Stream

_BEGIN = "UPDATE jobs SET started_at = ? WHERE id = ? AND token = ?"
_PRINT = """
INSERT OR REPLACE INTO outputs SELECT ?1, ?2, ?4, ?5, ?6, ?7, ?8
WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND token = ?3)"""
_LOG = """
INSERT OR REPLACE INTO logs SELECT ?1, ?2, ?4, ?5, ?6
WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND token = ?3)"""


def begin(db: sqlite3.Connection, started: Sequence[Claim], now: int) -> None:
    """Store when attempts that were claimed ahead have started."""
    db.executemany(_BEGIN, [(claim.started_at or now, claim.id, claim.token) for claim in started])


def print(db: sqlite3.Connection, printed: Sequence[Printed]) -> None:
    """Store what attempts have printed so far."""
    db.executemany(_PRINT, [row for one in printed for row in output_rows(*one)])


def log(db: sqlite3.Connection, logged: Sequence[Logged]) -> None:
    """Store where the logs of attempts are, also of those that have ended."""
    rows = [
        (claim.id, claim.attempt, claim.token, stream, os.fsencode(path), why) for claim, stream, path, why in logged
    ]
    db.executemany(_LOG, rows)


def note(db: sqlite3.Connection, leaders: Sequence[Leader]) -> None:
    """Store the first processes of attempts that run, or where they run."""
    db.executemany(
        "INSERT OR REPLACE INTO processes SELECT ?1, ?2, ?3, ?4, ?5 FROM jobs WHERE id = ?1 AND token = ?2",
        [(claim.id, claim.token, *where) for claim, *where in leaders],
    )


def forget(db: sqlite3.Connection, over: Sequence[Claim]) -> None:
    """Remove the stored processes of attempts that do not run any more."""
    db.executemany("DELETE FROM processes WHERE job = ? AND token = ?", [(one.id, one.token) for one in over])


def output_rows(
    claim: Claim, stdout: Stream | None, stderr: Stream | None, turns: str | None
) -> list[tuple[object, ...]]:
    """The output of an attempt as rows of ``outputs`` with its token: job, number, token, stream, head, tail, total, turns.

    The turns are in the last row alone. While the job runs perhaps only one stream is new, so the other row may have older
    ones: those that count most bytes are the current ones.
    """
    rows: list[tuple[object, ...]] = []
    if stdout is not None and stdout.total:
        rows.append((claim.id, claim.attempt, claim.token, "stdout", *stdout, turns if stderr is None else None))
    if stderr is not None and stderr.total:
        rows.append((claim.id, claim.attempt, claim.token, "stderr", *stderr, turns))
    return rows
