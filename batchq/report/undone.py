"""What a run did not do, in one line a kind: which jobs, why, and the command that helps. Plain text, for stderr."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from batchq.clock import local
from batchq.jobs.selection import in_words, merged
from batchq.store.answering.answers import Before
from batchq.store.looking.obstacles import NotRun
from batchq.visible import visible

MOST = 10  #: jobs that are named, or else ranges of ids, in one line

_REASONS = {
    "held": "held by a person; '{batchq} release {ids}' lets {them} go on",
    "on hold": "on hold, because batchq gave up on {them}; '{batchq} explain {first}' says why",
    "cancelled": "cancelled by hand; '{batchq} retry {ids}' queues {them} again",
    "dropped": "cancelled with a job after which {they} should have run; '{batchq} explain {first}' names that one",
    "blocked": "blocked by jobs that are not over; '{batchq} explain {first}' names them",
    "scheduled": "due later; '{batchq} explain {first}' says when",
    "running": "another run still has {them}",
    "lost": "the run that had {them} died; the next '{batchq} run' takes {them} back",
    "hidden": "the run of {them} died, and nobody sees from here whether {they} {live}; '{batchq} explain {first}' helps",
    "paused": "queue {queue!r} is paused; '{batchq} queue resume {word}' lets it go on",
    "shut": "queue {queue!r} has the limit 0; '{batchq} queue set {word} --limit N' lets it go on",
    "payload": "a payload needs a function; '{batchq} run --perform MODULE:FUNCTION' names it",
    "slots": "too wide for -j; '{batchq} run -j {most}' has the slots",
    "inside": "this runs inside of {callers}, and {they} cannot be over before {that}",
    "stuck": "this runs inside of {callers}, and each job that runs waits for others; '{batchq} run' runs {them} later",
    "free": "no run is at work that takes {them}; start one with '{batchq} run{wide}'",
}
_LEFT = "the run ended before{}; '{} run' runs what is queued"


def not_run(found: Sequence[NotRun], names: Mapping[int, str], program: str, stopped_at: str | None) -> list[str]:
    """A line for each reason why jobs that were asked for were not run."""
    left = _LEFT.format(f", at {stopped_at}" if stopped_at else "", program)
    return [
        f"not run: {labelled(one.jobs, names)}: {left if one.reason == 'stopped' else reason(one, program, names)}"
        for one in found
    ]


def reason(one: NotRun, program: str, names: Mapping[int, str] = MappingProxyType({})) -> str:
    """Why these jobs do not run, and the command that helps."""
    queue = visible(one.queue or "", one_line=True)
    return _REASONS[one.reason].format(
        batchq=program, ids=chosen(one.jobs), first=one.jobs[0], them=_them(one.jobs),
        they=_them(one.jobs, "it", "they"), queue=queue, word=shlex.quote(queue), most=one.most,
        wide=f" -j {one.most}" if one.most > 1 else "", callers=labelled(one.callers, names),
        live=_them(one.jobs, "lives", "live"), that=_them(one.callers, "that is", "those are"),
    )  # fmt: skip


def before(found: Sequence[Before], names: Mapping[int, str], program: str) -> list[str]:
    """What is to be said of jobs that were known by their keys and had failed, or been cancelled, before the run."""
    lines = []
    for state, one_did, many_did in (
        ("failed", "failed", "failed"),
        ("cancelled", "was cancelled", "were cancelled"),
    ):
        here = {one.id: one.at for one in found if one.state == state and one.at is not None}
        if here:
            ids = [*here]
            when = f"{'the last ' if len(ids) > 1 else ''}on {local(max(here.values()))}"
            retry = f"'{program} retry {chosen(ids)}' runs {_them(ids)} again"
            lines.append(f"{labelled(ids, names)} {_them(ids, one_did, many_did)} before, {when}; {retry}")
        if gone := [one.id for one in found if one.state == state and one.at is None]:
            pruned = f'and {_them(gone, "is", "are")} pruned since; with if_exists = "rerun-failed" an add runs it anew'
            lines.append(f"{labelled(gone, names)} {_them(gone, one_did, many_did)} before, {pruned}")
    return lines


def on_hold(ids: Sequence[int], program: str) -> str:
    """The line for jobs on which an earlier run has given up."""
    return (
        f"{labelled(ids, {})} {_them(ids, 'is', 'are')} on hold, because batchq gave up on {_them(ids)};"
        f" '{program} explain {ids[0]}' says why, '{program} release {chosen(ids)}' lets {_them(ids)} go on"
    )


def left_open(ids: Sequence[int], names: Mapping[int, str], program: str) -> str:
    """The line for jobs that an earlier run of the same files did not get to."""
    return (
        f"{labelled(ids, names)} of an earlier add of the same files {_them(ids, 'is', 'are')} still open;"
        f" '{program} run' runs what is queued, '{program} cancel {chosen(ids)}' cancels {_them(ids)}"
    )


def too_wide(ids: Sequence[int], slots: int, program: str) -> str:
    """The line for jobs that need more slots than the run had."""
    return (
        f"{labelled(ids, {})} {_them(ids, 'needs', 'need')} more slots than there were (-j {slots});"
        f" '{program} explain {ids[0]}' says how many"
    )


def labelled(ids: Iterable[int], names: Mapping[int, str]) -> str:
    """``job 3 (load)``, ``jobs 3 (load), 4``; of many the ids as ranges, ten of which are told: ``jobs 1-40,50``."""
    listed = sorted(ids)
    if len(listed) <= MOST:
        told = ", ".join(f"{id} ({visible(names[id], one_line=True)})" if id in names else f"{id}" for id in listed)
        return f"{_them(listed, 'job', 'jobs')} {told}"
    ranges = list(merged((id, id) for id in listed))
    return f"jobs {in_words(ranges[:MOST])}" + (f" … ({len(listed):,} in all)" if len(ranges) > MOST else "")


def chosen(ids: Iterable[int]) -> str:
    """Ids as a command takes them; of very many the first ranges, so that the line stays one."""
    return in_words(list(merged((id, id) for id in ids))[:MOST])


def _them(ids: Sequence[int], one: str = "it", many: str = "them") -> str:
    return one if len(ids) == 1 else many
