"""What follows from an outcome: the settle table of docs/semantics.md, as one pure function.

States: ``held blocked scheduled queued running succeeded failed cancelled``.
"""

from collections.abc import Callable

from batchq import clock
from batchq.jobs.attempt import (
    CANCELLED,
    CRASHED,
    FAILED,
    INTERRUPTED,
    MACHINE_BUSY,
    SUCCEEDED,
    TIMED_OUT,
    UNKILLABLE,
    Budget,
    Failure,
    Outcome,
)
from batchq.jobs.retrying import allows, asks_for_retry
from batchq.named import NamedTuple

STATES = ("held", "blocked", "scheduled", "queued", "running", "succeeded", "failed", "cancelled")
FINAL = ("succeeded", "failed", "cancelled")
INTERRUPTION_LIMIT = 10  #: interruptions in a row after which a job is held instead of requeued
LONGEST_DELAY = 3_600_000  #: a retry never waits longer than an hour, in milliseconds


Delay = Callable[[int, int], int]  #: (base in ms, number of the retry) -> ms


class Settlement(NamedTuple):
    """The next state of a job, when it is due (``scheduled`` only), its counts, and why in a few words.

    Counts that are None stay as they are.
    """

    state: str
    due_at: int | None
    failures: int | None
    crashes: int | None
    interruptions: int
    why: str | None


#: What follows from a success, whatever happened before. Most attempts succeed, so no budget is read for them.
SUCCESS = Settlement("succeeded", None, None, None, 0, None)


def full_jitter(base: int, nth: int) -> int:
    """The delay before retry ``nth`` (1, 2, …) in milliseconds: uniform in 0 … base · 2^(nth-1), at most an hour.

    Full jitter as in Brooker, "Exponential Backoff And Jitter" (AWS, 2015), computed by tenacity's strategy of that
    name. tenacity never sleeps here: the delay becomes the ``due_at`` of a scheduled job.
    """
    if not base:  # tenacity returns the longest delay for what it cannot compute, as 0 times 2 to the 1,024th
        return 0
    try:
        from tenacity import RetryCallState, Retrying, wait_random_exponential
    except ImportError:  # an upgrade may remove it while a run continues
        import random

        return round(random.uniform(0, min(base * 2 ** min(nth - 1, 64), LONGEST_DELAY)))

    call = RetryCallState(Retrying(), None, (), {})
    call.attempt_number = min(
        nth, 64
    )  # beyond that any base exceeds the longest delay, and 2 to the nth could overflow
    return round(1000 * wait_random_exponential(multiplier=base / 1000, max=LONGEST_DELAY / 1000)(call))


def settle(job: Budget, outcome: Outcome, now: int, delay: Delay = full_jitter) -> Settlement:
    """Decide what becomes of a job whose attempt ended; ``now`` in milliseconds, ``delay(base, nth)`` likewise.

    ``failed`` and ``timed_out`` draw on ``max_attempts``, ``crashed`` on ``max_crashes``; an interruption costs
    neither, and one for which the job asked (``batchq.Snooze``) draws on ``max_snoozes``. Raises nothing: an unknown
    status is a programming error and ends in KeyError.
    """
    return _TABLE[outcome.status](job, outcome, now, delay)


def is_snooze(outcome: Outcome) -> bool:
    """Whether the job raised ``batchq.Snooze``."""
    return outcome.status == INTERRUPTED and outcome.retry_after is not None


def withdrawn(to: Settlement) -> Settlement:
    """Settle a job that was cancelled while it ran: it is not retried, but its outcome stays."""
    if to.state in FINAL:
        return to
    return to._replace(state="cancelled", due_at=None, why="cancelled by hand")


def _succeeded(job: Budget, outcome: Outcome, now: int, delay: Delay) -> Settlement:
    return SUCCESS


def _failed(job: Budget, outcome: Outcome, now: int, delay: Delay) -> Settlement:
    failures = job.failures + 1
    if outcome.is_final:
        return Settlement("failed", None, failures, job.crashes, 0, _why_final(outcome.failure))
    if failures < job.max_attempts and not allows(job, outcome):
        return Settlement("failed", None, failures, job.crashes, 0, "a failure of this kind is not retried")
    if failures < job.max_attempts:
        pause = delay(job.backoff, failures) if outcome.retry_after is None else min(outcome.retry_after, clock.LONGEST)
        return Settlement("scheduled", now + pause, failures, job.crashes, 0, "retry")
    if asks_for_retry(outcome):
        needed = f"it asks for another attempt; that takes max_attempts = {failures + 1} or more"
        return Settlement("failed", None, failures, job.crashes, 0, needed)
    return Settlement("failed", None, failures, job.crashes, 0, None)


def _why_final(failure: Failure | None) -> str:
    kind = "" if failure is None else failure.type
    if kind == UNKILLABLE:
        return "a process of it is still alive"
    if kind.startswith("Result"):
        return "another attempt would return no other kind of value"
    return "the job asked not to be tried again"


def _crashed(job: Budget, outcome: Outcome, now: int, delay: Delay) -> Settlement:
    crashes = job.crashes + 1
    if job.on_crash == "hold":
        why = "its runner or worker died while it ran, and on_crash is 'hold'"
        return Settlement("held", None, job.failures, crashes, 0, why)
    if crashes < job.max_crashes:
        due = now + delay(job.backoff, crashes)
        return Settlement("scheduled", due, job.failures, crashes, 0, "retry")
    return Settlement("failed", None, job.failures, crashes, 0, f"crashed {crashes} times")


def _interrupted(job: Budget, outcome: Outcome, now: int, delay: Delay) -> Settlement:
    if is_snooze(outcome) and outcome.retry_after is not None:
        return _snoozed(job, outcome.retry_after, now)
    is_counted = outcome.failure is None or outcome.failure.type != MACHINE_BUSY
    interruptions = job.interruptions + is_counted
    if job.on_crash == "hold" and outcome.started_at is not None:
        why = "interrupted while it ran, and on_crash is 'hold'"
        return Settlement("held", None, job.failures, job.crashes, interruptions, why)
    if is_counted and interruptions >= INTERRUPTION_LIMIT:
        why = f"interrupted {interruptions} times in a row"
        return Settlement("held", None, job.failures, job.crashes, interruptions, why)
    return Settlement("queued", None, job.failures, job.crashes, interruptions, None)


def _snoozed(job: Budget, delay: int, now: int) -> Settlement:
    if job.snoozes + 1 >= job.max_snoozes:
        why = f"batchq.Snooze was raised {job.max_snoozes:,} times, and max_snoozes allows no more"
        return Settlement("failed", None, job.failures, job.crashes, 0, why)
    return Settlement("scheduled", now + delay, job.failures, job.crashes, 0, "retry")


def _cancelled(job: Budget, outcome: Outcome, now: int, delay: Delay) -> Settlement:
    return Settlement("cancelled", None, job.failures, job.crashes, 0, "cancelled while it ran")


_TABLE: dict[str, Callable[[Budget, Outcome, int, Delay], Settlement]] = {
    SUCCEEDED: _succeeded,
    FAILED: _failed,
    TIMED_OUT: _failed,
    CRASHED: _crashed,
    INTERRUPTED: _interrupted,
    CANCELLED: _cancelled,
}
