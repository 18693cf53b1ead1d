"""Recording how attempts ended: accepted with the current token, settled, stored. A few statements for many."""

import _sqlite3 as sqlite3
import contextlib
import json
import sys
from collections.abc import Sequence
from itertools import chain

from batchq.jobs import retrying
from batchq.jobs.attempt import (
    CRASHED,
    FAILED,
    SUCCEEDED,
    TIMED_OUT,
    Budget,
    Claim,
    Ended,
    Failure,
    Outcome,
)
from batchq.jobs.lifecycle import FINAL, SUCCESS, Settlement, is_snooze, settle, withdrawn
from batchq.named import NamedTuple
from batchq.store import order, states
from batchq.store.file.connection import Store
from batchq.store.running import news


class Settled(NamedTuple):
    """An accepted outcome and what it made of its job."""

    claim: Claim
    outcome: Outcome
    settlement: Settlement


# Most attempts succeed. Each statement and each bound value costs time (None as much as four others), so successes have
# statements of their own, for many at once. Short jobs with successive ids end together, and one UPDATE serves a range of
# them; a single job is a range, too. One shape for all attempts takes 11 % more CPU in a whole run of empty callables.
_SUCCEED = """
UPDATE jobs SET state = 'succeeded', why = NULL, interruptions = 0, started_at = ?, finished_at = ?, token = NULL,
    runner = NULL
WHERE id BETWEEN ? AND ? AND token = ? || id AND state = 'running'"""
_FINISH = """
UPDATE jobs SET state = ?, due_at = ?, due_from = ?, failures = coalesce(?, failures), crashes = coalesce(?, crashes),
    interruptions = ?, why = ?, finished_at = ?, started_at = ?, token = NULL, runner = NULL
WHERE id = ? AND token = ? AND state = 'running'"""
_AT_ONCE = (64, 16, 4, 1)  #: rows in one statement
_NOTE_SUCCESSES = """
INSERT INTO attempts
    (job, number, token, runner, outcome, started_at, finished_at, seconds, cpu_seconds, peak_kib, exit_code, result)
VALUES {}"""
_NOTED = "(?, ?, ?, {}, 'succeeded', ?, ?, ?, ?, ?, nullif(?, -1), ?)"
_NOTE = f"INSERT INTO attempts VALUES ({', '.join('?' * 20)})"


def record(db: sqlite3.Connection, runner: int, ended: Sequence[Ended], now: int) -> tuple[list[Settled], list[Ended]]:
    """Record how attempts of a runner ended, inside a transaction.

    Returns those that were accepted, and those that were refused because they have been rescued: their token does not
    belong to a running job any more.
    """
    if not ended:
        return [], []
    asked = "SELECT id FROM jobs WHERE cancel_asked <> 0 AND finished_at IS NULL AND runner = ?"
    cancelled = {id for (id,) in db.execute(asked, (runner,))}
    budgets = _budgets(db, [claim.id for claim, outcome in ended if outcome.status != SUCCEEDED])
    settled = [
        Settled(claim, outcome, SUCCESS if outcome.status == SUCCEEDED else _settled(budgets[claim.id], outcome, now))
        for claim, outcome in ended
    ]
    if cancelled:
        settled = [
            one._replace(settlement=withdrawn(one.settlement)) if one.claim.id in cancelled else one for one in settled
        ]
    accepted, refused = _end(db, settled, now)
    snoozed = [(one.claim.id,) for one in accepted if one.settlement is not SUCCESS and is_snooze(one.outcome)]
    if snoozed:
        db.executemany("UPDATE jobs SET snoozes = snoozes + 1 WHERE id = ?", snoozed)
    _note(db, runner, accepted, now)
    db.executemany(
        "INSERT OR REPLACE INTO outputs VALUES (?1, ?2, ?4, ?5, ?6, ?7, ?8)",
        [
            row
            for claim, outcome, _ in accepted
            if outcome.stdout or outcome.stderr
            for row in news.output_rows(claim, outcome.stdout, outcome.stderr, outcome.turns)
        ],
    )
    states.count(db, states.tally_moves(("running", to.state, claim.queue, claim.batch) for claim, _, to in accepted))
    if order.has_any(db):
        dead = [claim.id for claim, _, to in accepted if to.state in ("failed", "cancelled")]
        waiting = [claim.id for claim, _, to in accepted if to.state not in FINAL]
        order.propagate(db, [claim.id for claim, _, to in accepted if to.state in FINAL], dead, now, waiting)
    return accepted, refused


