"""The exit of a process that performed a single callable: what it does and prints then belongs to that job.

``python -c 'import m; m.f()'`` works in the same way: exit handlers, non-daemon threads and buffered files finish before
the command has ended, and the exit status of the process is that of the command.
"""

import time

from batchq import clock
from batchq.jobs.attempt import FAILED, SUCCEEDED, TIMED_OUT, Failure, Outcome

LEAST = 3.0  #: seconds that a process has to exit, however short the grace is: freeing large modules takes time


class ExitResult:
    """``outcome`` is how the function ended; its process must exit until ``due`` (monotonic seconds).

    That is after ``grace`` seconds, at least ``LEAST``, or at ``timeout_at`` if the job times out before.
    """

    def __init__(self, outcome: Outcome, grace: float, timeout_at: float | None) -> None:
        grace = max(grace, LEAST)
        self._outcome = outcome
        self._grace = grace
        self._returned_at = time.monotonic()
        self._has_timeout = timeout_at is not None and timeout_at < self._returned_at + grace
        self.due = self._returned_at + grace if timeout_at is None else min(timeout_at, self._returned_at + grace)

    def outcome(self, code: int | None, imposed: str | None, overrun: Failure | None) -> Outcome:
        """Return how the attempt ended whose process exited with ``code`` (None: not even when killed).

        ``imposed`` is the status of a kill, ``overrun`` the failure of a timeout. A function that failed keeps its own
        failure.
        """
        outcome = self._outcome._replace(
            seconds=self._outcome.seconds + time.monotonic() - self._returned_at, finished_at=clock.now()
        )
        if outcome.status != SUCCEEDED or (code == 0 and imposed is None):
            return outcome
        if imposed == TIMED_OUT and not self._has_timeout:
            allowed = clock.show_duration(round(1000 * self._grace))
            message = f"the function returned, but its process had not ended {allowed} later, and was killed"
            return outcome._replace(status=FAILED, result=None, failure=Failure("NoEnd", message))
        if imposed is not None:
            return outcome._replace(status=imposed, result=None, failure=overrun if imposed == TIMED_OUT else None)
        if code is None:
            return outcome
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return outcome._replace(
            status=FAILED,
            exit_code=code if code > 0 else None,
            signal=-code if code < 0 else None,
            result=None,
            failure=Failure("WorkerDied", f"the function returned, and then its process {how}"),
        )
