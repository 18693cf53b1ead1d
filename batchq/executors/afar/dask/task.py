"""The task of one attempt, as a worker of Dask runs it."""

import json
import time

from distributed import get_worker

from batchq.executors.afar import perform as at_worker
from batchq.jobs.attempt import Claim

ANOTHER = "another"  #: the answer of a process that was not chosen
_STARTED_AT = Claim._fields.index("started_at")
_WITHDRAWN = frozenset(("cancelled", "resumed", "released", "forgotten"))
_ALIVE = frozenset(("running", "paused", "closing_gracefully"))


def topic(run: str) -> str:
    """Name the topic of the events of a run."""
    return f"batchq-{run}"


def perform(invocation: str) -> str:
    """Run one attempt at the site next to this worker, and stop it when its task is withdrawn.

    Only the process that was chosen runs it: if a worker dies before its result was fetched, and another one comes to have
    its address, Dask runs the task again. The start of a claim ahead is reported as an event; of the others the run knows
    enough. Raises RuntimeError if no site can be had here.
    """
    worker = get_worker()
    key = worker.get_current_task()
    setup, claim, chosen = json.loads(invocation)
    if chosen != at_worker.ME:
        return ANOTHER
    if claim[_STARTED_AT] is None:
        worker.log_event(topic(setup["run"]), [claim[1], time.time_ns() // 1_000_000])

    def is_withdrawn() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state in _WITHDRAWN or worker.status.name not in _ALIVE

    return at_worker.performed(setup, claim, is_withdrawn)
