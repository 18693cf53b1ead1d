"""Changing what was added: retry, hold, release. Each is one transaction over a set of jobs, safe on a million."""

from typing import NamedTuple

from batchq.jobs.selection import Selection
from batchq.store import states
from batchq.store.connection import Store
from batchq.store.queries import fetch, require
from batchq.store.selecting import condition
from batchq.store.tallies import counts

_AFRESH = "failures = 0, crashes = 0, interruptions = 0, cancel_asked = 0, finished_at = NULL, why = NULL"


class Changed(NamedTuple):
    """How many jobs were changed, and how many selected ones could not be because of the state they are in."""

    jobs: int
    left_alone: dict[str, int]
    ids: list[int]


def retry(store: Store, selection: Selection, *, list_ids: bool = False) -> Changed:
    """Queue jobs that are over once more: the numbers of their attempts go on, the budget of attempts starts anew.

    Failed and cancelled jobs are retried, and succeeded ones only where they are named: by id, by a range of ids, or
    by their state. ``ids`` is filled with ``list_ids`` only. Raises MissingError for an id that does not exist.
    """
    sources = {state: selection.in_state(state) for state in ("failed", "cancelled")}
    if selection.ids or selection.states:
        named = selection if selection.states else selection._replace(last=False)
        sources["succeeded"] = named.in_state("succeeded")
    return _change(store, selection, sources, "queued", also=_AFRESH, list_ids=list_ids)


def hold(store: Store, selection: Selection, *, list_ids: bool = False) -> Changed:
    """Keep waiting jobs from being claimed until ``release``; one that waits for a time forgets it."""
    sources = {state: selection.in_state(state) for state in ("queued", "scheduled")}
    also = "due_at = NULL, why = 'held by hand'"
    return _change(store, selection, sources, "held", also=also, list_ids=list_ids)


def release(store: Store, selection: Selection, *, list_ids: bool = False) -> Changed:
    """Queue held jobs; their interruptions in a row are forgiven, or the next one would hold them again."""
    sources = {"held": selection.in_state("held")}
    return _change(store, selection, sources, "queued", also="why = NULL, interruptions = 0", list_ids=list_ids)


def _change(
    store: Store, selection: Selection, sources: dict[str, Selection], target: str, *, also: str, list_ids: bool
) -> Changed:
    with store.writing() as db:
        require(store, selection)
        left = counts(store, selection)
        ids: list[int] = []
        changed = 0
        for source, chosen in sources.items():
            where, named = condition(chosen)
            if list_ids:
                ids += [id for (id,) in fetch(store, f"SELECT id FROM jobs WHERE {where}", named)]
            moved = states.move(db, source, target, where, named, also)
            left[source] = left.get(source, 0) - moved
            changed += moved
    return Changed(changed, {state: jobs for state, jobs in left.items() if jobs}, sorted(ids))
