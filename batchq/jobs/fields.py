"""The fields of a job, each declared once: its check, its form in files and options, its column, its help.

The checks, the readers of job files, the placeholders, the options of ``batchq add`` and the columns that an add fills
are all made from ``FIELDS``. Every ``batchq add`` imports this module, so it must not import anything slow.
"""

from batchq.jobs import values
from batchq.jobs.work import argument, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEFAULT_BACKOFF = 1_000  #: the base of the retry delay, in milliseconds
DEFAULT_SNOOZES = 1_000  #: how many times a job may raise ``batchq.Snooze``
DEFAULT_CRASHES = 3  #: crashes after which a job has failed

LABELS, ORDER, FAILURES = "Labels", "Order and timing", "Failures and retries"
KEYS, SURROUNDINGS = "Keys", "Environment"


class Field:
    """One field of a job.

    ``check`` takes the value as written and returns it as stored, or raises ValueError with the end of a sentence.
    ``form`` is how it is written: ``text``, ``number``, ``decimal``, ``list``, ``flag`` or ``table``. ``default`` is
    the stored value if the field is left out. ``flags``, ``metavar``, ``help`` and ``group`` describe its option.

    ``is_own``: it often differs between the jobs of a list. ``is_column``: the table ``jobs`` has a column of that name.
    ``is_filled``: it may contain placeholders. ``for_commands``: why only a command may set it to anything but the
    default. ``stored_as`` is what JSON makes of the stored value: ``ms``, ``time``, ``json``, ``names``, ``codes``,
    ``octal`` or ``bytes``; None if it is printed as it is.
    """

    __slots__ = (
        "check", "default", "flags", "for_commands", "form", "group", "help", "is_column", "is_filled", "is_own",
        "metavar", "name", "stored_as",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        check: "Callable[[Any], Any]",
        form: str,
        group: str,
        metavar: str | None,
        help: str,
        *,
        default: "Any" = None,
        flags: tuple[str, ...] = (),
        is_own: bool = False,
        is_column: bool = True,
        is_filled: bool = False,
        for_commands: str | None = None,
        stored_as: str | None = None,
    ) -> None:
        self.name, self.check, self.form, self.default = name, check, form, default
        self.flags = flags or ("--" + name.replace("_", "-"),)
        self.metavar, self.help, self.group = metavar, help, group
        self.is_own, self.is_column, self.is_filled, self.for_commands = is_own, is_column, is_filled, for_commands
        self.stored_as = stored_as


def _exit_codes(value: "Any") -> str | None:
    """Return exit codes as ``"0,24"``, sorted; None for 0 alone."""
    codes = set()
    for word in value if isinstance(value, list) else [value]:
        for part in word.split(",") if isinstance(word, str) else [word]:
            is_number = isinstance(part, str) and part.isascii() and part.strip().isdecimal() and len(part) < 20
            code = int(part) if is_number else part
            if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255:
                raise ValueError(f"has {quoted(part)}, which is not an exit code: write numbers from 0 to 255")
            codes.add(code)
    if not codes:
        raise ValueError("must have at least one exit code")
    return ",".join(map(str, sorted(codes))) if codes != {0} else None


_MANY = values.integer(1, 1_000_000)

