"""What a job may ask and say while it runs: ``current_job()``, ``raise Retry(delay="5m")``, ``raise Discard("why")``,
``raise Snooze("1m")``."""

import logging
import os
import sys
from typing import NamedTuple

from batchq import clock


class Retry(Exception):
    """Raised by a callable: this attempt failed, try again after ``delay`` (``"5m"``; None: the usual back-off).

    It counts like any failed attempt: the retry happens only while ``max_attempts`` allows one.
    """

    def __init__(self, message: str = "the job asked to be tried again", *, delay: str | None = None) -> None:
        super().__init__(message)
        self.delay_ms = None if delay is None else clock.duration(delay)


class Discard(Exception):
    """Raised by a callable: this job failed for good, whatever ``max_attempts`` would still allow."""


class Snooze(Exception):
    """Raised by a callable: its time has not come yet, try again after ``delay`` (``"1m"``).

    It costs no attempt, and may happen ``max_snoozes`` times. What it waits for may be told in ``message``.
    """

    def __init__(self, delay: str, message: str = "its time has not come yet") -> None:
        super().__init__(message)
        self.delay_ms = clock.duration(delay)


class Context(NamedTuple):
    """The attempt that runs: its numbers and labels; ``deadline`` in seconds since 1970, None without a timeout."""

    id: int
    attempt: int
    batch: str
    queue: str
    key: str | None
    deadline: float | None
    log: logging.Logger


def current_job() -> Context:
    """The attempt in which this process runs; a command that is a Python program may ask, too.

    It is read from the ``BATCHQ_*`` variables. Raises RuntimeError outside of a job.
    """
    told = os.environ
    if "BATCHQ_JOB_ID" not in told:
        raise RuntimeError("this process is no job of batchq")
    deadline = told.get("BATCHQ_DEADLINE")
    return Context(
        int(told["BATCHQ_JOB_ID"]),
        int(told["BATCHQ_ATTEMPT"]),
        told["BATCHQ_BATCH"],
        told["BATCHQ_QUEUE"],
        told.get("BATCHQ_KEY"),
        None if deadline is None else float(deadline),
        _logger((told["BATCHQ_JOB_ID"], told["BATCHQ_ATTEMPT"])),
    )


class _Stderr(logging.Handler):
    """Writes to what ``sys.stderr`` is when it writes: it is another object in each attempt, and may be redirected."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def _logger(attempt: tuple[str, str]) -> logging.Logger:
    """The one logger of all jobs, as it is at first where the attempt is another than the last that asked."""
    logger = logging.getLogger("batchq.job")
    if _logging.get("attempt") != attempt:
        _logging["attempt"] = attempt
        handler = _Stderr()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.handlers[:] = [handler]
        logger.filters.clear()
        logger.setLevel(logging.INFO)
        logger.disabled = logger.propagate = False
    return logger


_logging: dict[str, tuple[str, str]] = {}
