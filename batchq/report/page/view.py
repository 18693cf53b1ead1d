"""What the page shows, as plain values for its template: the numbers in words."""

import os
from collections.abc import Iterable, Iterator, Sequence

from batchq.clock import show_duration
from batchq.named import NamedTuple
from batchq.report.change import sentence
from batchq.report.digest import last_lines, prompted
from batchq.report.ending import ending, nth
from batchq.report.folding import folded, folded_output
from batchq.report.layout import count
from batchq.report.page.zone import Zone
from batchq.report.states import LOST
from batchq.store.looking.rows import Failure, Job
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.report.flow import Flow
    from batchq.report.reasons import Reason
    from batchq.report.summary import Summary
    from batchq.store.looking.change import Change

REASONS = 50  #: reasons with a card of their own; the table of jobs names the others, too
OPEN = 2  #: of so many reasons the first example is unfolded
LISTED = 8  #: jobs in the short lists
LINES = 30  #: last lines of an example
_LONGEST_EXAMPLE = 4_000  #: characters
_STATES = ("failed", "lost", "cancelled", "running", "queued", "scheduled", "blocked", "held", "succeeded")
_NARROWEST = 4  #: thousandths of the bar, so that one failure among a million is seen


class Part(NamedTuple):
    """A number and what it counts; ``tone`` is how it is coloured."""

    value: str
    label: str
    tone: str = ""


def view(summary: "Summary", zone: Zone, name: str) -> "dict[str, Any]":
    """Return what the template needs of a Summary; ``name`` is what it is about."""
    return {
        "name": name,
        "headline": headline(summary),
        "when": _when(summary, zone),
        "bar": _bar(summary),
        "facts": [*_standings(summary), *_facts(summary)],
        "notes": [*_notes(summary, zone)],
        "change": _since_last_time(summary.change),
        "reasons": [_reason(one, number, zone) for number, one in enumerate(summary.reasons[:REASONS])],
        "rarer": _rarer(summary.reasons[REASONS:]),
        "all_again": summary.retry if len(summary.reasons) > 1 else None,
        "figures": _captions(summary),
        "slowest": [_slow(job) for job in summary.slowest[:LISTED]],
        "slower": _slower(summary),
        "store": summary.store,
        "host": visible(os.uname().nodename, one_line=True),
        "made": f"{zone.minute(summary.at)} {zone.name}",
    }


def headline(summary: "Summary") -> str:
    """Return the most important sentence: ``300 of 10,000 jobs failed, for 5 reasons``."""
    failed, jobs = summary.counts.get("failed", 0), summary.jobs
    unfinished = sum(summary.open.values())
    are = "is" if unfinished == 1 else "are"
    if failed:
        reasons = f", for {len(summary.reasons):,} reasons" if len(summary.reasons) > 1 else ""
        rest = f"; {unfinished:,} {are} not finished" if unfinished else ""
        return f"{failed:,} of {count(jobs, 'job')} failed{reasons}{rest}"
    if unfinished:
        return f"{unfinished:,} of {count(jobs, 'job')} {are} not finished"
    if cancelled := summary.counts.get("cancelled", 0) - summary.unneeded:
        return f"{cancelled:,} of {count(jobs, 'job')} {'was' if cancelled == 1 else 'were'} cancelled"
    if summary.unneeded:
        needed = jobs - summary.unneeded
        ended = f"{count(needed, 'job')} succeeded, " if needed else ""
        return f"{ended}{summary.unneeded:,} {'was' if summary.unneeded == 1 else 'were'} not needed"
    return "No jobs" if not jobs else "The job succeeded" if jobs == 1 else f"All {jobs:,} jobs succeeded"


def _when(summary: "Summary", zone: Zone) -> str:
    first = summary.timing.first_started
    if first is None or summary.span is None:
        return "nothing has run yet"
    return f"{zone.minute(first)}, {show_duration(summary.span)}"


def _bar(summary: "Summary") -> "list[dict[str, Any]]":
    left, found = 0.0, []
    for state in _STATES:
        if jobs := summary.standings.get(state, 0):
            width = max(_NARROWEST, 1000 * jobs / summary.jobs)
            found.append({"state": state, "jobs": jobs, "left": round(left, 1), "width": round(width, 1)})
            left += width
    return found


def _standings(summary: "Summary") -> list[Part]:
    return [Part(f"{summary.standings[state]:,}", state, state) for state in _STATES if summary.standings.get(state)]


def _facts(summary: "Summary") -> list[Part]:
    timing = summary.timing
    found = []
    if summary.per_second is not None:
        found.append(Part(f"{summary.per_second:,.{0 if summary.per_second >= 10 else 1}f}", "jobs per second"))
    if timing.retries:
        found.append(Part(f"{timing.retries:,}", "retry" if timing.retries == 1 else "retries"))
    if summary.flaky:
        found.append(Part(f"{summary.flaky:,}", "succeeded after a retry"))
    if summary.waited is not None:
        median = show_duration(summary.waited.p50 * 1000)
        found.append(Part(f"about {median}" if summary.sample else median, "median wait"))
    if timing.busy_seconds:
        found.append(Part(show_duration(timing.busy_seconds * 1000), "of work"))
    if timing.cpu_seconds:
        found.append(Part(show_duration(timing.cpu_seconds * 1000), "of processor time"))
    return found


