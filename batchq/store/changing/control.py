"""Change jobs after they were added: retry, cancel, hold, release, each for a set of jobs.

The jobs are looked up first, without a lock on the store, and then changed in slices. Each slice is one transaction that
leaves a sound store, and other processes can write between two of them. If the command is stopped, the jobs of some
slices are changed and the others are untouched.
"""

import _sqlite3 as sqlite3
import json
from array import array
from collections.abc import Iterator, Sequence

from batchq import clock
from batchq.jobs.selection import Selection, of_ids
from batchq.named import NamedTuple
from batchq.store import order, reopening, states
from batchq.store.file.connection import Store
from batchq.store.looking.queries import require
from batchq.store.looking.tallies import counts
from batchq.store.selecting import condition
from batchq.store.snapshots import snapshot

WAITING = ("held", "blocked", "scheduled", "queued")


class Changed(NamedTuple):
    """How many jobs were changed, and how many selected ones could not be because of their state.

    ``ids`` are those that were changed, filled on request only. ``also`` counts jobs outside the selection that
    followed: dependants that were cancelled or that came back.
    """

    jobs: int
    left_alone: dict[str, int]
    ids: list[int]
    also: int = 0


def retry(store: Store, selection: Selection, *, list_ids: bool = False) -> Changed:
    """Queue finished jobs again: attempt numbers continue, the budget of attempts starts anew.

    Failed and cancelled jobs are retried, and succeeded ones only if they are named by id, by a range of ids, or by their
    state. Jobs that were cancelled because one of these had failed come back, too. A job whose parent has failed and is
    not retried stays cancelled. So does one whose parent was pruned, unless it is named by its id. ``ids`` is filled with
    ``list_ids`` only. Raises MissingError for an id that does not exist.
    """
    sources = {state: selection.in_state(state) for state in ("failed", "cancelled")}
    if selection.ids or selection.states:
        named = selection if selection.states else selection.within(selection.ids)
        sources["succeeded"] = named.in_state("succeeded")
    return _reopen(store, selection, sources, list_ids=list_ids)


def cancel(store: Store, selection: Selection, *, list_ids: bool = False, now: int | None = None) -> Changed:
    """Cancel jobs: waiting ones at once; running ones are cancelled by their runner, which checks four times a second.

    Jobs that run only after the success of one of them are cancelled with it.
    """
    now = clock.now() if now is None else now
    also = "finished_at = :now, due_at = NULL, why = 'cancelled by hand'"
    left, (found,) = found_in(store, selection, [selection.in_states((*WAITING, "running"))])
    ids: list[int] = []
    changed = followed = 0
    # Later jobs first: then few jobs are left to follow when an earlier one ends.
    for jobs in reversed([*slices(found)]):
        with store.writing() as db:
            chosen = {state: jobs.in_state(state) for state in (*WAITING, "running")}
            needs_ids = list_ids or order.has_any(db)
            ended = [id for state in WAITING for id in _ids(store, chosen[state])] if needs_ids else []
            running = _ids(store, chosen["running"])
            for state in WAITING:
                where, named = condition(chosen[state])
                changed += states.move(db, state, "cancelled", where, named | {"now": now}, also)
            db.executemany("UPDATE jobs SET cancel_asked = 1 WHERE id = ?", [(id,) for id in running])
            changed += len(running)
            followed += order.propagate(db, ended, ended, now)
            ids += ended + running if list_ids else []
    followed += order.finish(store, now)
    for state in (*WAITING, "running"):  # none of these is left alone: some may have followed others
        left.pop(state, None)
    return Changed(changed, _some(left), sorted(ids), followed)


def hold(store: Store, selection: Selection, *, list_ids: bool = False) -> Changed:
    """Keep waiting jobs from being claimed until ``release``, which also ends the wait for a retry.

    Jobs that batchq itself put on hold count as held by a person from then on: runs no longer warn about them.
    """
    also = f"due_at = iif(why = 'retry', NULL, due_at), why = '{states.HELD_BY_HAND}'"
    sources = ("queued", "scheduled", "blocked")
    left, (found,) = found_in(store, selection, [selection.in_states((*sources, "held"))])
    ids: list[int] = []
    changed = 0
    for jobs in slices(found):
        with store.writing() as db:
            for state in sources:
                chosen = jobs.in_state(state)
                ids += _ids(store, chosen) if list_ids else []
                changed += _less(left, state, states.move(db, state, "held", *condition(chosen), also))
            taken = states.hold_by_hand(db, *condition(jobs))
            ids += taken if list_ids else []
            changed += _less(left, "held", len(taken))
    return Changed(changed, _some(left), sorted(ids))


