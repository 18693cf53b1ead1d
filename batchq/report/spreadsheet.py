"""Jobs as CSV: one row per job under a row of names. Times are ISO 8601 in UTC, durations are seconds."""

import csv
import io
from collections.abc import Iterable, Iterator

from batchq.clock import iso
from batchq.store.looking.rows import End, Job
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.report.formats import Scope

COLUMNS = (
    "id", "name", "batch", "queue", "state", "why", "outcome", "exit_code", "signal", "error_type", "error", "cause",
    "attempt", "max_attempts", "key", "command", "created_at", "started_at", "finished_at", "seconds", "cpu_seconds",
    "peak_kib",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  #: how a text begins that a spreadsheet would compute
_LONGEST = 32_000  #: characters of a text; spreadsheets hold 32,767 in a cell, and Python's csv reads 131,072
_NO_END = End("")


def rows(scope: "Scope") -> Iterator[str]:
    """Yield the row of names, then the rows of each page of jobs.

    Texts are made safe by ``visible``. One that a spreadsheet would take for a formula gets an apostrophe before it, and
    a very long one is shortened visibly: JSON has all of it.
    """
    yield _written([COLUMNS])
    for page in scope.pages():
        yield _written([_row(job) for job in page])


def _row(job: Job) -> "list[object]":
    end = job.end or _NO_END
    values = (
        job.id, job.name, job.batch, job.queue, job.standing, job.why, end.outcome, end.exit_code, end.signal,
        end.error_type, end.error, end.cause, job.attempt, job.max_attempts, job.key, job.command, iso(job.created_at),
        iso(job.started_at), iso(job.finished_at), job.seconds, job.cpu_seconds, job.peak_kib,
    )  # fmt: skip
    return [_cell(value) for value in values]


def _cell(value: object) -> object:
    if type(value) is not str:
        return value
    text = visible(value)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}… ({len(text) - _LONGEST:,} characters more)"
    return f"'{text}" if value.startswith(_FORMULA) else text


def _written(rows: Iterable[Iterable[object]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()
