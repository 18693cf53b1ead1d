"""``batchq list`` for people: one line per job."""

from collections.abc import Iterable, Iterator

from batchq import clock
from batchq.clock import show_duration
from batchq.jobs.lifecycle import FINAL
from batchq.report.ending import ending
from batchq.report.layout import Columns, Look, Part, render
from batchq.report.states import LOST, STYLES, state
from batchq.store.looking.rows import Job
from batchq.visible import visible

_COLUMNS = ("ID", "STATE", "TRIES", "TOOK", "BATCH", "QUEUE", "NAME", "COMMAND")
_ONLY_WIDE = ("TRIES", "QUEUE")
_WIDE = 100  #: a terminal of at least this width gets all columns
_LABEL_LENGTH = 24
_HOW_LENGTH = 60
_NONE: Part = ("-", "dim")


def listing(pages: Iterable[list[Job]], look: Look, at: int) -> Iterator[str]:
    """One line per job, page by page; ``at`` is now, in milliseconds. Narrow terminals get fewer columns."""
    shown = [title for title in _COLUMNS if look.width is None or look.width >= _WIDE or title not in _ONLY_WIDE]
    columns = Columns(shown, right=("ID", "TRIES", "TOOK"))
    longest = None if look.width is None else _LABEL_LENGTH
    for number, page in enumerate(pages):
        rows = []
        for job in page:
            cells = _cells(job, longest)
            rows.append([*(cells[title] for title in shown[:-1]), *_command(job, at)])
        lines = columns.rows(rows)
        yield render([columns.head(), *lines] if number == 0 else lines, look)


def _cells(job: Job, longest: int | None) -> dict[str, Part]:
    def label(text: str | None) -> Part:
        return (_clipped(visible(text, one_line=True), longest), "") if text else _NONE

    return {
        "ID": (str(job.id), ""),
        "STATE": state(job.standing),
        "TRIES": (str(job.attempt), "") if job.attempt else _NONE,
        "TOOK": took(job) if job.state in FINAL else _NONE,
        "BATCH": label(job.batch),
        "QUEUE": label(job.queue),
        "NAME": label(job.name),
    }


def _command(job: Job, at: int) -> list[Part]:
    command = (visible(job.command, one_line=True), "")
    how = _clipped(visible(_how(job, at), one_line=True), _HOW_LENGTH)
    return [(how, STYLES.get(job.state, "dim")), (": ", ""), command] if how else [command]


def _how(job: Job, at: int) -> str:
    if job.state == "scheduled" and job.due_at is not None:
        return f"{'retry at' if job.why == 'retry' else 'due'} {clock.local(job.due_at)}"
    if job.is_lost:
        return LOST
    if job.state == "running" and job.started_at is not None:
        return f"for {show_duration(job.running_for(at))}"
    if job.state == "failed" and job.end is not None:
        printed = _printed(job)
        return f"{ending(job.end)}: {printed}" if printed else ending(job.end)
    return job.why or ""


def _printed(job: Job) -> str:
    """The line of its output that explains why a job failed, as its cause has it; nothing for an exception."""
    from batchq.jobs.causes.evidence import program_of
    from batchq.jobs.causes.masks import masked

    how, _, text = ((job.end and job.end.cause) or "")[9:].partition(" | ")
    if not how.startswith(("exit ", "killed by ")) or text == masked(program_of(job.kind, job.work), quotes=False):
        return ""
    return text


def _clipped(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def took(job: Job) -> Part:
    """How long the last attempt of a job took."""
    return (show_duration(job.seconds * 1000), "") if job.seconds is not None else _NONE
