"""The outcome of a worker's task: from its answer, its kill, or the death of the worker."""

import binascii
import json
import signal
import sys
from collections.abc import Callable

from batchq.jobs.attempt import CRASHED, FAILED, INTERRUPTED, SUCCEEDED, TIMED_OUT, Failure, Outcome, Printout, Stream
from batchq.named import NamedTuple
from batchq.processes.worker.wire import DISCARD, RESULT, SNOOZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.processes.resident import Answer


class Death(NamedTuple):
    """The end of a worker process in the middle of a task.

    ``code`` is negative for a signal, and None for a process that survived SIGKILL. ``imposed`` is the status of a kill.
    ``is_late``: a signal meant for the previous task may have hit this one.
    ``has_reported`` and ``is_garbled`` are those of the Resident; ``python`` is that of the job.
    """

    code: int | None
    imposed: str | None
    is_late: bool
    has_reported: bool
    is_garbled: bool
    python: str | None


def answered(answer: "Answer", printout: Printout) -> Outcome:
    """Make the outcome of a task that has answered."""
    (kind, began_at, ended_at, seconds, cpu, peak, code, leftovers, threads, again, _, _), _, text = answer
    out, err, turns = printout
    if kind == RESULT:  # by position, which takes half the time: there are very many of these
        return Outcome(
            SUCCEEDED, None if code < 0 else code, None, seconds, cpu, peak or None, text, None, out, err, leftovers,
            began_at, ended_at, None, False, None, threads, None, turns,
        )  # fmt: skip
    return Outcome(
        INTERRUPTED if kind == SNOOZE else FAILED,
        exit_code=None if code < 0 else code,
        seconds=seconds,
        cpu=cpu,
        peak=peak or None,
        failure=Failure(*json.loads(text)),
        stdout=out,
        stderr=err,
        leftovers=leftovers,
        started_at=began_at,
        finished_at=ended_at,
        retry_after=None if again < 0 else again,
        is_final=kind == DISCARD,
        threads=threads,
        turns=turns,
    )


def imposed(outcome: Outcome, status: str, overrun: Failure | None) -> Outcome:
    """Make the outcome of a task that answered after it was killed as ``status``."""
    failure = overrun if status == TIMED_OUT else None
    return outcome._replace(status=status, result=None, retry_after=None, is_final=False, failure=failure)


def on_death(
    death: Death, overrun: Failure | None, meanwhile: str, saw_oom_kill: Callable[[], bool]
) -> tuple[str, Failure | None]:
    """Return the status and failure of a task whose worker ended before it answered.

    ``saw_oom_kill`` is called only if nothing else explains a SIGKILL, because it reports each kill once.
    """
    code = death.code
    if death.imposed is not None:
        return death.imposed, overrun if death.imposed == TIMED_OUT and code is not None else None
    if code is None:
        return FAILED, None
    if death.is_late and code in (-signal.SIGTERM, -signal.SIGKILL):
        return INTERRUPTED, None
    if code >= 0 and not death.has_reported and death.python not in (None, sys.executable):
        problem = f"its Python, {death.python}, ended with exit code {code} before it could import anything"
        return FAILED, Failure("NoSuchPython", f"{problem}: it must be a whole Python 3.11 or newer")
    if death.is_garbled:
        return CRASHED, Failure("WorkerDied", "it wrote into the connection of its worker, which was then killed")
    if code == -signal.SIGKILL and saw_oom_kill():
        problem = "its worker was killed, and the kernel ran out of memory for this control group meanwhile"
        return CRASHED, Failure("OutOfMemory", problem)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return CRASHED, Failure("WorkerDied", f"its worker process {how}{meanwhile}")


def printed(output: str) -> Printout:
    """Return what a task printed to the files of its worker, which has sent the beginning and the end."""
    streams = json.loads(output)
    return Printout(_stream(streams.get("stdout")), _stream(streams.get("stderr")))


def _stream(kept: tuple[str, str, int] | None) -> Stream | None:
    if kept is None:
        return None
    head, tail, total = kept
    return Stream(binascii.a2b_base64(head), binascii.a2b_base64(tail), total)
