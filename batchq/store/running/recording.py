"""Recording how attempts ended: accepted with the current token, settled, stored. A few statements for many."""

import _sqlite3 as sqlite3
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence

from batchq.jobs import retrying
from batchq.jobs.attempt import (
    CRASHED,
    FAILED,
    SUCCEEDED,
    TIMED_OUT,
    Claim,
    Ended,
    Failure,
    Leader,
    Outcome,
    Standing,
    Stream,
)
from batchq.jobs.lifecycle import FINAL, SUCCESS, Settlement, is_snooze, settle, withdrawn
from batchq.named import NamedTuple
from batchq.store import order, states
from batchq.store.file.connection import Store


class Settled(NamedTuple):
    """An accepted outcome and what it made of its job."""

    claim: Claim
    outcome: Outcome
    settlement: Settlement


# Python searches an adapter for each None that it binds; without one, that takes as long as binding four other values.
sqlite3.register_adapter(type(None), lambda none: none)
_CURRENT = "SELECT token, cancel_asked FROM jobs WHERE state = 'running' AND runner = ?"
_AT_ONCE = 64  #: rows that one statement writes: executing a statement costs as much as writing a row
_END = """
WITH ended (id, started_at) AS (VALUES {})
UPDATE jobs SET state = ?, due_at = ?, failures = coalesce(?, failures), crashes = coalesce(?, crashes), interruptions = ?,
    why = ?, due_from = ?, finished_at = ?, started_at = ended.started_at, token = NULL, runner = NULL
FROM ended WHERE jobs.id = ended.id"""
_NOTE, _ROW = "INSERT INTO attempts VALUES {}", f"({', '.join('?' * 19)})"


def record(db: sqlite3.Connection, runner: int, ended: Sequence[Ended], now: int) -> tuple[list[Settled], list[Ended]]:
    """Record how attempts of a runner ended, inside a transaction.

    Returns those that were accepted, and those that were refused because they have been rescued: their token does not
    belong to a running job any more.
    """
    if not ended:
        return [], []
    current = dict(db.execute(_CURRENT, (runner,)))
    standings = _standings(db, [claim.id for claim, outcome in ended if outcome.status != SUCCEEDED])
    accepted: list[Settled] = []
    refused: list[Ended] = []
    for one in ended:
        claim, outcome = one
        is_cancelled = current.pop(claim.token, None)
        if is_cancelled is None:
            refused.append(one)
            continue
        to = SUCCESS if outcome.status == SUCCEEDED else _settled(standings[claim.id], outcome, now)
        accepted.append(Settled(claim, outcome, withdrawn(to) if is_cancelled else to))
    _end(db, accepted, now)
    _note(db, runner, accepted, now)
    db.executemany(
        "INSERT OR REPLACE INTO outputs VALUES (?1, ?2, ?4, ?5, ?6, ?7)",
        [
            row
            for claim, outcome, _ in accepted
            if outcome.stdout or outcome.stderr
            for row in output_rows(claim, outcome.stdout, outcome.stderr)
        ],
    )
    states.count(db, states.tally_moves(("running", to.state, claim.queue, claim.batch) for claim, _, to in accepted))
    if order.has_any(db):
        dead = [claim.id for claim, _, to in accepted if to.state in ("failed", "cancelled")]
        waiting = [claim.id for claim, _, to in accepted if to.state not in FINAL]
        order.propagate(db, [claim.id for claim, _, to in accepted if to.state in FINAL], dead, now, waiting)
    return accepted, refused


def _end(db: sqlite3.Connection, settled: list[Settled], now: int) -> None:
    """Store the next state of the jobs, together for all with the same settlement."""
    alike: dict[Settlement, list[Settled]] = {}
    for one in settled:
        alike.setdefault(one.settlement, []).append(one)
    for to, ended in alike.items():
        same = (*to, None if to.due_at is None else now, now if to.state in FINAL else None)
        for some in _parts(ended):
            rows: list[int] = []
            for claim, outcome, _ in some:
                rows += (claim.id, outcome.started_at or claim.started_at or now)
            db.execute(_END.format(", ".join(["(?, ?)"] * len(some))), (*rows, *same))
    snoozed = [(claim.id,) for claim, outcome, _ in settled if is_snooze(outcome)]
    db.executemany("UPDATE jobs SET snoozes = snoozes + 1 WHERE id = ?", snoozed)


def _note(db: sqlite3.Connection, runner: int, accepted: list[Settled], now: int) -> None:
    """Insert a row for each attempt."""
    for some in _parts(accepted):
        rows: list[object] = []
        for one in some:
            rows += _attempt_row(one, runner, now)
        db.execute(_NOTE.format(", ".join([_ROW] * len(some))), rows)


def _parts(settled: list[Settled]) -> Iterator[list[Settled]]:
    return (settled[start : start + _AT_ONCE] for start in range(0, len(settled), _AT_ONCE))


