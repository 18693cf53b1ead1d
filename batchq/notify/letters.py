"""What a target is told about a run: counts and facts, and the text that the run prints for people."""

from typing import Any

from batchq.named import NamedTuple
from batchq.visible import visible

LONGEST = 10_000  #: bytes of the text
_CUT = "\n… the rest is cut\n"


class Letter(NamedTuple):
    """``facts`` become variables ``BATCHQ_…`` of a command. ``has_news``: the run did, or decided, something."""

    facts: dict[str, Any]
    text: str
    has_news: bool


def of_status(status: int, path: str, trouble: str | None) -> Letter:
    """Return the letter about a run that ended with ``status`` before it could record its end, or could not start."""
    why = trouble or "the run ended before it could record its end; the next 'batchq run' takes back its running jobs"
    return Letter(
        {"STATUS": status, "DB": path},
        cut(f"batchq: run of {visible(path, one_line=True)}: exit code {status}\n{why}\n"),
        True,
    )


def cut(text: str) -> str:
    """Return a text of at most ``LONGEST`` bytes, which says if something is missing."""
    data = text.encode(errors="backslashreplace")
    if len(data) <= LONGEST:
        return data.decode()
    return data[: LONGEST - len(_CUT.encode())].decode(errors="ignore") + _CUT
