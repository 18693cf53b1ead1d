"""What a running job can use: ``current_job()``, ``raise Retry(delay="5m")``, ``raise Discard("why")``,
``raise Snooze("1m")``."""

import json
import logging
import os
import sys
from typing import Any, NamedTuple

from batchq import clock


class Retry(Exception):
    """Raised by a callable: this attempt failed; try again after ``delay`` (``"5m"``; None: the usual back-off).

    It counts as a failed attempt: the retry happens only if ``max_attempts`` allows one.
    """

    def __init__(self, message: str = "the job asked to be tried again", *, delay: str | None = None) -> None:
        super().__init__(message)
        self.delay_ms = None if delay is None else clock.duration(delay)


class Discard(Exception):
    """Raised by a callable: this job has failed, whatever ``max_attempts`` would still allow."""


class Snooze(Exception):
    """Raised by a callable: it is too early; try again after ``delay`` (``"1m"``).

    It costs no attempt and may happen ``max_snoozes`` times. ``message`` may say what the job waits for.
    """

    def __init__(self, delay: str, message: str = "its time has not come yet") -> None:
        super().__init__(message)
        self.delay_ms = clock.duration(delay)


class Context(NamedTuple):
    """The running attempt: its numbers and labels; ``deadline`` in seconds since 1970, None without a timeout; ``slot``,
    from 1 to the ``-j`` of the run, is shared with no other job that runs in it."""

    id: int
    attempt: int
    batch: str
    queue: str
    key: str | None
    deadline: float | None
    log: logging.Logger
    slot: int


class ParentJob(NamedTuple):
    """A job after which this one runs, and how it ended. ``kind`` is ``after``, ``after_any`` or ``after_failed``.

    ``outcome`` and what follows are of its last attempt; ``seconds`` is how long that took. ``result`` is what it returned,
    None if ``result_left_out``, because the results of all parents are over 1 MiB.
    """

    id: int
    name: str | None
    key: str | None
    batch: str
    kind: str
    state: str
    attempt: int
    outcome: str | None
    exit_code: int | None
    signal: int | None
    error_type: str | None
    error: str | None
    seconds: float | None
    finished_at: str | None
    result_left_out: bool
    result: Any


def parents() -> list[ParentJob]:
    """Return the jobs after which this one runs, by id; at most the first 1,000.

    It is read from ``$BATCHQ_PARENTS_FILE``, which only a job with parents has. Raises RuntimeError outside a job.
    """
    if "BATCHQ_JOB_ID" not in os.environ:
        raise RuntimeError("this process is not a job of batchq")
    path = os.environ.get("BATCHQ_PARENTS_FILE")
    if path is None:
        return []
    with open(path, encoding="utf-8") as file:
        found = json.load(file)["parents"]
    return [ParentJob._make(one[name] for name in ParentJob._fields) for one in found]


def current_job() -> Context:
    """Return the attempt in which this process runs. A command that is a Python program may call it, too.

    It is read from the ``BATCHQ_*`` variables. Raises RuntimeError outside a job.
    """
    given = os.environ
    if "BATCHQ_JOB_ID" not in given:
        raise RuntimeError("this process is not a job of batchq")
    deadline = given.get("BATCHQ_DEADLINE")
    return Context(
        int(given["BATCHQ_JOB_ID"]),
        int(given["BATCHQ_ATTEMPT"]),
        given["BATCHQ_BATCH"],
        given["BATCHQ_QUEUE"],
        given.get("BATCHQ_KEY"),
        None if deadline is None else float(deadline),
        _logger((given["BATCHQ_JOB_ID"], given["BATCHQ_ATTEMPT"])),
        int(given.get("BATCHQ_SLOT", "1")),
    )


class _Stderr(logging.Handler):
    """Writes to the current ``sys.stderr``: it is a different object in each attempt, and may be redirected."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def _logger(attempt: tuple[str, str]) -> logging.Logger:
    """Return the one logger of all jobs, reset if the attempt differs from that of the last call."""
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
