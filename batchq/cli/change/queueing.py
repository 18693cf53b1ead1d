"""``batchq queue``: the limits, rates and pauses of queues, which runners follow from their next claim."""

import os
import sys

from batchq.cli.choosing import store_for
from batchq.cli.options import decimal
from batchq.errors import InputError, UsageError
from batchq.jobs.fields import FIELDS
from batchq.notes import note
from batchq.store import names
from batchq.store.changing import queues
from batchq.store.file.connection import Store
from batchq.store.running import limits

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def list_queues(json: bool, db: str | None) -> None:
    """Print the queues."""
    from batchq.report import asjson
    from batchq.report import queues as tables
    from batchq.report.layout import look

    with store_for(db, reading=True) as store:
        found = queues.queues(store)
        if not found and not json:
            note("queue: there is none yet; a queue is created by its first job or its first limit")
        sys.stdout.write(asjson.queues(found) if json else tables.table(found, look(sys.stdout, "auto", os.environ)))


def set_queue(name: str, limit: str | None, rate: str | None, db: str | None) -> None:
    """Set the limit or the rate of a queue."""
    if limit is None and rate is None:
        raise UsageError("say what to set: --limit N or --rate N/s")
    queue = _checked(name)
    changes: dict[str, float | None] = {} if limit is None else {"running_limit": _limit(limit)}
    changes |= {} if rate is None else {"rate": _rate(rate)}
    with store_for(db) as store:
        _note_similar(store, queue)
        queues.change(store, queue, changes)


def pause(name: str, db: str | None) -> None:
    """Start no more jobs of a queue; running ones continue."""
    with store_for(db) as store:
        queue = _checked(name)
        _note_similar(store, queue)
        queues.pause(store, queue)


def resume(name: str, db: str | None) -> None:
    """Resume a paused queue."""
    with store_for(db) as store:
        queue = _checked(name)
        for one in names.never_seen(store, queue, None):
            note(one.sentence)
        queues.resume(store, queue)


def _note_similar(store: Store, queue: str) -> None:
    """Note that a queue is new if its name looks like a typo of another; otherwise it may get its first jobs later."""
    for one in names.never_seen(store, queue, None):
        if one.near:
            note(one.sentence)


def _limit(text: str | None) -> int | None:
    if text in (None, "none"):
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 8) or int(text) > 1_000_000:
        raise UsageError(f"--limit {text!r} is not a number of jobs: write 4, or none")
    return int(text)


def _rate(text: str | None) -> float | None:
    if text in (None, "none"):
        return None
    number, slash, unit = text.partition("/")
    try:
        rate = decimal(number) / _UNITS[unit if slash else "s"]
    except (ValueError, KeyError):
        rate = 0.0
    if not limits.LOWEST_RATE <= rate <= 1_000_000:
        raise UsageError(f"--rate {text!r} is not a rate: write 10/s, 100/m, 5/h, or none (at least one start a year)")
    return rate


def _checked(name: str) -> str:
    try:
        return str(FIELDS["queue"].check(name))
    except ValueError as error:
        raise InputError(f"the name of a queue {error}") from None
