"""``batchq prune``: remove finished jobs, now or gradually."""

import sys

from batchq import clock
from batchq.cli.choosing import store_for
from batchq.cli.request import duration
from batchq.errors import UsageError
from batchq.jobs.lifecycle import FINAL
from batchq.notes import note
from batchq.report.layout import count
from batchq.store.file.connection import Store
from batchq.store.keeping import pruning, retention
from batchq.store.keeping.pruning import Policy
from batchq.visible import visible


def prune(
    *,
    older_than: str | None,
    states: list[str],
    keep: int,
    forget_keys: str | None,
    dry_run: bool,
    set_retention: str | None,
    no_retention: bool,
    show: bool,
    quiet: bool,
    json: bool,
    db: str | None,
) -> None:
    """Remove finished jobs, or set which ones runs remove."""
    ways = [
        name
        for name, given in (
            ("--older-than", older_than is not None),
            ("--set-retention", set_retention is not None),
            ("--no-retention", no_retention),
            ("--show", show),
        )
        if given
    ]
    if len(ways) != 1:
        raise UsageError("prune takes one of --older-than, --set-retention, --no-retention and --show")
    if dry_run and older_than is None:
        raise UsageError("--dry-run belongs to --older-than")
    if (states or keep or forget_keys) and (no_retention or show):
        raise UsageError(f"--state, --keep and --forget-keys cannot be combined with {ways[0]}")
    policy = _policy(ways[0], older_than or set_retention, states, keep, forget_keys)
    with store_for(db, reading=show or dry_run) as store:
        if policy is not None and older_than is not None:
            facts, text = _prune(store, policy, dry_run)
        else:
            if not show:
                retention.set_retention(store, policy)
            facts, text = _retention(store)
    if json:
        from batchq.jobs.asciijson import dump

        sys.stdout.write(dump({"schema": 1, "kind": "prune", **facts}) + "\n")
    elif show:
        sys.stdout.write(visible(text) + "\n")
    elif not quiet:
        note(f"prune: {text}")


def _prune(store: Store, policy: Policy, dry_run: bool) -> tuple[dict[str, object], str]:
    if dry_run:
        counts = pruning.prunable(store, policy, clock.now())
        jobs = sum(counts.values())
        return {"dry_run": True, "jobs": jobs, "states": counts}, f"{count(jobs, 'job')} would be removed"
    done = pruning.prune(store, policy, clock.now())
    facts: dict[str, object] = {"dry_run": False, "jobs": done.jobs, "runners": done.runners, "keys": done.keys}
    facts["bytes"] = done.bytes
    keys = f" and {count(done.keys, 'key')}" if done.keys else ""
    facts["logs_left"] = done.logs_left
    text = f"{count(done.jobs, 'job')}{keys} removed, the store is {done.bytes:,} bytes smaller"
    if done.logs_left:
        logs = "1 log stays" if done.logs_left == 1 else f"{done.logs_left:,} logs stay"
        text += f"; {logs}: written for a store at another path, which was copied or moved here"
    return facts, text


def _retention(store: Store) -> tuple[dict[str, object], str]:
    policy = retention.retention(store)
    if policy is None:
        return {"retention": None}, "runs remove nothing: this store keeps all jobs"
    facts = {"older_than_seconds": policy.older_than / 1000, "states": [*policy.states], "keep": policy.keep}
    facts["forget_keys_seconds"] = None if policy.keys is None else policy.keys / 1000
    text = f"runs remove {', '.join(policy.states)} jobs older than {clock.show_duration(policy.older_than)}"
    text += f", but not the newest {policy.keep:,}" if policy.keep else ""
    if policy.keys is not None:
        text += f"; they forget keys that no add has named for {clock.show_duration(policy.keys)}"
    return {"retention": facts}, text


def _policy(option: str, time: str | None, words: list[str], keep: int, forget_keys: str | None) -> Policy | None:
    if time is None:
        return None
    older_than = duration(option, time)
    keys = None if forget_keys is None else duration("--forget-keys", forget_keys)
    chosen = {state.strip() for word in words for state in word.split(",")}
    for state in sorted(chosen.difference(FINAL)):
        raise UsageError(f"--state {state}: only finished jobs can be removed: {', '.join(FINAL)}")
    return Policy(older_than, tuple(state for state in FINAL if not chosen or state in chosen), keep, keys)
