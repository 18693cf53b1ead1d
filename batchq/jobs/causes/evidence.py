"""What is known about an attempt that did not succeed: everything that its signature is computed from."""

import json

from batchq.jobs.attempt import Outcome, Stream
from batchq.named import NamedTuple

TAIL = 16 * 1024  #: bytes of a stream that count; what explains a failure is printed at its end
TRACEBACK = 64 * 1024  #: characters of a traceback that count, from its end


class Evidence(NamedTuple):
    """How an attempt ended, the ends of what it printed, and the program: its name, ``sh -c``, or the target of a call."""

    outcome: str
    exit_code: int | None = None
    signal: int | None = None
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    stderr: str = ""
    stdout: str = ""
    program: str = ""


def of_outcome(kind: str, work: str, outcome: Outcome) -> Evidence:
    """The evidence of an attempt that has just ended; ``kind`` and ``work`` are those of its job."""
    raised, message, traceback, *_ = outcome.failure or (None, None, None)
    return Evidence(
        outcome.status, outcome.exit_code, outcome.signal, raised, message, traceback,
        end_of(outcome.stderr), end_of(outcome.stdout), program_of(kind, work),
    )  # fmt: skip


def end_of(stream: Stream | None) -> str:
    """The last ``TAIL`` bytes of a stream as text; nothing where nothing was printed."""
    if stream is None:
        return ""
    head, tail, total = stream
    gap = b"\n" if total > len(head) + len(tail) else b""
    data = tail if len(tail) >= TAIL else head[-TAIL:] + gap + tail
    return data[-TAIL:].decode("utf-8", "replace")


def program_of(kind: str, work: str) -> str:
    """The program of a job, without its arguments; nothing where the stored work cannot be read."""
    if kind == "shell":
        return "sh -c"
    try:
        value = json.loads(work)
        if kind == "call":
            return str(value["call"])
        name = str(value[0]).rpartition("/")[2] if kind == "argv" else kind
        return f"{name} -c" if kind == "argv" and name.endswith("sh") and value[1:2] == ["-c"] else name
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
