"""Why unfinished jobs do not run, grouped by reason: for a run that leaves them, and for a command that waits for them."""

import json
from collections.abc import Container, Mapping, Sequence

from batchq.jobs.selection import NO_JOB, Range, Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.running import rescue, runners
from batchq.store.running.rescue import Here
from batchq.store.running.runners import Living
from batchq.store.selecting import condition
from batchq.store.states import ON_HOLD

_ANY = 1 << 40  #: more slots than a job can need


class NotRun(NamedTuple):
    """Jobs that do not run, or did not, all for one reason:

    ``removed`` before they started; ``held`` by a person; ``on hold`` by batchq; ``cancelled`` by hand; ``dropped``
    because a job that was not asked for failed or was cancelled, or one that was asked for was cancelled;
    ``blocked`` by unfinished jobs; ``scheduled`` for later; still ``running`` in another run; ``lost`` with a run
    that died; ``hidden``: like lost, but its processes may still be alive out of sight; ``paused`` or ``shut``
    (limit 0) like ``queue``; ``payload`` without --perform; ``slots`` (``most`` are needed); ``free``: nothing
    prevents them, but no run takes them.

    At the end of a run there are also the jobs that it left because it was ``stopped``; and if jobs called it, its
    ``callers``, the jobs that cannot finish before these do (``inside``), and those that cannot start while all running
    jobs wait (``stuck``).
    """

    reason: str
    queue: str | None
    most: int
    jobs: list[int]
    callers: tuple[int, ...] = ()

    def without(self, others: Container[int]) -> "NotRun":
        """The same without the jobs of ``others``."""
        return self._replace(jobs=[id for id in self.jobs if id not in others])


def by_reason(store: Store, where: str, named: Mapping[str, object], *, slots: int, payloads: bool) -> list[NotRun]:
    """Group the jobs that fulfil ``where`` by reason, for a run with ``slots``, without those that succeeded, failed or
    were not needed."""
    rows = store.fetch(
        f"""
        SELECT CASE
                WHEN {ON_HOLD} THEN 'on hold'
                WHEN jobs.cause IS NOT NULL AND jobs.state = 'cancelled' THEN 'dropped'
                WHEN jobs.state IN ('held', 'blocked', 'running', 'cancelled') THEN jobs.state
                WHEN jobs.state = 'scheduled' AND jobs.why = 'delay' THEN 'scheduled'
                WHEN q.paused THEN 'paused'
                WHEN q.running_limit <= 0 THEN 'shut'
                WHEN jobs.kind = 'payload' AND NOT :payloads THEN 'payload'
                WHEN jobs.slots > :slots THEN 'slots'
                ELSE 'free'
            END AS reason,
            jobs.queue, jobs.slots, jobs.id
        FROM jobs LEFT JOIN queues AS q ON q.name = jobs.queue
        WHERE {where} AND jobs.state NOT IN ('succeeded', 'failed') AND NOT jobs.unneeded""",
        {**named, "payloads": payloads, "slots": slots},
    )
    found: dict[tuple[str, str], NotRun] = {}
    for reason, queue, needs, id in rows:
        place = queue if reason in ("paused", "shut") else None
        one = found.get((reason, place or ""), NotRun(reason, place, 0, []))
        one.jobs.append(id)
        found[reason, place or ""] = one._replace(most=max(one.most, needs))
    return [found[kind] for kind in sorted(found)]


def removed(store: Store, ids: Sequence[Range]) -> NotRun:
    """Those of the jobs that were removed before they started."""
    rows = store.fetch(
        "SELECT removed.job FROM json_each(?) AS span JOIN removed"
        " ON removed.job BETWEEN json_extract(span.value, '$[0]') AND json_extract(span.value, '$[1]') ORDER BY 1",
        (json.dumps(ids),),
    )
    return NotRun("removed", None, 0, [id for (id,) in rows])


def in_the_way(store: Store, ids: Sequence[Range], here: Here | None = None) -> list[NotRun]:
    """Why the waiting jobs among these, or their parents, will never start as things are now. Jobs that a run at work is
    going to take are left out; it also takes back lost jobs, except hidden ones."""
    living = runners.living(store)
    where, named = condition(Selection(tuple(ids) or NO_JOB))
    found = by_reason(
        store,
        f"jobs.id IN ({_WITH_PARENTS.format(where)})",
        named,
        slots=max((one.widest for one in living), default=_ANY),
        payloads=any(one.wanted.payloads for one in living),
    )
    idle = {"running", "blocked", "cancelled", "dropped"}
    gone = [left for one in found if one.reason == "running" for left in _lost(store, one, here)]
    gone = [one for one in gone if not living or one.reason == "hidden"]
    found = gone + [one for one in found if one.reason not in idle]
    return [left for one in found if (left := without_taken(store, one, living)).jobs]


def _lost(store: Store, one: NotRun, here: Here | None) -> list[NotRun]:
    died = runners.lost_jobs(store, one.jobs)
    gone = rescue.with_runners(store, died, here) if died and here is not None else {}
    hidden = {job for job, runner in gone.items() if runner.hidden_in is not None}
    return [NotRun("hidden", None, 0, sorted(hidden)), NotRun("lost", None, 0, sorted(died - hidden))]


_WITH_PARENTS = """
WITH RECURSIVE above (id) AS (
    SELECT jobs.id FROM jobs WHERE jobs.finished_at IS NULL AND {}
    UNION SELECT p.id FROM above JOIN dependencies AS d ON d.child = above.id
        JOIN jobs AS p ON p.id = d.parent AND p.finished_at IS NULL)
SELECT id FROM above"""


def without_taken(store: Store, one: NotRun, living: Sequence[Living]) -> NotRun:
    """Leave out the ``free`` jobs that one of these runners takes."""
    if one.reason != "free":
        return one
    taken: set[int] = set()
    for runner in living:
        kinds = "1" if runner.wanted.payloads else "kind <> 'payload'"
        rows = store.fetch(
            f"SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(:chosen)) AND {kinds} AND slots <= :slots"
            f" AND {runner.wanted.condition()}",
            runner.wanted.named() | {"chosen": json.dumps(one.jobs), "slots": runner.widest},
        )
        taken.update(id for (id,) in rows)
    return one.without(taken)
