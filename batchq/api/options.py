"""The fields of a job in Python types: ``Options`` for type checkers, ``plain`` for the checks of ``jobs.model``."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from datetime import date, timedelta

    Duration = str | float | timedelta
    Path = str | os.PathLike[str]
    Rule = str | int | type[BaseException]


class Options(TypedDict, total=False):
    """The options of ``@batchq.job(…)`` and ``.options(…)``: every field of a job file, except the work itself."""

    name: str
    batch: str
    queue: str
    priority: int
    delay: "Duration"
    run_at: "str | date"
    timeout: "Duration"
    max_attempts: int
    backoff: "Duration"
    on_crash: Literal["retry", "hold"]
    max_crashes: int
    hold: bool
    leftovers: Literal["kill", "keep"]
    output: Literal["separate", "merged"]
    keep_output: str | int
    success_codes: int | Sequence[int]
    retry_on: "Rule | Sequence[Rule]"
    no_retry_on: "Rule | Sequence[Rule]"
    retry_timeout_factor: float
    max_snoozes: int
    python: "Path"
    fresh: bool
    key: str
    unique: "Duration"
    if_exists: Literal["skip", "reject", "replace", "rerun-failed"]
    inputs: "Path | Sequence[Path]"
    after: str | int | Sequence[str | int]
    after_any: str | int | Sequence[str | int]
    after_failed: str | int | Sequence[str | int]
    slots: int
    env: Mapping[str, str]
    stdin: str
    umask: str
    tags: Sequence[str]
    cwd: "Path"


_DATA = ("args", "payload")  #: passed to the job as JSON; a value that JSON cannot represent is refused, not translated


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields in the types of a job file: a path becomes text, a timedelta seconds, an exception its name, a
    tuple or any other iterable a list. The data of a call or a payload do not change."""
    return {name: value if name in _DATA else _plain(value) for name, value in fields.items()}


def seconds(duration: "Duration") -> float:
    """Return the seconds of a duration as ``timeout=`` takes it. Raises UsageError."""
    from batchq import clock
    from batchq.errors import UsageError

    try:
        return clock.duration(str(_plain(duration))) / 1000
    except ValueError as error:
        raise UsageError(str(error)) from None


def _plain(value: object) -> object:
    if value is None or isinstance(value, (str, bytes, int, float, dict)):
        return value
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, type) and issubclass(value, BaseException):
        return value.__name__
    if getattr(value, "fold", 0) and getattr(value, "tzinfo", None) is None:
        return _plain(value.astimezone())  # type: ignore[attr-defined]  # text without an offset means the first of two hours
    if hasattr(value, "total_seconds"):
        return f"{value.total_seconds():.6f}"
    if isinstance(value, Mapping):
        return dict(value)
    return [_plain(item) for item in value] if isinstance(value, Iterable) else value
