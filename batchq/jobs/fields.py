"""The fields of a job, each declared once: how it is checked, read from files and options, stored and explained.

From ``FIELDS`` come the checks, the readers of job files, the placeholders, the options of ``batchq add`` and the columns
that an add fills. Every ``batchq add`` imports this module, so it imports nothing that costs start-up time.
"""

from batchq.jobs import values
from batchq.jobs.work import argument, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEFAULT_BACKOFF = 1_000  #: the base of the retry delay, in milliseconds
DEFAULT_SNOOZES = 1_000  #: how often a job may say that its time has not come yet
DEFAULT_CRASHES = 3  #: how often a job may die with its runner before it is given up

LABELS, ORDER, FAILURES = "Labels", "Order and timing", "Failures and retries"
KEYS, SURROUNDINGS = "Keys", "Environment"


class Field:
    """One field of a job.

    ``check`` takes what a person wrote and returns what is stored, or raises ValueError with the end of a sentence.
    ``form`` is how it is written: ``text``, ``number``, ``decimal``, ``list``, ``flag`` or ``table``; ``default`` is the
    stored value of a job that leaves it out. ``flags``, ``metavar``, ``help`` and ``group`` are those of its option.

    ``is_own``: the jobs of a list often differ in it. ``is_column``: the table ``jobs`` has a column of that name.
    ``is_filled``: it may hold placeholders. ``for_commands`` says why only a command may have another value than the
    default.
    """

    __slots__ = (
        "check", "default", "flags", "for_commands", "form", "group", "help", "is_column", "is_filled", "is_own",
        "metavar", "name",
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
    ) -> None:
        self.name, self.check, self.form, self.default = name, check, form, default
        self.flags = flags or ("--" + name.replace("_", "-"),)
        self.metavar, self.help, self.group = metavar, help, group
        self.is_own, self.is_column, self.is_filled, self.for_commands = is_own, is_column, is_filled, for_commands


def _exit_codes(value: "Any") -> str | None:
    """Exit codes as ``"0,24"``, in order; None for 0 alone."""
    codes = set()
    for word in value if isinstance(value, list) else [value]:
        for part in word.split(",") if isinstance(word, str) else [word]:
            code = int(part) if isinstance(part, str) and part.strip().isdecimal() and len(part) < 20 else part
            if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255:
                raise ValueError(f"has {quoted(part)}, which is not an exit code: write numbers from 0 to 255")
            codes.add(code)
    if not codes:
        raise ValueError("must have at least one exit code")
    return ",".join(map(str, sorted(codes))) if codes != {0} else None


_MANY = values.integer(1, 1_000_000)

