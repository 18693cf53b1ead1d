"""One job as a person writes it, checked field by field, and as the store keeps it.

``FIELDS`` is the one list of what a job may say: TOML, JSON lines and the command line all read it. This module is
imported by every ``batchq add``, so it imports nothing that costs start-up time.
"""

from batchq import clock
from batchq.errors import InputError
from batchq.jobs import retrying
from batchq.jobs.work import (
    FIELD_LIMIT,
    NAME_LIMIT,
    POINTER,
    argument,
    argv_work,
    bounded_json,
    call_work,
    did_you_mean,
    encode_bytes,
    kind_of,
    quoted,
    raw_json,
    shell_work,
    target_of,
    text_of,
)  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

ENVIRONMENT_LIMIT = 512 * 1024  #: all of ``env``; with an argv it must leave room in the 2 MiB that Linux gives to both
DEFAULT_BACKOFF = 1_000  #: the base of the retry delay, in milliseconds
DEFAULT_CRASHES = 3  #: how often a job may die with its runner before it is given up
SHELL = "/bin/sh"
AUTO = "auto"  #: the key that is made of what the job does
EVER, ACTIVE = "ever", "active"
PARENTS_LIMIT = 10_000  #: names, ids and batches in one ``after``


class JobSpec:
    """One job to be stored: ``kind`` and ``work``, plus what ``FIELDS`` allows, all checked and normalised.

    ``kind`` is ``argv`` (``work`` is the JSON list of words), ``shell`` (JSON list: the script, then ``$1`` …),
    ``call`` (JSON object: call, args) or ``payload`` (any JSON). Durations and instants are milliseconds. ``where`` tells
    where it was written, for a complaint that only the store can make.
    """

    __slots__ = (
        "after",
        "after_any",
        "backoff",
        "batch",
        "cwd",
        "delay",
        "env",
        "hold",
        "if_exists",
        "inputs",
        "key",
        "kind",
        "leftovers",
        "max_attempts",
        "max_crashes",
        "name",
        "no_retry_on",
        "on_crash",
        "path",
        "priority",
        "queue",
        "retry_on",
        "retry_timeout_factor",
        "run_at",
        "slots",
        "stdin",
        "tags",
        "timeout",
        "umask",
        "unique",
        "where",
        "work",
    )

    def __init__(self, kind: str, work: str) -> None:
        self.kind = kind
        self.work = work
        self.name: str | None = None
        self.batch = "default"
        self.queue = "default"
        self.priority = 0
        self.max_attempts = 1
        self.backoff = DEFAULT_BACKOFF
        self.timeout: int | None = None
        self.delay: int | None = None
        self.run_at: int | None = None
        self.hold = False
        self.on_crash = "retry"
        self.max_crashes = DEFAULT_CRASHES
        self.retry_on: str | None = None
        self.no_retry_on: str | None = None
        self.retry_timeout_factor: float | None = None
        self.key: str | None = None
        self.unique: str | int = EVER
        self.if_exists = "skip"
        self.inputs: str | None = None
        self.after: tuple[str, ...] = ()
        self.after_any: tuple[str, ...] = ()
        self.slots = 1
        self.leftovers = "kill"
        self.env: str | None = None
        self.stdin: bytes | None = None
        self.umask: int | None = None
        self.tags: str | None = None
        self.cwd = ""
        self.path = ""
        self.where = ""

    def like(self, kind: str, work: str) -> "JobSpec":
        """A new job with this ``kind`` and ``work`` and with every other field of this one; nothing is checked."""
        # Written out: a loop over __slots__ takes three times as long, and a long list of commands makes each job here.
        spec = _new(JobSpec)
        spec.kind, spec.work = kind, work
        spec.name, spec.batch, spec.queue, spec.key, spec.tags = self.name, self.batch, self.queue, self.key, self.tags
        spec.priority, spec.delay, spec.run_at, spec.hold = self.priority, self.delay, self.run_at, self.hold
        spec.max_attempts, spec.backoff, spec.timeout = self.max_attempts, self.backoff, self.timeout
        spec.on_crash, spec.max_crashes, spec.leftovers = self.on_crash, self.max_crashes, self.leftovers
        spec.env, spec.stdin, spec.umask, spec.cwd, spec.path = self.env, self.stdin, self.umask, self.cwd, self.path
        spec.after, spec.after_any, spec.slots, spec.inputs = self.after, self.after_any, self.slots, self.inputs
        spec.unique, spec.if_exists, spec.retry_on = self.unique, self.if_exists, self.retry_on
        spec.no_retry_on, spec.retry_timeout_factor = self.no_retry_on, self.retry_timeout_factor
        spec.where = self.where
        return spec


