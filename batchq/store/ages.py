"""How long jobs have been running: by the kernel's own time, which does not change when the clock is set."""

import json
import os
import time
from collections.abc import Sequence

from batchq import clock
from batchq.store.file.connection import Store


def of_running(store: Store, jobs: Sequence[int]) -> dict[int, int]:
    """How many milliseconds these jobs have been running, if that is known better than from their start.

    For a command, the start of its first process is known. A callable is part of its worker, but it cannot have been
    running longer than its run.
    """
    rows = store.fetch(
        "SELECT jobs.id, jobs.kind <> 'call' AND jobs.kind <> 'payload', jobs.started_at, p.born, r.born FROM jobs"
        " LEFT JOIN processes AS p ON p.job = jobs.id AND p.token = jobs.token LEFT JOIN runners AS r ON r.id = jobs.runner"
        " WHERE jobs.id IN (SELECT value FROM json_each(?)) AND jobs.state = 'running' AND jobs.started_at IS NOT NULL",
        (json.dumps(jobs),),
    )
    wall = clock.now()
    found: dict[int, int] = {}
    for job, is_command, started_at, born, run_born in rows:
        if is_command and born is not None:
            found[job] = _since(born)
        elif run_born is not None and (most := _since(run_born)) < wall - started_at:
            found[job] = most
    return found


def _since(ticks: int) -> int:
    """Milliseconds since a process started, ``ticks`` after boot."""
    return max(0, round((time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")) * 1000))
