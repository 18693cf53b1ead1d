"""The jobs that an add stored, or would store: as a listing for people, and as JSON, schema 1."""

from collections.abc import Iterator
from itertools import islice

from batchq.jobs.asciijson import dump
from batchq.jobs.fields import FIELDS
from batchq.jobs.model import JobSpec
from batchq.jobs.selection import in_words, merged
from batchq.report.asjson import SCHEMA
from batchq.report.layout import Columns, Look, Part, render
from batchq.report.objects import parsed, stored
from batchq.store.adding.intake import Added
from batchq.store.adding.keys import ADDED, REPLACED, RERUN, RUNNING, SKIPPED
from batchq.store.looking.rows import command
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.jobs.reading.spool import Jobs

PAGE = 1000
MOST = 10  #: ranges of ids that a person reads
_FATES = {
    SKIPPED: ("was known by key", "were known by key"),
    REPLACED: ("was replaced", "were replaced"),
    RERUN: ("runs again", "run again"),
    RUNNING: ("is running already", "are running already"),
}
_STYLES = {ADDED: "green", SKIPPED: "dim", RUNNING: "dim", REPLACED: "yellow", RERUN: "cyan"}


def document(specs: "Jobs", done: Added, *, is_rehearsal: bool) -> Iterator[str]:
    """One document of kind ``add``, in pieces, one job per line; a job that is not stored yet has no id."""
    counts = dump(_counts(done))
    yield f'{{"schema": {SCHEMA}, "kind": "add", "dry_run": {dump(is_rehearsal)}, "counts": {counts}, "jobs": ['
    before = "\n"
    for position, spec in enumerate(specs):
        fate = done.fate(position)
        job = None if is_rehearsal and fate == ADDED else done.ids[position]
        yield before + dump({"id": job, "fate": fate} | _job(spec) | _stored(done, done.ids[position]))
        before = ",\n"
    yield "\n]}\n"


def listing(specs: "Jobs", done: Added, look: Look) -> Iterator[str]:
    """One line per job, page by page."""
    columns = Columns(("WOULD BE", "ID", "BATCH", "QUEUE", "NAME", "COMMAND"), right=("ID",))
    rest = enumerate(specs)
    for start in range(0, len(specs), PAGE):
        rows = [_cells(spec, done, position) for position, spec in islice(rest, PAGE)]
        lines = columns.rows(rows)
        yield render(lines if start else [columns.head(), *lines], look)


def sentence(done: Added, where: str) -> str:
    """What an add did, for a person: ``added job 7``, ``200 jobs added to x.db: 1-200; 5 were known by key (3,7-10)``.

    ``where`` is the store, "" if it needs no mention.
    """
    jobs: dict[str, list[int]] = {}
    for position, job in enumerate(done.ids):
        jobs.setdefault(done.fate(position), []).append(job)
    new, to = jobs.pop(ADDED, []), f" to {visible(where, one_line=True)}" if where else ""
    parts = ["nothing added" if not new else f"added job {new[0]}" if len(new) == 1 else f"{len(new):,} jobs added"]
    parts[0] += f"{to}: {_briefly(new)}" if len(new) > 1 else to
    for fate, ids in jobs.items():
        one, many = _FATES[fate]
        parts.append(f"{len(ids):,} {one if len(ids) == 1 else many} ({_briefly(ids)})")
    return "; ".join(parts) + "\n"


def _briefly(ids: list[int]) -> str:
    ranges = list(merged((id, id) for id in ids))
    return in_words(ranges[:MOST]) + (",..." if len(ranges) > MOST else "")


def totals(done: Added) -> str:
    """``3 added, 1 skipped``: how many jobs were, or would be, added, skipped and so on."""
    return ", ".join(f"{number:,} {fate}" for fate, number in _counts(done).items() if number) or "no jobs"


def _counts(done: Added) -> dict[str, int]:
    fates = list(done.others.values())
    counts = {fate: fates.count(fate) for fate in (SKIPPED, REPLACED, RERUN)}
    running = {RUNNING: number} if (number := fates.count(RUNNING)) else {}
    return {ADDED: len(done.ids) - len(fates)} | counts | running


def _cells(spec: JobSpec, done: Added, position: int) -> list[Part]:
    """The row of one job; of a job that stays as it is, with the stored values, not those of the add."""
    fate, job = done.fate(position), done.ids[position]
    kind, work, batch, queue, name = done.stored.get(job) or (
        spec.kind,
        spec.work,
        spec.terms.batch,
        spec.terms.queue,
        spec.name,
    )
    labels = ("-" if fate == ADDED else str(job), batch, queue, name or "-")
    text = "(pruned)" if job in done.gone else visible(command(kind, work), one_line=True)
    return [(fate, _STYLES[fate]), *((visible(label, one_line=True), "") for label in labels), (text, "")]


def _stored(done: Added, job: int) -> "dict[str, Any]":
    """The stored work of a job that stays as it is; empty for all others."""
    if job not in done.stored:
        return {}
    kind, work, batch, queue, name = done.stored[job]
    return {
        "kind": kind,
        "command": command(kind, work),
        "work": parsed(work),
        "batch": batch,
        "queue": queue,
        "name": name,
    }


def _job(spec: JobSpec) -> "dict[str, Any]":
    values = {name: getattr(spec if field.is_own else spec.terms, name) for name, field in FIELDS.items()}
    work = {"kind": spec.kind, "command": command(spec.kind, spec.work), "work": parsed(spec.work)}
    return work | stored(values)
