"""Changing what was added: retry, cancel, hold, release. Each is one transaction over a set of jobs, safe on a million."""

import sqlite3
from typing import NamedTuple

from batchq import clock
from batchq.jobs.selection import NO_JOB, Selection
from batchq.store import order, reopening, states
from batchq.store.connection import Store
from batchq.store.queries import require
from batchq.store.selecting import condition
from batchq.store.tallies import counts

WAITING = ("held", "blocked", "scheduled", "queued")


class Changed(NamedTuple):
    """How many jobs were changed, and how many selected ones could not be because of the state they are in.

    ``ids`` are those that were changed, filled where that was asked for. ``also`` counts jobs outside of the selection
    that followed: dependants that were cancelled, or came back.
    """

    jobs: int
    left_alone: dict[str, int]
    ids: list[int]
    also: int = 0


def retry(store: Store, selection: Selection, *, list_ids: bool = False) -> Changed:
    """Queue jobs that are over once more: the numbers of their attempts go on, the budget of attempts starts anew.

    Failed and cancelled jobs are retried, and succeeded ones only where they are named: by id, by a range of ids, or
    by their state. Jobs that were cancelled because one of these had failed come back, too; a job whose parent has failed
    and is not retried stays cancelled, and so does, unless it is named by its id, one whose parent was pruned. ``ids`` is
    filled with ``list_ids`` only. Raises MissingError for an id that does not exist.
    """
    sources = {state: selection.in_state(state) for state in ("failed", "cancelled")}
    if selection.ids or selection.states:
        named = selection if selection.states else selection._replace(last=False, newest=None)
        sources["succeeded"] = named.in_state("succeeded")
    return _reopen(store, selection, sources, list_ids=list_ids)


def cancel(store: Store, selection: Selection, *, list_ids: bool = False, now: int | None = None) -> Changed:
    """Cancel jobs: those that wait at once, those that run by their runner, which looks for that four times a second.

    Jobs that run only after the success of one of them are cancelled with it.
    """
    with store.writing() as db:
        require(store, selection)
        left = counts(store, selection)
        now = clock.now() if now is None else now
        chosen = {state: selection.in_state(state) for state in (*WAITING, "running")}
        ended = [id for state in WAITING for id in _ids(store, chosen[state])] if list_ids or order.has_any(db) else []
        running = _ids(store, chosen["running"])
        also = "finished_at = :now, due_at = NULL, why = 'cancelled by hand'"
        changed = len(running)
        for state in WAITING:
            where, named = condition(chosen[state])
            moved = states.move(db, state, "cancelled", where, named | {"now": now}, also)
            left[state] = left.get(state, 0) - moved
            changed += moved
        db.executemany("UPDATE jobs SET cancel_asked = 1 WHERE id = ?", [(id,) for id in running])
        left["running"] = left.get("running", 0) - len(running)
        followed = order.over(db, ended, ended, now)
    followed += order.finish(store, now)
    return Changed(changed, _some(left), sorted(ended + running) if list_ids else [], followed)


def hold(store: Store, selection: Selection, *, list_ids: bool = False) -> Changed:
    """Keep waiting jobs from being claimed until ``release``; one that waits for its retry then need not wait for it."""
    also = f"due_at = iif(why = 'retry', NULL, due_at), why = '{states.HELD_BY_HAND}'"
    with store.writing() as db:
        require(store, selection)
        left = counts(store, selection)
        ids: list[int] = []
        changed = 0
        for state in ("queued", "scheduled", "blocked"):
            chosen = selection.in_state(state)
            ids += _ids(store, chosen) if list_ids else []
            moved = states.move(db, state, "held", *condition(chosen), also)
            left[state] = left.get(state, 0) - moved
            changed += moved
    return Changed(changed, _some(left), sorted(ids))


def release(store: Store, selection: Selection, *, list_ids: bool = False, now: int | None = None) -> Changed:
    """Let held jobs go on: to wait for their parents or their time, else to be claimed.

    Their interruptions in a row are forgiven, or the next one would hold them again.
    """
    with store.writing() as db:
        require(store, selection)
        left = counts(store, selection)
        chosen = selection.in_state("held")
        ids = _ids(store, chosen) if list_ids else []
        where, named = condition(chosen)
        named |= {"now": clock.now() if now is None else now}
        changed = 0
        for target, still, why, due in (
            ("blocked", "open_parents > 0", "NULL", "due_at"),
            ("scheduled", "due_at > :now", "'delay'", "due_at"),
            ("queued", "1", "NULL", "NULL"),
        ):
            also = f"why = {why}, due_at = {due}, interruptions = 0"
            changed += states.move(db, "held", target, f"{where} AND {still}", named, also)
        left["held"] = left.get("held", 0) - changed
    return Changed(changed, _some(left), sorted(ids))


def _reopen(store: Store, selection: Selection, sources: dict[str, Selection], *, list_ids: bool) -> Changed:
    with store.writing() as db:
        require(store, selection)
        left = counts(store, selection)
        conditions = [condition(chosen) for chosen in sources.values() if chosen.ids != NO_JOB]
        ids: list[int] = []
        followed = 0
        if order.has_any(db) or _has_orphans(db):
            where = " OR ".join(f"({one})" for one, _ in conditions) or "0"
            opened = reopening.reopen(
                db,
                where,
                {name: value for _, named in conditions for name, value in named.items()},
                orphans=bool(selection.ids),
            )
            moved, followed = opened.chosen, opened.followed
            ids = opened.ids if list_ids else []
        else:
            ids = [id for chosen in sources.values() for id in _ids(store, chosen)] if list_ids else []
            moved = {
                state: states.move(db, state, "queued", *condition(chosen), f"{reopening.AFRESH}, open_parents = 0")
                for state, chosen in sources.items()
            }
        for state, jobs in moved.items():
            left[state] = left.get(state, 0) - jobs
    return Changed(sum(moved.values()), _some(left), sorted(ids), followed)


def _has_orphans(db: sqlite3.Connection) -> bool:
    """Whether some job was cancelled because of another: its dependencies may have been pruned with that one."""
    cancelled = "SELECT 1 FROM counters WHERE state = 'cancelled' AND jobs > 0"
    caused = "SELECT 1 FROM jobs WHERE state = 'cancelled' AND cause IS NOT NULL"
    return bool(db.execute(f"SELECT EXISTS ({cancelled}) AND EXISTS ({caused})").fetchone()[0])


def _ids(store: Store, chosen: Selection) -> list[int]:
    where, named = condition(chosen)
    return [id for (id,) in store.fetch(f"SELECT id FROM jobs WHERE {where}", named)]


def _some(left: dict[str, int]) -> dict[str, int]:
    return {state: jobs for state, jobs in left.items() if jobs}
