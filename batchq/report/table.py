"""Reports for people: failures and their reasons come first, and all job output is made safe."""

from collections.abc import Iterator

from batchq import clock
from batchq.clock import show_duration
from batchq.paths import from_home
from batchq.report import change, whylines
from batchq.report.columns import COLUMNS, Now
from batchq.report.digest import shortened, title
from batchq.report.ending import at
from batchq.report.layout import Columns, Line, Look, Part, count, line, render
from batchq.report.program import place
from batchq.report.states import STYLES, state
from batchq.report.summary import Summary
from batchq.store.looking.rows import Job, Timing
from batchq.visible import visible

_MANY = 10  #: attempts whose times are worth a line
_WAIT = 1.0  #: seconds of waiting that are


def report(report: Summary, look: Look) -> str:
    """The whole report: a summary, the reasons of failures, one failure in full, slowest jobs, open jobs, and times."""
    lines = [*_headline(report), *_place(report, look)]
    for section in (_reasons(report), _example(report), _slowest(report), _open(report), _times(report)):
        lines += [line(), *section] if section else []
    return render(lines, look)


def _headline(report: Summary) -> Iterator[Line]:
    if not report.jobs:
        yield line(f"no jobs to report in {visible(report.store, one_line=True)}")
        return
    parts: list[Part] = [(f"{count(report.jobs, 'job')}: ", "bold")]
    for name, number in sorted(report.standings.items(), key=lambda item: _ORDER.get(item[0], 9)):
        why = f" for {count(len(report.reasons), 'reason')}" if name == "failed" and number > 1 else ""
        if name == "cancelled" and report.unneeded:
            why = " as not needed" if report.unneeded == number else f" ({report.unneeded:,} as not needed)"
        parts += [(f"{number:,} {name}{why}", f"bold {STYLES.get(name, '')}"), (", ", "")]
    if report.span is None:
        yield line(*parts[:-1], "; nothing has run yet")
        return
    pace = f" ({rate(report.per_second)})" if report.per_second is not None else ""
    runs = len(report.runs)
    took = show_duration(report.worked or 0)
    yield line(*parts, f"in {f'{runs:,} runs that took {took}' if runs > 1 else took}{pace}")
    timing, about = report.timing, "about " if report.is_estimated else ""
    facts = [about + count(timing.attempts, "attempt")]
    facts += [count(timing.retries, "retry", "retries")] if timing.retries else []
    facts += [f"{count(report.flaky, 'job')} succeeded after one"] if report.flaky else []
    facts += [f"{show_duration(timing.busy_seconds * 1000)} of work"]
    facts += _period(timing)
    of = f" (estimated from {report.sample:,} of the jobs)" if report.is_estimated else ""
    yield line((", ".join(facts) + of, "dim"))
    if report.change and change.parts(report.change):
        yield line(change.sentence(report.change))


def _period(timing: Timing) -> list[str]:
    first, last = timing.first_started, timing.last_finished
    if first is None:
        return []
    return [f"from {clock.local(first) if last is None else clock.period(first, last)}"]


def _place(report: Summary, look: Look) -> Iterator[Line]:
    """Which store it is; off a terminal, where reports are mailed, also on which host."""
    if report.jobs:
        is_here = look.width is not None
        where = f"store {from_home(report.store)}" if is_here else place(report.store)
        yield line((visible(where, one_line=True), "dim"))


_ORDER = {"succeeded": 0, "failed": 1, "cancelled": 2, "running": 3}


def rate(per_second: float) -> str:
    """``3.2 jobs/s``, ``12 jobs/min``, ``5.0 jobs/h``."""
    seconds, unit = (1, "s") if per_second >= 1 else (60, "min") if per_second >= 1 / 60 else (3600, "h")
    number = per_second * seconds
    return f"{number:,.{0 if number >= 10 else 1}f} jobs/{unit}"


def _reasons(report: Summary) -> list[Line]:
    return [*whylines.reasons(report)] if report.reasons else []


def _example(report: Summary) -> list[Line]:
    return [*whylines.example(report)] if report.reasons else []


def _times(report: Summary) -> list[Line]:
    if report.took is None or report.timing.attempts < _MANY:
        return []
    p50, p90, p99, longest = (show_duration(seconds * 1000) for seconds in report.took)
    of = f" (of {report.sample:,} of the jobs)" if report.sample else ""
    lines = [line(("TIMES", "bold"), f"  half up to {p50}, 90 % {p90}, 99 % {p99}, longest {longest}{of}")]
    if report.waited is not None and report.waited.max >= _WAIT:
        p50, p90, _, longest = (show_duration(seconds * 1000) for seconds in report.waited)
        lines.append(
            line(f"before they started they waited: half up to {p50}, 90 % {p90}, longest {longest}", indent=7)
        )
    return lines


def _slowest(report: Summary) -> list[Line]:
    if len(report.slowest) < 2:
        return []
    columns, took = Columns(("TOOK", "JOB", "STATE", "COMMAND"), right=("TOOK", "JOB")), COLUMNS["took"]
    now = Now(report.at)
    rows = columns.rows([
        [took.cell(job, now), (str(job.id), ""), state(job.state), (_named_command(job), "")] for job in report.slowest
    ], indent=2)  # fmt: skip
    return [line(("SLOWEST", "bold")), *rows]


def _open(report: Summary) -> list[Line]:
    if not report.open:
        return []
    columns = Columns(("STATE", "JOBS", "ABOUT"), right=("JOBS",))
    rows = columns.rows([
        [state(name), (f"{number:,}", ""), (_about(report, name), "dim")] for name, number in report.open.items()
    ], indent=2)  # fmt: skip
    return [line(("OPEN", "bold")), *rows]


def _about(report: Summary, name: str) -> str:
    if name == "scheduled" and report.next_due is not None:
        return f"next due {clock.local(report.next_due)}{_from_now(report.next_due - report.at)}"
    if name == "lost":
        return f"the run died; '{report.program} run' takes it back or reports why not"
    if name == "running":
        titles = [
            f"{title(job)}{at(job.host)}"
            f"{_for(job.running_for(report.at)) if job.started_at is not None else ', not started'}"
            for job in report.running
            if not job.is_lost
        ]
        return ", ".join(titles) + (", …" if report.counts["running"] > len(titles) else "")
    return ""


def _for(ms: int) -> str:
    return f" for {show_duration(ms)}"


def _from_now(ms: int) -> str:
    return f" (in {show_duration(ms)})" if ms > 0 else " (now)"


def _named_command(job: Job) -> str:
    command = shortened(visible(job.command, one_line=True))
    return f"{visible(job.name, one_line=True)}: {command}" if job.name else command
