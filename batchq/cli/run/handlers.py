"""Make the handlers of a run's events from ``--events`` and ``--handler``."""

import sys
from operator import attrgetter

from batchq.errors import UsageError
from batchq.events import Handler
from batchq.jobs.work import kind_of, target_of


def check_target(option: str, target: str) -> None:
    """Raise UsageError if ``target`` is not of the form MODULE:FUNCTION."""
    try:
        target_of(target)
    except ValueError as error:
        raise UsageError(f"{option} {target!r} {error}") from None


def made_of(events: str | None, targets: list[str], home: str) -> list[Handler]:
    """Import and open the handlers. Raises UsageError."""
    import importlib

    handlers: list[Handler] = []
    if events is not None:
        from batchq.runner.eventfile import EventFile

        try:
            handlers.append(EventFile(events))
        except OSError as error:
            raise UsageError(f"--events {events}: {error.strerror}") from None
    if targets:
        import tenacity  # noqa: F401

        sys.path.insert(0, home)
    for target in targets:
        module, _, name = target.partition(":")
        try:
            handler = attrgetter(name)(importlib.import_module(module))
        except SystemExit as end:
            raise UsageError(f"--handler {target}: its module exits when it is imported ({end!r})") from None
        except BaseException as error:  # whatever the module does when it is imported
            raise UsageError(f"--handler {target}: {type(error).__name__}: {error}") from None
        if not callable(handler):
            raise UsageError(f"--handler {target}: it is not a function, but {kind_of(handler)}")
        handlers.append(handler)
    if targets:
        sys.path[:] = [*(one for one in sys.path if one != home), home]
    return handlers
