"""What changed since last time: each failed job of now and of then, and its twin at the other time.

The work grows with the failures and not with the jobs, except for the sums of times.
"""

import json
from collections.abc import Container, Iterable, Sequence

from batchq.jobs.selection import NO_JOB, Range, Selection, merged
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.looking import adds, requeued, twins
from batchq.store.looking.adds import Add
from batchq.store.looking.requeued import Rerun
from batchq.store.selecting import condition, resolved

IN_A_ROW = 30  #: times that are looked back at, to count how often a job failed in a row
FEW_IN_A_ROW = 5  #: times at least, if many adds are compared
LOOKED_UP = 50_000  #: jobs that are looked up for that
LONGEST = 1_000  #: the longest successes, among which the slower ones are found
SLOWER, SLOWER_BY = 2.0, 1.0  #: much slower: this many times as long, and this many seconds longer


class Change(NamedTuple):
    """The selected jobs compared with last time.

    ``now`` are the ids of the adds that are compared, ``then`` those of last time, which were added at ``at`` (ms).
    ``is_part``: the selection has older adds as well, which are not compared.

    Of the jobs that failed now, ``new`` succeeded last time, ``again`` failed last time, too, and ``unknown`` have no
    counterpart that ended so. ``recovered`` failed last time and succeeded now. ``gone`` failed then and are not there
    now: these are ids of last time. ``slower`` are jobs that took much longer, with the seconds of now and then, the
    biggest difference first. ``work`` is the time of all attempts, now and then (s).

    ``nights`` is for how many times in a row each job of ``again`` failed; from ``counted`` on it may be more.
    ``past`` selects the jobs of last time, with the batch, queue and name of the selection; None if some of now are the
    jobs of last time themselves, requeued by an add.
    """

    now: tuple[Range, ...]
    then: tuple[Range, ...]
    at: int
    new: list[int]
    again: list[int]
    unknown: list[int]
    recovered: list[int]
    gone: list[int]
    slower: list[tuple[int, float, float]]
    work: tuple[float, float]
    nights: dict[int, int]
    counted: int
    past: Selection | None
    is_part: bool = False

    @property
    def compared(self) -> Selection | None:
        """The jobs of last time whose causes compare with those of the selection; None if it has older adds as well."""
        return None if self.is_part else self.past

    @property
    def is_any(self) -> bool:
        """Whether other jobs fail than last time: newly, for the first time, or no more."""
        return bool(self.new or self.unknown or self.recovered)


