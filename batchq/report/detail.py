"""One job with all its attempts, for people: the output of ``batchq show``."""

from collections.abc import Iterator, Sequence

from batchq import clock
from batchq.clock import show_duration
from batchq.jobs.fields import FIELDS, Field
from batchq.report import objects
from batchq.report.digest import LINES, last_lines, log_line, shortened, title
from batchq.report.ending import ending, nth
from batchq.report.layout import Columns, Line, Look, Part, count, line, render
from batchq.report.states import LOST, state
from batchq.store.looking.rows import Attempt, Detail, Output, Parent
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ATTEMPTS = 20  #: the newest ones are shown
PARENTS = 10  #: parents that are named
_LABEL = 9
#: Fields that have a line of their own, or share one
SHOWN = {
    "batch", "queue", "priority", "timeout", "max_attempts", "backoff", "on_crash", "max_crashes", "tags", "env", "stdin",
    "umask",
}  # fmt: skip


def detail(detail: Detail, parents: Sequence[Parent], outputs: dict[str, Output], look: Look, program: str) -> str:
    """Everything known about a job, with the last lines of ``outputs``, the output of its last attempt.

    ``parents`` are ``PARENTS`` jobs after which it runs, and one more if there are more. ``program`` is how the command
    begins that shows more.
    """
    fields = [(label, value) for label, value in _fields(detail, parents) if value]
    labels = max(_LABEL, *(len(label) for label, _ in fields))
    lines = [_headline(detail), *(line((f"{label.ljust(labels)} ", "dim"), value, indent=2) for label, value in fields)]
    lines += _attempts(detail)
    for stream, output in outputs.items():
        lines += _output(stream, output)
    if any(output.total for output in outputs.values()):
        what = "All that was kept" if any(output.cut for output in outputs.values()) else "Full output"
        lines += [line(), line((f"{what}: {program} logs {detail.job.id}", "dim"))]
    return render(lines, look)


