"""The facts that explain why a job waits, or why it ended as it did: from the store alone, without a lock."""

from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.looking import details, obstacles, queries
from batchq.store.looking.obstacles import NotRun
from batchq.store.looking.rows import Detail, Job, Parent
from batchq.store.running import claiming, rescue, runners
from batchq.store.running.limits import QueueLimits
from batchq.store.running.rescue import Here, Lost
from batchq.store.running.runners import Living
from batchq.store.snapshots import snapshot

PARENTS = 10  #: parents that are named
QUEUE_LOOK = 10_000  #: earlier jobs of the same queue that are counted at most


class Facts(NamedTuple):
    """Everything that matters for one job. ``before``: jobs of its queue that come first (10,000 may be more); ``running``:
    jobs of its queue that run; ``takers``: the runners at work that take it, of ``at_work`` in all; ``gone``: the dead
    runner that has it; ``above``: why its parents do not run, with ``names`` of these."""

    detail: Detail
    parents: list[Parent]
    open_parents: int
    needs: int
    cause: Parent | None
    queue: QueueLimits
    running: int
    before: int
    takers: list[Living]
    at_work: int
    gone: Lost | None
    above: list[NotRun]
    names: dict[int, str]


def gather(store: Store, id: int, here: Here | None = None) -> Facts:
    """Collect the facts in one snapshot, as seen from ``here``. Raises MissingError."""
    with snapshot(store):
        detail = details.job(store, id)
        job = detail.job
        rows = store.fetch("SELECT open_parents, slots, cause FROM jobs WHERE id = ?", (id,))
        ((open_parents, needs, cause),) = rows
        living = runners.living(store)
        waits = job.state in ("blocked", "held") and open_parents
        found = obstacles.in_the_way(store, ((id, id),), here) if waits else []
        above = [left for one in found if (left := one.without({id})).jobs]
        return Facts(
            detail,
            details.parents(store, "d.child = ? AND p.finished_at IS NULL ORDER BY p.id LIMIT ?", (id, PARENTS)),
            open_parents,
            needs,
            next(iter(details.parents(store, "d.child = ? AND p.id = ?", (id, cause))), None)
            if cause is not None
            else None,
            claiming.limits_of(store, job.queue),
            claiming.running_in(store, job.queue),
            _before(store, job) if job.state == "queued" else 0,
            [one for one in living if _takes(store, one, id, needs, job.kind)],
            len(living),
            rescue.with_runners(store, [id], here).get(id) if job.is_lost and here is not None else None,
            above,
            queries.names(store, [one for left in above for one in left.jobs[:PARENTS]]),
        )


def _before(store: Store, job: Job) -> int:
    """How many queued jobs of its queue come first: payload jobs before a payload job, others before any other."""
    total, kind = 0, "kind = 'payload'" if job.kind == "payload" else "kind <> 'payload'"
    for first in ("priority > :priority", "priority = :priority AND id < :id"):
        ((jobs,),) = store.fetch(
            f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state = 'queued' AND {kind} AND queue = :queue"
            f" AND {first} LIMIT :most)",
            {"priority": job.priority, "id": job.id, "queue": job.queue, "most": QUEUE_LOOK},
        )
        total += jobs
    return min(total, QUEUE_LOOK)


def _takes(store: Store, runner: Living, id: int, needs: int, kind: str) -> bool:
    wanted = runner.wanted
    if needs > runner.widest or (kind == "payload" and not wanted.payloads):
        return False
    return bool(store.fetch(f"SELECT 1 FROM jobs WHERE id = :id AND {wanted.condition()}", wanted.named() | {"id": id}))