_new = JobSpec.__new__


# --- checks of single values: each returns the stored form or raises ValueError with the end of a sentence ------------


def _label(value: object) -> str:
    text = text_of(value)
    if not text or len(text) > NAME_LIMIT or not text.isprintable():
        raise ValueError(f"must be 1 to {NAME_LIMIT} printable characters")
    return text


def _integer(low: int, high: int) -> "Callable[[object], int]":
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, not {kind_of(value)}")
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")
        return value

    return check


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {kind_of(value)}")
    return value


def _one_of(*words: str) -> "Callable[[object], str]":
    def check(value: object) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return check


def _duration(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"must be a duration such as '90s', not {kind_of(value)}")
    return _time(value, clock.duration)


def _timeout(value: object) -> int:
    if (limit := _duration(value)) == 0:
        raise ValueError("must be longer than 0; leave it out for no limit")
    return limit


def _instant(value: object) -> int:
    # A number could be read as a date without hyphens, so only text and the dates of TOML are taken.
    if not isinstance(value, str) and not hasattr(value, "isoformat"):
        raise ValueError(f"must be a time such as '2026-11-23T18:00', not {kind_of(value)}")
    return _time(value, clock.instant)


def _time(value: object, read: "Callable[[str], int]") -> int:
    if (isinstance(value, int) and value.bit_length() > 64) or len(text := str(value)) > 64:
        raise ValueError("is too long for a time")
    try:
        return read(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is wrong: {error}") from None


def _umask(value: object) -> int:
    try:
        mask = int(text_of(value), 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise ValueError("must be an octal string such as '022'")
    return mask


def _stdin(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {kind_of(value)}")
    data = encode_bytes(value)
    if len(data) > FIELD_LIMIT:
        raise ValueError("is over 1 MiB: keep it in a file and let the command read that")
    return data


def _env(value: object) -> str | None:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table of NAME = 'value', not {kind_of(value)}")
    size = 0
    for name, text in value.items():
        if not isinstance(name, str) or not name or "=" in name:
            raise ValueError(f"has a variable with the impossible name {quoted(name)}")
        if name.startswith("BATCHQ_"):
            raise ValueError(f"sets {quoted(name)}, but names that begin with BATCHQ_ are batchq's own")
        try:
            size += len(encode_bytes(argument(f"{name}={argument(text)}"))) + POINTER
        except ValueError as error:
            raise ValueError(f"has {quoted(name)}, which {error}") from None
    if size > ENVIRONMENT_LIMIT:
        raise ValueError("is over 512 KiB in all: put the values into a file")
    return raw_json(value) if value else None


def _tags(value: object) -> str | None:
    if not isinstance(value, list):
        raise ValueError(f"must be a list of strings, not {kind_of(value)}")
    return bounded_json([_label(tag) for tag in value]) if value else None


def _unique(value: object) -> str | int:
    if value in (EVER, ACTIVE):
        return str(value)
    try:
        return _timeout(value)
    except ValueError:
        raise ValueError(f"must be '{EVER}', '{ACTIVE}' or a duration such as '1d'") from None


def _parents(value: object) -> tuple[str, ...]:
    """Names of jobs, ids, and batches as ``batch:NAME``; each once."""
    words = [value] if isinstance(value, (str, int)) else value
    if not isinstance(words, list):
        raise ValueError(f"must be a list of names, ids or 'batch:NAME', not {kind_of(value)}")
    if len(words) > PARENTS_LIMIT:
        raise ValueError(f"has over {PARENTS_LIMIT} entries: give those jobs one name or a batch of their own")
    found: dict[str, None] = {}
    for word in words:
        if isinstance(word, int) and not isinstance(word, bool) and 0 < word < 2**63:
            found[str(word)] = None
            continue
        text = _label(word)
        if text.startswith("batch:") and text == "batch:":
            raise ValueError("names a batch, but not which: write 'batch:NAME'")
        found[text] = None
    return tuple(found)


def _inputs(value: object) -> str | None:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list):
        raise ValueError(f"must be a list of files, not {kind_of(value)}")
    return raw_json([argument(word) for word in words]) if words else None


def _factor(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 100:
        raise ValueError("must be a number from 1 to 100")
    return float(value)


FIELDS: "dict[str, Callable[[Any], Any]]" = {
    "name": _label,
    "batch": _label,
    "queue": _label,
    "priority": _integer(-(2**31), 2**31 - 1),
    "delay": _duration,
    "run_at": _instant,
    "timeout": _timeout,
    "max_attempts": _integer(1, 1_000_000),
    "backoff": _duration,
    "on_crash": _one_of("retry", "hold"),
    "max_crashes": _integer(1, 1_000_000),
    "hold": _truth,
    "leftovers": _one_of("kill", "keep"),
    "retry_on": retrying.rules,
    "no_retry_on": retrying.rules,
    "retry_timeout_factor": _factor,
    "key": _label,
    "unique": _unique,
    "if_exists": _one_of("skip", "reject", "replace", "rerun-failed"),
    "inputs": _inputs,
    "after": _parents,
    "after_any": _parents,
    "slots": _integer(1, 10_000),
    "env": _env,
    "stdin": _stdin,
    "umask": _umask,
    "tags": _tags,
    "cwd": argument,
}
WORK_FIELDS = ("command", "call", "args", "payload")


def job_spec(fields: "Mapping[str, Any]", where: str, cwd: str, path: str) -> JobSpec:
    """The checked job that ``fields`` describe; ``where`` begins every complaint, as in ``jobs.toml, job 3 (load)``.

    ``cwd`` is the directory of the ``add`` call: the job's own ``cwd`` resolves against it. ``path`` is the search
    path to store. Raises InputError with one sentence that names the field.
    """
    for name in fields:
        if name not in FIELDS and name not in WORK_FIELDS:
            raise InputError(
                f"{where}: unknown field {quoted(name)}{did_you_mean(name, [*FIELDS, *WORK_FIELDS, 'matrix'])}"
            )
    spec = JobSpec(*_work(fields, where))
    spec.cwd, spec.path, spec.where = cwd, path, where
    for name, value in fields.items():
        check = FIELDS.get(name)
        if check is None:
            continue
        try:
            setattr(spec, name, check(value))
        except ValueError as error:
            raise InputError(f"{where}: field {name!r} {error}") from None
    if spec.delay is not None and spec.run_at is not None:
        raise InputError(f"{where}: fields 'delay' and 'run_at' exclude each other")
    if spec.leftovers == "keep" and spec.kind in ("call", "payload"):
        raise InputError(
            f"{where}: field 'leftovers' can be 'keep' for commands only: a worker ends what a callable left"
        )
    if spec.cwd is not cwd:
        spec.cwd = _resolve(spec.cwd, cwd)
    if spec.inputs is not None:
        import json

        spec.inputs = raw_json([_resolve(file, cwd) for file in json.loads(spec.inputs)])
    return spec


def _resolve(folder: str, start: str) -> str:
    import os.path

    return os.path.normpath(os.path.join(start, os.path.expanduser(folder)))


def _work(fields: "Mapping[str, Any]", where: str) -> tuple[str, str]:
    said = [name for name in ("command", "call", "payload") if name in fields]
    if len(said) != 1:
        words = " and ".join(repr(name) for name in said)
        problem = f"fields {words} exclude each other" if said else "needs a 'command', a 'call' or a 'payload'"
        raise InputError(f"{where}: {problem}")
    (name,) = said
    value = fields[name]
    try:
        if "args" in fields and name != "call":
            raise ValueError("takes no 'args': they belong to a 'call'")
        if name == "command":
            return ("shell", shell_work([value])) if isinstance(value, str) else ("argv", argv_work(value))
        if name == "call":
            target_of(value)
            name = "args"
            return "call", call_work(value, fields.get("args", {}))
        return "payload", bounded_json(value)
    except ValueError as error:
        raise InputError(f"{where}: field {name!r} {error}") from None
