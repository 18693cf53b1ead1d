"""The block that a run draws under its lines: a bar, the running jobs, the most frequent failures, and what it waits for.

Pure: values and the size of the window go in, lines come out.
"""

from collections.abc import Sequence

from batchq.clock import show_duration
from batchq.named import NamedTuple
from batchq.report.layout import Line, Part, line
from batchq.report.widths import fitting, width

BAR = 8, 30  #: columns of the bar, at least and at most
_AGE = 7  #: columns for the age of a job
_FULL, _HALF, _EMPTY = "━", "╸", "─"


class Running(NamedTuple):
    """A running job: its age in seconds, what it is called, and the last line that it printed."""

    seconds: float
    label: str
    last: str = ""


class View(NamedTuple):
    """What a run shows of itself now. ``ended`` of ``total`` jobs have ended. ``rate`` is in jobs a second, ``left`` in
    seconds; None while they are unknown. ``failures`` and ``waits`` are sentences, ``stop`` is why the run ends."""

    ended: int
    total: int
    running: int
    failed: int
    seconds: float
    rate: float | None = None
    left: float | None = None
    jobs: Sequence[Running] = ()
    failures: Sequence[str] = ()
    waits: Sequence[str] = ()
    stop: str = ""


def frame(view: View, columns: int, rows: int) -> list[Line]:
    """The lines for a window of this size: the oldest jobs come first, and what does not fit is counted."""
    below = [line((one, "red"), crop=True) for one in view.failures]
    below += [line((one, "yellow"), crop=True) for one in ([view.stop] if view.stop else view.waits)]
    room = rows - 2 - len(below)
    if room < 1:
        below, room = [], rows - 2
    jobs = view.jobs if len(view.jobs) <= room else view.jobs[: max(0, room - 1)]
    lines = [_bar(view, columns), *_rows(jobs, columns)]
    if room > 0 and len(jobs) < len(view.jobs):
        lines.append(line((f" {'':{_AGE}}  and {len(view.jobs) - len(jobs):,} more", "dim"), crop=True))
    return lines + below


def whole(seconds: float) -> str:
    """A duration without parts of a second: ``12 s``, ``2 m 05 s``."""
    return show_duration(int(seconds) * 1000).replace(".0 s", " s") if seconds >= 1 else "0 s"


def _bar(view: View, columns: int) -> Line:
    """The bar and the counts: what matters least is left out in a narrow window."""
    room = columns - 1
    parts: list[tuple[int, Part]] = [(0, (f"{view.ended:,} of {view.total:,}", ""))]
    parts.append((2, (f"{view.running:,} running", "")))
    if view.failed:
        parts.append((1, (f"{view.failed:,} failed", "red")))
    if view.rate:
        parts.append((5, (_per(view.rate), "")))
    parts.append((4, (whole(view.seconds), "")))
    if view.left is not None:
        parts.append((3, (f"{whole(view.left)} left", "")))
    chosen: list[int] = []
    used = 1
    for importance in range(6):
        for number, (its, (text, _)) in enumerate(parts):
            if its == importance and (used + len(text) + 2 <= room or not chosen):
                chosen.append(number)
                used += len(text) + 2
    shown = [parts[number][1] for number in sorted(chosen)]
    bar = min(BAR[1], room - used - 1)
    drawn = [(" ", ""), *_drawn(view, bar), ("  ", "")] if bar >= BAR[0] else [(" ", "")]
    for number, part in enumerate(shown):
        drawn += [(", ", ""), part] if number else [part]
    return line(*drawn, crop=True)


def _drawn(view: View, columns: int) -> list[Part]:
    halves = 2 * columns * view.ended // max(1, view.total)
    done = _FULL * (halves // 2) + _HALF * (halves % 2)
    return [(done, "green"), (_EMPTY * (columns - len(done)), "dim")]


def _per(rate: float) -> str:
    for unit, seconds in (("s", 1), ("min", 60)):
        if rate * seconds >= 1:
            return f"{rate * seconds:,.1f}/{unit}" if rate * seconds < 100 else f"{rate * seconds:,.0f}/{unit}"
    return f"{rate * 3600:,.1f}/h"


def _rows(jobs: Sequence[Running], columns: int) -> list[Line]:
    """A line for each job: its age, its label and what it printed last, in columns."""
    most = max(12, (columns - _AGE - 4) // 2)
    labels = [_cut(job.label, most if job.last else columns) for job in jobs]
    wide = max((width(label) for label, job in zip(labels, jobs, strict=True) if job.last), default=0)
    found = []
    for job, label in zip(jobs, labels, strict=True):
        last: list[Part] = [(" " * (wide - width(label) + 2), ""), (job.last, "dim")] if job.last else []
        found.append(line((f" {whole(job.seconds):>{_AGE}}", "cyan"), f"  {label}", *last, crop=True))
    return found


def _cut(text: str, columns: int) -> str:
    end = fitting(text, 0, columns)
    return text if end == len(text) else text[: fitting(text, 0, columns - 1)] + "…"
