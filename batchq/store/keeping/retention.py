"""The retention of a store: its own rule by which runs remove finished jobs gradually."""

import json
import os
from collections.abc import Iterator

from batchq.store.file.connection import Store
from batchq.store.keeping import pruning
from batchq.store.keeping.pruning import Policy

WINDOW = 5000  #: jobs that one ``tidy`` passes over
_FEW_CONTEXTS = 500
_FEW_JOBS = 100_000


def retention(store: Store) -> Policy | None:
    """What the runners of this store remove gradually; None if it keeps everything."""
    rows = store.fetch("SELECT value FROM settings WHERE name = 'retention'")
    if not rows:
        return None
    try:
        older_than, chosen, keep, keys = json.loads(rows[0][0])
        return Policy(int(older_than), tuple(chosen), int(keep), keys)
    except (ValueError, TypeError):
        return None  # unreadable: better to keep too much


def set_retention(store: Store, policy: Policy | None) -> None:
    """Let runners apply this policy from now on, or none."""
    with store.writing() as db:
        if policy is None:
            db.execute("DELETE FROM settings WHERE name = 'retention'")
        else:
            db.execute("INSERT OR REPLACE INTO settings VALUES ('retention', ?)", (json.dumps(policy),))


def tidy(store: Store, now: int) -> int:
    """Do one small step of the store's retention, for an idle runner; return how many jobs were removed.

    It removes at most 500 of the oldest jobs; if none of these may be removed, it tries a random stretch. So the work is
    bounded however large the store is, and yet no job is skipped for ever.
    """
    policy = retention(store)
    if policy is None:
        return 0
    rule = pruning.rule_of(store, policy, now)
    removed = 0
    for after in _starts(store, "jobs"):
        if found := pruning.candidates(store, rule, after, WINDOW):
            removed, _ = pruning.remove_jobs(store, found, rule)
            break
    for after in _starts(store, "runners"):
        if ended := pruning.ended_runners(store, rule, after):
            pruning.remove_runners(store, ended)
    pruning.remove_adds(store, rule)
    pruning.forget_keys(store, policy, now)
    if removed and _contexts_are_worth_a_look(store):
        pruning.remove_contexts(store)
    return removed


def _starts(store: Store, table: str) -> Iterator[int]:
    yield 0
    ((last,),) = store.fetch(f"SELECT max(id) FROM {table}")
    if last:
        yield int.from_bytes(os.urandom(8), "big") % last


def _contexts_are_worth_a_look(store: Store) -> bool:
    # Each job may have come from a folder of its own; but finding the unused ones means reading all jobs.
    ((contexts,),) = store.fetch("SELECT count(*) FROM (SELECT 1 FROM contexts LIMIT ?)", (_FEW_CONTEXTS + 1,))
    if contexts <= _FEW_CONTEXTS:
        return False
    ((jobs,),) = store.fetch("SELECT total(jobs) FROM counters")
    return bool(jobs <= _FEW_JOBS)
