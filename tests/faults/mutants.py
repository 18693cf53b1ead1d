"""Broken variants of batchq that a suite must catch: a suite that finds no planted fault may miss real ones.

A mutant changes one place in the source text of a function or a constant; it fails loudly if that text is missing.
"""

import inspect
import textwrap
from types import ModuleType
from typing import Any, NamedTuple

from batchq.jobs.vacancy import Vacancy
from batchq.runner import rescuing
from batchq.store import levels, order, reopening, states
from batchq.store.adding import intake, keys, revision
from batchq.store.file import checkpoints, connection
from batchq.store.keeping import pruning
from batchq.store.running import claiming, exchange, limits, recording, rescue, runners


class Mutant(NamedTuple):
    """In ``name`` of ``owner`` (a module or a class), ``old``, which occurs once, is replaced by ``new``."""

    owner: Any
    name: str
    old: str
    new: str


#: What the walk over the ledger (S1) must catch.
OF_THE_LEDGER = {
    "a finish that does not check the token": [
        Mutant(recording, "_FINISH", "AND token = ?", "AND ? IS NOT NULL"),
        Mutant(recording, "_SUCCEED", "AND token = ? || id", "AND ? IS NOT NULL"),
    ],
    "a finish that checks neither token nor state": [
        Mutant(recording, "_FINISH", "AND token = ? AND state = 'running'", "AND ? IS NOT NULL"),
        Mutant(recording, "_SUCCEED", "AND token = ? || id AND state = 'running'", "AND ? IS NOT NULL"),
    ],
    "a claim that does not check the state": [
        Mutant(claiming, "_CANDIDATES", "state = 'queued' AND {}", "{}"),
    ],
    "a claim that reads one row of what it took": [
        Mutant(claiming, "_take", "claims = claims_of(store, rows)", "claims = claims_of(store, rows[:1])"),
    ],
    "a claim out of order": [
        Mutant(claiming, "_CANDIDATES", "ORDER BY priority DESC, id", "ORDER BY id"),
    ],
    "a rescue that does not check the token again": [
        Mutant(rescue, "rescue", "settled, _ = recording.record(", """for claim in lost.claims:
            db.execute("UPDATE jobs SET token = ? WHERE id = ? AND state = 'running'", (claim.token, claim.id))
        settled, _ = recording.record("""),
    ],
    "a rescue of the living": [
        Mutant(rescue, "lost_runners", "if store.lock.is_held(byte):", "if False:"),
    ],
    "a rescue by the clock": [
        Mutant(rescue, "lost_runners", "if store.lock.is_held(byte):",
               "if __import__('batchq').clock.now() - 600_000 <"
               " store.db.execute('SELECT started_at FROM runners WHERE id = ?', (row,)).fetchone()[0]:"),
    ],
    "a run that records its end although it could not record results": [
        Mutant(runners, "leave",
               " AND NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND runner = runners.id)", ""),
    ],
    "an attempt that is recorded although it was refused": [
        Mutant(recording, "record", "_note(db, runner, accepted, now)", "_note(db, runner, settled, now)"),
    ],
    "a due job that is promoted before its time": [
        Mutant(exchange, "_promote", " AND due_at <= :now", ""),
    ],
    "counters that forget a move": [
        Mutant(states, "count", "SET jobs = jobs + ?4", "SET jobs = jobs + max(?4, 0)"),
    ],
    "a key that is looked up but never kept": [
        Mutant(intake._Intake, "_note_keys", "remember(self._db, self._keys.items()", "remember(self._db, ()"),
    ],
}  # fmt: skip

#: What the walk over order, keys, limits and control (S22) must catch.
OF_THE_ORDER = {
    "open parents counted down twice": [
        Mutant(levels, "close", "SET open_parents = open_parents - gone.n,",
               "SET open_parents = max(0, open_parents - 2 * gone.n),"),
    ],
    "dependants that stay cancelled when their parent is retried": [
        Mutant(reopening, "_REVIVE", "jobs.cause = below.id", "jobs.cause = -1"),
    ],
    "a failed parent that frees its children": [
        Mutant(levels, "cancel_below", "AND kind = 'after'\"\n", "AND kind = 'before'\"\n"),
    ],
    "a requeued job that does not wait for its parent that runs again": [
        Mutant(order, "propagate", "levels.block_again(db, mine, named)", "pass"),
    ],
    "a retry that forgets the jobs below": [
        Mutant(reopening, "open_planned", "block_again(db, below, {})", "pass"),
    ],
    "a job after a failure that waits on when nothing has failed": [
        Mutant(levels, "cancel_unneeded", "if not has_after_failed(db):", "if True:"),
    ],
    "a job after a failure that one success cancels": [
        Mutant(levels, "_FIND_UNNEEDED", "p.finished_at IS NULL OR ", ""),
    ],
    "a job after an unneeded one that counts it as failed": [
        Mutant(levels, "cancel_below", ", p.unneeded\"\n", ", 0\"\n"),
    ],
    "a retry of an unneeded job that runs it": [
        Mutant(reopening, "_leave_cancelled", "has_after_failed(db)", "False"),
    ],
    "a failure that is forgotten when its job is removed": [
        Mutant(pruning, "_STAY_NEEDED", "SET kind = 'after_any'", "SET kind = kind"),
    ],
    "a limit that is off by one": [
        Mutant(limits, "room", "queue.limit - running", "queue.limit + 1 - running"),
    ],
    "a rate that is never paid": [
        Mutant(limits, "paid", "- starts", "- 0"),
    ],
    "a pause that is ignored": [
        Mutant(limits, "room", "if queue.paused:", "if False:"),
    ],
    "a wide job that is overtaken": [
        Mutant(Vacancy, "take", "self.free -= slots", "self.free -= 1"),
    ],
    "unique = active for finished jobs, too": [
        Mutant(keys, "known", "spec.terms.unique == ACTIVE and is_over", "False"),
    ],
    "a key that is in use and forgotten": [
        Mutant(keys, "known", "if now - seen_at > SEEN_AGAIN:", "if False:"),
    ],
    "a replaced job that keeps its parents": [
        Mutant(revision, "take",
               'db.execute("DELETE FROM dependencies WHERE child IN (SELECT value FROM json_each(:ids))", ids)', "pass"),
    ],
    "a cancellation that is ignored": [
        Mutant(recording, "record", "if cancelled:", "if False:"),
    ],
    "a cancellation that outlives a retry": [
        Mutant(reopening, "AFRESH", "cancel_asked = 0, ", ""),
    ],
    "a removed parent of jobs that wait": [
        Mutant(pruning, "rule_of", "AND NOT EXISTS (SELECT 1 FROM dependencies", "AND EXISTS (SELECT 1 FROM dependencies"),
    ],
}  # fmt: skip

