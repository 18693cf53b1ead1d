"""``batchq remove``: delete chosen jobs."""

import sys

from batchq.cli.choosing import chosen, store_for
from batchq.errors import UsageError
from batchq.jobs.selection import Selection
from batchq.notes import note
from batchq.report.layout import count
from batchq.store.keeping import removing


def remove(selection: Selection, *, json: bool, db: str | None) -> None:
    """Remove jobs that have finished or never started, and report which stay."""
    if selection.is_empty:
        raise UsageError("say which jobs: ids, --failed, --batch NAME or last (--all is every job)")
    with store_for(db) as store:
        done = removing.remove(store, chosen(store, selection, "remove"))
    if json:
        from batchq.jobs.asciijson import dump

        facts = {
            "removed": done.jobs,
            "left_alone": done.left_alone,
            "parents": done.parents,
            "logs_left": done.logs_left,
        }
        sys.stdout.write(dump({"schema": 1, "kind": "remove", **facts}) + "\n")
        return
    parts = [f"{count(done.jobs, 'job')} removed" if done.jobs else "nothing to do"]
    if stay := sum(done.left_alone.values()):
        why = ", ".join(f"{jobs:,} {state}" for state, jobs in done.left_alone.items())
        parents = f", {done.parents:,} because other jobs wait for them" if done.parents else ""
        parts.append(f"{stay:,} left alone ({why}{parents})")
    if done.logs_left:
        parts.append(f"{count(done.logs_left, 'log')} left: written for a store at another path")
    note(f"remove: {'; '.join(parts)}")
