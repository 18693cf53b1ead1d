"""Turn the options of ``batchq run`` into a Plan: slots, durations, ``--halt``, ``--if-running``."""

import math

from batchq.cli.options import decimal, integer
from batchq.cli.request import Request, duration
from batchq.errors import ScarceError, UsageError
from batchq.notes import note
from batchq.processes import machine
from batchq.runner.tally import Halt, Plan
from batchq.store.running.wanted import RunSelection

MAIL_ON = ("failure", "change")
IF_RUNNING = ("join", "skip", "wait", "fail")


def plan(request: Request, *, is_adding: bool) -> Plan:
    """Return the plan of a run; if it ``is_adding``, its jobs are not known yet. Raises UsageError."""
    mode, patience = if_running(request.if_running or "join")
    if request.if_running is not None and mode != "join" and is_adding:
        _require_names(request, mode)
    queue, batch = (None, None) if is_adding else (request.queue, request.batch)  # else labels of the jobs to add
    return Plan(
        RunSelection(queue, batch, request.perform is not None),
        request.max_jobs,
        duration("--grace", request.grace) / 1000,
        None if request.max_time is None else duration("--max-time", request.max_time) / 1000,
        halt(request.halt),
        request.watch,
        mode,
        patience,
    )


def slots(text: str) -> int:
    """Return the number of slots: ``4``, ``50%`` of the cores, or ``0`` for one per core."""
    cores = machine.cores()
    try:
        number = max(1, round(cores * decimal(text[:-1]) / 100)) if text.endswith("%") else integer(text)
    except (ValueError, OverflowError):
        number = -1
    if not 0 <= number <= 10_000 or text.startswith("+"):  # for GNU parallel +1 is one more than there are cores
        raise UsageError(f"-j {text!r} is not a number of jobs: write 4, 50% or 0 (as many as there are cores)")
    return number or cores


def affordable(slots: int) -> int:
    """Cut the slots to the available descriptors."""
    if (possible := machine.slots_with_descriptors()) == 0:
        needed, free = machine.BASIC_NEEDS + machine.SLOT_NEEDS, machine.free_descriptors()
        raise ScarceError(f"a run needs {needed} file descriptors and can get {free:.0f}: raise the limit (ulimit -n)")
    most = min(slots, possible)
    if most < slots:
        note(f"warning: -j {slots} needs more file descriptors than there are: running {most} at once (see ulimit -n)")
    return most


def halt(text: str) -> Halt | None:
    """Parse ``never``, ``soon`` or ``now``; the last two may have ``,fail=N`` or ``,fail=N%`` (default: 1 failed job)."""
    when, comma, rest = text.partition(",")
    if text == "never":
        return None
    word, equals, number = rest.partition("=")
    if when in ("soon", "now") and not comma:
        return Halt(when == "now")
    try:
        if when not in ("soon", "now") or word != "fail" or not equals:
            raise ValueError
        if number.endswith("%"):
            percent = decimal(number[:-1])
            if not (math.isfinite(percent) and 0 < percent <= 100):
                raise ValueError
            return Halt(when == "now", None, percent)
        if integer(number) < 1:
            raise ValueError
        return Halt(when == "now", integer(number))
    except ValueError:
        raise UsageError(
            f"--halt {text!r}: write never, soon or now, the last two also as in soon,fail=3 or now,fail=10%"
        ) from None


def if_running(text: str) -> tuple[str, float | None]:
    """Parse ``join``, ``skip``, ``fail`` or ``wait``, and the seconds to wait, as in ``wait=60s``."""
    word, equals, time = text.partition("=")
    if word not in IF_RUNNING or (equals and word != "wait"):
        raise UsageError(f"--if-running {text!r}: write {', '.join(IF_RUNNING)} or wait=60s")
    return word, duration("--if-running wait", time) / 1000 if equals else None


def is_only_news(text: str) -> bool:
    """Parse ``--mail-on``: whether failures are printed only on a ``change``."""
    if text not in MAIL_ON:
        raise UsageError(f"--mail-on {text!r}: write {' or '.join(MAIL_ON)}")
    return text == "change"


def _require_names(request: Request, mode: str) -> None:
    """Raise UsageError if the jobs come from stdin: then nothing identifies other runs of the same jobs."""
    from batchq.cli.add.sources import reads_stdin

    if reads_stdin(request):
        of_each = " with --from" if request.each else ""
        raise UsageError(
            f"--if-running {mode} cannot know whether the jobs of stdin are being run already: name a FILE{of_each}"
        )
