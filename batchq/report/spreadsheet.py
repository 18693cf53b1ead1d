"""Jobs as CSV: one row per job under a row of names. Times are ISO 8601 in UTC, durations are seconds."""

import csv
import io
from collections.abc import Iterable, Iterator

from batchq.report import columns
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.report.formats import Scope

COLUMNS = (
    "id", "name", "batch", "queue", "state", "why", "outcome", "exit_code", "signal", "error_type", "error", "cause",
    "attempt", "max_attempts", "key", "command", "created_at", "started_at", "finished_at", "seconds", "cpu_seconds",
    "peak_kib", "host",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  #: how a text begins that a spreadsheet would compute
_LONGEST = 32_000  #: characters of a text; spreadsheets hold 32,767 in a cell, and Python's csv reads 131,072


def rows(scope: "Scope") -> Iterator[str]:
    """Yield the row of names, then the rows of each page of jobs: the columns that were asked for, else ``COLUMNS``.

    Texts are made safe by ``visible``. One that a spreadsheet would take for a formula gets an apostrophe before it, and
    a very long one is shortened visibly: JSON has all of it.
    """
    shown = scope.columns or columns.chosen(",".join(COLUMNS))
    values, now = [one.column.value for one in shown], columns.Now(scope.at)
    yield _written([[one.word for one in shown]])
    for page in scope.pages():
        yield _written([[_cell(value(job, now)) for value in values] for job in page])


def _cell(value: object) -> object:
    if type(value) is list:
        value = ", ".join(value)
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
