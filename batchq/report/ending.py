"""How an attempt ended, in words: the only place with these texts."""

from batchq.clock import show_duration
from batchq.store.looking.rows import End, Job
from batchq.visible import visible

_LONGEST_MESSAGE = 300
_KNOWN_CODES = {126: "not executable", 127: "command not found"}


def ending(end: End, longest: int | None = _LONGEST_MESSAGE) -> str:
    """``exit code 3``, ``killed by signal 9 (SIGKILL)``, ``timed out after 2 s``, ``KeyError: 'x'``, ``crashed: …``.

    Of an error message this has the first line, up to ``longest`` characters. The text is raw and an error message may
    contain anything: pass it through ``visible`` before printing.
    """
    match end.outcome:
        case "succeeded":
            return f"succeeded with exit code {end.exit_code}" if end.exit_code else "succeeded"
        case "timed_out":
            return "timed out" if end.timeout is None else f"timed out after {_exact(end.timeout)}"
        case "crashed":
            return f"crashed: {_message(end.error, longest)}" if end.error else "crashed"
        case "interrupted":
            if end.error_type is not None:  # the job asked for it (batchq.Retry)
                return f"{end.error_type}: {_message(end.error, longest)}"
            return "interrupted: requeued, no attempt used"
        case "cancelled":
            return "cancelled while it ran"
    status = _status(end)
    if end.error_type:
        text = f"{end.error_type}: {_message(end.error, longest)}" if end.error else end.error_type
        return f"{status} ({text})" if status and end.exit_code != 0 else text
    return status or "failed"


def nth(job: Job) -> str:
    """The number of the last attempt: ``attempt 2 of 3``, or ``attempt 5, failure 3 of 3`` if not every attempt counted.

    With the host if that was another than that of the run: ``attempt 1 of 3 on alpha``.
    """
    number = f"attempt {job.attempt}"
    if job.attempt <= job.max_attempts:
        number += f" of {job.max_attempts}"
    elif job.failures:
        number += f", failure {job.failures} of {job.max_attempts}"
    return f"{number}{at(job.host)}"


def at(host: str | None) -> str:
    """Where an attempt ran, made safe, as the end of a text: `` on alpha``; nothing if that was the machine of its run."""
    return f" on {visible(host, one_line=True)}" if host else ""


def _status(end: End) -> str | None:
    if end.signal is not None:
        return f"killed by signal {end.signal}{_named(end.signal)}"
    if end.exit_code is None:
        return None
    known = _KNOWN_CODES.get(end.exit_code)
    if known is None and end.exit_code > 128 and (name := _named(end.exit_code - 128)):
        known = f"128 + {end.exit_code - 128}: {name[2:-1]}"  # how a shell reports that a signal killed its command
    return f"exit code {end.exit_code}{f' ({known})' if known else ''}"


def _named(number: int) -> str:
    import signal  # takes a millisecond, so only when a job was killed by one

    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""


def _message(text: str | None, longest: int | None) -> str:
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    if not lines:
        return ""
    first = lines[0] if longest is None or len(lines[0]) <= longest else lines[0][:longest] + "…"
    return first if len(lines) == 1 else f"{first} …"


def _exact(ms: int) -> str:
    return show_duration(ms).replace(".0 s", " s")