def _notes(summary: "Summary", zone: Zone) -> Iterator[str]:
    """Yield what to know about jobs that have not finished, or were not needed."""
    if lost := summary.standings.get("lost", 0):
        yield f"{count(lost, 'job')} lost: {LOST}."
    if summary.next_due is not None:
        yield f"The next scheduled job is due at {zone.second(summary.next_due)}."
    if summary.unneeded:
        yield f"Cancelled as not needed, because nothing failed for which they were: {count(summary.unneeded, 'job')}."


def _since_last_time(change: "Change | None") -> str:
    if change is None:
        return ""
    now, then = change.work
    work = f"; {(now / then - 1) * 100:+.0f} % of work" if now and then else ""
    text = sentence(change)
    return text[:1].upper() + text[1:] + work


def _reason(reason: "Reason", number: int, zone: Zone) -> "dict[str, Any]":
    queues = sorted(reason.queues.items(), key=lambda item: (-item[1], item[0]))
    return {
        "id": key_of(reason, number),
        "title": reason.text,
        "where": reason.where,
        "jobs": reason.jobs,
        "before": "" if reason.before is None else "new" if not reason.before else f"{reason.before:,} last time",
        "seen": zone.until(reason.first, reason.last),
        "queues": ", ".join(f"{jobs:,} in {queue}" for queue, jobs in queues[:4]) if len(queues) > 1 else "",
        "retry": reason.retry,
        "examples": [_example(failure) for failure in reason.examples],
        "is_open": number < OPEN,
    }


def key_of(reason: "Reason", number: int) -> str:
    """Return what the script finds the jobs of a reason by: the id of its first cause."""
    return reason.causes[0] if reason.causes else f"reason-{number}"


def _example(failure: Failure) -> "dict[str, Any]":
    job = failure.job
    lines, how = example_lines(failure)
    text = "\n".join(lines)
    return {
        "id": job.id,
        "name": job.name or "",
        "nth": nth(job),
        "how": ending(job.end) if job.end else job.why or "failed",
        "took": "" if job.seconds is None else f"after {show_duration(job.seconds * 1000)}",
        "command": prompted(job),
        "source": how,
        "text": text if len(text) <= _LONGEST_EXAMPLE else "… " + text[-_LONGEST_EXAMPLE:],
    }


def example_lines(failure: Failure) -> tuple[list[str], str]:
    """Return the last lines that explain a failure, and what they are the end of."""
    if failure.job.traceback:
        lines = folded(failure.job.traceback)
        return lines[-LINES:], "traceback" if len(lines) <= LINES else "end of the traceback"
    if failure.log is None:
        return [], "it printed nothing"
    lines, more = last_lines(folded_output(failure.log.data), LINES)
    return lines, f"last lines of {failure.log.stream}" if more or failure.log.cut else failure.log.stream


def _rarer(rest: "Sequence[Reason]") -> str:
    jobs = sum(reason.jobs for reason in rest)
    if not rest:
        return ""
    return f"And {count(len(rest), 'rarer reason')}, of {count(jobs, 'job')}: the table of jobs below names each."


def _captions(summary: "Summary") -> dict[str, str]:
    flow, took = summary.flow, summary.took
    if flow is None:
        return {}
    slots = count(flow.hidden, "more slot") + " not shown" if flow.hidden else ""
    durations, about = "", f"Of a sample of {summary.sample:,} jobs, " if summary.sample else ""
    if took is not None:
        p50, p90, p99, longest = (show_duration(seconds * 1000) for seconds in (took.p50, took.p90, took.p99, took.max))
        most = "" if summary.sample else f"; the longest took {longest}"
        durations = f"{about}half took up to {p50}, 90 % up to {p90}, 99 % up to {p99}{most}."
    return {"slots": slots, "durations": durations[:1].upper() + durations[1:], "ended": _ended(flow)}


def _ended(flow: "Flow") -> str:
    rates = [bar.ok + bar.bad + bar.off for bar in flow.ended]
    mean, most = (f"{rate:,.{0 if rate >= 10 else 1}f}" for rate in (sum(rates) / len(rates), max(rates)))
    return f"{mean} a second on average, {most} at most."


def _slow(job: Job) -> "dict[str, Any]":
    took = "" if job.seconds is None else show_duration(job.seconds * 1000)
    return {"id": job.id, "label": job.name or job.command[:120], "state": job.standing, "took": took}


def _slower(summary: "Summary") -> "list[dict[str, Any]]":
    slower = summary.change.slower[:LISTED] if summary.change else []
    return [
        {
            "id": id,
            "name": summary.names.get(id, ""),
            "now": show_duration(now * 1000),
            "then": show_duration(then * 1000),
        }
        for id, now, then in slower
    ]


def title_of(batches: Iterable[str], store: str) -> str:
    """Return what the report is about: the batch if all jobs are of one, else the store."""
    found = {*batches}
    return found.pop() if len(found) == 1 else store.rpartition("/")[2]