_ALL = (
    Field("name", values.name, "text", LABELS, "NAME", "A name, for reports.", is_own=True, is_filled=True),
    Field(
        "batch", values.label, "text", LABELS, "NAME", "The batch it belongs to (default: default).",
        default="default", is_filled=True,
    ),
    Field(
        "queue", values.label, "text", LABELS, "NAME", "The queue it waits in (default: default).",
        default="default", is_filled=True,
    ),
    Field(
        "priority", values.integer(-(2**31), 2**31 - 1), "number", ORDER, "N", "Higher runs first (default: 0).",
        default=0,
    ),
    Field(
        "delay", values.duration, "text", ORDER, "DURATION", "Not before so much time has passed.", is_column=False
    ),
    Field("run_at", values.instant, "text", ORDER, "TIME", "Not before this ISO 8601 time.", is_column=False),
    Field(
        "timeout", values.timeout, "text", FAILURES, "DURATION", "How long an attempt may take (default: no limit)."
    ),
    Field("max_attempts", _MANY, "number", FAILURES, "N", "How often it may be tried (default: 1).", default=1),
    Field(
        "backoff", values.duration, "text", FAILURES, "DURATION", "Base of the retry delay (default: 1s).",
        default=DEFAULT_BACKOFF,
    ),
    Field(
        "on_crash", values.one_of("retry", "hold"), "text", FAILURES, "retry|hold",
        "What to do when the machine dies under it.", default="retry",
    ),
    Field(
        "max_crashes", _MANY, "number", FAILURES, "N", "How often that may happen (default: 3).",
        default=DEFAULT_CRASHES,
    ),
    Field(
        "hold", values.truth, "flag", ORDER, None, "Keep it until 'batchq release'.", default=False, is_column=False
    ),
    Field(
        "leftovers", values.one_of("kill", "keep"), "text", FAILURES, "kill|keep",
        "What becomes of processes that it leaves behind.", default="kill",
        for_commands="a worker ends what a callable left",
    ),
    Field(
        "success_codes", _exit_codes, "list", FAILURES, "CODE",
        "An exit code that counts as success, or several, as in 0,24 (default: 0).",
        for_commands="a callable has no exit code",
    ),
    Field(
        "retry_on", values.rules, "list", FAILURES, "RULE",
        "Retry these alone: a code, timeout, signal:KILL, an exception, stderr:REGEX.",
    ),
    Field("no_retry_on", values.rules, "list", FAILURES, "RULE", "Do not retry these."),
    Field(
        "retry_timeout_factor", values.factor, "decimal", FAILURES, "N",
        "Each retry may take so many times longer (default: 1).",
    ),
    Field(
        "max_snoozes", _MANY, "number", FAILURES, "N", "How often it may put itself off (default: 1000).",
        default=DEFAULT_SNOOZES,
    ),
    Field(
        "python", values.program, "text", SURROUNDINGS, "PROGRAM",
        "The Python of a --call (default: the one that runs this).",
    ),
    Field(
        "fresh", values.truth, "flag", SURROUNDINGS, None, "Give a --call a process of its own.", default=False
    ),
    Field(
        "key", values.label, "text", KEYS, "KEY", "Add it only once under this key; auto: made of what it does.",
        is_own=True, is_filled=True,
    ),
    Field(
        "unique", values.unique, "text", KEYS, "ever|active|DURATION",
        "For how long the key is taken (default: ever).", default=values.EVER, is_column=False,
    ),
    Field(
        "if_exists", values.one_of("skip", "reject", "replace", "rerun-failed"), "text", KEYS,
        "skip|reject|replace|rerun-failed", "What to do when it is (default: skip).", default="skip", is_column=False,
    ),
    Field(
        "inputs", values.files, "list", KEYS, "FILE", "A file whose contents are part of --key auto.",
        flags=("--input", "--inputs"), is_filled=True,
    ),
    Field(
        "after", values.parents, "list", ORDER, "JOB",
        "Run when these succeeded: a name, an id, batch:NAME or last.", default=(), is_own=True, is_column=False,
        is_filled=True,
    ),
    Field(
        "after_any", values.parents, "list", ORDER, "JOB", "Run when these are over, however they ended.",
        default=(), is_own=True, is_column=False, is_filled=True,
    ),
    Field(
        "slots", values.integer(1, 10_000), "number", ORDER, "N", "How many slots of the run it takes (default: 1).",
        default=1,
    ),
    Field(
        "env", values.environment, "table", SURROUNDINGS, "K=V|NAME", "A variable to store with the job.",
        is_filled=True,
    ),
    Field(
        "stdin", values.stdin, "text", SURROUNDINGS, "TEXT", "What it reads (default: nothing).", is_filled=True
    ),
    Field("umask", values.umask, "text", SURROUNDINGS, "OCTAL", "Its file mode mask."),
    Field(
        "tags", values.tags, "list", LABELS, "TAG", "A label to find it by.", flags=("--tag", "--tags"), is_filled=True
    ),
    Field(
        "cwd", argument, "text", SURROUNDINGS, "DIR", "Where it runs (default: here).", is_column=False, is_filled=True,
    ),
)  # fmt: skip
FIELDS = {field.name: field for field in _ALL}
WORK_FIELDS = ("command", "call", "args", "payload")  #: what a job is to do; not options, and checked together
COLUMNS = tuple(
    name for name, field in FIELDS.items() if field.is_column and not field.is_own
)  #: of the terms of a job
