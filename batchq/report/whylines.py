"""Why jobs failed, as lines for people: the reasons with a command for each, and one failure in full."""

from collections.abc import Iterator

from batchq import clock
from batchq.report.digest import how, last_lines, log_line, prompted, title
from batchq.report.ending import nth
from batchq.report.folding import folded
from batchq.report.layout import Columns, Line, count, line
from batchq.report.reasons import Reason
from batchq.report.summary import Summary
from batchq.store.looking.rows import Failure
from batchq.visible import visible

SHOWN = 10  #: reasons; the rarer ones are only counted
LINES = 15  #: last lines of the failure that is shown
_NAMED = 3  #: jobs of a reason that are named; of more only the number is shown
_QUEUES = 3
_LONGEST = 4_000  #: characters of a command


def reasons(summary: Summary) -> Iterator[Line]:
    """A table of the reasons: jobs, cause, place and time, and the command that runs exactly these jobs again."""
    has_past = any(one.before is not None for one in summary.reasons)
    titles = ("JOBS", "LAST TIME", "CAUSE") if has_past else ("JOBS", "CAUSE")
    columns = Columns(titles, right=("JOBS", "LAST TIME"))
    shown = summary.reasons[:SHOWN]
    rows = columns.rows(
        [
            [
                (f"{one.jobs:,}", ""),
                *([(f"{one.before:,}" if one.before else "new", "" if one.before else "bold")] if has_past else []),
                (one.text, "red"),
            ]
            for one in shown
        ]
    )
    yield columns.head()
    for one, row in zip(shown, rows, strict=True):
        yield row
        yield line((_where(one, summary), "dim"), indent=_INDENT)
        yield _command(one.retry, summary)
    if rarer := summary.reasons[SHOWN:]:
        jobs = count(sum(one.jobs for one in rarer), "job")
        yield line()
        yield line(f"and {jobs} for {count(len(rarer), 'rarer reason')}:")
        yield line(summary.all_failed or "", indent=_INDENT)._replace(whole=True)
    if len(summary.reasons) > 1:
        yield line()
        yield line("All of them again:")
        yield _command(summary.retry or "", summary)


_INDENT = 6


def _command(text: str, summary: Summary) -> Line:
    if len(text) > _LONGEST:
        return line(f"the command names very many ids: '{summary.program} report --json' has it", indent=_INDENT)
    return line((text, "bold"), indent=_INDENT)._replace(whole=True)


def example(summary: Summary) -> Iterator[Line]:
    """The first failure of the most frequent reason in full; nothing if it cannot be read."""
    for failure in summary.reasons[0].examples[:1]:
        job = failure.job
        yield line(("LIKE THIS", "bold"), f"  {title(job)}, {nth(job)}: ", (how(job), "red"))
        yield line(prompted(job), indent=2)
        yield from _evidence(failure)
        yield from (line(("log: ", "dim"), visible(log_line(log), one_line=True), indent=2) for log in job.logs or ())
        details = f"{summary.program} show {job.id}"
        yield line(("all about it: ", "dim"), (details, "dim"), indent=2)._replace(whole=True)


def _evidence(failure: Failure) -> Iterator[Line]:
    traceback, log = failure.job.traceback, failure.log
    if not traceback and log is None:
        yield line(("it printed nothing", "dim"), indent=2)
        return
    data = log.data.decode("utf-8", "backslashreplace") if log is not None else ""
    lines, more = last_lines("\n".join(folded(traceback or data)), LINES)
    source = "traceback" if traceback else log.stream if log is not None else ""
    is_cut = more or bool(not traceback and log is not None and log.cut)
    yield line((f"{'last lines of ' if is_cut else ''}{source}:", "dim"), indent=2)
    yield from (line(text, indent=4) for text in lines)


def _where(reason: Reason, summary: Summary) -> str:
    """``at fetch.py:10, 112 in cpu, 38 in net, 08:23:26 to 08:23:48``; few jobs are named instead of counted."""
    parts = [reason.where] if reason.where else []
    if reason.jobs <= _NAMED:
        titles = [title(one.job).removeprefix("job ") for one in reason.examples]
        parts.append(f"{'job' if reason.jobs == 1 else 'jobs'} {', '.join(titles)}")
    elif len(reason.queues) > 1:
        parts += [f"{jobs:,} in {visible(queue, one_line=True)}" for queue, jobs in [*reason.queues.items()][:_QUEUES]]
        parts += [f"… {len(reason.queues) - _QUEUES:,} more queues"] if len(reason.queues) > _QUEUES else []
    first, last = (_moment(at, summary) for at in (reason.first, reason.last))
    return ", ".join([*parts, first if first == last else f"{first} to {last}"])


def _moment(at: int, summary: Summary) -> str:
    """A time, without the day and the offset, which the report has, if all was on the same day with the same offset."""
    day, time, offset = clock.local(at).split()
    ends = [clock.local(end).split() for end in (summary.timing.first_started, summary.timing.last_finished) if end]
    return time if all((one[0], one[2]) == (day, offset) for one in ends) else f"{day} {time} {offset}"
