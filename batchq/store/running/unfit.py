"""Jobs with values that batchq cannot have written: if an exchange fails because of one, only that job fails.

A store may be damaged, or made by an attacker. Nothing is checked as long as all goes well.
"""

import _sqlite3 as sqlite3
import math

from batchq import clock
from batchq.errors import LedgerError
from batchq.jobs.fields import COLUMNS
from batchq.named import NamedTuple
from batchq.store import order, states
from batchq.store.file.connection import Store
from batchq.store.levels import OPEN_PARENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

MUCH = 1 << 53  #: more than any count
_AT_ONCE = 100  #: jobs that one transaction fails
_NO_TROUBLE = {
    "SQLITE_CONSTRAINT",
    "SQLITE_MISMATCH",
    "SQLITE_TOOBIG",
    "SQLITE_ERROR",
    "unknown",
    None,
}  # of disk and locks


class _Number(NamedTuple):
    """The range of a number, and the SQL that replaces a value outside it; None is allowed if that is ``NULL``."""

    low: float
    high: float
    other: str

    def allows(self, value: object) -> bool:
        if value is None:
            return self.other == "NULL"
        return isinstance(value, (int, float)) and math.isfinite(value) and self.low <= value <= self.high


_COUNT, _TIME = _Number(0, MUCH, "0"), _Number(0, 253_402_300_799_999, "NULL")
NUMBERS = {
    "add_id": _COUNT, "priority": _Number(-MUCH, MUCH, "0"), "failures": _COUNT, "crashes": _COUNT,
    "interruptions": _COUNT, "snoozes": _COUNT, "max_attempts": _Number(0, MUCH, "1"),
    "max_crashes": _Number(0, MUCH, "1"), "max_snoozes": _Number(0, MUCH, "1"),
    "backoff": _Number(0, clock.LONGEST, "0"), "timeout": _Number(0, clock.LONGEST, "NULL"),
    "retry_timeout_factor": _Number(0, 1e300, "NULL"), "umask": _Number(0, 0o777, "NULL"),
    "slots": _Number(1, MUCH, "1"), "open_parents": _Number(0, MUCH, OPEN_PARENTS),
    "created_at": _TIME._replace(other="0"), "due_at": _TIME, "due_from": _TIME, "started_at": _TIME,
    "cancel_asked": _Number(0, 1, "0"), "fresh": _Number(0, 1, "0"), "unneeded": _Number(0, 1, "0"),
}  # fmt: skip
WORDS = {"kind": ("argv", "shell", "call", "payload"), "on_crash": ("retry", "hold"), "leftovers": ("kill", "keep")}
_TEXTS = ("work", "name", "key", *(name for name in COLUMNS if name not in (*NUMBERS, *WORDS, "stdin")))
_ATTEMPTS = "(SELECT coalesce(max(number), 0) FROM attempts WHERE job = jobs.id)"
_OF_A_RUN = "state = 'queued' OR state = 'scheduled' OR (state = 'running' AND runner = :runner)"


def is_met(error: Exception) -> bool:
    """Whether a value was refused: the error does not come from a full or failing disk, or from another program."""
    if not isinstance(error, LedgerError):
        return True
    cause = error.__cause__
    if not isinstance(cause, sqlite3.Error):
        return False
    name = getattr(cause, "sqlite_errorname", None)
    return (name if name is None else "_".join(name.split("_")[:2])) in _NO_TROUBLE


def set_aside(store: Store, runner: int, now: int) -> bool:
    """Fail the jobs with invalid values that wait, or run under this runner; if there are none, recount all jobs.

    Returns whether something was wrong, so that another try is worth it.
    """
    found = list(_found(store, runner))
    store.db.execute("PRAGMA ignore_check_constraints = ON")
    try:
        for start in range(0, len(found), _AT_ONCE):
            with store.writing() as db:
                _fail(db, found[start : start + _AT_ONCE], now)
        if found:
            return True
        with store.writing() as db:
            return states.recount(db)
    finally:
        store.db.execute("PRAGMA ignore_check_constraints = OFF")


def _found(store: Store, runner: int) -> "Iterator[tuple[int, dict[str, str]]]":
    """The jobs with invalid values, each with the wrong columns and the SQL that replaces their values."""
    columns = [*NUMBERS, *WORDS, *_TEXTS]
    with_attempts = f"id, state, attempt, {_ATTEMPTS}, finished_at, due_at, {', '.join(columns)}"
    before, store.db.text_factory = store.db.text_factory, bytes
    try:
        rows = store.fetch(f"SELECT {with_attempts} FROM jobs WHERE {_OF_A_RUN}", {"runner": runner})
    finally:
        store.db.text_factory = before
    for job, state, attempt, recorded, finished_at, due_at, *values in rows:
        wrong = dict(_wrong(columns, values))
        if finished_at is not None:
            wrong["finished_at"] = "NULL"
        if due_at is not None and state != b"scheduled":
            wrong["due_at"] = "NULL"
        if not isinstance(attempt, int) or not recorded + (state == b"running") <= attempt < MUCH:
            wrong["attempt"] = _ATTEMPTS
        if wrong:
            yield job, wrong


def _wrong(columns: "Sequence[str]", values: "Sequence[Any]") -> "Iterator[tuple[str, str]]":
    for name, value in zip(columns, values, strict=True):
        if name in NUMBERS:
            if not NUMBERS[name].allows(value):
                yield name, NUMBERS[name].other
        elif value is not None:
            text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            if name in WORDS:
                if text not in WORDS[name]:
                    yield name, f"'{WORDS[name][0]}'"
            elif not isinstance(value, bytes) or text.encode() != value:
                yield name, f"'{text.replace(chr(0), '').replace(chr(39), chr(39) * 2)}'"


def _fail(db: sqlite3.Connection, jobs: "Sequence[tuple[int, dict[str, str]]]", now: int) -> None:
    over = {"state": "'failed'", "finished_at": str(now)}
    over |= dict.fromkeys(("due_at", "due_from", "token", "runner"), "NULL")
    for job, wrong in jobs:
        why = f"the store held an invalid value as its {' and '.join(sorted(wrong))}; add it again"
        values = ", ".join(f"{name} = {sql}" for name, sql in (wrong | over).items())
        db.execute(_LEAVE, (job,))
        db.execute(f"UPDATE jobs SET {values}, why = ? WHERE id = ?", (why, job))
        db.execute(_JOIN, (job,))
    db.execute("DELETE FROM counters WHERE jobs = 0")
    ids = [job for job, _ in jobs]
    order.propagate(db, ids, ids, now)


# In SQL alone: the name of its queue may be the invalid value.
_LEAVE = """
UPDATE counters SET jobs = jobs - 1 WHERE (state, queue, batch) = (SELECT state, queue, batch FROM jobs WHERE id = ?)"""
_JOIN = """
INSERT INTO counters SELECT state, queue, batch, 1 FROM jobs WHERE id = ? ON CONFLICT DO UPDATE SET jobs = jobs + 1"""
