"""The events of a run, passed to handlers: ``run.start run.stop job.start job.stop job.error``.

The contract follows Erlang's :telemetry, as in the worker model from which batchq grew. A handler is a callable that
takes one ``Event``. It can never break a run: what it raises is logged, even a ``SystemExit``. ``job.stop`` and
``job.error`` are sent after the record is on disk.

| event       | measurements          | metadata                                                         |
|-------------|-----------------------|------------------------------------------------------------------|
| `run.start` | `slots`               | `store`, `executor`                                              |
| `job.start` |                       | `name`, `batch`, `queue`, `payload` (the words, call or payload)  |
| `job.stop`  | `duration` in seconds | as job.start, `state`, `result`                                  |
| `job.error` | `duration` in seconds | as job.start, `state`, `outcome`, `error`                        |
| `run.stop`  | `duration`, counts    | `store`, `status` (the exit code)                                |
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence

from batchq.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from typing import Any


class Event(NamedTuple):
    """One event; ``at`` in milliseconds since 1970; ``job`` and ``attempt`` are None for run events."""

    name: str
    at: int
    job: int | None
    attempt: int | None
    measurements: Mapping[str, float]
    metadata: "Mapping[str, Any]"


Handler = Callable[[Event], None]


def emit(handlers: Sequence[Handler], event: Event) -> None:
    """Pass the event to every handler. If one raises, that is logged, and the others still get the event."""
    for handler in handlers:
        try:
            handler(event)
        except BaseException as error:  # a sys.exit too: it must not end the running jobs
            _complain(handler, event, error)


def _complain(handler: Handler, event: Event, error: BaseException) -> None:
    trace = error.__traceback__ and error.__traceback__.tb_next  # without the frame of ``emit``
    with contextlib.suppress(BaseException):  # the handler's own repr and logging set-up may fail as well
        _log().warning("the event handler %r failed on %s", handler, event.name, exc_info=(type(error), error, trace))


def _log() -> "logging.Logger":
    import logging

    return logging.getLogger("batchq")
