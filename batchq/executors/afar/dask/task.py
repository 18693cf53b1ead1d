"""The task of one attempt, as a worker of Dask runs it."""

import json
import time

from distributed import get_worker

from batchq.executors.afar import perform as at_worker
from batchq.jobs.attempt import Claim
from batchq.processes.link import Closed

_STARTED_AT = Claim._fields.index("started_at")
_WITHDRAWN = frozenset(("cancelled", "resumed", "released", "forgotten"))
_ALIVE = frozenset(("running", "paused", "closing_gracefully"))


def topic(run: str) -> str:
    """Name the topic of the events of a run."""
    return f"batchq-{run}"


def perform(invocation: str) -> str:
    """Run one attempt at the site next to this worker, and stop it when its task is withdrawn.

    The start of a claim ahead is reported as an event; of the others the run knows enough. Raises RuntimeError if no site
    can be had here.
    """
    worker = get_worker()
    key = worker.get_current_task()
    setup, claim = json.loads(invocation)
    if claim[_STARTED_AT] is None:
        worker.log_event(topic(setup["run"]), [claim[1], time.time_ns() // 1_000_000])

    def is_withdrawn() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state in _WITHDRAWN or worker.status.name not in _ALIVE

    for _ in range(3):
        try:
            return json.dumps(at_worker.next_door(setup).perform(claim, is_withdrawn))
        except Closed:
            time.sleep(at_worker.CHECK)
    raise RuntimeError("the site next to this worker, which runs the jobs, ends at once")