#: What the walk that looks for states without a way out (S38) must catch.
OF_THE_WAY_OUT = {
    "an exchange that does not continue with ends that were put off": [
        Mutant(exchange, "exchange", "if is_unfinished := order.is_unfinished(db):", "if is_unfinished := False:"),
    ],
    "an end with unrecorded results that nobody rescues": [
        Mutant(runners, "leave",
               " AND NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND runner = runners.id)", ""),
        Mutant(rescue, "_OPEN", " UNION SELECT runner FROM jobs WHERE state = 'running'", ""),
    ],
    "a clock that was set back makes delays longer": [
        Mutant(exchange, "_promote", 'db.execute(_BEGIN_ANEW, {"now": now, "most": PROMOTED_AT_ONCE})', "pass"),
    ],
    "a transaction that stays open when the store refuses it": [
        Mutant(connection.Writing, "__exit__", "if store.db.in_transaction:", "if False:"),
    ],
}  # fmt: skip

#: What the contention suite (S7) must catch.
OF_WRITING = {
    "a deferred BEGIN without the mutex": [
        Mutant(connection.Writing, "__enter__", '"BEGIN IMMEDIATE"', '"BEGIN"'),
        Mutant(connection.Writing, "__enter__", "store.lock.acquire_mutex(store.patience, store.interrupted)", "pass"),
    ],
}

#: What the test of checkpoints and the writer mutex (S7) must catch.
OF_CHECKPOINTS = {
    "a checkpoint outside the mutex": [
        Mutant(checkpoints, "checkpoint", "store.lock.acquire_mutex(store.patience, store.interrupted)", "pass"),
    ],
}

#: What the runs that are killed at random (S4) must catch.
OF_RUNS = {
    "a rescue that lets the processes of the dead live": [
        Mutant(rescuing.Rescuer, "take_back", "remains.end(self._marks(one))", "set[str]()"),
    ],
}

#: What the kill suite (S2) must catch.
OF_COMMIT = {
    "each statement a transaction of its own": [
        Mutant(connection.Writing, "__enter__", 'store.db.insist("BEGIN IMMEDIATE", (), deadline)', "pass"),
        Mutant(connection.Writing, "__exit__", 'store.db.execute("COMMIT")', "pass"),
    ],
}

#: What the walk meets too rarely: an unneeded job has several parents, and one is retried that its reason does not name.
RARE = {
    "an unneeded job that stays when a parent is retried": [
        Mutant(reopening, "_REVIVE", "jobs.unneeded AND d.kind = 'after_failed'", "0"),
    ],
}

ALL = OF_THE_LEDGER | OF_THE_ORDER | RARE | OF_THE_WAY_OUT | OF_WRITING | OF_CHECKPOINTS | OF_RUNS | OF_COMMIT


def apply(name: str) -> list[tuple[Any, str, Any]]:
    """Break batchq in this process; return what ``undo`` needs."""
    before = [(mutant.owner, mutant.name, getattr(mutant.owner, mutant.name)) for mutant in ALL[name]]
    texts: dict[tuple[Any, str], str] = {}
    for owner, attribute, old, new in ALL[name]:
        value = getattr(owner, attribute)
        text = texts.get((owner, attribute)) or (value if isinstance(value, str) else inspect.getsource(value))
        assert text.count(old) == 1, f"{name}: {old!r} is not once in {attribute}, the mutant must follow the source"
        texts[owner, attribute] = text.replace(old, new)
    for (owner, attribute), text in texts.items():
        setattr(owner, attribute, text if isinstance(getattr(owner, attribute), str) else _compiled(owner, text))
    return before


def _compiled(owner: Any, source: str) -> Any:
    module = owner if isinstance(owner, ModuleType) else inspect.getmodule(owner)
    assert module is not None
    made: dict[str, Any] = {}
    exec(compile(textwrap.dedent(source), "<mutant>", "exec"), vars(module), made)
    (function,) = made.values()
    return function


def undo(before: list[tuple[Any, str, Any]]) -> None:
    """Make batchq whole again."""
    for owner, attribute, value in before:
        setattr(owner, attribute, value)
