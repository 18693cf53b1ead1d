"""Remove chosen jobs: finished ones, and those that never started."""

import json

from batchq.jobs.lifecycle import FINAL
from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.store.changing.control import WAITING, found_in
from batchq.store.file import checkpoints
from batchq.store.file.connection import Store
from batchq.store.keeping.pruning import AT_ONCE, Rule, remove_jobs

_FINAL = ", ".join(f"'{state}'" for state in FINAL)
_NEVER_STARTED = f"(SOME.attempt = 0 AND SOME.state IN ({', '.join(repr(state) for state in WAITING)}))"
# A job that has not finished must not lose its parents. So within a slice (:ids) those stay that such a job is below of.
_GOING = f"""
(jobs.state IN ({_FINAL}) OR {_NEVER_STARTED.replace("SOME", "jobs")}) AND jobs.id NOT IN (
    WITH RECURSIVE needed (id) AS (
        SELECT d.parent FROM json_each(:ids) AS chosen JOIN dependencies AS d ON d.parent = chosen.value
            JOIN jobs AS child ON child.id = d.child WHERE child.state NOT IN ({_FINAL})
            AND (child.id NOT IN (SELECT value FROM json_each(:ids)) OR NOT {_NEVER_STARTED.replace("SOME", "child")})
        UNION SELECT d.parent FROM needed JOIN dependencies AS d ON d.child = needed.id
            WHERE d.parent IN (SELECT value FROM json_each(:ids)))
    SELECT id FROM needed)"""


class Removed(NamedTuple):
    """How many jobs and their logs were removed; how many selected jobs stay, by state; ``parents`` of these stay because
    others wait for them, and ``logs_left`` logs because they were written for a store at another path."""

    jobs: int
    left_alone: dict[str, int]
    parents: int
    logs_left: int


def remove(store: Store, selection: Selection) -> Removed:
    """Remove the selected jobs that have finished or never started, with their attempts, output and logs.

    A job stays if one that has not finished runs after it and is not removed, too. The key of a finished job stays known,
    as after ``prune``; the key of a job that never started is free again. Raises MissingError.
    """
    _, (found,) = found_in(store, selection, [selection])
    rule = Rule(_GOING, {}, 0)
    removed, logs_left, last = 0, 0, -1
    while removed != last:  # once more if children had smaller ids than their parents
        last = removed
        for start in range(len(found), 0, -AT_ONCE):  # later jobs first: these run after earlier ones
            gone, left = remove_jobs(store, [*found[max(0, start - AT_ONCE) : start]], rule)
            removed, logs_left = removed + gone, logs_left + left
            checkpoints.checkpoint_if_due(store)
    counted = "SELECT state, count(*), sum({}) FROM jobs WHERE id IN (SELECT value FROM json_each(?)) GROUP BY state"
    could = f"state IN ({_FINAL}) OR {_NEVER_STARTED.replace('SOME', 'jobs')}"
    rows = store.fetch(counted.format(could), (json.dumps(found.tolist()),))
    return Removed(removed, {state: jobs for state, jobs, _ in rows}, sum(parents for *_, parents in rows), logs_left)
