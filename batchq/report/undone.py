"""What a run did not do, one line for each reason: which jobs, why, and the command that helps. Plain text for stderr."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from batchq.clock import local
from batchq.jobs.selection import in_words, merged
from batchq.store.answering.answers import Before
from batchq.store.looking.obstacles import NotRun
from batchq.visible import visible

MOST = 10  #: jobs, or ranges of ids, that one line names

_REASONS = {
    "held": "held by hand; '{batchq} release {ids}' lets {them} run",
    "on hold": "on hold, because batchq gave up on {them}; '{batchq} explain {first}' shows why",
    "cancelled": "cancelled by hand; '{batchq} retry {ids}' queues {them} again",
    "removed": "removed before {they} could start; add {them} again",
    "dropped": "cancelled because a job that {they} {depend} on did not succeed; '{batchq} explain {first}' names that job",
    "blocked": "blocked by unfinished jobs; '{batchq} explain {first}' names them",
    "scheduled": "due later; '{batchq} explain {first}' shows when",
    "running": "claimed by another run, which is still at work",
    "lost": "the run that had claimed {them} died; the next '{batchq} run' takes {them} back",
    "hidden": "the run that had claimed {them} died, and from here batchq cannot see whether {they} still {run};"
    " '{batchq} explain {first}' shows what to do",
    "paused": "queue {queue!r} is paused; '{batchq} queue resume {word}' resumes it",
    "shut": "queue {queue!r} has the limit 0; '{batchq} queue set {word} --limit N' raises it",
    "payload": "a payload needs a function: '{batchq} run --perform MODULE:FUNCTION'",
    "slots": "not enough slots; '{batchq} run -j {most}' has enough",
    "inside": "this command runs inside {callers}, and {they} cannot finish before {that}",
    "stuck": "this command runs inside {callers}, and every running job waits for another;"
    " '{batchq} run' runs {them} later",
    "free": "no run at work takes {them}; start one with '{batchq} run{wide}'",
}
_LEFT = "the run ended first{}; '{} run' runs what is queued"


def not_run(found: Sequence[NotRun], names: Mapping[int, str], program: str, stopped_at: str | None) -> list[str]:
    """One line for each reason why requested jobs did not run."""
    left = _LEFT.format(f" ({stopped_at})" if stopped_at else "", program)
    return [
        f"not run: {labelled(one.jobs, names)}: {left if one.reason == 'stopped' else reason(one, program, names)}"
        for one in found
    ]


def reason(one: NotRun, program: str, names: Mapping[int, str] = MappingProxyType({})) -> str:
    """The reason why these jobs do not run, and the command that helps."""
    queue = visible(one.queue or "", one_line=True)
    return _REASONS[one.reason].format(
        batchq=program, ids=chosen(one.jobs), first=one.jobs[0], them=_them(one.jobs),
        they=_them(one.jobs, "it", "they"), queue=queue, word=shlex.quote(queue), most=one.most,
        wide=f" -j {one.most}" if one.most > 1 else "", callers=labelled(one.callers, names),
        run=_them(one.jobs, "runs", "run"), depend=_them(one.jobs, "depends", "depend"),
        that=_them(one.callers, "that job does", "those do"),
    )  # fmt: skip


def before(found: Sequence[Before], names: Mapping[int, str], program: str) -> list[str]:
    """The lines for jobs that the store knew by key and that had failed, or been cancelled, before this run."""
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
            pruned = f"{_them(gone, one_did, many_did)} before, and {_them(gone, 'has', 'have')} been pruned since"
            again = f'an add with if_exists = "rerun-failed" runs {_them(gone)} again'
            lines.append(f"{labelled(gone, names)} {pruned}; {again}")
    return lines


def on_hold(ids: Sequence[int], program: str) -> str:
    """The line for jobs that an earlier run gave up on."""
    return (
        f"{labelled(ids, {})} {_them(ids, 'is', 'are')} on hold, because batchq gave up on {_them(ids)};"
        f" '{program} explain {ids[0]}' shows why, '{program} release {chosen(ids)}' lets {_them(ids)} run"
    )


def left_open(ids: Sequence[int], names: Mapping[int, str], program: str, source: str) -> str:
    """The line for jobs that an earlier run of the same ``source`` (``files`` or ``command``) did not get to."""
    return (
        f"{labelled(ids, names)} from an earlier add of the same {source} {_them(ids, 'is', 'are')} still open;"
        f" '{program} run' runs what is queued, '{program} cancel {chosen(ids)}' cancels {_them(ids)}"
    )


def too_wide(ids: Sequence[int], slots: int, program: str, *, is_elsewhere: bool) -> str:
    """The line for jobs that need more slots than the run had at its end."""
    had = f"any place had at the end ({slots})" if is_elsewhere else f"this run had (-j {slots})"
    return (
        f"{labelled(ids, {})} {_them(ids, 'needs', 'need')} more slots than {had};"
        f" '{program} explain {ids[0]}' shows how many"
    )


def labelled(ids: Iterable[int], names: Mapping[int, str]) -> str:
    """``job 3 (load)``, ``jobs 3 (load), 4``; many are shown as up to ten ranges of ids: ``jobs 1-40,50``."""
    listed = sorted(ids)
    if len(listed) <= MOST:
        named = ", ".join(f"{id} ({visible(names[id], one_line=True)})" if id in names else f"{id}" for id in listed)
        return f"{_them(listed, 'job', 'jobs')} {named}"
    ranges = list(merged((id, id) for id in listed))
    return f"jobs {in_words(ranges[:MOST])}" + (f" … ({len(listed):,} in all)" if len(ranges) > MOST else "")


def chosen(ids: Iterable[int]) -> str:
    """All of the ids, as a command takes them."""
    return in_words(merged((id, id) for id in ids))


def _them(ids: Sequence[int], one: str = "it", many: str = "them") -> str:
    return one if len(ids) == 1 else many
