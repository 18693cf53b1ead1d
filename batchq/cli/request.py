"""The values of one command line, by the name of the parameter; and the parsing of durations."""

from batchq import clock
from batchq.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Request:
    """A namespace of values."""

    def __init__(self, values: "dict[str, Any]") -> None:
        self.__dict__ = values

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def duration(option: str, text: str) -> int:
    """Return a duration such as ``90s`` in milliseconds. Raises UsageError."""
    try:
        return clock.duration(text)
    except ValueError as error:
        raise UsageError(f"{option} {error}") from None
