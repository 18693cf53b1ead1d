"""The words and options of a SELECTION, which many commands take: declared once, handed over as one value."""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from batchq.cli.noting import note
from batchq.jobs.selection import NO_JOB, Selection, parse
from batchq.store import names
from batchq.store import selecting as selected
from batchq.store.file.connection import Store

_Words = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Ids and ranges as in 1-5,9, or last.")]
_Batch = Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs of this batch.")]
_Queue = Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs of this queue.")]
_States = Annotated[
    list[str] | None, typer.Option("--state", metavar="STATE", help="Only jobs in this state; may be repeated.")
]
_Failed = Annotated[bool, typer.Option("--failed", help="Only failed jobs.")]
_Name = Annotated[str | None, typer.Option(metavar="GLOB", help="Only jobs whose name matches, as in 'load-*'.")]
_Since = Annotated[str | None, typer.Option(metavar="TIME", help="Only what happened since: 2h, today, 2026-11-23.")]
_All = Annotated[bool, typer.Option("--all", help="Every job.")]


def _declared(
    context: typer.Context,
    words: _Words = None,
    *,
    batch: _Batch = None,
    queue: _Queue = None,
    states: _States = None,
    failed: _Failed = False,
    name: _Name = None,
    since: _Since = None,
    everything: _All = False,
) -> None: ...


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the words and options of a SELECTION; it takes the Selection as its first parameter."""
    shared = inspect.signature(_declared).parameters
    own = list(inspect.signature(command).parameters.values())[1:]

    def run(context: typer.Context, **given: Any) -> None:
        chosen = {name: given.pop(name) for name in shared if name != "context"}
        words, states = chosen.pop("words") or [], chosen.pop("states") or []
        command(parse([*words, *after_dashes(context)], states=states, **chosen), **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    parameters = [*shared.values(), *own]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def chosen(store: Store, selection: Selection, verb: str) -> Selection:
    """The selection with ``last`` looked up, once for the whole command; told where the newest add stored nothing,
    and where the store has never heard of the queue or the batch."""
    for one in names.never_seen(store, selection.queue, selection.batch):
        note(one.sentence)
    found = selected.resolved(store, selection)
    if found.newest == NO_JOB:
        note(f"{verb}: nothing was added by the newest add")
    return found


def after_dashes(context: typer.Context) -> Sequence[str]:
    """The words after ``--``, which were split off before typer saw the command line."""
    return getattr(context.obj, "words", None) or []
