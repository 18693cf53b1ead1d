"""``batchq retry``, ``cancel``, ``hold`` and ``release``: changes to a set of jobs, in one transaction."""

import sys

from batchq.cli.choosing import chosen, store_for
from batchq.errors import UsageError
from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.notes import note
from batchq.report import states
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.looking import queries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Verb(NamedTuple):
    """One of these commands: how it changes selected jobs, what they are afterwards, and why others were left alone."""

    change: "Callable[..., control.Changed]"
    done: str
    hints: dict[str, str]


def retry(selection: Selection, *, json: bool, db: str | None) -> None:
    """Queue failed and cancelled jobs again; succeeded ones only if they are selected explicitly."""
    _do("retry", selection, json=json, db=db)


def cancel(selection: Selection, *, json: bool, db: str | None) -> None:
    """Cancel jobs that have not finished; runners stop running ones within a second."""
    _do("cancel", selection, json=json, db=db)


def hold(selection: Selection, *, json: bool, db: str | None) -> None:
    """Keep waiting jobs from starting until 'batchq release'."""
    _do("hold", selection, json=json, db=db)


def release(selection: Selection, *, json: bool, db: str | None) -> None:
    """Queue held jobs."""
    _do("release", selection, json=json, db=db)


def _do(verb: str, selection: Selection, *, json: bool, db: str | None) -> None:
    change, done, hints = VERBS[verb]
    note_change(verb, done, change_jobs(verb, change, selection, json=json, db=db), hints)


def _cancel(store: Store, selection: Selection, *, list_ids: bool) -> control.Changed:
    from batchq.runner.rescuing import take_back_cancelled

    done = control.cancel(store, selection, list_ids=list_ids)
    take_back_cancelled(store)
    return done


VERBS = {
    "retry": Verb(
        control.retry,
        "queued again",
        {
            "lost": "lost with its run: 'batchq run' takes it back",
            "succeeded": "succeeded: name them by id or with --state succeeded",
            "held": "held: batchq release",
            "cancelled": "cancelled, and a job that they run after does not let them run: retry that one",
        },
    ),
    "cancel": Verb(_cancel, "cancelled", {}),
    "hold": Verb(control.hold, "held", {}),
    "release": Verb(control.release, "released", {}),
}


def change_jobs(
    verb: str, change: "Callable[..., control.Changed]", selection: Selection, *, json: bool, db: str | None
) -> control.Changed:
    """Change the selected jobs by ``change``; with ``json`` print what was done."""
    if selection.is_empty:
        raise UsageError("say which jobs: ids, --failed, --batch NAME or last (--all is every job)")
    with store_for(db) as store:
        done = change_chosen(store, chosen(store, selection, verb), change, list_ids=json)
    if json:
        from batchq.report import asjson

        sys.stdout.write(asjson.changed(verb, done))
    return done


def change_chosen(
    store: Store, selection: Selection, change: "Callable[..., control.Changed]", *, list_ids: bool = False
) -> control.Changed:
    """Change jobs by ``change``; those left alone because they run are divided into running and lost ones."""
    done = change(store, selection, list_ids=list_ids)
    if left := done.left_alone.get("running"):
        lost = min(left, queries.lost(store, selection))
        done = done._replace(left_alone=states.standings(done.left_alone, lost))
    return done


def note_change(verb: str, what: str, done: control.Changed, hints: dict[str, str]) -> None:
    """Note how many jobs were changed, and why the others were left alone."""
    note(in_words(verb, what, done, hints))


def in_words(verb: str, what: str, done: control.Changed, hints: dict[str, str]) -> str:
    """``cancel: 1 job cancelled``, ``hold: nothing to do; 1 left alone (running)``."""
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
    return f"{verb}: {'; '.join(parts)}"
