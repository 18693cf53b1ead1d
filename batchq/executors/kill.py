"""The kill of an attempt: TERM, later KILL, and what that makes of its outcome."""

import signal
import time

from batchq import clock
from batchq.executors import outcomes
from batchq.jobs.attempt import CANCELLED, FAILED, SUCCEEDED, TIMED_OUT, UNKILLABLE, Claim, Failure, Outcome
from batchq.processes import proc, tree

SURVIVED = 10  #: milliseconds after a signal in which a worker ends because of it
PATIENCE = 60.0  #: seconds that a process may survive SIGKILL before its slot is given up (as in Slurm)


class Kill:
    """The kill of an attempt: the status that it ends with, and when KILL follows TERM."""

    def __init__(self) -> None:
        self.status: str | None = None
        self.is_killed = False

    def enforce(self, pid: int, status: str, grace: float) -> float:
        """Send TERM to the group first, later KILL to it and all descendants; return when (monotonic) to call again."""
        first = self.status is None
        self.status = self.status or status
        if first and grace > 0:
            tree.kill_group(pid, signal.SIGTERM)
            tree.kill_group(pid, signal.SIGCONT)  # a stopped process would not see the TERM
            return time.monotonic() + grace
        below = proc.descendants(pid)
        tree.kill_group(pid, signal.SIGKILL)
        for child in below:
            tree.kill(child, signal.SIGKILL)
        self.is_killed = True
        return time.monotonic() + (PATIENCE if tree.may_end(pid) else 0)


class TaskKill(Kill):
    """The kill of the task that runs in a worker. It must not hit the tasks after that, which run in the same process."""

    def __init__(self) -> None:
        super().__init__()
        self.signalled_at: int | None = None  # milliseconds since 1970

    def enforce(self, pid: int, status: str, grace: float) -> float:
        """Send TERM, or KILL to all, as for a command."""
        self.signalled_at = clock.now()
        return super().enforce(pid, status, grace)

    def judged(self, outcome: Outcome, ended_at: int, failure: Failure | None) -> Outcome:
        """Return the outcome of a task that has answered after a signal, perhaps because of it.

        ``failure`` is that of a task that has timed out.
        """
        status, signalled_at = self.status, self.signalled_at or 0
        self.status, self.is_killed = None, False
        if ended_at > signalled_at + SURVIVED:
            self.signalled_at = None
        if status is None or ended_at < signalled_at:
            return outcome
        return outcomes.imposed(outcome, status, failure)


def overrun(claim: Claim, meanwhile: str = "") -> Failure:
    """Make the failure of an attempt that exceeded its timeout."""
    assert claim.timeout is not None
    return Failure("TimedOut", f"ran longer than its timeout of {clock.show_duration(claim.timeout)}{meanwhile}")


def unkillable(outcome: Outcome, why: str) -> Outcome:
    """Make the outcome of an attempt with a surviving process: unless it succeeded, no other may begin next to that."""
    if outcome.status in (SUCCEEDED, CANCELLED):
        return outcome
    status = TIMED_OUT if outcome.status == TIMED_OUT else FAILED
    failure = Failure(UNKILLABLE, f"{why}; it is still alive, so the job is not tried again")
    return outcome._replace(status=status, result=None, failure=failure, is_final=True)
