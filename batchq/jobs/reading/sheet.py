"""What all formats of job files share: decoding, and how a job's fields override the defaults."""

from batchq.errors import InputError
from batchq.jobs.work import NAME_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

TOO_LONG = "contains a whole number of more than 4300 digits"


def text_of_file(data: bytes, source: str, number: int = 1, offset: int = 0) -> str:
    """Decode a file in UTF-8, or a part of it that begins with line ``number`` at byte ``offset``.

    Raises InputError, with the line, if it is not UTF-8 text.
    """
    problem = "contains a NUL byte"  # not allowed in any format, and in every UTF-16 text of ASCII letters
    at = data.find(b"\0")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        problem, at = "is not UTF-8 text", error.start
    if at < 0:
        return text if offset else text.removeprefix("\ufeff")
    line = data.count(b"\n", 0, at) + number
    raise InputError(f"{source}, line {line}: {problem} (at byte {offset + at} of the file): save the file as UTF-8")


def named(own: "dict[str, Any]") -> str:
    """Return the name of a job for its place in a message: ``" (load)"``, or nothing."""
    name = own.get("name")
    return f" ({name})" if isinstance(name, str) and 0 < len(name) <= NAME_LIMIT and name.isprintable() else ""


def merged(outer: "Mapping[str, Any]", own: "Mapping[str, Any]") -> "dict[str, Any]":
    """Override ``outer`` with ``own`` fields: ``env`` is merged, and ``run_at`` displaces ``delay`` and the reverse."""
    fields = {**outer, **own}
    if isinstance(outer.get("env"), dict) and isinstance(own.get("env"), dict):
        fields["env"] = {**outer["env"], **own["env"]}
    for mine, other in (("delay", "run_at"), ("run_at", "delay")):
        if mine in own and other not in own:
            fields.pop(other, None)
    return fields
