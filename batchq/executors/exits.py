"""The end of a process that was there for one callable: what it does and says then belongs to that job.

So it is with ``python -c 'import m; m.f()'``: exit handlers, threads that are not daemons and buffered files come to
their end before the command has ended, and how the process ends is the end of the command.
"""

import time

from batchq import clock
from batchq.jobs.attempt import FAILED, SUCCEEDED, TIMED_OUT, Failure, Outcome

LEAST = 3.0  #: seconds that a process has to end, however short the grace is: to let go of large modules takes time


class ExitResult:
    """``outcome`` is how the function ended; its process is to end until ``due`` (monotonic seconds).

    That is after ``grace`` seconds, ``LEAST`` at least, or at ``timeout_at`` where the time of the job is over before.
    """

    def __init__(self, outcome: Outcome, grace: float, timeout_at: float | None) -> None:
        grace = max(grace, LEAST)
        self._outcome = outcome
        self._grace = grace
        self._returned_at = time.monotonic()
        self._has_timeout = timeout_at is not None and timeout_at < self._returned_at + grace
        self.due = self._returned_at + grace if timeout_at is None else min(timeout_at, self._returned_at + grace)

    def outcome(self, code: int | None, imposed: str | None, overrun: Failure | None) -> Outcome:
        """How the attempt ended, whose process ended with ``code`` (None: not even when killed).

        ``imposed`` is the end that was imposed on it, ``overrun`` what is said of one that was over its time. Of a
        function that failed, its own failure stays.
        """
        outcome = self._outcome._replace(
            seconds=self._outcome.seconds + time.monotonic() - self._returned_at, finished_at=clock.now()
        )
        if outcome.status != SUCCEEDED or (code == 0 and imposed is None):
            return outcome
        if imposed == TIMED_OUT and not self._has_timeout:
            allowed = clock.show_duration(round(1000 * self._grace))
            said = f"the function returned, but its process had not ended {allowed} later, and was killed"
            return outcome._replace(status=FAILED, result=None, failure=Failure("NoEnd", said))
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