def _end(db: sqlite3.Connection, settled: list[Settled], now: int) -> tuple[list[Settled], list[Ended]]:
    """Store the next state of the jobs whose token is current; return these, and the refused ones."""
    db.execute("SAVEPOINT finish")
    successes = [one for one in settled if one.settlement is SUCCESS]
    finished = db.executemany(_SUCCEED, _ranges(successes, now)).rowcount if successes else 0
    if len(successes) < len(settled):
        others = [_finish_row(one, now) for one in settled if one.settlement is not SUCCESS]
        finished += db.executemany(_FINISH, others).rowcount
    if finished == len(settled):
        db.execute("RELEASE finish")
        return settled, []
    db.execute("ROLLBACK TO finish")  # one of these jobs has been rescued: find out which, one by one
    db.execute("RELEASE finish")
    accepted, refused = [], []
    for one in settled:
        if db.execute(_FINISH, _finish_row(one, now)).rowcount == 1:
            accepted.append(one)
        else:
            refused.append(Ended(one.claim, one.outcome))
    return accepted, refused


def _ranges(successes: list[Settled], now: int) -> list[list[object]]:
    """Group jobs with successive ids that were claimed together and began in the same millisecond, for ``_SUCCEED``."""
    ranges: list[list[object]] = []
    following, began, random = 0, 0, ""
    for claim, outcome, _ in successes:
        started = outcome.started_at or claim.started_at or now
        if claim.id == following and started == began and claim.token.startswith(random):
            ranges[-1][3] = following
        else:
            began, random = started, claim.token[: -len(str(claim.id))]
            ranges.append([began, now, claim.id, claim.id, random])
        following = claim.id + 1
    return ranges


def _finish_row(one: Settled, now: int) -> tuple[object, ...]:
    to = one.settlement
    finished = now if to.state in FINAL else None
    started = one.outcome.started_at or one.claim.started_at or now
    return (
        to.state, to.due_at, None if to.due_at is None else now, to.failures, to.crashes, to.interruptions, to.why,
        finished, started, one.claim.id, one.claim.token,
    )  # fmt: skip


def _note(db: sqlite3.Connection, runner: int, accepted: list[Settled], now: int) -> None:
    """Insert a row for each attempt."""
    plain = [
        (
            claim.id, claim.attempt, claim.token, out.started_at or now, out.finished_at or now, out.seconds, out.cpu,
            out.peak, -1 if out.exit_code is None else out.exit_code, out.result,
        )
        for claim, out, to in accepted
        if to is SUCCESS and not (out.leftovers or out.threads or out.host)
    ]  # fmt: skip
    row, first = _NOTED.format(runner), 0
    for size in _AT_ONCE:
        end = len(plain) - (len(plain) - first) % size
        if first < end:
            parts = [tuple(chain.from_iterable(plain[at : at + size])) for at in range(first, end, size)]
            db.executemany(_NOTE_SUCCESSES.format(", ".join([row] * size)), parts)
            first = end
    if len(plain) < len(accepted):
        others = [
            _attempt_row(one, runner, now)
            for one in accepted
            if one.settlement is not SUCCESS or one.outcome.leftovers or one.outcome.threads or one.outcome.host
        ]
        db.executemany(_NOTE, others)


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


def _settled(job: Budget, outcome: Outcome, now: int) -> Settlement:
    """Settle the job; if that raises, only this job fails."""
    try:
        return settle(job, outcome, now)
    except Exception as error:
        why = f"what is to follow cannot be worked out ({type(error).__name__}: {ascii(str(error))[:200]})"
        return Settlement("failed", None, job.failures + 1, job.crashes, 0, why)


def _budgets(db: sqlite3.Connection, jobs: list[int]) -> dict[int, Budget]:
    """The retry budgets of these jobs. One that is gone has a budget, too: its result will be refused."""
    found = dict.fromkeys(jobs, Budget(1, 0, 1, 0, "retry", 0, 0))
    if jobs:
        rows = db.execute(
            f"SELECT id, {', '.join(Budget._fields)} FROM jobs WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(jobs),),
        )
        found.update((row[0], Budget._make(row[1:])) for row in rows)
    return found


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
    kind, message, trace, *_ = out.failure or (None, None, None)
    return (
        claim.id, claim.attempt, claim.token, runner, out.status, out.started_at or now, out.finished_at or now,
        out.seconds, out.cpu, out.peak, out.exit_code, out.signal, kind, message, trace or None, out.result,
        out.leftovers, out.threads, out.cause, out.host,
    )  # fmt: skip
