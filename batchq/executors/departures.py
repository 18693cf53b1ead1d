"""Workers that are not needed any more: each may end as Python does, for a while."""

import math
import time

from batchq.executors.command import Kill
from batchq.executors.handle import WorkerHandle
from batchq.jobs.attempt import INTERRUPTED


class Departures:
    """Threads, exit handlers and open files of a worker come to their end within ``grace`` seconds, or it is killed."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._leaving: dict[int, WorkerHandle] = {}
        self._due: dict[int, float] = {}
        self._kills: dict[int, Kill] = {}

    def __len__(self) -> int:
        return len(self._leaving)

    def pids(self) -> list[int]:
        """The processes that have not ended."""
        return list(self._leaving)

    def add(self, worker: WorkerHandle) -> None:
        """It has been told that no more tasks come, or has said farewell itself."""
        self._leaving[worker.pid] = worker
        self._due[worker.pid] = time.monotonic() + self._grace

    def pop(self, pid: int) -> WorkerHandle | None:
        """It has been reaped, or given up; None for a process that is not one of these."""
        self._due.pop(pid, None)
        self._kills.pop(pid, None)
        return self._leaving.pop(pid, None)

    def due(self) -> float:
        """When (monotonic seconds) ``enforce`` has something to do."""
        return min(self._due.values(), default=math.inf)

    def hurry(self) -> None:
        """Wait no longer."""
        self._due = dict.fromkeys(self._due, 0.0)

    def enforce(self, now: float) -> list[int]:
        """Kill those that are over their time; the processes that even that does not end."""
        immortal = []
        for pid, due in self._due.items():
            if due <= now and pid in self._kills:
                immortal.append(pid)
            elif due <= now:
                kill = self._kills[pid] = Kill()
                self._due[pid] = kill.enforce(pid, INTERRUPTED, 0)
        return immortal
