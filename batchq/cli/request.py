"""What one command line asks for: the value of each parameter of its table, by name, and what a value means."""

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
    """A duration such as ``90s``, in milliseconds. Raises UsageError."""
    try:
        return clock.duration(text)
    except ValueError as error:
        raise UsageError(f"{option} {error}") from None
