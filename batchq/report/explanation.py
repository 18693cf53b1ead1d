"""``batchq explain``: why a job waits, or why it ended the way it did. Pure: the facts are passed in."""

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
    """The reasons, the most important first; at least one. ``program`` is how commands for this store begin."""
    return [
        Reason(word, visible(text, one_line=True))
        for word, text in _REASONS[facts.detail.job.state](facts, now, program)
    ]


def _queued(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    queue, job = facts.queue, facts.detail.job
    if job.attempt:
        yield "again", f"it runs again, after {nth(job)}{_last_end(facts)}"
    if queue.paused:
        yield (
            "paused",
            f"its queue {queue.name!r} is paused: '{program} queue resume {shlex.quote(queue.name)}' resumes it",
        )
    if queue.limit is not None and queue.limit <= 0:
        raises = f"'{program} queue set {shlex.quote(queue.name)} --limit N' raises it"
        yield "limit", f"its queue {queue.name!r} has the limit 0: {raises}"
    elif queue.limit is not None and facts.running >= queue.limit:
        yield (
            "limit",
            f"its queue {queue.name!r} lets {count(queue.limit, 'job')} run at once; now {facts.running:,} run",
        )
    if (at := limits.next_start(queue, now)) is not None:
        wait = show_duration(at - now)
        yield "rate", f"the rate of its queue {queue.name!r} lets the next job start in {wait}"
    if facts.before:
        more = "or more " if facts.before >= QUEUE_LOOK else ""
        jobs = "job of its queue comes" if facts.before == 1 else f"{more}jobs of its queue come"
        yield "order", f"{facts.before:,} {jobs} first"
    if not queue.is_shut:  # if it is, no run would help
        yield from _runners(facts, program)


def _runners(facts: Facts, program: str) -> Iterator[tuple[str, str]]:
    if facts.takers:
        pids = ", ".join(str(one.pid) for one in facts.takers[:5])
        runs = "the run at work (process" if len(facts.takers) == 1 else "one of the runs at work (processes"
        yield "runner", f"{runs} {pids}) takes it as soon as a slot is free"
        return
    also = " --perform MODULE:FUNCTION" if facts.detail.job.kind == "payload" else ""
    slots = f" -j {facts.needs}" if facts.needs > 1 else ""
    if facts.at_work:
        needs = f" (it needs {facts.needs} slots)" if facts.needs > 1 else ""
        none = (
            "the run at work does not take" if facts.at_work == 1 else f"none of the {facts.at_work} runs at work takes"
        )
        yield "no runner", f"{none} it{needs}: start '{program} run{slots}{also}'"
    else:
        yield "no runner", f"no run is at work: start '{program} run{slots}{also}'"


def _scheduled(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    due = job.due_at or now
    when = f"at {local(due)}" + (f", in {show_duration(due - now)}" if due > now else ", which has passed")
    if job.why == "retry":
        yield "retry", f"it is retried {when}, after {nth(job)}{_last_end(facts)}"
    else:
        yield "delay", f"it may start {when}"
    if facts.takers or job.why == "retry" or due <= now:  # a run started now would leave any other job alone
        yield from _runners(facts, program)


def _blocked(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    more = facts.open_parents - len(facts.parents)
    for parent in facts.parents:
        yield "parent", f"it waits for {_named(parent)} to {_ENDS[parent.kind]}; that job is now {parent.state}"
    if more > 0:
        yield "parents", f"it also waits for {count(more, 'more job')}"
    for one in facts.above:
        yield "in the way", f"in the way: {undone.labelled(one.jobs, facts.names)}: {undone.reason(one, program)}"


def _held(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    yield "held", f"it is held ({job.why or 'by hand'}): '{program} release {job.id}' lets it run"
    if facts.open_parents:
        yield from _blocked(facts, now, program)


def _running(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    if job.is_lost and facts.gone is not None and facts.gone.hidden_in is not None:
        rescue = f"'{program} doctor --rescue {facts.gone.runner}' takes it back"
        yield (
            "lost",
            f"its run died, and from here batchq cannot see whether the job still runs; if it does not, {rescue}",
        )
        return
    if job.is_lost and facts.gone is not None and facts.gone.is_of_a_copy:
        yield "lost", f"it was running when this backup was made; the next '{program} run' takes it back here"
        return
    if job.is_lost:
        cancels = ", and cancels it" if facts.detail.cancel_asked else ""
        yield "lost", f"its run died: the next '{program} run' takes it back{cancels}"
        return
    if facts.detail.cancel_asked:
        yield "cancelling", "it was cancelled, and its runner is stopping it"
    if job.started_at is None:
        yield "claimed", "a run has claimed it and starts it as soon as a slot is free"
    else:
        yield "running", f"it has been running for {show_duration(job.running_for(now))}, attempt {job.attempt}"


def _succeeded(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    yield "succeeded", f"it succeeded at {local(job.finished_at or now)}, in attempt {job.attempt}"


def _failed(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    yield "failed", f"it failed at {local(job.finished_at or now)}{_last_end(facts)}"
    if job.why:
        yield "final", f"it was not retried: {job.why}"
    elif job.failures >= job.max_attempts:
        tries = "its only attempt has" if job.max_attempts == 1 else f"all {job.max_attempts} attempts have"
        yield "final", f"it was not retried: {tries} been used"
    yield "retry", f"'{program} retry {job.id}' runs it again, '{program} logs {job.id}' shows its output"


def _cancelled(facts: Facts, now: int, program: str) -> Iterator[tuple[str, str]]:
    job = facts.detail.job
    yield "cancelled", f"it was cancelled at {local(job.finished_at or now)}: {job.why or 'by hand'}"
    if facts.cause is not None:
        yield "retry", f"a '{program} retry' of {_named(facts.cause)} also queues it again"
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


_ENDS = {
    "after": "succeed",
    "after_any": "finish, however it ends",
    "after_failed": "fail; if none of these fails, it is cancelled",
}


def _named(parent: Parent) -> str:
    return f"job {parent.id}" + (f" ({parent.name})" if parent.name else "")


def _last_end(facts: Facts) -> str:
    end = facts.detail.job.end
    return "" if end is None else f": {ending(end)}"