def note(db: sqlite3.Connection, leaders: Sequence[Leader]) -> None:
    """Store the first processes of attempts that run."""
    db.executemany(
        "INSERT OR REPLACE INTO processes SELECT ?1, ?2, ?3, ?4 FROM jobs WHERE id = ?1 AND token = ?2",
        [(claim.id, claim.token, pid, born) for claim, pid, born in leaders],
    )


def forget(db: sqlite3.Connection, over: Sequence[Claim]) -> None:
    """Remove the stored processes of attempts that do not run any more."""
    db.executemany("DELETE FROM processes WHERE job = ? AND token = ?", [(one.id, one.token) for one in over])


def get_ready(store: Store, ended: Sequence[Ended]) -> None:
    """Import what a retry needs before the store is locked: else nobody could write for the 50 ms that it takes."""
    if "tenacity" in sys.modules:
        return
    bad = [claim.id for claim, outcome in ended if outcome.status in (FAILED, TIMED_OUT)]
    again = "SELECT 1 FROM jobs WHERE id IN (SELECT value FROM json_each(?)) AND max_attempts > 1 LIMIT 1"
    if any(outcome.status == CRASHED for _, outcome in ended) or (bad and store.fetch(again, (json.dumps(bad),))):
        with contextlib.suppress(ImportError):  # full_jitter works without it
            import tenacity  # noqa: F401


def tamed(db: sqlite3.Connection, ended: Sequence[Ended]) -> list[Ended]:
    """Turn attempts that SQLite cannot store (half a character, a number beyond 64 bits) into failures of their jobs."""
    return [one if (trouble := _trouble_with(db, one)) is None else _failed(one, trouble) for one in ended]


def _trouble_with(db: sqlite3.Connection, one: Ended) -> Exception | None:
    values = _attempt_row(Settled(*one, SUCCESS), 0, 0)
    try:
        db.execute(f"SELECT {','.join('?' * len(values))}", values).fetchall()
    except (ValueError, TypeError, ArithmeticError, sqlite3.Error) as error:
        return error
    return None


def _failed(one: Ended, trouble: Exception) -> Ended:
    failure = Failure("Unrecordable", f"how it ended cannot be recorded: {ascii(str(trouble))[:500]}")
    return Ended(one.claim, Outcome(FAILED, failure=failure, started_at=one.claim.started_at))


def _settled(job: Standing, outcome: Outcome, now: int) -> Settlement:
    """Settle the job; if that raises, only this job fails."""
    try:
        return settle(job, outcome, now)
    except Exception as error:
        why = f"what is to follow cannot be worked out ({type(error).__name__}: {ascii(str(error))[:200]})"
        return Settlement("failed", None, job.failures + 1, job.crashes, 0, why)


def _standings(db: sqlite3.Connection, jobs: list[int]) -> dict[int, Standing]:
    """The retry budgets of these jobs."""
    if not jobs:
        return {}
    rows = db.execute(
        f"SELECT id, {', '.join(Standing._fields)} FROM jobs WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(jobs),),
    )
    return {row[0]: Standing._make(row[1:]) for row in rows}


def printed_rules(store: Store, jobs: Sequence[int]) -> dict[int, list[str]]:
    """The regular expressions on output (``stderr:``) of those jobs that have any. Read without a lock."""
    rows = store.fetch(
        "SELECT id, retry_on, no_retry_on FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
        " AND (instr(retry_on, 'stderr:') OR instr(no_retry_on, 'stderr:'))",
        (json.dumps(jobs),),
    )
    return {job: retrying.patterns(*rules) for job, *rules in rows}


def _attempt_row(one: Settled, runner: int, now: int) -> tuple[object, ...]:
    claim, out = one.claim, one.outcome
    kind, message, trace, _ = out.failure or (None, None, None, ())
    return (
        claim.id, claim.attempt, claim.token, runner, out.status, out.started_at or now, out.finished_at or now,
        out.seconds, out.cpu, out.peak, out.exit_code, out.signal, kind, message, trace or None, out.result,
        out.leftovers, out.threads, out.cause,
    )  # fmt: skip


def output_rows(
    claim: Claim, stdout: Stream | None, stderr: Stream | None
) -> list[tuple[int, int, str, str, bytes, bytes, int]]:
    """The output of an attempt as rows of ``outputs`` with its token: job, number, token, stream, head, tail, total."""
    return [
        (claim.id, claim.attempt, claim.token, name, *stream)
        for name, stream in (("stdout", stdout), ("stderr", stderr))
        if stream is not None and stream.total
    ]


def log_row(claim: Claim, stream: str, path: str, trouble: str | None) -> tuple[object, ...]:
    """A log as a row of ``logs`` with its token: job, number, token, stream, path, trouble."""
    return claim.id, claim.attempt, claim.token, stream, os.fsencode(path), trouble
