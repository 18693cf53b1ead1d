"""Workers that are not needed any more: each may end as Python does, for a while."""

import math
import time

from batchq.executors.command import Sentence
from batchq.executors.member import Member
from batchq.jobs.attempt import INTERRUPTED


class Departures:
    """Threads, exit handlers and open files of a worker come to their end within ``grace`` seconds, or it is killed."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._leaving: dict[int, Member] = {}
        self._due: dict[int, float] = {}
        self._sentences: dict[int, Sentence] = {}

    def __len__(self) -> int:
        return len(self._leaving)

    def pids(self) -> list[int]:
        """The processes that have not ended."""
        return list(self._leaving)

    def add(self, member: Member) -> None:
        """It has been told that no more tasks come, or has said farewell itself."""
        self._leaving[member.pid] = member
        self._due[member.pid] = time.monotonic() + self._grace

    def pop(self, pid: int) -> Member | None:
        """It has been reaped, or given up; None for a process that is not one of these."""
        self._due.pop(pid, None)
        self._sentences.pop(pid, None)
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
            if due <= now and pid in self._sentences:
                immortal.append(pid)
            elif due <= now:
                sentence = self._sentences[pid] = Sentence()
                self._due[pid] = sentence.enforce(pid, INTERRUPTED, 0)
        return immortal