def release(store: Store, selection: Selection, *, list_ids: bool = False, now: int | None = None) -> Changed:
    """Release held jobs: they wait for their parents or their time, else they can be claimed.

    Their count of interruptions in a row is reset, or the next one would hold them again.
    """
    now = clock.now() if now is None else now
    left, (found,) = found_in(store, selection, [selection.in_state("held")])
    ids: list[int] = []
    changed = 0
    for jobs in slices(found):
        with store.writing() as db:
            chosen = jobs.in_state("held")
            ids += _ids(store, chosen) if list_ids else []
            where, named = condition(chosen)
            for target, still, why, due in (
                ("blocked", "open_parents > 0", "NULL", "due_at"),
                ("scheduled", "due_at > :now", "'delay'", "due_at"),
                ("queued", "1", "NULL", "NULL"),
            ):
                also = f"why = {why}, due_at = {due}, interruptions = 0"
                moved = states.move(db, "held", target, f"{where} AND {still}", named | {"now": now}, also)
                changed += _less(left, "held", moved)
    return Changed(changed, _some(left), sorted(ids))


def _reopen(store: Store, selection: Selection, sources: dict[str, Selection], *, list_ids: bool) -> Changed:
    left, found = found_in(store, selection, list(sources.values()))
    orphans = bool(selection.ids)
    done = reopening.Opened({}, 0, [])
    # Without dependencies each slice is one UPDATE: through the plan, a retry of 100,000 jobs takes 2.5 times as long.
    with snapshot(store):
        is_tied = order.has_any(store.db) or _has_orphans(store.db)
    if is_tied:
        named = {state: json.dumps(list(ids)) for state, ids in zip(sources, found, strict=True)}
        where = " OR ".join(
            f"jobs.state = '{state}' AND jobs.id IN (SELECT value FROM json_each(:{state}))" for state in sources
        )
        with snapshot(store):
            planned = reopening.plan(store.db, where, named, orphans=orphans)
        if len(planned) <= reopening.SLICE:
            with store.writing() as db:
                done = reopening.reopen(db, where, named, orphans=orphans)
        else:
            done = reopening.reopen_in_slices(store, where, named, orphans=orphans)
    else:
        for state, ids in zip(sources, found, strict=True):
            for jobs in slices(ids):
                with store.writing() as db:
                    done = done.and_then(_open_slice(store, db, state, jobs, list_ids=list_ids))
    for state, moved in done.chosen.items():
        _less(left, state, moved)
    return Changed(sum(done.chosen.values()), _some(left), sorted(done.ids) if list_ids else [], done.followed)


def _open_slice(
    store: Store, db: sqlite3.Connection, state: str, jobs: Selection, *, list_ids: bool
) -> reopening.Opened:
    where, named = condition(jobs.in_state(state))
    if order.has_any(db):  # after the ids were looked up, an add brought a job that runs after another
        return reopening.reopen(db, where, named)
    ids = _ids(store, jobs.in_state(state)) if list_ids else []
    moved = states.move(db, state, "queued", where, named, f"{reopening.AFRESH}, open_parents = 0")
    return reopening.Opened({state: moved}, 0, ids)


def _has_orphans(db: sqlite3.Connection) -> bool:
    """Whether any job was cancelled because of another: its dependencies may have been pruned with that one."""
    cancelled = "SELECT 1 FROM counters WHERE state = 'cancelled' AND jobs > 0"
    caused = "SELECT 1 FROM jobs WHERE state = 'cancelled' AND cause IS NOT NULL"
    return bool(db.execute(f"SELECT EXISTS ({cancelled}) AND EXISTS ({caused})").fetchone()[0])


def found_in(
    store: Store, selection: Selection, chosen: Sequence[Selection]
) -> tuple[dict[str, int], list["array[int]"]]:
    """How many of the selected jobs are in each state, and the ids of those of ``chosen``, in order."""
    with snapshot(store):
        require(store, selection)
        left = counts(store, selection)
        found = [array("q", sorted(_ids(store, one))) for one in chosen]
    return left, found


def slices(ids: "array[int]") -> Iterator[Selection]:
    """The jobs in slices, each for one transaction."""
    for start in range(0, len(ids), reopening.SLICE):
        yield of_ids(ids[start : start + reopening.SLICE])


def _less(left: dict[str, int], state: str, moved: int) -> int:
    """Subtract the jobs that have moved from those left alone in a state."""
    left[state] = left.get(state, 0) - moved
    return moved


def _ids(store: Store, chosen: Selection) -> list[int]:
    where, named = condition(chosen)
    return [id for (id,) in store.fetch(f"SELECT id FROM jobs WHERE {where}", named)]


def _some(left: dict[str, int]) -> dict[str, int]:
    return {state: jobs for state, jobs in left.items() if jobs > 0}
