"""Released workers: each has a while to exit as Python does."""

import math
import time
from collections.abc import Sequence

from batchq.executors.handle import WorkerHandle
from batchq.executors.kill import Kill
from batchq.jobs.attempt import INTERRUPTED


class Departures:
    """Workers that are exiting: threads, exit handlers and open files have ``grace`` seconds, then the worker is killed."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._leaving: dict[int, WorkerHandle] = {}
        self._due: dict[int, float] = {}
        self._kills: dict[int, Kill] = {}

    def __len__(self) -> int:
        return len(self._leaving)

    def numbers(self) -> list[Sequence[int]]:
        """List the numbers of the slots in which they had their last tasks; each holds one slot."""
        return [worker.numbers[:1] for worker in self._leaving.values()]

    def pids(self) -> list[int]:
        """List the processes that have not ended."""
        return list(self._leaving)

    def add(self, worker: WorkerHandle) -> None:
        """Add a worker that gets no more tasks or has sent its last answer."""
        self._leaving[worker.pid] = worker
        self._due[worker.pid] = time.monotonic() + self._grace

    def pop(self, pid: int) -> WorkerHandle | None:
        """Remove a worker that has been reaped or given up; None if the process is not one of these."""
        self._due.pop(pid, None)
        self._kills.pop(pid, None)
        return self._leaving.pop(pid, None)

    def due(self) -> float:
        """Return when (monotonic seconds) ``enforce`` has something to do."""
        return min(self._due.values(), default=math.inf)

    def hurry(self) -> None:
        """Let ``enforce`` kill all of them now."""
        self._due = dict.fromkeys(self._due, 0.0)

    def enforce(self, now: float) -> list[int]:
        """Kill those whose time has passed; return the processes that survive it."""
        immortal = []
        for pid, due in self._due.items():
            if due <= now and pid in self._kills:
                immortal.append(pid)
            elif due <= now:
                kill = self._kills[pid] = Kill()
                self._due[pid] = kill.enforce(pid, INTERRUPTED, 0)
        return immortal
