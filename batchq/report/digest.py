"""The digest of a failed run as plain text. Cron mails it, so it must say on its own what failed, why, and what to do."""

from collections import Counter
from collections.abc import Sequence

from batchq.clock import show_duration
from batchq.jobs.selection import in_words, merged
from batchq.report.ending import ending, nth
from batchq.store.looking.rows import Failure, Filed, Job
from batchq.visible import visible

IN_FULL = 10  #: failures shown in full; the others are only counted
LINES = 10  #: last lines shown of the output or traceback of each
_LINE_LENGTH = 500


def digest(failures: Sequence[Failure], total_failed: int, retry_command: str, cancelled: int = 0) -> str:
    """The ``failures`` (the first of ``total_failed``) one by one, and the command that runs them again.

    ``cancelled`` is the number of jobs that were cancelled because they depend on these.
    """
    count = "1 job failed" if total_failed == 1 else f"{total_failed:,} jobs failed"
    parts = [f"batchq: {count}\n", *map(_paragraph, failures[:IN_FULL])]
    if (rest := total_failed - len(failures[:IN_FULL])) > 0:
        parts.append(f"and {rest:,} more{_summed_up(failures[IN_FULL:], rest)}\n")
    if cancelled:
        jobs, were = ("1 job that depends", "was") if cancelled == 1 else (f"{cancelled:,} jobs that depend", "were")
        on, again = ("it" if total_failed == 1 else "them"), ("it" if cancelled == 1 else "them")
        parts.append(f"{jobs} on {on} {were} cancelled; the retry queues {again} again\n")
    parts.append(f"Run {'it' if total_failed == 1 else 'them'} again:  {retry_command}\n")
    return visible("\n".join(parts))


def digest_of_held(shown: Sequence[Failure], held: Sequence[int], program: str) -> str:
    """The jobs that batchq has put on hold, the first of them (``shown``) in full, and the command that releases them."""
    count, they = ("1 job is", "it is") if len(held) == 1 else (f"{len(held):,} jobs are", "they are")
    parts = [f"batchq: {count} now on hold and will not run until {they} released\n", *map(_paragraph, shown)]
    if (rest := len(held) - len(shown)) > 0:
        parts.append(f"and {rest:,} more\n")
    listed = in_words(merged((job, job) for job in held))
    parts.append(f"Release {'it' if len(held) == 1 else 'them'}:  {program} release {listed}\n")
    return visible("\n".join(parts))


def last_lines(data: bytes | str, most: int = LINES) -> tuple[list[str], bool]:
    """The last lines that are not blank, made safe, and whether there were more before them.

    Text that a carriage return overwrites (a progress bar) is left out, as on a terminal. Very long lines are
    shortened visibly.
    """
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
    lines = [line.rstrip().rpartition("\r")[2] for line in text.split("\n")]
    lines = [line for line in lines if line]
    return [shortened(visible(line)) for line in lines[-most:]], len(lines) > most


def shortened(text: str) -> str:
    """The first 500 characters of a line, and how many more there were."""
    return (
        text if len(text) <= _LINE_LENGTH else f"{text[:_LINE_LENGTH]}… ({len(text) - _LINE_LENGTH:,} characters more)"
    )


def title(job: Job) -> str:
    """``job 3 (load)``, made safe."""
    return f"job {job.id}" + (f" ({visible(job.name, one_line=True)})" if job.name else "")


def log_line(log: Filed) -> str:
    """The file with the whole output: ``/var/log/batchq/3-1-5e0c1f2a.log (incomplete: No space left on device)``."""
    stream = "" if log.stream == "both" else f"{log.stream}: "
    return f"{stream}{log.path}{f' (incomplete: {log.trouble})' if log.trouble else ''}"


def how(job: Job) -> str:
    """How a failed job ended and why it was not retried, in one line, made safe: ``exit code 3, after 1.2 s``."""
    if job.end is None:
        return visible(job.why or "failed", one_line=True)
    text = ending(job.end)
    if job.why:
        text = f"{job.why}: {text.removeprefix('crashed: ')}"
    if job.seconds is not None and job.end.outcome != "timed_out":
        text += f", after {show_duration(job.seconds * 1000)}"
    return visible(text, one_line=True)


def evidence(failure: Failure) -> tuple[str, list[str], bool]:
    """The source that shows the failure (``traceback``, ``stderr``, ``stdout`` or ``""``), its last lines, and if cut."""
    if failure.job.traceback:
        return "traceback", *last_lines(failure.job.traceback)
    if failure.log is None:
        return "", [], False
    lines, more = last_lines(failure.log.data)
    return failure.log.stream, lines, more or failure.log.cut


def _paragraph(failure: Failure) -> str:
    job = failure.job
    source, lines, cut = evidence(failure)
    text = [f"{title(job)}, {nth(job)}: {how(job)}", f"    $ {shortened(visible(job.command, one_line=True))}"]
    if lines:
        text.append(f"    {'last lines of ' if cut else ''}{source}:")
        text += [f"      {line}" for line in lines]
    text += [f"    log: {visible(log_line(log), one_line=True)}" for log in job.logs or ()]
    return "\n".join(text) + "\n"


def _summed_up(rest: Sequence[Failure], count: int) -> str:
    if len(rest) < count:
        return ""
    kinds = Counter(visible(ending(failure.job.end), one_line=True) for failure in rest if failure.job.end)
    return ": " + ", ".join(f"{number:,} × {kind}" for kind, number in kinds.most_common(5))
