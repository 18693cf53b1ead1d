"""Lines of styled text, and how they are shown: fitted to the terminal or at full length, coloured or plain.

Off a terminal nothing is wrapped, cropped or coloured, so that grep and mail get whole lines. All text passes through
``visible`` here, wherever it comes from.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from batchq.named import NamedTuple
from batchq.report.widths import fitting, width, wrapped
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

Part = tuple[str, str]  #: a text and its style ("" for none)

GAP = "  "
_DEFAULT_WIDTH = 100
_ANY = 1 << 30
_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "reverse": "7",
}  # SGR, of ECMA-48


class Look(NamedTuple):
    """The ``width`` of the terminal in columns (None: not a terminal, lines stay whole), and whether to use colour."""

    width: int | None = None
    colour: bool = False


class Line(NamedTuple):
    """One line of text. If it is too long for the terminal, it is wrapped at its ``indent``, or cropped.

    A ``whole`` line is left to the terminal to wrap: a part of a command must not become a command when it is copied.
    """

    parts: tuple[Part, ...]
    indent: int = 0
    crop: bool = False
    whole: bool = False


def look(stream: "TextIO", color: str, environ: Mapping[str, str]) -> Look:
    """The look for ``stream``. ``color`` is ``auto``, ``always`` or ``never``; NO_COLOR and TERM=dumb affect ``auto``."""
    terminal = stream.isatty()
    able = terminal and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") not in {"dumb", "unknown", ""}
    columns = max(20, _columns(stream, environ)) if terminal else None
    return Look(columns, color == "always" or (color == "auto" and able))


def _columns(stream: "TextIO", environ: Mapping[str, str]) -> int:
    """The width of the terminal: $COLUMNS, else what the kernel reports."""
    columns = environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_WIDTH
    except OSError:
        return _DEFAULT_WIDTH


def line(*parts: Part | str, indent: int = 0, crop: bool = False) -> Line:
    """A line of parts; a bare string is a part without style."""
    return Line(tuple(_safe((part, "") if isinstance(part, str) else part) for part in parts), indent, crop)


def _safe(part: Part) -> Part:
    """The part without control characters: in a store made by somebody else even a state can be any text."""
    text, style = part
    return part if text.isprintable() else (visible(text).replace("\n", "\\n"), style)


class Columns:
    """Rows in columns as wide as their widest cell so far; the last one is not padded and may have several parts.

    Columns in ``padded`` get no wider than that: a longer cell pushes the rest of its own row.
    """

    def __init__(
        self, titles: Sequence[str], right: Collection[str] = (), padded: Mapping[str, int] | None = None
    ) -> None:
        self.titles = titles
        self._right = [title in right for title in titles]
        self._widths = [len(title) for title in titles]
        self._most = [(padded or {}).get(title, _ANY) for title in titles]

    def head(self, indent: int = 0) -> Line:
        """The titles; call it after the first rows, which set the widths."""
        return self._line([(title, "dim") for title in self.titles], indent)

    def rows(self, rows: Sequence[Sequence[Part]], indent: int = 0) -> list[Line]:
        """One cropped line per row."""
        rows = [[_safe(part) for part in row] for row in rows]
        for index in range(len(self._widths) - 1):
            widest = max(self._widths[index], *(width(row[index][0]) for row in rows), 0)
            self._widths[index] = max(self._widths[index], min(widest, self._most[index]))
        return [self._line(row, indent) for row in rows]

    def _line(self, row: Sequence[Part], indent: int) -> Line:
        parts: list[Part] = []
        last = len(self.titles) - 1
        for (text, style), columns, right in zip(row[:last], self._widths, self._right, strict=False):
            blank = " " * (columns - width(text))
            parts += [(blank + text, style), (GAP, "")] if right else [(text, style), (blank + GAP, "")]
        return Line((*parts, *row[last:]), indent, crop=True)


def render(lines: Iterable[Line], look: Look) -> str:
    """The lines as one string that ends in a newline (or is empty)."""
    return "".join(f"{' ' * line.indent if text else ''}{text}\n" for line in lines for text in _rendered(line, look))


def _rendered(line: Line, look: Look) -> Iterator[str]:
    """The text of each line that ``line`` takes on the screen, without the indent."""
    parts, indent, crop, whole = line
    text = "".join([text for text, _ in parts]).rstrip()
    if look.width is None or whole:
        yield _cut(parts, 0, len(text)) if look.colour else text
        return
    if "\t" in text:
        parts = tuple((text.expandtabs(), style) for text, style in parts)
        text = "".join([text for text, _ in parts]).rstrip()
    room = look.width - indent
    is_cropped = crop and fitting(text, 0, room) < len(text)
    tail = "…" if is_cropped else ""
    for start, end in [(0, fitting(text, 0, room - 1))] if is_cropped else wrapped(text, room):
        yield _cut(parts, start, end, tail) if look.colour else text[start:end] + tail


def cropped(line: Line, columns: int) -> Iterator[Part]:
    """The parts of a line with its indent as far as they fit into ``columns``, with an ellipsis if something is missing."""
    parts = ((" " * line.indent, ""), *line.parts)
    text = "".join([text for text, _ in parts]).rstrip()
    if width(text) <= columns:
        return _pieces(parts, 0, len(text))
    return _pieces(parts, 0, fitting(text, 0, columns - 1), "…")


def _cut(parts: Iterable[Part], start: int, end: int, tail: str = "") -> str:
    """The text of the parts from ``start`` to ``end``, in their colours; ``tail`` gets the colour of the last."""
    cut = []
    for piece, style in _pieces(parts, start, end, tail):
        cut.append(styled(piece, style) if piece else piece)
    return "".join(cut)


def _pieces(parts: Iterable[Part], start: int, end: int, tail: str = "") -> Iterator[Part]:
    for text, style in parts:
        piece = text[max(0, start) : max(0, end)]
        start, end = start - len(text), end - len(text)
        yield (piece + tail if end <= 0 else piece), style
        if end <= 0:
            break


def styled(text: str, style: str) -> str:
    """The text in a style, whatever the look."""
    codes = ";".join([_CODES[word] for word in style.split()])
    return f"\x1b[{codes}m{text}\x1b[0m" if codes else text


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 job``, ``2,000 jobs``, ``3 retries``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
