"""The events of a run for its handlers: start and end of the run and of each attempt."""

from collections.abc import Mapping, Sequence

from batchq import clock
from batchq.events import Event, Handler, emit
from batchq.jobs.attempt import INTERRUPTED, SUCCEEDED, Claim, Outcome, payload
from batchq.runner.tally import Tally
from batchq.store.running.recording import Settled


class Emitter:
    """Emits events to ``handlers``; without handlers it does not even build them."""

    def __init__(self, handlers: Sequence[Handler], store: str) -> None:
        self._handlers = handlers
        self._store = store
        self._late = [handler.push for handler in handlers if hasattr(handler, "push")]

    def push(self) -> None:
        """Continue writing what a slow reader has not taken yet."""
        for push in self._late:
            push()

    def run_starts(self, slots: int, executor: str) -> None:
        """``run.start``."""
        self._emit("run.start", {"slots": slots}, {"store": self._store, "executor": executor})

    def run_stops(self, tally: Tally) -> None:
        """``run.stop``."""
        counts = {"succeeded": tally.succeeded, "failed": len(tally.failed), "retried": tally.retried}
        self._emit(
            "run.stop", {"duration": tally.seconds, **counts}, {"store": self._store, "status": tally.exit_code()}
        )

    def job_starts(self, claim: Claim) -> None:
        """``job.start``, once the claim is on disk."""
        if self._handlers:
            self._emit("job.start", {}, _about(claim), claim)

    def jobs_end(self, settled: Sequence[Settled]) -> None:
        """``job.stop`` or ``job.error`` for each, once the outcomes are on disk."""
        if not self._handlers:
            return
        for claim, outcome, settlement in settled:
            facts = {**_about(claim), "state": settlement.state, "outcome": outcome.status}
            if outcome.status in (SUCCEEDED, INTERRUPTED):
                name, facts["result"] = "job.stop", outcome.result
            else:
                name, facts["error"] = "job.error", _error(outcome)
            self._emit(name, {"duration": outcome.seconds}, facts, claim)

    def _emit(
        self, name: str, measurements: Mapping[str, float], metadata: Mapping[str, object], claim: Claim | None = None
    ) -> None:
        job, attempt = (None, None) if claim is None else (claim.id, claim.attempt)
        emit(self._handlers, Event(name, clock.now(), job, attempt, measurements, metadata))


def _about(claim: Claim) -> dict[str, object]:
    return {"name": claim.name, "batch": claim.batch, "queue": claim.queue, "payload": payload(claim)}


def _error(outcome: Outcome) -> dict[str, object]:
    kind, message, trace, *_ = outcome.failure or (None, None, None)
    return {
        "type": kind,
        "message": message,
        "traceback": trace or None,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
    }
