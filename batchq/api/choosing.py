"""The jobs that a method of ``batchq.Store`` selects: the words and options of the command line, in Python types."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict

from batchq.errors import UsageError

if TYPE_CHECKING:
    from datetime import date, timedelta

    from batchq.jobs.selection import Selection

    Which = int | str | Iterable[int]


class Choice(TypedDict, total=False):
    """Filters for jobs; a job must pass all of them.

    ``state`` and ``cause`` (the id of a cause) take one value or several; ``name`` may be a glob; ``since`` is a duration
    before now (``"2h"``, a timedelta), a time or ``"today"``; ``failed=True`` adds the state failed, ``running=True``
    running. ``tag`` is one that the jobs must have, or several; ``grep`` is a text in their command or name.
    ``run`` is the number of a run, or ``"last"``: jobs whose last attempt that run made. ``all=True`` selects every job.
    """

    batch: str
    queue: str
    state: str | Sequence[str]
    failed: bool
    running: bool
    name: str
    tag: str | Sequence[str]
    grep: str
    since: "str | timedelta | date"
    cause: str | Sequence[str]
    run: int | str
    all: bool


def selection(which: "Sequence[Which]", choice: Choice) -> "Selection":
    """Return the selection of the jobs in ``which`` that pass ``choice``.

    These are ids, collections of ids, and texts such as ``"1-5,9"``, ``"last"`` and ``"load-*"``. An empty collection
    selects no job. Raises UsageError.
    """
    from batchq.api.options import plain
    from batchq.jobs.selection import NO_JOB, merged, parse

    words = [one for one in which if isinstance(one, str)]
    listed = [one for one in which if not isinstance(one, str)]
    ids = [id for one in listed for id in ([one] if isinstance(one, int) else one)]
    if unknown := choice.keys() - Choice.__annotations__.keys():
        raise UsageError(f"jobs cannot be chosen by {min(unknown)!r}: it is {', '.join(Choice.__annotations__)}")
    if wrong := [id for id in ids if not isinstance(id, int) or isinstance(id, bool) or id < 1]:
        raise UsageError(f"{wrong[0]!r} is not the id of a job: ids are whole numbers from 1")
    if listed and choice.get("all"):
        raise UsageError("ids and all=True exclude each other: all=True is every job")
    state, cause, tag = choice.get("state", ()), choice.get("cause", ()), choice.get("tag", ())
    since = plain({"since": choice.get("since")})["since"]
    chosen = parse(
        words,
        batch=choice.get("batch"),
        queue=choice.get("queue"),
        states=[state] if isinstance(state, str) else state,
        failed=choice.get("failed", False),
        running=choice.get("running", False),
        name=choice.get("name"),
        everything=choice.get("all", False),
        since=None if since is None else str(since),
        causes=[cause] if isinstance(cause, str) else cause,
        tags=[tag] if isinstance(tag, str) else tag,
        grep=choice.get("grep"),
        run=None if (run := choice.get("run")) is None else str(run),
    )
    if not listed:
        return chosen
    return chosen._replace(ids=tuple(merged([*chosen.ids, *((id, id) for id in ids)])) or NO_JOB)


def some(which: "Sequence[Which]", choice: Choice, verb: str) -> "Selection":
    """Return the same for a method that must not select every job by default. Raises UsageError if nothing is chosen."""
    chosen = selection(which, choice)
    if chosen.is_empty:
        raise UsageError(f"{verb}: say which jobs: ids, failed=True, batch=…, 'last' (all=True is every job)")
    return chosen
