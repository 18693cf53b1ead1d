"""``batchq explain``: why a job waits, or why it ended as it did, in sentences. Pure: the facts come from the store."""

import shlex
from collections.abc import Iterator

from batchq.clock import local, show_duration
from batchq.named import NamedTuple
from batchq.report import undone
from batchq.report.ending import ending, nth
from batchq.report.layout import count
from batchq.store.looking.reasons import QUEUE_LOOK, Facts
from batchq.store.looking.rows import Parent
from batchq.store.running import limits
from batchq.visible import visible


class Reason(NamedTuple):
    """One reason: a word for programs, and a sentence for people, made safe."""

    word: str
    text: str


def explain(facts: Facts, now: int, program: str) -> list[Reason]:
    """The reasons, the most telling first; at least one. ``program`` is how a command begins that means this store."""
    return [
        Reason(word, visible(text, one_line=True))
        for word, text in _REASONS[facts.detail.job.state](facts, now, program)
    ]


def _queued(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    queue, job = facts.queue, facts.detail.job
    if job.attempt:
        yield "again", f"it is to run again, after {nth(job)}{_last_end(facts)}"
    if queue.paused:
        yield (
            "paused",
            f"its queue {queue.name!r} is paused: '{program} queue resume {shlex.quote(queue.name)}' lets it go on",
        )
    if queue.limit is not None and queue.limit <= 0:
        opens = f"'{program} queue set {shlex.quote(queue.name)} --limit N' lets it go on"
        yield "limit", f"its queue {queue.name!r} has the limit 0: {opens}"
    elif queue.limit is not None and facts.running >= queue.limit:
        yield "limit", f"its queue {queue.name!r} lets {count(queue.limit, 'job')} run at once, and {facts.running} run"
    if (at := limits.next_start(queue, now)) is not None:
        wait = show_duration(at - now)
        yield "rate", f"the rate of its queue {queue.name!r} lets the next job start in {wait}"
    if facts.before:
        more = "or more " if facts.before >= QUEUE_LOOK else ""
        yield "order", f"{facts.before:,} {more}{'job' if facts.before == 1 else 'jobs'} of its queue come first"
    if not queue.is_shut:  # or a run would help it no more than none
        yield from _runners(facts, program)


def _runners(facts: Facts, program: str) -> Iterator[tuple[str, str]]:
    if facts.takers:
        pids = ", ".join(str(one.pid) for one in facts.takers[:5])
        what = "process" if len(facts.takers) == 1 else "processes"
        yield "runner", f"it is taken by the run at work ({what} {pids}) when it has a slot free"
        return
    also = " --perform MODULE:FUNCTION" if facts.detail.job.kind == "payload" else ""
    slots = f" -j {facts.needs}" if facts.needs > 1 else ""
    if facts.at_work:
        needs = f" (it needs {facts.needs} slots)" if facts.needs > 1 else ""
        yield "no runner", f"no run at work (of {facts.at_work}) takes it{needs}: start '{program} run{slots}{also}'"
    else:
        yield "no runner", f"no run is at work: start '{program} run{slots}{also}'"


def _scheduled(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    due = job.due_at or now
    when = f"at {local(due)}" + (f", in {show_duration(due - now)}" if due > now else ", which is past")
    if job.why == "retry":
        yield "retry", f"it is tried again {when}, after {nth(job)}{_last_end(facts)}"
    else:
        yield "delay", f"it may start {when}"
    if facts.takers or job.why == "retry" or due <= now:  # who starts a run now finds that it leaves the rest alone
        yield from _runners(facts, program)


def _blocked(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    more = facts.open_parents - len(facts.parents)
    for parent in facts.parents:
        how = "has succeeded" if parent.kind == "after" else "is over, however it ends"
        yield "parent", f"it waits until {_named(parent)} {how}; that one is {parent.state} now"
    if more > 0:
        yield "parents", f"and for {count(more, 'more job')}"
    for one in facts.above:
        yield "in the way", f"in the way: {undone.labelled(one.jobs, facts.names)}: {undone.reason(one, program)}"


def _held(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    yield "held", f"it is held ({job.why or 'by hand'}): '{program} release {job.id}' lets it go on"
    if facts.open_parents:
        yield from _blocked(facts, now, program)


def _running(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    if job.is_lost and facts.gone is not None and facts.gone.hidden_in is not None:
        rescue = f"'{program} doctor --rescue {facts.gone.runner}' takes it back"
        yield "lost", f"its run died while it ran, where nobody can see from here whether it lives; when not, {rescue}"
        return
    if job.is_lost and facts.gone is not None and facts.gone.is_of_a_copy:
        yield "lost", f"it ran in another store when this backup was made; the next '{program} run' takes it back here"
        return
    if job.is_lost:
        cancels = ", and cancels it" if facts.detail.cancel_asked else ""
        yield "lost", f"its run died while it ran: the next '{program} run' takes it back{cancels}"
        return
    if facts.detail.cancel_asked:
        yield "cancelling", "it was cancelled and is being ended by its runner"
    if job.started_at is None:
        yield "claimed", "a run has claimed it, and starts it as soon as a slot is free"
    else:
        yield "running", f"it has been running for {show_duration(job.running_for(now))}, attempt {job.attempt}"


def _succeeded(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    yield "succeeded", f"it succeeded at {local(job.finished_at or now)}, with attempt {job.attempt}"


def _failed(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    yield "failed", f"it failed at {local(job.finished_at or now)}{_last_end(facts)}"
    if job.why:
        yield "final", f"it was not tried again: {job.why}"
    elif job.failures >= job.max_attempts:
        tries = "its only attempt is" if job.max_attempts == 1 else f"all of its {job.max_attempts} attempts are"
        yield "final", f"it was not tried again: {tries} spent"
    yield "retry", f"'{program} retry {job.id}' runs it again, '{program} logs {job.id}' shows what it printed"


def _cancelled(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    yield "cancelled", f"it was cancelled at {local(job.finished_at or now)}: {job.why or 'by hand'}"
    if facts.cause is not None:
        yield "retry", f"a '{program} retry' of {_named(facts.cause)} brings it back"
    else:
        yield "retry", f"'{program} retry {job.id}' queues it again"


_REASONS = {
    "queued": _queued,
    "scheduled": _scheduled,
    "blocked": _blocked,
    "held": _held,
    "running": _running,
    "succeeded": _succeeded,
    "failed": _failed,
    "cancelled": _cancelled,
}


def _named(parent: Parent) -> str:
    return f"job {parent.id}" + (f" ({parent.name})" if parent.name else "")


def _last_end(facts: Facts) -> str:
    end = facts.detail.job.end
    return "" if end is None else f": {ending(end)}"
