"""Placeholders in texts: ``{}``, ``{/}``, ``{name}`` …, all filled in one pass, so that a value is never filled itself.

A placeholder is known by the text between its braces. Unknown text stays as it is, with its braces.
"""

import os.path

from batchq.jobs.fields import FIELDS
from batchq.jobs.work import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

#: Placeholders computed from the line: base name, folder, without suffix, base name without suffix
DERIVED: "dict[str, Callable[[str], str]]" = {
    "/": lambda line: os.path.basename(_place(line)) or "/",
    "//": lambda line: os.path.dirname(_place(line)) or ".",
    ".": lambda line: os.path.splitext(line)[0],
    "/.": lambda line: os.path.splitext(os.path.basename(_place(line)))[0] or "/",
}
#: The fields besides the work that may contain placeholders: those that are free text
FILLED = tuple(name for name, field in FIELDS.items() if field.is_filled)


class Line(dict[str, str]):
    """The value of each placeholder for one line of input: ``{}`` and ``{#}``, columns by number and by name.

    A number without a column is empty: the last job of ``-n 3`` may have fewer values.
    """

    def __init__(self, line: str, number: int, columns: "list[str]", names: "list[str]") -> None:
        self.update(zip(names, columns, strict=False))
        self.update((str(position), column) for position, column in enumerate(columns, 1))
        self[""] = line
        self["#"] = str(number)

    def __missing__(self, token: str) -> str:
        place = token.rstrip("./")
        value = "" if token.isdecimal() else self[place]
        return value and DERIVED[token[len(place) :]](value)


def of_lines(names: "list[str]", number: int = 1) -> set[str]:
    """Return the placeholders of a line with these columns, or of ``number`` lines."""
    numbers = [*map(str, range(1, max(number, len(names)) + 1))]
    return {"", "#", *DERIVED, *numbers, *(place + kind for place in numbers for kind in DERIVED), *names}


#: Placeholders of which a word becomes several words, one for each value, if a job has several
OF_EACH = frozenset(("", *DERIVED))


def spread(parts: list[str], line: Line, values: "Sequence[str]") -> list[str]:
    """Return the words that a word which was taken apart becomes for a job with these values."""
    if not OF_EACH.intersection(parts[1::2]):
        return [fill(parts, line)]
    whole, found = line[""], []
    for line[""] in values:
        found.append(fill(parts, line))
    line[""] = whole
    return found


def taken_apart(text: str, known: "Collection[str]") -> list[str]:
    """Split ``text`` into literal, placeholder, literal, …, literal: the parts at odd positions are to be filled."""
    literal, *pieces = text.split("{")
    parts, open_literal = [], [literal]
    for piece in pieces:
        token, brace, rest = piece.partition("}")
        if brace and token in known:
            parts += ["".join(open_literal), token]
            open_literal = [rest]
        else:
            open_literal += ["{", piece]
    return [*parts, "".join(open_literal)]


def fill(parts: list[str], values: "Mapping[str, str]") -> str:
    """Join a text that was taken apart, with the values in place."""
    if len(parts) == 1:
        return parts[0]
    filled = parts[:]
    filled[1::2] = [values[token] for token in parts[1::2]]
    return "".join(filled)


def fill_all(value: "Any", values: "Mapping[str, str]", known: "Collection[str]", alone: "Mapping[str, Any]") -> "Any":
    """Fill every string in ``value``, however deep, except the keys of tables.

    A string that is just one placeholder becomes the value in ``alone``, for example a number, if there is one. Raises
    RecursionError for endless nesting.
    """
    if isinstance(value, str):
        parts = taken_apart(value, known)
        if len(parts) == 3 and not parts[0] and not parts[2] and parts[1] in alone:
            return alone[parts[1]]
        return fill(parts, values)
    if isinstance(value, list):
        return [fill_all(inner, values, known, alone) for inner in value]
    if isinstance(value, dict):
        return {name: fill_all(inner, values, known, alone) for name, inner in value.items()}
    return value


def first_in(value: "Any", known: "Collection[str]") -> str | None:
    """Return the first placeholder in the strings of ``value``, with its braces; None if there is none."""
    if isinstance(value, str):
        parts = taken_apart(value, known)
        return f"{{{parts[1]}}}" if len(parts) > 1 else None
    if isinstance(value, (list, dict)):
        inner = value.values() if isinstance(value, dict) else value
        return next((found for part in inner if (found := first_in(part, known)) is not None), None)
    return None


def unknown_in(value: "Any", known: "Collection[str]", names: "list[str]") -> str | None:
    """Return the first unknown word or number in braces that looks like a placeholder; None if there is none.

    ``${name}`` belongs to a shell, and ``{print $1}`` and ``{"a": 1}`` to other languages.
    """
    if isinstance(value, str):
        before, *pieces = value.split("{")
        for piece in pieces:
            token, brace, _ = piece.partition("}")
            if brace and token not in known and not before.endswith("$") and _is_meant(token, names):
                return token
            before = piece
        return None
    if isinstance(value, (list, dict)):
        inner = value.values() if isinstance(value, dict) else value
        return next((found for part in inner if (found := unknown_in(part, known, names)) is not None), None)
    return None


def _is_meant(token: str, names: "list[str]") -> bool:
    if token.isidentifier() or token.isdecimal():
        return True
    return token.replace(" ", "").replace("-", "").isalnum() and bool(did_you_mean(token, names))


def _place(line: str) -> str:
    # As in basename(1) and dirname(1), a folder may have slashes after it.
    return line.rstrip("/") or line