def size(number: int) -> str:
    """``12 B``, ``1.5 kB``, ``20 MB``."""
    if number < 1000:
        return f"{number} B"
    exponent = min(3, (len(str(number)) - 1) // 3)
    value = number / 1000**exponent
    return f"{value:.{0 if value >= 10 else 1}f} {'kMG'[exponent - 1]}B"


def _headline(detail: Detail) -> Line:
    job = detail.job
    parts: list[Part | str] = [(title(job), "bold"), ": ", state(job.standing)]
    if job.attempt:
        parts.append(f", {nth(job)}")
    if job.end is not None and job.end.outcome != "succeeded":
        parts += [": ", (visible(ending(job.end), one_line=True), "red" if job.state == "failed" else "")]
    return line(*parts)


def _fields(detail: Detail, parents: Sequence[Parent]) -> Iterator[tuple[str, str]]:
    job = detail.job
    yield "command", visible(job.command, one_line=True)
    yield (
        "kind",
        {"argv": "a command, executed as given", "shell": "a script for /bin/sh", "call": "a Python callable"}.get(
            job.kind, "a payload for run --perform"
        ),
    )
    yield "why", visible(job.why or (LOST if job.is_lost else ""), one_line=True)
    yield "cause", visible((job.end and job.end.cause) or "", one_line=True)
    yield "batch", visible(job.batch, one_line=True)
    yield "queue", visible(job.queue, one_line=True) + (f", priority {job.priority}" if job.priority else "")
    yield "folder", visible(detail.cwd, one_line=True)
    yield "env", visible(", ".join(detail.env), one_line=True)
    yield "stdin", size(detail.stdin_bytes) if detail.stdin_bytes is not None else ""
    yield "umask", f"{detail.umask:03o}" if detail.umask is not None else ""
    yield "limits", ", ".join(_limits(detail))
    for name, value in detail.terms.items():
        if name not in SHOWN and value != FIELDS[name].default:
            yield name.replace("_", " "), visible(_as_text(FIELDS[name], value), one_line=True)
    for kind in dict.fromkeys(parent.kind for parent in parents):
        yield kind.replace("_", " "), _titles([parent for parent in parents if parent.kind == kind])
    yield "key", visible(job.key or "", one_line=True)
    yield "tags", visible(_as_text(FIELDS["tags"], job.tags), one_line=True) if job.tags else ""
    for log in job.logs:
        yield "log", visible(log_line(log), one_line=True)
    yield "added", f"{clock.local(job.created_at)}"
    yield "due", clock.local(job.due_at) if job.due_at is not None else ""
    began = detail.attempts[0].started_at if detail.attempts else job.started_at
    yield "started", clock.local(began) if began is not None else ""
    yield "finished", clock.local(job.finished_at) if job.finished_at is not None else ""


def _as_text(field: Field, value: "Any") -> str:
    """A stored value as words."""
    if field.stored_as == "ms" and isinstance(value, (int, float)):
        return show_duration(value)
    if field.stored_as == "json":
        listed = objects.parsed(value)
        return ", ".join(map(str, listed)) if isinstance(listed, list) else str(listed)
    return ("yes" if value else "no") if field.form == "flag" else str(value)


def _titles(parents: Sequence[Parent]) -> str:
    """The jobs after which one runs, with their states."""
    named = [f"{parent.id} ({parent.name})" if parent.name else str(parent.id) for parent in parents[:PARENTS]]
    texts = [f"{name} {parent.state}" for name, parent in zip(named, parents, strict=False)]
    return visible(", ".join(texts) + (", …" if len(parents) > PARENTS else ""), one_line=True)


def _limits(detail: Detail) -> Iterator[str]:
    most = detail.job.max_attempts
    yield count(most, "attempt") + (f" with {show_duration(detail.backoff)} back-off" if most > 1 else "")
    if detail.timeout is not None:
        yield f"timeout {show_duration(detail.timeout)}"
    yield (
        "held after a crash"
        if detail.on_crash == "hold"
        else f"given up after {count(detail.max_crashes, 'crash', 'crashes')}"
    )


def _attempts(detail: Detail) -> list[Line]:
    if not detail.attempts:
        return []
    shown = detail.attempts[-ATTEMPTS:]
    host = ["HOST"] if any(attempt.host for attempt in shown) else []
    columns = Columns(
        ("TRY", "STARTED", "TOOK", "CPU", "PEAK", "STDOUT", "STDERR", *host, "HOW"),
        right=("TRY", "TOOK", "CPU", "PEAK", "STDOUT", "STDERR"),
    )
    rows = [_attempt(attempt, detail.job.standing, with_host=bool(host)) for attempt in shown]
    more = f" (the last {ATTEMPTS} of {len(detail.attempts):,})" if len(shown) < len(detail.attempts) else ""
    return [
        line(),
        line(("ATTEMPTS", "bold"), more),
        columns.head(indent=2),
        *columns.rows(rows, indent=2),
        *_result(detail),
    ]


def _result(detail: Detail) -> list[Line]:
    """The result of the last attempt, unless it is empty."""
    result = detail.attempts[-1].result
    if result in (None, "null"):
        return []
    return [line(), line(("RESULT", "bold")), line(visible(str(result), one_line=True), indent=2)]


def _attempt(attempt: Attempt, standing: str, *, with_host: bool) -> list[Part]:
    how = standing if attempt.end is None else visible(ending(attempt.end), one_line=True)
    left = [count(attempt.leftovers, "process", "processes")] if attempt.leftovers else []
    left += [count(attempt.threads, "thread", "threads")] if attempt.threads else []
    if left:
        how += f"; left {' and '.join(left)} behind"
    style = {"succeeded": "green", "failed": "red", "timed_out": "red", "crashed": "red"}
    return [
        (str(attempt.number), ""),
        (clock.local(attempt.started_at) if attempt.started_at is not None else "-", ""),
        _or_none(attempt.seconds is not None and show_duration(attempt.seconds * 1000)),
        _or_none(attempt.cpu_seconds is not None and show_duration(attempt.cpu_seconds * 1000)),
        _or_none(attempt.peak_kib is not None and size(attempt.peak_kib * 1024)),
        _or_none(attempt.stdout_bytes and size(attempt.stdout_bytes)),
        _or_none(attempt.stderr_bytes and size(attempt.stderr_bytes)),
        *([_or_none(visible(attempt.host or "", one_line=True))] if with_host else []),
        (how, style.get(attempt.end.outcome, "") if attempt.end else "cyan"),
    ]


def _or_none(text: str | int) -> Part:
    return (text, "") if isinstance(text, str) and text else ("-", "dim")


def _output(stream: str, output: Output) -> list[Line]:
    if not output.total:
        return []
    data = (output.tail or output.head) if output.cut else output.head + output.tail
    lines, more = last_lines(data, LINES)
    title = f"{'last lines of ' if more or output.cut else ''}{stream} of attempt {output.attempt}"
    return [line(), line((title, "bold")), *(line(shortened(text), indent=2) for text in lines)]
