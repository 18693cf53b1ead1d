"""Jobs that are cancelled while they run: their runner checks for them and stops them."""

import time
from collections.abc import Sequence

from batchq import clock
from batchq.executors.seam import Executor, Lost, Refused
from batchq.jobs.attempt import CANCELLED, CRASHED, INTERRUPTED, MACHINE_BUSY, Failure, Outcome
from batchq.store.file.connection import Store
from batchq.store.running import forecast
from batchq.store.running.recording import Settled
from batchq.store.running.runners import Runner

LOOK = 0.25  #: seconds between checks
AGAIN = 0.01  #: seconds between checks after the bell has rung,
ALERT = 0.1  #: for this long: the bell rings on a write, and what was written can be read a moment later


class Cancellations:
    """``look_at`` is when the next check is due, in monotonic seconds; ``grace`` is the time from TERM to KILL."""

    def __init__(self, store: Store, me: Runner, executor: Executor, grace: float) -> None:
        self.look_at = 0.0
        self._store = store
        self._me = me
        self._executor = executor
        self._grace = grace
        self._tokens: set[str] = set()
        self._alert_until = 0.0

    def alert(self, soon: float) -> None:
        """Check at ``soon`` (monotonic seconds) and often for a while, because somebody has written to the store."""
        self.look_at = min(self.look_at, soon)
        self._alert_until = time.monotonic() + ALERT

    def stop_cancelled(self) -> None:
        """Stop the jobs cancelled since the last check, if a check is due. Raises BusyError, LedgerError."""
        now = time.monotonic()
        if now < self.look_at:
            return
        self.look_at = now + (AGAIN if now < self._alert_until else LOOK)
        if tokens := set(forecast.cancelled_tokens(self._store, self._me)).difference(self._tokens):
            self._tokens |= tokens
            self._executor.stop(tokens, CANCELLED, self._grace)

    def forget(self, settled: Sequence[Settled]) -> None:
        """Forget attempts that have ended."""
        if self._tokens:
            self._tokens.difference_update(one.claim.token for one in settled)

    def outcome(self, lost: Lost, refusal: Refused | None, *, is_stopped: bool) -> Outcome:
        """The outcome of an attempt whose process was lost, or that never started.

        A signal that has stopped the run may have been sent to what leads to the place, too (systemd): no crash then.

        Elsewhere the latter is not even counted: claims come back when a place goes, when another has room, and when the
        run has met a ``refusal``, as often as that happens.
        """
        if lost.claim.token in self._tokens:
            return Outcome(CANCELLED, host=lost.host)
        if not lost.started and self._executor.lease is not None:
            why = "it had not begun, and its place gave it back" if refusal is None else refusal.reason
            return Outcome(INTERRUPTED, failure=Failure(MACHINE_BUSY, why))
        if not lost.started:
            return Outcome(INTERRUPTED)
        failure = Failure("WorkerLost", "the place where it ran is gone")
        started, now = lost.claim.started_at, clock.now()
        if is_stopped:
            return Outcome(INTERRUPTED, started_at=started, finished_at=now, host=lost.host)
        return Outcome(CRASHED, failure=failure, started_at=started, finished_at=now, host=lost.host)
