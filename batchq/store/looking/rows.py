"""What looking at a store returns: frozen values, made by ``queries`` and ``tallies``. Times are milliseconds."""

import json

from batchq.jobs import shellwords
from batchq.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class End(NamedTuple):
    """How an attempt ended, as it was recorded; ``timeout`` is that of its job, in milliseconds.

    ``cause`` begins with its id, a space, and then says why it failed.
    """

    outcome: str
    exit_code: int | None = None
    signal: int | None = None
    error_type: str | None = None
    error: str | None = None
    timeout: int | None = None
    cause: str | None = None


class Filed(NamedTuple):
    """A log file with everything that an attempt printed to ``stream`` (``stdout``, ``stderr`` or ``both``).

    ``trouble`` is why something is missing in it.
    """

    stream: str
    path: str
    trouble: str | None


class Job(NamedTuple):
    """One job with the end of its last attempt (None while that runs, and before the first).

    ``attempt`` counts all attempts so far, ``failures`` those that count for ``max_attempts``. ``is_lost``: it is
    ``running`` in the store, but its run has died, and the next one takes it back. ``logs`` are those of the last
    attempt; ``age`` is how long it has been running (ms), if that is known better than from ``started_at``. ``host`` is
    where the last attempt ran, or runs; None on the machine of its run.
    """

    id: int
    name: str | None
    batch: str
    queue: str
    state: str
    why: str | None
    kind: str
    work: str
    priority: int
    attempt: int
    max_attempts: int
    failures: int
    crashes: int
    key: str | None
    tags: str | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    due_at: int | None
    seconds: float | None
    traceback: str | None
    end: End | None
    is_lost: bool = False
    logs: tuple["Filed", ...] = ()
    age: int | None = None
    cpu_seconds: float | None = None
    peak_kib: int | None = None
    host: str | None = None

    def running_for(self, at: int) -> int:
        """How many milliseconds a running job has been running; ``at`` is now."""
        return max(0, at - (self.started_at or at)) if self.age is None else self.age

    @property
    def standing(self) -> str:
        """Its state as it is shown: ``lost`` if its run has died."""
        return "lost" if self.is_lost else self.state

    @property
    def command(self) -> str:
        """The work as a person would write it; a command is a line for a shell that does the same."""
        return command(self.kind, self.work)


class Log(NamedTuple):
    """The last bytes that an attempt printed, and the stream; ``cut`` if it printed more before them."""

    stream: str
    data: bytes
    cut: bool


class Failure(NamedTuple):
    """A failed job with the last bytes of its stderr, else of its stdout."""

    job: Job
    log: Log | None


class Attempt(NamedTuple):
    """One attempt; while it runs (``end`` is None) only its start, its host and its output so far are known."""

    number: int
    started_at: int | None
    finished_at: int | None
    seconds: float | None
    cpu_seconds: float | None
    peak_kib: int | None
    leftovers: int
    threads: int
    result: str | None
    traceback: str | None
    runner: int | None
    stdout_bytes: int
    stderr_bytes: int
    end: End | None
    host: str | None = None
    logs: tuple[Filed, ...] = ()


class Detail(NamedTuple):
    """Everything that is stored about one job. ``env`` has names only: values may be secrets. ``terms`` are the columns
    of its fields, as they are stored."""

    job: Job
    add_id: int
    cwd: str
    path: str
    env: tuple[str, ...]
    stdin_bytes: int | None
    umask: int | None
    timeout: int | None
    backoff: int
    on_crash: str
    max_crashes: int
    interruptions: int
    cancel_asked: bool
    attempts: tuple[Attempt, ...]
    terms: "dict[str, Any]"


class Parent(NamedTuple):
    """A job after which another one runs; ``kind`` is ``after`` (its success), ``after_any`` (its end)
    or ``after_failed`` (its failure). Its ``state`` is ``lost`` if its run has died."""

    id: int
    name: str | None
    state: str
    kind: str


class Output(NamedTuple):
    """What one stream of an attempt printed: ``tail`` follows ``head``; bytes between them are lost if ``cut``."""

    attempt: int
    head: bytes
    tail: bytes
    total: int

    @property
    def cut(self) -> int:
        """How many bytes are missing between head and tail."""
        return self.total - len(self.head) - len(self.tail)


def command(kind: str, work: str) -> str:
    """Stored work as a person would write it: a command can be pasted into a shell. Invalid JSON is shown as it is."""
    try:
        return _written(kind, work, json.loads(work))
    except (ValueError, TypeError, LookupError, AttributeError):
        return work


def _written(kind: str, work: str, value: "Any") -> str:
    if kind == "argv":
        return shellwords.joined(value)
    if kind == "shell":
        script, *words = value
        return shellwords.joined(["sh", "-c", script, "sh", *words]) if words else shellwords.script_of(script)
    if kind == "call":
        given = ", ".join(f"{name}={json.dumps(arg, ensure_ascii=False)}" for name, arg in value["args"].items())
        return f"{value['call']}({given})"
    return work


class Spread(NamedTuple):
    """How durations are distributed, in seconds: half of them are at most ``p50``, 90 % at most ``p90``, and so on."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: "Sequence[float]") -> "Spread | None":
        """The spread of some durations; None if there are none."""
        if not seconds:
            return None
        ordered = sorted(seconds)
        return cls(*(ordered[-(-len(ordered) * part // 100) - 1] for part in (50, 90, 99, 100)))


class Timing(NamedTuple):
    """When the attempts of some jobs ran, how many there were, and their total time, in seconds.

    ``first_started`` includes attempts that run now, the rest only those that have ended. ``retries`` are attempts after
    the first of a job.
    """

    first_started: int | None
    last_finished: int | None
    attempts: int
    retries: int
    busy_seconds: float
    cpu_seconds: float
