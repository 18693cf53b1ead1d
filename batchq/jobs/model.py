"""One job as a person writes it, checked field by field, and as the store keeps it.

``FIELDS`` is the one list of what a job may say: TOML, JSON lines and the command line all read it. This module is
imported by every ``batchq add``, so it imports nothing that costs start-up time.
"""

import sys

from batchq.errors import InputError
from batchq.jobs import values
from batchq.jobs.fields import DEFAULT_BACKOFF, DEFAULT_CRASHES, DEFAULT_SNOOZES, FIELDS, WORK_FIELDS
from batchq.jobs.work import (
    argv_work,
    bounded_json,
    call_work,
    did_you_mean,
    quoted,
    raw_json,
    shell_work,
    target_of,
)  # fmt: skip
from batchq.paths import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SHELL = "/bin/sh"
AUTO = "auto"  #: the key that is made of what the job does


class JobSpec:
    """One job to be stored: ``kind`` and ``work``, plus what ``FIELDS`` allows, all checked and normalised.

    ``kind`` is ``argv`` (``work`` is the JSON list of words), ``shell`` (JSON list: the script, then ``$1`` …),
    ``call`` (JSON object: call, args) or ``payload`` (any JSON). Durations and instants are milliseconds. ``where`` tells
    where it was written, for a complaint that only the store can make. ``pattern`` is the job that ``like`` made it from.
    """

    __slots__ = (
        "after",
        "after_any",
        "backoff",
        "batch",
        "cwd",
        "delay",
        "env",
        "fresh",
        "hold",
        "if_exists",
        "inputs",
        "key",
        "kind",
        "leftovers",
        "max_attempts",
        "max_crashes",
        "max_snoozes",
        "name",
        "no_retry_on",
        "on_crash",
        "path",
        "pattern",
        "priority",
        "python",
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
        self.max_snoozes = DEFAULT_SNOOZES
        self.python: str | None = None
        self.fresh = False
        self.key: str | None = None
        self.unique: str | int = values.EVER
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
        self.pattern: JobSpec | None = None

    def like(self, kind: str, work: str) -> "JobSpec":
        """A new job with this ``kind`` and ``work`` and with every other field of this one; nothing is checked.

        Only ``OWN`` fields of it are changed afterwards: jobs of one ``pattern`` are the same in all others.
        """
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
        spec.max_snoozes, spec.python, spec.fresh = self.max_snoozes, self.python, self.fresh
        spec.where, spec.pattern = self.where, self
        return spec


_new = JobSpec.__new__
OWN = ("kind", "work", "name", "key", "where")  #: fields in which jobs of one pattern may differ


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
    spec = JobSpec(*work_of(fields, where))
    spec.cwd, spec.path, spec.where = cwd, path, where
    for name, value in fields.items():
        field = FIELDS.get(name)
        if field is None:
            continue
        try:
            setattr(spec, name, field.check(value))
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
    if spec.python is None:
        spec.python = sys.executable if spec.kind == "call" else None
    elif "/" in spec.python:
        spec.python = _resolve(spec.python, cwd)
    if spec.inputs is not None:
        import json

        spec.inputs = raw_json([_resolve(file, cwd) for file in json.loads(spec.inputs)])
    return spec


def _resolve(folder: str, start: str) -> str:
    import os.path

    return absolute(os.path.expanduser(folder), start)


def work_of(fields: "Mapping[str, Any]", where: str) -> tuple[str, str]:
    """The ``kind`` and the ``work`` that ``fields`` describe; raises InputError as ``job_spec``."""
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
        return "payload", bounded_json(value, "payload")
    except ValueError as error:
        raise InputError(f"{where}: field {name!r} {error}") from None
