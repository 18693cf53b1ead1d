"""The sentences of a run on a terminal: what it waits for, for whom a stop waits, and how it ended. Pure."""

import signal
from collections.abc import Sequence
from math import ceil, inf

from batchq.cli.run.live.frame import whole
from batchq.clock import bare, show_duration
from batchq.report.layout import count
from batchq.runner.tally import Tally
from batchq.store.running.waits import MOST, QueueWait, Waits

NAMED = 8  #: jobs that are named at most
_ALONE = {
    "held": "held", "scheduled": "due later", "blocked": "waiting for other jobs", "paused": "in a paused queue",
    "slots": "with more slots than -j gives", "payload": "with a payload, which needs --perform",
}  # fmt: skip
_KEYS = {signal.SIGINT: "Ctrl-C", signal.SIGQUIT: "Ctrl-\\"}


def waiting(found: Waits, now: int, *, is_idle: bool, watches: bool, is_elsewhere: bool = False) -> list[str]:
    """What slots are empty for: ``5 wait for a retry, the next in 3 s``.

    Jobs that the run will not wait for are only mentioned if it ``is_idle``; if it ``watches``, it waits for all.
    """
    lines = []
    if found.retries:
        lines.append(f"{_some(found.retries, 'waits', 'wait')} for a retry, the next {_at(found.retry_at, now)}")
    lines += [_queue(one, now) for one in found.queues]
    if found.first is not None and not is_idle:
        job, slots = found.first
        lines.append(f"job {job} is next, and waits for {slots:,} free slots{' at one place' * is_elsewhere}")
    if found.elsewhere:
        lines.append(f"{_some(found.elsewhere, 'is', 'are')} running in other runs")
    if found.blocked:
        lines.append(f"{_some(found.blocked, 'waits', 'wait')} for other jobs")
    if (is_idle or watches) and found.later:
        lines.append(f"{_some(found.later, 'is', 'are')} due later, the next {_at(found.later_at, now)}")
    if is_idle and found.wide:
        lines.append(f"{_some(found.wide, 'needs', 'need')} more slots than this run has")
    if is_idle and found.payloads:
        lines.append(f"{_some(found.payloads, 'has a payload and needs', 'have a payload and need')} --perform")
    return lines


def stopping(why: str, jobs: Sequence[str], seconds: float, now: int) -> list[str]:
    """For whom a stop waits, until when, and how to end that."""
    if not jobs:
        return [f"{why}: no more jobs start, and none is running"]
    running = f"{count(len(jobs), 'running job')}: {listed(jobs)}"
    if seconds <= 0:
        return [f"{why}: stopping {running}"]
    if seconds == inf:
        return [f"{why}: no more jobs start; waiting for {running}"]
    until = bare(now + round(seconds * 1000)).split(" ")[1]
    them = "it" if len(jobs) == 1 else "them"
    return [
        f"{why}: no more jobs start; waiting until {until} ({whole(ceil(seconds))}) for {running}",
        f"Ctrl-C {'again ' if why == 'Ctrl-C' else ''}stops {them} now; what was stopped runs again in the next run",
    ]


def stop(tally: Tally, running: int, left: float) -> str:
    """The line of a run that is being stopped, for the block: ``Ctrl-C: 2 jobs have 5 s more``."""
    jobs = count(running, "job")
    if left <= 0:
        return f"{cause(tally)}: stopping {jobs}"
    return f"{cause(tally)}: waiting for {jobs}" + ("" if left == inf else f", {whole(ceil(left))} more")


def listed(jobs: Sequence[str]) -> str:
    """The first jobs, and how many more there are."""
    more = len(jobs) - NAMED
    return ", ".join(jobs[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def cause(tally: Tally) -> str:
    """Why a run stops: ``Ctrl-C``, ``SIGTERM``, ``--max-time``."""
    if tally.signal is None:
        return tally.stopped_at or "stop"
    return _KEYS.get(signal.Signals(tally.signal)) or signal.Signals(tally.signal).name


def ended(tally: Tally, reasons: int | None, left: int) -> str:
    """The last line: ``10,000 jobs in 4 m 12 s: 9,997 succeeded, 3 failed for 2 reasons``. ``left`` jobs still wait."""
    failed, held = len(tally.failed), len(tally.held)
    jobs = tally.succeeded + failed + held + tally.other
    parts = [f"{tally.succeeded:,} succeeded"] if tally.succeeded or not jobs else []
    if failed:
        parts.append(f"{failed:,} failed" + (f" for {count(reasons, 'reason')}" if reasons and failed > 1 else ""))
    parts += [f"{held:,} now on hold"] if held else []
    parts += [f"{tally.other:,} cancelled"] if tally.other else []
    parts += [count(tally.retried, "retry", "retries")] if tally.retried else []
    parts += [f"{tally.interrupted:,} queued again"] if tally.interrupted else []
    parts += [f"{len(tally.left):,} left to the next run"] if tally.left else []
    text = f"{count(jobs, 'job')} in {show_duration(tally.seconds * 1000)}: {', '.join(parts)}"
    if tally.signal is not None or tally.stopped_at is not None:
        text += f"; stopped by {cause(tally)}" + (f", {left:,} left to run" if left else "")
    return text


def nothing(left: dict[str, int], known: Sequence[int], program: str) -> str:
    """The one line of a run that found no job to run: the jobs that it left alone, and why; or those that were ``known`` by
    their keys, and had succeeded before."""
    alone = {why: jobs for why, jobs in sorted(left.items()) if jobs}
    if not alone and known:
        ids = [*map(str, known)]
        they = "which has this key, has" if len(ids) == 1 else "which have these keys, have"
        return f"0 jobs to run: job{'s' * (len(ids) > 1)} {listed(ids)}, {they} succeeded before"
    if not alone:
        return "0 jobs to run"
    parts = [f"{jobs:,} {_ALONE[why]}" for why, jobs in alone.items()]
    states = ",".join(sorted({why if why in ("held", "scheduled", "blocked") else "queued" for why in alone}))
    return f"0 jobs to run; left alone: {', '.join(parts)}: '{program} list --state {states}' shows them"


def _some(number: int, one: str, many: str) -> str:
    """``5 wait``, ``1 waits``, ``1,000 or more wait``."""
    return f"{number:,}{' or more' if number >= MOST else ''} {one if number == 1 else many}"


def _at(moment: int | None, now: int) -> str:
    """When it is: in a while, or at a time if that is longer."""
    if moment is None or moment <= now:
        return "now"
    ahead = moment - now
    return f"in {whole((ahead + 999) // 1000)}" if ahead < 3_600_000 else f"at {bare(moment)}"


def _queue(one: QueueWait, now: int) -> str:
    queue = one.queue
    jobs = _some(one.queued, "waits", "wait")
    if queue.paused:
        return f"{jobs} in the queue {queue.name!r}, which is paused"
    if queue.limit is not None and one.running >= queue.limit:
        return f"{jobs} in the queue {queue.name!r}, of which {_some(one.running, 'runs', 'run')}, its limit"
    return f"{jobs} for the rate of the queue {queue.name!r}, the next {_at(one.next_at, now)}"
