"""One job as a person writes it, checked field by field, and as the store keeps it.

``FIELDS`` is the one list of what a job may say: TOML, JSON lines and the command line all read it. This module is
imported by every ``batchq add``, so it imports nothing that costs start-up time.
"""

from batchq import clock
from batchq.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

ARGUMENT_LIMIT = 128 * 1024 - 1  #: Linux refuses a single argument of 128 KiB (MAX_ARG_STRLEN, its final NUL included)
FIELD_LIMIT = 1024 * 1024  #: an argv as a whole, a payload, the arguments of a call, a stdin; in bytes
ENVIRONMENT_LIMIT = 512 * 1024  #: all of ``env``; with an argv it must leave room in the 2 MiB that Linux gives to both
NAME_LIMIT = 255  #: a name, batch, queue, key or tag; in characters
NESTING_LIMIT = 200  #: levels of a payload; far below what the runner's own stack lets it decode again
DEFAULT_BACKOFF = 1_000  #: the base of the retry delay, in milliseconds
DEFAULT_CRASHES = 3  #: how often a job may die with its runner before it is given up
SHELL = "/bin/sh"
_POINTER = 9  #: what a word costs besides its bytes: the final NUL and the address that execve passes along


class JobSpec:
    """One job to be stored: ``kind`` and ``work``, plus what ``FIELDS`` allows, all checked and normalised.

    ``kind`` is ``argv`` (``work`` is the JSON list of words), ``shell`` (JSON list: the script, then ``$1`` …),
    ``call`` (JSON object: call, args) or ``payload`` (any JSON). Durations and instants are milliseconds.
    """

    __slots__ = (
        "backoff",
        "batch",
        "cwd",
        "delay",
        "env",
        "hold",
        "key",
        "kind",
        "leftovers",
        "max_attempts",
        "max_crashes",
        "name",
        "on_crash",
        "path",
        "priority",
        "queue",
        "run_at",
        "stdin",
        "tags",
        "timeout",
        "umask",
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
        self.key: str | None = None
        self.leftovers = "kill"
        self.env: str | None = None
        self.stdin: bytes | None = None
        self.umask: int | None = None
        self.tags: str | None = None
        self.cwd = ""
        self.path = ""

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
        return spec


_new = JobSpec.__new__


# --- checks of single values: each returns the stored form or raises ValueError with the end of a sentence ------------


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {_kind(value)}")
    if "\0" in value:
        raise ValueError("holds a NUL character, which no program can receive")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("holds a lone surrogate, which is no text") from None
    return value


def argument(value: object) -> str:
    """``value`` if it is a word that a program can receive, else ValueError.

    Bytes that are no UTF-8 pass as the surrogates that ``os.fsdecode`` makes of them.
    """
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {_kind(value)}")
    if "\0" in value:
        raise ValueError("holds a NUL character, which no program can receive")
    if (len(value) * 4 > ARGUMENT_LIMIT or not value.isascii()) and len(encode_bytes(value)) > ARGUMENT_LIMIT:
        raise ValueError("is over 128 KiB, the most that a program can receive as one word: put it into a file")
    return value


def _label(value: object) -> str:
    text = _text(value)
    if not text or len(text) > NAME_LIMIT or not text.isprintable():
        raise ValueError(f"must be 1 to {NAME_LIMIT} printable characters")
    return text


def _integer(low: int, high: int) -> "Callable[[object], int]":
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, not {_kind(value)}")
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")
        return value

    return check


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {_kind(value)}")
    return value


def _one_of(*words: str) -> "Callable[[object], str]":
    def check(value: object) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return check


def _duration(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"must be a duration such as '90s', not {_kind(value)}")
    return _time(value, clock.duration)


def _timeout(value: object) -> int:
    if (limit := _duration(value)) == 0:
        raise ValueError("must be longer than 0; leave it out for no limit")
    return limit


def _instant(value: object) -> int:
    # A number could be read as a date without hyphens, so only text and the dates of TOML are taken.
    if not isinstance(value, str) and not hasattr(value, "isoformat"):
        raise ValueError(f"must be a time such as '2026-11-23T18:00', not {_kind(value)}")
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
        mask = int(_text(value), 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise ValueError("must be an octal string such as '022'")
    return mask


def _stdin(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {_kind(value)}")
    data = encode_bytes(value)
    if len(data) > FIELD_LIMIT:
        raise ValueError("is over 1 MiB: keep it in a file and let the command read that")
    return data


def _env(value: object) -> str | None:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table of NAME = 'value', not {_kind(value)}")
    size = 0
    for name, text in value.items():
        if not isinstance(name, str) or not name or "=" in name:
            raise ValueError(f"has a variable with the impossible name {quoted(name)}")
        if name.startswith("BATCHQ_"):
            raise ValueError(f"sets {quoted(name)}, but names that begin with BATCHQ_ are batchq's own")
        try:
            size += len(encode_bytes(argument(f"{name}={argument(text)}"))) + _POINTER
        except ValueError as error:
            raise ValueError(f"has {quoted(name)}, which {error}") from None
    if size > ENVIRONMENT_LIMIT:
        raise ValueError("is over 512 KiB in all: put the values into a file")
    return _dumps(value) if value else None


def _tags(value: object) -> str | None:
    if not isinstance(value, list):
        raise ValueError(f"must be a list of strings, not {_kind(value)}")
    return _bounded([_label(tag) for tag in value]) if value else None


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
    "key": _label,
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
            raise InputError(f"{where}: unknown field {quoted(name)}{did_you_mean(name, [*FIELDS, *WORK_FIELDS])}")
    spec = JobSpec(*_work(fields, where))
    spec.cwd, spec.path = cwd, path
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
    if spec.cwd is not cwd:
        spec.cwd = _resolve(spec.cwd, cwd)
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
            _target(value)
            name = "args"
            return "call", call_work(value, fields.get("args", {}))
        return "payload", _bounded(value)
    except ValueError as error:
        raise InputError(f"{where}: field {name!r} {error}") from None


# --- the stored form of the work --------------------------------------------------------------------------------------


def argv_work(words: object) -> str:
    """The stored form of a command that is executed as given. Raises ValueError."""
    if not isinstance(words, list):
        raise ValueError(f"must be a list of words or one string for the shell, not {_kind(words)}")
    if not words or words[0] == "":
        raise ValueError("names no program")
    return _words(words, 1)


def shell_work(words: list[str]) -> str:
    """The stored form of a script for ``/bin/sh -c`` and its ``$1`` …. Raises ValueError."""
    if not argument(words[0]).strip():
        raise ValueError("is an empty command")
    return _words(words, 0)


def _words(words: list[str], first: int) -> str:
    for number, word in enumerate(words, first):
        try:
            argument(word)
        except ValueError as error:
            raise ValueError(f"has a word, number {number}, that {error}") from None
    if sum(map(len, words)) * 4 + _POINTER * len(words) > FIELD_LIMIT:
        size = sum(len(encode_bytes(word)) + _POINTER for word in words)
        if size > FIELD_LIMIT:
            raise ValueError("is over 1 MiB in all: put the words into a file and use xargs")
    # What is printable needs no other escape in JSON than these two, and no import of json.
    text = '","'.join([word.replace("\\", "\\\\").replace('"', '\\"') for word in words])
    return f'["{text}"]' if text.isprintable() else _dumps(words)


def call_work(target: object, args: object) -> str:
    """The stored form of ``pkg.mod:func`` with keyword arguments. Raises ValueError."""
    if not isinstance(args, dict):
        raise ValueError(f"must be a table of keyword arguments, not {_kind(args)}")
    return _bounded({"call": _target(target), "args": args})


def _target(value: object) -> str:
    text = _text(value)
    module, colon, attribute = text.partition(":")
    if not colon or not all(part.isidentifier() for part in f"{module}.{attribute}".split(".")):
        raise ValueError("must be 'package.module:function'")
    return text


def _bounded(value: object) -> str:
    text = to_json(value)
    if len(text) > FIELD_LIMIT:
        raise ValueError("is over 1 MiB: keep the data in a file and pass its name")
    if text.count("[") + text.count("{") > NESTING_LIMIT and _deeper(value, NESTING_LIMIT):
        raise ValueError(f"is nested more than {NESTING_LIMIT} levels deep")
    return text


def _deeper(value: object, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, (dict, list, tuple))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(layer)


def to_json(value: object) -> str:
    """Compact JSON; ValueError for what JSON cannot say (NaN, dates, bytes, lone surrogates, endless nesting)."""
    import json

    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=_no_json)
    except TypeError as error:
        raise ValueError(f"holds a table that is no JSON: {error}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except ValueError as error:
        said = str(error)
        raise ValueError(_NO_JSON.get(said.partition(" ")[0], said)) from None
    if "\\ud" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("holds a lone surrogate, which is no text") from None
    return text


#: What json's own complaints mean, by their first word.
_NO_JSON = {
    "Out": "holds NaN or Infinity, which is no JSON",
    "Exceeds": "holds a whole number of more than 4300 digits",
    "Circular": "contains itself",
}


def _no_json(value: object) -> object:
    raise ValueError(f"holds {_kind(value)}, which JSON cannot say: write it as a string")


def _dumps(value: object) -> str:
    import json

    return json.dumps(value, separators=(",", ":"))


def encode_bytes(text: str) -> bytes:
    """The bytes behind ``text``: UTF-8, where surrogates stand for the raw bytes that ``os.fsdecode`` met.

    Raises ValueError for any other surrogate.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("holds a lone surrogate, which is no text") from None


def quoted(value: object) -> str:
    """``value`` between quotes on one line, for a message: printable, and cut in the middle where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:50]} … {text[-20:]}"


def did_you_mean(word: str, known: "list[str]") -> str:
    """``" (did you mean 'timeout'?)"``, or nothing where no known word is near."""
    import difflib

    near = difflib.get_close_matches(word[:NAME_LIMIT], known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _kind(value: object) -> str:
    names = {dict: "a table", list: "a list", str: "a string", bool: "true or false", int: "a number",
             float: "a number with a decimal point"}  # fmt: skip
    return names.get(type(value), "nothing" if value is None else f"a {type(value).__name__}")
