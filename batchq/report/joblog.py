"""Finished jobs as the job log of GNU parallel, for its ``--resume``, ``--resume-failed`` and ``--retry-failed``."""

import json
import shlex
from collections.abc import Iterator

from batchq.report.program import program
from batchq.store.looking.rows import Job
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.report.formats import Scope

_COLUMNS = ("Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command")
_TERM = 15


def rows(scope: "Scope") -> Iterator[str]:
    """Yield the row of names, then the rows of each page of jobs.

    Seq is the position of a job in the selection. Jobs that have not succeeded or failed are left out: parallel runs
    them when it resumes.
    """
    batchq = program(scope.db)
    yield "\t".join(_COLUMNS) + "\n"
    before = 0
    for page in scope.pages():
        yield "".join([_row(job, seq, batchq) for seq, job in enumerate(page, before + 1) if _is_done(job)])
        before += len(page)


def _is_done(job: Job) -> bool:
    return job.state in ("succeeded", "failed")


def _row(job: Job, seq: int, batchq: str) -> str:
    code, signal = _ending(job)
    start = (job.started_at or 0) / 1000
    command = _command(job) or f"{batchq} retry {job.id}"
    line = command.replace("\n", "\0")  # as parallel writes and reads it
    return f"{seq}\t:\t{start:.3f}\t{job.seconds or 0:10.3f}\t0\t0\t{code}\t{signal}\t{line}\n"


def _ending(job: Job) -> tuple[int, int]:
    """Return the exit code and the signal as parallel records them; both are 0 for a success only."""
    if job.state == "succeeded":  # also with another exit code that counts as success
        return 0, 0
    if job.end is not None and job.end.outcome == "timed_out":
        return -1, _TERM
    if job.end is not None and job.end.signal:
        return 0, job.end.signal
    return (job.end and job.end.exit_code) or 1, 0


def _command(job: Job) -> str:
    """Return the line for a shell that runs the same command; "" if there is none, or none without control characters."""
    try:
        words = json.loads(job.work)
        if job.kind == "argv":
            line = shlex.join(words)
        elif job.kind == "shell":
            script, *parameters = words
            line = shlex.join(["/bin/sh", "-c", script, "sh", *parameters]) if parameters else script
        else:
            return ""
        return line if visible(line) == line else ""
    except (ValueError, TypeError, RecursionError, AttributeError):
        return ""
