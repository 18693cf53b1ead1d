"""The digest of a failed run as plain text. Cron mails it, so it must say on its own what failed, why, and what to do."""

from collections.abc import Collection, Sequence

from batchq.clock import show_duration
from batchq.jobs.selection import in_words, merged
from batchq.report.ending import ending, nth
from batchq.store.looking.rows import Failure, Filed, Job
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.report.aftermath import Aftermath
    from batchq.report.reasons import Reason

IN_FULL = 10  #: failures, or reasons, shown in full at most
LINES = 10  #: last lines shown of the output or traceback of each
ROOM = 45  #: lines for the reasons in full; the next ones get a line each, except the first, which is always in full
BRIEFLY = 15  #: reasons with a line each; rarer ones are only counted
_EXAMPLE = 7  #: last lines of a failure that is an example of several
_LINE_LENGTH = 500
_BRIEF_LENGTH = 100


def digest(found: "Aftermath", shown: Collection[str] = (), place: str = "") -> str:
    """Why jobs failed, the most frequent reason first, each with an example and its command; one failure alone in full.

    ``place`` is where that was, for readers elsewhere. The last line is the command that runs all of them again. The
    streams of a single job that its reader has been ``shown`` are not repeated.
    """
    is_grouped = bool(found.reasons) and found.failed > 1
    why = f" for {_count(len(found.reasons), 'reason')}" if is_grouped else ""
    head = [f"batchq: {_count(found.failed, 'job')} failed{why}", *(line for line in (place, found.since) if line)]
    parts = ["\n".join(head) + "\n", *(_of_reasons(found.reasons) if is_grouped else _one_by_one(found, shown))]
    it = "it" if found.failed == 1 else "them"
    if found.lost:
        parts.append(f"{found.lost:,} of {it} {'was' if found.lost == 1 else 'were'} retried or removed since\n")
    if found.cancelled:
        jobs, are = (
            ("1 job that depends", "was") if found.cancelled == 1 else (f"{found.cancelled:,} jobs that depend", "were")
        )
        parts.append(
            f"{jobs} on {it} {are} cancelled; the retry queues {'it' if found.cancelled == 1 else 'them'} again\n"
        )
    parts.append(f"Run {it} again:  {found.retry}\n")
    return visible("\n".join(parts))


def digest_of_held(shown: Sequence[Failure], held: Sequence[int], program: str, place: str = "") -> str:
    """The jobs that batchq has put on hold, the first of them (``shown``) in full, and the command that releases them."""
    count, they = ("1 job is", "it is") if len(held) == 1 else (f"{len(held):,} jobs are", "they are")
    parts = [f"batchq: {count} now on hold and will not run until {they} released\n" + (f"{place}\n" if place else "")]
    parts += map(_paragraph, shown)
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


def evidence(failure: Failure, most: int = LINES) -> tuple[str, list[str], bool]:
    """The source that shows the failure (``traceback``, ``stderr``, ``stdout`` or ``""``), its last lines, and if cut."""
    if failure.job.traceback:
        return "traceback", *last_lines(failure.job.traceback, most)
    if failure.log is None:
        return "", [], False
    lines, more = last_lines(failure.log.data, most)
    return failure.log.stream, lines, more or failure.log.cut


def _one_by_one(found: "Aftermath", shown: Collection[str]) -> list[str]:
    parts = [_paragraph(one, shown=shown) for one in found.failures]
    if (rest := found.failed - len(found.failures)) > 0:
        parts.append(f"and {rest:,} more\n")
    return parts


def _of_reasons(reasons: "Sequence[Reason]") -> list[str]:
    """The most frequent reasons in full while there is room for them, the next ones in a line each, and a count."""
    parts: list[str] = []
    room = ROOM
    for one in reasons[:IN_FULL]:
        part = _reason(one)
        room -= part.count("\n") + 1
        if parts and room < 0:
            break
        parts.append(part)
    rest = reasons[len(parts) :]
    lines = [f"{_heading(one, _BRIEF_LENGTH)}; again: {one.retry}\n" for one in rest[:BRIEFLY]]
    if rarer := rest[BRIEFLY:]:
        lines.append(f"and {_count(sum(one.jobs for one in rarer), 'job')} for {_count(len(rarer), 'more reason')}\n")
    return [*parts, "".join(lines)] if lines else parts


def _reason(reason: "Reason") -> str:
    again = f"    again: {reason.retry}"
    failure = next(iter(reason.examples), None)
    if failure is None:
        return f"{_heading(reason)}\n{again}\n"
    if reason.jobs == 1:
        return _paragraph(failure, f"{', ' if reason.where else ''}{reason.where}{_past(reason)}", again)
    job = failure.job
    _, lines, cut = evidence(failure, _EXAMPLE)
    took = "" if job.seconds is None else f", after {show_duration(job.seconds * 1000)}"
    how_ended = f": {how(job)}" if job.why else took
    text = [
        _heading(reason),
        again,
        f"    like {title(job)}, {nth(job)}{how_ended}{'; its last lines:' if cut else ''}",
    ]
    return "\n".join([*text, _work(job), *(f"      {line}" for line in lines), *_logs(job)]) + "\n"


def _heading(reason: "Reason", longest: int = 300) -> str:
    """``150 jobs: URLError: <urlopen error [Errno 111] Connection refused>, at fetch.py:10 (last time 40)``."""
    text = reason.text if len(reason.text) <= longest else f"{reason.text[: longest - 1]}…"
    where = f", {reason.where}" if reason.where else ""
    return f"{_count(reason.jobs, 'job')}: {text}{where}{_past(reason)}"


def _past(reason: "Reason") -> str:
    return "" if reason.before is None else f" (last time {reason.before:,})" if reason.before else " (new)"


def _paragraph(failure: Failure, more: str = "", *and_then: str, shown: Collection[str] = ()) -> str:
    job = failure.job
    source, lines, cut = evidence(failure)
    text = [f"{title(job)}, {nth(job)}: {how(job)}{more}", *and_then, _work(job)]
    if lines and source not in shown:
        text.append(f"    {'last lines of ' if cut else ''}{source}:")
        text += [f"      {line}" for line in lines]
    return "\n".join([*text, *_logs(job)]) + "\n"


def prompted(job: Job) -> str:
    """The work of a job, made safe; with ``$`` if it is a command, which can be pasted into a shell."""
    return f"{'$ ' if job.kind in ('argv', 'shell') else ''}{shortened(visible(job.command, one_line=True))}"


def _work(job: Job) -> str:
    return f"    {prompted(job)}"


def _logs(job: Job) -> list[str]:
    return [f"    log: {visible(log_line(log), one_line=True)}" for log in job.logs or ()]


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"
