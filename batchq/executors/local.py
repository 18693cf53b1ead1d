"""The local executor: child processes on this machine, one a slot, watched by one selector loop.

A command is a process of its own session; a callable runs in a resident worker. How a process ended is learnt from
SIGCHLD and waitid(2), which as a subreaper we need anyway for the orphans of jobs; the pipes of a slot are kept from job
to job, and never waited for: a job has ended when its process has, whoever may still hold its output.
"""

import contextlib
import os
import resource
import selectors
import signal
import time
from collections.abc import Iterable, Sequence

from batchq import clock
from batchq.executors.seam import Report
from batchq.executors.slot import Slot
from batchq.jobs.attempt import FAILED, INTERRUPTED, TIMED_OUT, Claim, Ended, Failure, Outcome
from batchq.processes import tree
from batchq.processes.signals import Inbox
from batchq.processes.spawn import Refusal, Spawner


class LocalExecutor:
    """``slots`` jobs at once on this machine.

    ``scratch`` is a private folder for result files; ``db`` is told to the jobs; ``perform`` is the ``pkg.mod:func`` for
    payload jobs, imported from the job's folder or else from ``home``. ``grace`` (seconds) lies between TERM and KILL
    of a job that is over its time.
    """

    name = "local"

    def __init__(
        self, slots: int, inbox: Inbox, scratch: str, *, db: str, perform: str | None, home: str, grace: float
    ) -> None:
        self.slots = slots
        self._inbox = inbox
        self._grace = grace
        self._selector = selectors.DefaultSelector()
        self._selector.register(inbox.fileno(), selectors.EVENT_READ, None)
        spawner = Spawner()
        self._slots = [Slot(self._selector, spawner, scratch, db, perform, home) for _ in range(slots)]
        self._reports: list[Report] = []

    def free(self) -> int:
        """How many slots are empty."""
        return sum(slot.claim is None for slot in self._slots)

    def start(self, claims: Sequence[Claim]) -> None:
        """Start each claim in a slot, a callable preferably where a worker of its folder waits."""
        for claim in claims:
            empty = [slot for slot in self._slots if slot.claim is None]
            slot = next((slot for slot in empty if slot.suits(claim)), empty[0])
            refusal = slot.start(claim)
            if refusal is not None:
                status = INTERRUPTED if refusal.of_machine else FAILED
                self._reports.append(_never_started(claim, status, refusal))

    def poll(self, timeout: float | None) -> list[Report]:
        """Wait for output, answers, endings and deadlines."""
        if self._reports:
            timeout = 0
        deadlines = [slot.deadline for slot in self._slots if slot.deadline is not None]
        if deadlines:
            until = max(0.0, min(deadlines) - time.monotonic())
            timeout = until if timeout is None else min(until, timeout)
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._inbox.drain()
            else:
                key.data()
        self._reap()
        for slot in self._slots:
            if slot.claim is None:
                continue
            if slot.answer is not None:
                self._reports.append(slot.answered())
            elif slot.deadline is not None and slot.deadline <= time.monotonic():
                slot.enforce(TIMED_OUT, self._grace)
        reports, self._reports = self._reports, []
        return reports

    def stop(self, tokens: Iterable[str], status: str, grace: float) -> None:
        """End attempts before their time."""
        chosen = set(tokens)
        for slot in self._slots:
            if slot.claim is not None and slot.claim.token in chosen:
                slot.enforce(status, grace)

    def close(self) -> None:
        """End the workers and whatever is left below this process."""
        for slot in self._slots:
            slot.close()
        if tree.CAN_TRACE:
            tree.end_descendants(self._grace)
        self._selector.close()

    def _reap(self) -> None:
        """Collect every child that has ended: jobs, workers, and orphans that came to us as their subreaper."""
        ended: list[tuple[Slot, int, resource.struct_rusage]] = []
        slots = {slot.pid: slot for slot in self._slots if slot.pid is not None}
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if (slot := slots.get(pid)) is not None:
                if not tree.CAN_TRACE:
                    tree.kill_group(pid, signal.SIGKILL)
                ended.append((slot, os.waitstatus_to_exitcode(status), usage))
        for slot, code, usage in ended:
            if (report := slot.ended(code, usage, self._end_leftovers)) is not None:
                self._reports.append(report)

    def _end_leftovers(self, slot: Slot, token: str, leader: int) -> int:
        """Kill what an ended attempt left behind; how many processes were alive.

        Every survivor has become our child when its parent died. It belongs to the attempt if it is of its session, or
        carries its token; one that hides both belongs to it unless a job that runs now could have started it.
        """
        count = 0
        while orphans := [pid for pid in self._orphans() if self._belongs(pid, token, leader, slot)]:
            for pid in [*orphans, *(below for orphan in orphans for below in tree.descendants(orphan))]:
                if not tree.is_zombie(pid):
                    count += 1
                    tree.kill(pid, signal.SIGKILL)
            for pid in orphans:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        return count

    def _orphans(self) -> list[int]:
        known = {slot.pid for slot in self._slots}
        return [pid for pid in tree.own_children() if pid not in known]

    def _belongs(self, pid: int, token: str, leader: int, slot: Slot) -> bool:
        if tree.session(pid) == leader:
            return True
        carried = tree.token_of(pid)
        if carried is not None:
            return carried == token
        others = [other for other in self._slots if other is not slot and other.claim is not None]
        return not others


def _never_started(claim: Claim, status: str, refusal: Refusal) -> Ended:
    now = clock.now()
    failure = Failure(refusal.type, refusal.message)
    return Ended(claim, Outcome(status, failure=failure, started_at=now, finished_at=now))
