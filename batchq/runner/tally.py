"""What a run is to do, and what it has done."""

from typing import NamedTuple

from batchq.jobs.attempt import INTERRUPTED, Ended
from batchq.store.ledger import Settled, Wanted


class Plan(NamedTuple):
    """What one run is to do: which jobs, at most how many, and how long running jobs may finish when it is stopped."""

    wanted: Wanted
    max_jobs: int | None = None
    grace: float = 10.0


class Tally:
    """What a run has done so far. ``failed`` holds the ids of jobs that ended failed and that this run answers for."""

    def __init__(self) -> None:
        self.succeeded = 0
        self.failed: list[int] = []
        self.retried = 0
        self.interrupted = 0
        self.other = 0
        self.running = 0
        self.started = 0
        self.rescued = 0
        self.unrecorded: list[Ended] = []
        self.refusal: str | None = None
        self.signal: int | None = None
        self.left_alone: dict[str, int] = {}
        self.work_left = False

    def exit_code(self) -> int:
        """What a script sees: a signal comes before a lost result, that before a failed job, that before success."""
        if self.signal is not None:
            return 128 + self.signal
        if self.unrecorded:
            return 74
        if self.refusal is not None:
            return 78
        return 1 if self.failed else 0

    def take(self, one: Settled) -> None:
        """Count an accepted outcome."""
        state = one.settlement.state
        if one.outcome.status == INTERRUPTED:
            self.interrupted += 1
        elif state == "succeeded":
            self.succeeded += 1
        elif state == "failed":
            self.failed.append(one.claim.id)
        elif state == "scheduled":
            self.retried += 1
        else:
            self.other += 1