_ALL = (
    Field(
        "name", values.name, "text", LABELS, "NAME", "A name for the job, shown in reports and usable in --after.",
        is_own=True, is_filled=True,
    ),
    Field(
        "batch", values.label, "text", LABELS, "NAME", "The batch that the job belongs to (default: default).",
        default="default", is_filled=True,
    ),
    Field(
        "queue", values.label, "text", LABELS, "NAME", "The queue that the job waits in (default: default).",
        default="default", is_filled=True,
    ),
    Field(
        "priority", values.integer(-(2**31), 2**31 - 1), "number", ORDER, "N",
        "Jobs with a higher number start first (default: 0).",
        default=0,
    ),
    Field(
        "delay", values.duration, "text", ORDER, "DURATION", "Do not start the job before this much time has passed.",
        is_column=False, stored_as="ms",
    ),
    Field(
        "run_at", values.instant, "text", ORDER, "TIME", "Do not start the job before 22:30, fri 9:00, 2026-11-23T18:00.",
        is_column=False, stored_as="time",
    ),
    Field(
        "timeout", values.timeout, "text", FAILURES, "DURATION",
        "Kill an attempt that takes longer than this (default: no limit).", stored_as="ms",
    ),
    Field(
        "max_attempts", _MANY, "number", FAILURES, "N", "Run a job that fails at most this many times (default: 1).",
        default=1,
    ),
    Field(
        "backoff", values.duration, "text", FAILURES, "DURATION", "Base of the delay before each retry (default: 1s).",
        default=DEFAULT_BACKOFF, stored_as="ms",
    ),
    Field(
        "on_crash", values.one_of("retry", "hold"), "text", FAILURES, "retry|hold",
        "What to do if the runner dies while the job runs (default: retry).", default="retry",
    ),
    Field(
        "max_crashes", _MANY, "number", FAILURES, "N",
        "Fail the job after its runner has died this many times (default: 3).",
        default=DEFAULT_CRASHES,
    ),
    Field(
        "hold", values.truth, "flag", ORDER, None, "Do not start the job until 'batchq release'.",
        default=False, is_column=False,
    ),
    Field(
        "leftovers", values.one_of("kill", "keep"), "text", FAILURES, "kill|keep",
        "What to do with processes that the job leaves running (default: kill).", default="kill",
        for_commands="a worker kills the leftovers of a callable",
    ),
    Field(
        "output", values.one_of("separate", "merged"), "text", SURROUNDINGS, "separate|merged",
        "Keep stdout and stderr apart, or merge them, in exact order (default: separate).", default="separate",
        flags=("--output-mode",),
    ),
    Field(
        "keep_output", values.kept_output, "text", SURROUNDINGS, "SIZE",
        "How much of each stream to keep, half of its head, half of its tail (default: 128KiB).",
    ),
    Field(
        "success_codes", _exit_codes, "list", FAILURES, "CODE",
        "Exit codes that count as success, as in 0,24 (default: 0).",
        for_commands="a callable has no exit code", stored_as="codes",
    ),
    Field(
        "retry_on", values.rules, "list", FAILURES, "RULE",
        "Retry only these: exit code, timeout, signal:KILL, exception, stderr:REGEX.", stored_as="json",
    ),
    Field(
        "no_retry_on", values.rules, "list", FAILURES, "RULE", "Never retry these failures; written as for --retry-on.",
        stored_as="json",
    ),
    Field(
        "retry_timeout_factor", values.factor, "decimal", FAILURES, "N",
        "Multiply the timeout by this after each failure (default: 1).",
    ),
    Field(
        "max_snoozes", _MANY, "number", FAILURES, "N",
        "How many times the job may raise batchq.Snooze (default: 1000).",
        default=DEFAULT_SNOOZES,
    ),
    Field(
        "python", values.program, "text", SURROUNDINGS, "PROGRAM",
        "The Python that runs a --call (default: the one that runs batchq).",
    ),
    Field(
        "fresh", values.truth, "flag", SURROUNDINGS, None, "Run a --call in a process of its own.", default=False,
    ),
    Field(
        "key", values.label, "text", KEYS, "KEY", "Add only one job with this key; auto: a hash of what the job does.",
        is_own=True, is_filled=True,
    ),
    Field(
        "unique", values.unique, "text", KEYS, "ever|active|DURATION",
        "How long the --key stays taken (default: ever).", default=values.EVER, is_column=False, stored_as="ms",
    ),
    Field(
        "if_exists", values.one_of("skip", "reject", "replace", "rerun-failed"), "text", KEYS,
        "skip|reject|replace|rerun-failed", "What to do if the --key is taken (default: skip).",
        default="skip", is_column=False,
    ),
    Field(
        "inputs", values.files, "list", KEYS, "FILE", "A file whose contents are part of --key auto.",
        flags=("--input", "--inputs"), is_filled=True, stored_as="json",
    ),
    Field(
        "after", values.parents, "list", ORDER, "JOB",
        "Run after these have succeeded: a name, 1-5,9, 'load-*', batch:NAME or last.", default=(), is_own=True,
        is_column=False, is_filled=True,
    ),
    Field(
        "after_any", values.parents, "list", ORDER, "JOB", "Run after these have finished, even if they failed.",
        default=(), is_own=True, is_column=False, is_filled=True,
    ),
    Field(
        "after_failed", values.parents, "list", ORDER, "JOB",
        "Run after these have finished, if one of them failed.",
        default=(), is_own=True, is_column=False, is_filled=True,
    ),
    Field(
        "slots", values.integer(1, 10_000), "number", ORDER, "N",
        "How many slots of the run the job takes (default: 1).",
        default=1,
    ),
    Field(
        "env", values.environment, "table", SURROUNDINGS, "K=V|NAME",
        "A variable for the job: NAME=VALUE, or NAME to copy its current value.",
        is_filled=True, stored_as="names",
    ),
    Field(
        "stdin", values.stdin, "text", SURROUNDINGS, "TEXT", "Text that the job reads from stdin (default: nothing).",
        is_filled=True, stored_as="bytes",
    ),
    Field(
        "umask", values.umask, "text", SURROUNDINGS, "OCTAL",
        "The file mode mask of the job (default: that of the run).", stored_as="octal",
    ),
    Field(
        "tags", values.tags, "list", LABELS, "TAG", "A label to find the job by, with list --tag.",
        flags=("--tag", "--tags"), is_filled=True, stored_as="json",
    ),
    Field(
        "cwd", argument, "text", SURROUNDINGS, "DIR", "The folder that the job runs in (default: the current one).",
        is_column=False, is_filled=True,
    ),
)  # fmt: skip
FIELDS = {field.name: field for field in _ALL}
#: The work of a job: these are not options, and they are checked together
WORK_FIELDS = ("command", "call", "args", "payload")
#: The fields that can change after the add; the others are the work itself, or were resolved then
CHANGEABLE = (
    "name", "batch", "queue", "priority", "timeout", "max_attempts", "backoff", "on_crash", "max_crashes", "leftovers",
    "output", "keep_output", "success_codes", "retry_on", "no_retry_on", "retry_timeout_factor", "max_snoozes", "slots",
    "tags",
)  # fmt: skip
#: The columns for the terms of a job
COLUMNS = tuple(name for name, field in FIELDS.items() if field.is_column and not field.is_own)
