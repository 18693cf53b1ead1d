"""A report as Markdown, for the summary of a CI job or a comment: what failed, why, and the command for each reason.

Text of jobs stands in code only, where nothing in it is a link, a mention, HTML or the end of a table.
"""

import os
import re
from collections.abc import Iterator

from batchq import clock
from batchq.clock import show_duration
from batchq.report import change
from batchq.report.digest import how, last_lines, prompted, shortened, title
from batchq.report.ending import nth
from batchq.report.folding import folded
from batchq.report.layout import count
from batchq.report.reasons import Reason
from batchq.report.summary import Summary
from batchq.store.looking.rows import Failure
from batchq.visible import visible

MOST = 60_000  #: bytes; GitHub refuses a comment of more than 65,536 characters, and a summary of more than a MiB
ROWS = 20  #: reasons in the table, each with an example below it
LINES = 15  #: last lines of an example
_CELL = 200  #: characters of a command that stands in the table; a longer one stands below it
_TAIL = 9_000  #: bytes that are kept for what comes last: two commands, each of which may name a store by a long path
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def report(summary: Summary) -> str:
    """The whole report, at most ``MOST`` bytes; of what does not fit at least the number is there."""
    text = "\n".join(_head(summary)) + "\n"
    room = MOST - _TAIL - _size(text)
    if summary.reasons:
        rows, room = _fitting(map(_row, summary.reasons[:ROWS]), room - _size(_TABLE))
        text += _TABLE + "".join(rows) + "\n"
        details, room = _fitting(map(_details, summary.reasons[: len(rows)]), room)
        text += "".join(details) + _left_out(summary, len(rows), len(details)) + _all_again(summary)
    return text


def code(text: str) -> str:
    """``text``, which has no line break, as a code span; nothing for nothing."""
    if not text:
        return ""
    marks = "`" * (_longest_run(text) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{marks}{pad}{text}{pad}{marks}"


def fenced(text: str, language: str) -> str:
    """``text`` as a code block that no line of it can close."""
    marks = "`" * max(3, _longest_run(text) + 1)
    return f"{marks}{language}\n{text}\n{marks}\n"


def _head(summary: Summary) -> Iterator[str]:
    failed = summary.counts.get("failed", 0)
    jobs = count(summary.jobs, "job")
    if not summary.jobs:
        yield "### batchq: no jobs"
        return
    if failed:
        why = f", for {count(len(summary.reasons), 'reason')}"
        yield f"### batchq: {failed:,} of {jobs} failed{why}\n"
    elif summary.counts.get("succeeded") == summary.jobs:
        yield f"### batchq: {'all ' if summary.jobs > 1 else ''}{jobs} succeeded\n"
    else:
        yield f"### batchq: no job failed, of {jobs}\n"
    states = ", ".join(f"{number:,} {state}" for state, number in summary.standings.items())
    span = "" if summary.worked is None else f" in {show_duration(summary.worked)}"
    flaky = f"; {summary.flaky:,} of them after a retry" if summary.flaky else ""
    ended = summary.timing.last_finished
    yield f"{states}{span}{flaky}{'' if ended is None else f'. Last end: {clock.local(ended)}'}.\n"
    yield f"On {code(visible(os.uname().nodename, one_line=True))}, store {code(visible(summary.store, one_line=True))}.\n"
    if summary.change and change.parts(summary.change):
        yield f"{change.sentence(summary.change)[:1].upper()}{change.sentence(summary.change)[1:]}.\n"


_TABLE = "| jobs | reason | where | last time | run them again |\n|---:|---|---|---:|---|\n"


def _row(reason: Reason) -> str:
    before = "" if reason.before is None else f"{reason.before:,}" if reason.before else "new"
    again = _cell(reason.retry) if len(reason.retry) <= _CELL and "|" not in reason.retry else "see below"
    return f"| {reason.jobs:,} | {_cell(reason.text)} | {_cell(reason.where)} | {before} | {again} |\n"


def _cell(text: str) -> str:
    """A code span in a table, where a ``|`` would end the cell, and a backslash before it means different things to
    different readers."""
    return code(shortened(text).replace("|", "¦"))


def _details(reason: Reason) -> str:
    jobs = f"{count(reason.jobs, 'job')}: <code>{reason.text.translate(_HTML)}</code>"
    examples = "".join(fenced(_example(one), "text") for one in reason.examples[:1])
    return f"<details><summary>{jobs}</summary>\n\n{fenced(reason.retry, 'sh')}\n{examples}\n</details>\n\n"


def _example(failure: Failure) -> str:
    job, log = failure.job, failure.log
    text = job.traceback or (log.data.decode("utf-8", "backslashreplace") if log else "")
    lines, more = last_lines("\n".join(folded(text)), LINES)
    cut = ["…"] if more or (log is not None and log.cut and not job.traceback) else []
    return "\n".join([f"{title(job)}, {nth(job)}: {how(job)}", prompted(job), *cut, *(lines or ["it printed nothing"])])


def _fitting(parts: Iterator[str], room: int) -> tuple[list[str], int]:
    """The parts up to the first that does not fit into ``room`` bytes, and the room that is left."""
    found: list[str] = []
    for part in parts:
        if _size(part) > room:
            break
        found.append(part)
        room -= _size(part)
    return found, room


def _left_out(summary: Summary, rows: int, details: int) -> str:
    """What is missing for lack of room, in numbers, and the command that lists the failed jobs."""
    missing = []
    if without_row := summary.reasons[rows:]:
        jobs = count(sum(one.jobs for one in without_row), "job")
        missing.append(f"{count(len(without_row), 'rarer reason')} ({jobs})")
    if details < rows:
        missing.append(f"the examples of {count(rows - details, 'reason')}")
    if not missing:
        return ""
    return f"Left out: {' and '.join(missing)}.{_command(' All failed jobs', summary.all_failed)}\n"


def _all_again(summary: Summary) -> str:
    return _command("All of them again", summary.retry) if len(summary.reasons) > 1 else ""


def _command(text: str, command: str | None) -> str:
    """A command on lines of its own; nothing if it is very long, because half a command would be wrong."""
    return "" if command is None or _size(command) > _TAIL // 3 else f"{text}:\n\n{fenced(command, 'sh')}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _size(text: str) -> int:
    return len(text.encode())
