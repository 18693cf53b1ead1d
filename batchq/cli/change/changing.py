"""``batchq retry``, ``cancel``, ``hold`` and ``release``: changes to a set of jobs, in one transaction."""

import sys

from batchq.cli.choosing import chosen, store_for
from batchq.errors import UsageError
from batchq.jobs.selection import Selection
from batchq.notes import note
from batchq.report import states
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.looking import queries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def retry(selection: Selection, *, json: bool, db: str | None) -> None:
    """Queue failed and cancelled jobs again; succeeded ones only if they are selected explicitly."""
    done = change_jobs("retry", control.retry, selection, json=json, db=db)
    hints = {
        "lost": "lost with its run: 'batchq run' takes it back",
        "succeeded": "succeeded: name them by id or with --state succeeded",
        "held": "held: batchq release",
        "cancelled": "cancelled, and a job that they run after does not let them run: retry that one",
    }
    note_change("retry", "queued again", done, hints)


def cancel(selection: Selection, *, json: bool, db: str | None) -> None:
    """Cancel jobs that have not finished; runners stop running ones within a second."""
    done = change_jobs("cancel", _cancel, selection, json=json, db=db)
    note_change("cancel", "cancelled", done, {})


def _cancel(store: Store, selection: Selection, *, list_ids: bool) -> control.Changed:
    from batchq.runner.rescuing import take_back_cancelled

    done = control.cancel(store, selection, list_ids=list_ids)
    take_back_cancelled(store)
    return done


def hold(selection: Selection, *, json: bool, db: str | None) -> None:
    """Keep waiting jobs from starting until 'batchq release'."""
    note_change("hold", "held", change_jobs("hold", control.hold, selection, json=json, db=db), {})


def release(selection: Selection, *, json: bool, db: str | None) -> None:
    """Queue held jobs."""
    note_change("release", "released", change_jobs("release", control.release, selection, json=json, db=db), {})


def change_jobs(
    verb: str, change: "Callable[..., control.Changed]", selection: Selection, *, json: bool, db: str | None
) -> control.Changed:
    """Change the selected jobs by ``change``; with ``json`` print what was done."""
    if selection.is_empty:
        raise UsageError("say which jobs: ids, --failed, --batch NAME or last (--all is every job)")
    with store_for(db) as store:
        found = chosen(store, selection, verb)
        done = change(store, found, list_ids=json)
        if left := done.left_alone.get("running"):
            lost = min(left, queries.lost(store, found))
            done = done._replace(left_alone=states.standings(done.left_alone, lost))
    if json:
        from batchq.report import asjson

        sys.stdout.write(asjson.changed(verb, done))
    return done


def note_change(verb: str, what: str, done: control.Changed, hints: dict[str, str]) -> None:
    """Note how many jobs were changed, and why the others were left alone."""
    jobs = f"{done.jobs:,} {'job' if done.jobs == 1 else 'jobs'}"
    parts = [f"{jobs} {what}" if done.jobs else "nothing to do"]
    if done.also:
        parts[0] += (
            f", and {done.also:,} that {'runs' if done.also == 1 else 'run'} after {'it' if done.jobs == 1 else 'them'}"
        )
    if left := done.left_alone:
        about = ", ".join(
            f"{number:,} {hints.get(state, state)}" if len(left) > 1 else hints.get(state, state)
            for state, number in left.items()
        )
        parts.append(f"{sum(left.values()):,} left alone ({about})")
    note(f"{verb}: {'; '.join(parts)}")
