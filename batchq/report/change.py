"""What changed since last time, in words and as values for JSON: one sentence, and lists of ids."""

from batchq import clock
from batchq.jobs.selection import in_words
from batchq.named import NamedTuple
from batchq.report.again import ids_of
from batchq.store.looking.change import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_IN_A_ROW = 3  #: failures in a row that are worth a word; two are ``again``


class Part(NamedTuple):
    """Some jobs of a change and what is common to them: ``newly failed``; ``ids`` as a command takes them."""

    text: str
    jobs: int
    ids: str


def parts(change: Change) -> list[Part]:
    """What changed, in the order in which it matters; groups without a job are left out. Ids of ``gone`` are of then."""
    found = (
        ("newly failed", change.new),
        ("failed again", change.again),
        ("failed without a counterpart", change.unknown),
        ("recovered", change.recovered),
        ("gone that had failed", change.gone),
        ("much slower", [id for id, *_ in change.slower]),
    )
    return [Part(text, len(ids), in_words(ids_of(ids))) for text, ids in found if ids]


def sentence(change: Change) -> str:
    """One line: ``since last time, 2026-11-28 08:23: 189 newly failed, 111 failed again, 11 recovered``.

    If the selection has older adds as well, it begins with the ids that were compared.
    """
    found = [
        f"{part.jobs:,} {part.text}{_in_a_row(change) if part.text == 'failed again' else ''}" for part in parts(change)
    ]
    ids = in_words(change.now)
    of = f"{'job' if ids.isdecimal() else 'jobs'} {ids} " if change.is_part else ""
    return f"{of}since last time, {clock.local(change.at)}: {', '.join(found) or 'no job failed'}"


def _in_a_row(change: Change) -> str:
    """`` (5 times in a row)`` for the longest row of failures; nothing for one of two."""
    most = max(change.nights.values(), default=0)
    if most < _IN_A_ROW:
        return ""
    longest = sum(times == most for times in change.nights.values())
    jobs = "" if longest == len(change.again) else "one of them " if longest == 1 else f"{longest:,} of them "
    return f" ({jobs}{most} times{' or more' if most >= change.counted else ''} in a row)"


def as_values(change: Change) -> "dict[str, Any]":
    """The value ``change`` of a report as JSON: times are ISO 8601, ids are texts as a command takes them."""
    groups = {
        "newly_failed": change.new,
        "failed_again": change.again,
        "no_counterpart": change.unknown,
        "recovered": change.recovered,
        "gone": change.gone,
    }
    return {
        "now": in_words(change.now),
        "then": in_words(change.then),
        "then_added_at": clock.iso(change.at),
        "older_left_out": change.is_part,
        **{name: {"jobs": len(ids), "ids": in_words(ids_of(ids))} for name, ids in groups.items()},
        "in_a_row": {str(id): times for id, times in sorted(change.nights.items()) if times >= _IN_A_ROW},
        "slower": [
            {"id": id, "seconds": round(now, 3), "seconds_then": round(then, 3)} for id, now, then in change.slower
        ],
        "busy_seconds": round(change.work[0], 3),
        "busy_seconds_then": round(change.work[1], 3),
    }
