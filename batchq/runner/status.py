"""``--pass-exit-code``: the exit code of the job as that of the run, as ``timeout``, ``env`` and a shell report it."""

from batchq.jobs.attempt import TIMED_OUT
from batchq.store.answering.answers import Last

TIMEOUT, NOT_EXECUTABLE, NOT_FOUND = 124, 126, 127  #: the codes of timeout(1), and of a shell
_OF_ERRORS = {"NoSuchProgram": NOT_FOUND, "NotExecutable": NOT_EXECUTABLE, "CannotExecute": NOT_EXECUTABLE}


def passed(last: Last) -> int | None:
    """Return the exit code of a job, as its last attempt ended; None if it has neither succeeded nor failed.

    A job that has failed never gives 0.
    """
    if last.state == "succeeded":
        return last.exit_code or 0
    if last.state != "failed":
        return None
    if last.outcome == TIMED_OUT:
        return TIMEOUT
    if last.signal is not None:
        return 128 + last.signal
    return last.exit_code or _OF_ERRORS.get(last.error_type or "", 1)
