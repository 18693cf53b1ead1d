"""Jobs in brief, for a table that must not grow with the store: all that did not succeed, as far as there is room."""

from collections.abc import Mapping

from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.looking.rows import command
from batchq.store.looking.sample import evenly
from batchq.store.running import runners
from batchq.store.selecting import condition

MOST = 36_000  #: jobs of a table; each takes about 45 bytes of a page
_OF_THEM = 32_000  #: jobs that did not succeed, at most

_WORK = "iif(jobs.name IS NULL, substr(jobs.work, 1, 4000), '')"  #: of 36,000 long ones memory would not hold all


class Brief(NamedTuple):
    """One job as a table shows it; ``label`` is its name, or its command if it has none."""

    id: int
    label: str
    batch: str
    queue: str
    state: str
    attempt: int
    started_at: int | None
    seconds: float | None


class Briefs(NamedTuple):
    """One in ``step`` of the jobs that did not succeed, and one in ``step_succeeded`` of the others, by id."""

    step: int
    step_succeeded: int
    jobs: list[Brief]


def briefs(store: Store, selection: Selection, counts: Mapping[str, int]) -> Briefs:
    """Read the selected jobs, or an even sample of them; ``counts`` is how many there are in each state."""
    succeeded = counts.get("succeeded", 0)
    others = sum(counts.values()) - succeeded
    step = max(1, -(-others // _OF_THEM))
    step_succeeded = max(1, -(-succeeded // (MOST - min(others, _OF_THEM))))
    jobs: list[Brief] = []
    for state in counts:  # one by one, because some states have an index
        jobs += _in_state(store, selection.in_state(state), step_succeeded if state == "succeeded" else step)
    return Briefs(step, step_succeeded, sorted(jobs))


def _in_state(store: Store, selection: Selection, step: int) -> list[Brief]:
    where, named = condition(selection)
    picked = f" AND {evenly('jobs.id')}" if step > 1 else ""
    rows = store.fetch(
        f"SELECT jobs.id, jobs.name, jobs.kind, {_WORK}, jobs.batch, jobs.queue, jobs.state, jobs.attempt,"
        " jobs.started_at, a.seconds, jobs.runner FROM jobs"
        " LEFT JOIN attempts AS a ON a.job = jobs.id AND a.number = jobs.attempt"
        f" WHERE {where}{picked} LIMIT {2 * MOST}",
        {**named, "step": step},
    )
    dead = runners.dead(store, {row[-1] for row in rows if row[-1] is not None})
    return [
        Brief(id, name or command(kind, work), batch, queue, "lost" if runner in dead else state, *rest)
        for id, name, kind, work, batch, queue, state, *rest, runner in rows
    ]