def change(store: Store, selection: Selection) -> Change | None:
    """Compare the newest adds of a selection with their last times; None if none of them has one."""
    selection = resolved(store, selection)
    since = requeued.newest(store)
    reruns = requeued.reruns(store, selection, since)
    pairs, is_part = _pairs(store, selection, {one.id for one in reruns})
    if not pairs and not any(one.before for one in reruns):
        return None
    then = tuple(merged(earlier.ids for _, earlier in pairs))
    past = Selection(then or NO_JOB, batch=selection.batch, queue=selection.queue, name=selection.name)
    found = Change(
        now=tuple(merged([*(add.ids for add, _ in pairs), *((one.id, one.id) for one in reruns)])), then=then,
        at=max([*(earlier.at for _, earlier in pairs), *(one.at for one in reruns)]),
        new=[], again=[], unknown=[], recovered=[], gone=[], slower=[], work=(0.0, 0.0),
        nights={}, counted=max(FEW_IN_A_ROW, IN_A_ROW // max(1, len(pairs))), past=past, is_part=is_part,
    )  # fmt: skip
    for add, earlier in sorted(pairs):
        found = _compared(store, selection, add, earlier, found, since)
    found.slower.sort(key=lambda one: (one[2] - one[1], one[0]))
    return _with_reruns(found, reruns)


def _pairs(store: Store, selection: Selection, reruns: set[int]) -> tuple[list[tuple[Add, Add]], bool]:
    """The newest adds of the selection with their last times, and whether it has older ones of the same jobs."""
    pairs: list[tuple[Add, Add]] = []
    older: set[int] = set()
    covered = adds.covered(store, selection)
    is_part = len(covered) == adds.COVERED
    for add in covered:
        if reruns and {*_of(store, _within(selection, add.ids))} <= reruns:
            continue
        earlier = adds.last_time(store, add)
        if earlier is not None:
            if add.first not in older:
                pairs.append((add, earlier))
            older.add(earlier.first)
        is_part = is_part or add.first in older
    return pairs, is_part


def _with_reruns(found: Change, reruns: Sequence[Rerun]) -> Change:
    """The change with the jobs that an add requeued, each compared with its own attempt before."""
    if not reruns:
        return found
    pairs = [(one.id, one.before, one.state) for one in reruns]
    failed_twice = [id for id, *both in pairs if both == ["failed", "failed"]]
    unknown = [id for id, before, state in pairs if before not in ("failed", "succeeded") and state == "failed"]
    return found._replace(
        new=sorted([*found.new, *(id for id, *both in pairs if both == ["succeeded", "failed"])]),
        again=sorted([*found.again, *failed_twice]),
        unknown=sorted([*found.unknown, *unknown]),
        recovered=sorted([*found.recovered, *(id for id, *both in pairs if both == ["failed", "succeeded"])]),
        nights=found.nights | dict.fromkeys(failed_twice, 2),
        past=None,
    )


def _compared(
    store: Store, selection: Selection, add: Add, earlier: Add, found: Change, reruns: Container[int]
) -> Change:
    mine, theirs = _of_add(store, selection, add), _of_add(store, found.past or Selection(NO_JOB), earlier)
    failed, failed_then = (
        [id for id in _of(store, one.in_state("failed")) if id not in reruns] for one in (mine, theirs)
    )
    longest = _longest(store, mine, add)
    offset = twins.shift(store, add.ids, earlier.ids, failed, failed_then)
    twin = twins.find(store, add.ids, earlier.ids, {*failed, *longest}, failed_then, offset=offset)
    then = _states(store, twin.values())
    was = {id: then.get(twin.get(id, 0)) for id in failed}
    again = {id: twin[id] for id in failed if was[id] == "failed"}
    back = {other: id for id, other in twin.items() if then.get(other) == "failed"}
    succeeded = _of(store, selection.in_state("succeeded"), [back[other] for other in failed_then if other in back])
    nights, counted = _in_a_row(store, earlier, again, found.counted)
    return found._replace(
        new=[*found.new, *(id for id in failed if was[id] == "succeeded")],
        again=[*found.again, *again],
        unknown=[*found.unknown, *(id for id in failed if was[id] not in ("failed", "succeeded"))],
        recovered=[*found.recovered, *succeeded],
        gone=[*found.gone, *_gone(store, selection, add, [id for id in failed_then if id not in back])],
        slower=[*found.slower, *_slower(store, longest, twin)],
        work=(found.work[0] + _work(store, mine), found.work[1] + _work(store, theirs)),
        nights=found.nights | nights,
        counted=counted,
    )


def _in_a_row(store: Store, then: Add, again: dict[int, int], counted: int) -> tuple[dict[int, int], int]:
    """For how many times in a row these jobs failed, given their twins of last time; and from which number on it may be
    more, because no further times were looked at."""
    nights = dict.fromkeys(again, 2)
    alive = again
    looked_up = 0
    for times in range(3, counted + 1):
        earlier = adds.last_time(store, then) if alive else None
        if earlier is None:
            return nights, counted
        looked_up += len(alive)
        ids = sorted(alive.values())
        offset = twins.shift(store, then.ids, earlier.ids, ids, ())
        if looked_up > LOOKED_UP or (offset is None and max(then.jobs, earlier.jobs) > adds.RECOGNIZED):
            return nights, times - 1
        twin = twins.find(store, then.ids, earlier.ids, ids, offset=offset, scan=adds.RECOGNIZED)
        failed = {id for id, state in _states(store, twin.values()).items() if state == "failed"}
        alive = {id: twin[other] for id, other in alive.items() if twin.get(other) in failed}
        nights |= dict.fromkeys(alive, times)
        then = earlier
    return nights, counted


def _gone(store: Store, selection: Selection, add: Add, ids: list[int]) -> list[int]:
    """Those of the failed jobs of last time that are not in the add any more."""
    whole = selection.within(())._replace(batch=None, queue=None, name=None, everything=False)
    if not ids or not whole.is_empty or _within(selection, add.ids).ids != (add.ids,):
        return []
    ((jobs,),) = store.fetch("SELECT count(*) FROM jobs WHERE id BETWEEN ? AND ?", add.ids)
    return twins.absent(store, ids, add.ids) if jobs == add.jobs else []


_LONGEST = """
SELECT jobs.id, longest.seconds FROM (SELECT job, number, seconds FROM attempts
    WHERE job BETWEEN :first AND :last AND seconds >= :least ORDER BY seconds DESC, job LIMIT :limit) AS longest
JOIN jobs ON jobs.id = longest.job AND jobs.attempt = longest.number WHERE """
_SECONDS = """
SELECT jobs.id, a.seconds FROM json_each(:ids) AS wanted JOIN jobs ON jobs.id = wanted.value
JOIN attempts AS a ON a.job = jobs.id AND a.number = jobs.attempt WHERE jobs.state = 'succeeded'"""


def _longest(store: Store, mine: Selection, add: Add) -> dict[int, float]:
    """The seconds of those of the longest attempts of the add that were successes."""
    where, named = condition(mine.in_state("succeeded"))
    named |= {"first": add.first, "last": add.last, "least": SLOWER_BY, "limit": LONGEST}
    return dict(store.fetch(_LONGEST + where, named))


def _slower(store: Store, longest: dict[int, float], twin: dict[int, int]) -> list[tuple[int, float, float]]:
    then: dict[int, float] = dict(
        store.fetch(_SECONDS, {"ids": json.dumps([twin[id] for id in longest if id in twin])})
    )
    pairs = [(id, now, then[twin[id]]) for id, now in longest.items() if twin.get(id) in then]
    return [(id, now, old) for id, now, old in pairs if now >= SLOWER * old and now - old >= SLOWER_BY]


def _work(store: Store, mine: Selection) -> float:
    """The seconds of all attempts of these jobs."""
    where, named = condition(mine)
    source = "jobs JOIN attempts AS a ON a.job = jobs.id"
    if mine == Selection(mine.ids) and len(mine.ids) == 1:
        source, where = "attempts AS a", "a.job BETWEEN :low AND :high"
    ((seconds,),) = store.fetch(f"SELECT total(a.seconds) FROM {source} WHERE {where}", named)
    return float(seconds)


def _of(store: Store, selection: Selection, ids: Iterable[int] | None = None) -> list[int]:
    """The selected jobs in order, or those of ``ids``."""
    where, named = condition(selection)
    if ids is not None:
        where += " AND id IN (SELECT value FROM json_each(:wanted))"
        named["wanted"] = json.dumps([*ids])
    return [id for (id,) in store.fetch(f"SELECT id FROM jobs WHERE {where} ORDER BY id", named)]


def _of_add(store: Store, selection: Selection, add: Add) -> Selection:
    """The selected jobs of an add; without the batch if all of its jobs are of that one, because that is far quicker."""
    within = _within(selection, add.ids)
    if selection.batch in (None, "default"):
        return within
    where, named = condition(Selection((add.ids,), batch=selection.batch))
    ((jobs,),) = store.fetch(f"SELECT count(*) FROM jobs WHERE {where}", named)
    return within._replace(batch=None) if jobs == add.jobs else within


def _within(selection: Selection, span: Range) -> Selection:
    """The selected jobs with ids in this range; ``last`` must have been looked up."""
    chosen = selection.ranges
    if not chosen and not selection.is_open:
        return selection._replace(ids=(span,), everything=False)
    ids = tuple(
        merged((max(low, span[0]), min(high, span[1])) for low, high in chosen if low <= span[1] and high >= span[0])
    )
    return selection.within(ids or NO_JOB)._replace(everything=False)


def _states(store: Store, ids: Iterable[int]) -> dict[int, str]:
    sql = "SELECT id, state FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
    return dict(store.fetch(sql, (json.dumps([*ids]),)))
