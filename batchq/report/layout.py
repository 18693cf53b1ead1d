"""Lines of styled text, and the look they get: as wide as the terminal, or as long as they are; coloured or plain.

Off a terminal nothing is wrapped, cropped or coloured, so that grep and mail get whole lines. Every text goes through
``visible`` here, whoever made it.
"""

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TextIO

from batchq.named import NamedTuple
from batchq.visible import visible

Part = tuple[str, str]  #: a text and its style ("" for none)

GAP = "  "


class Look(NamedTuple):
    """``width`` of the terminal in columns (None: no terminal, lines stay whole), and whether to colour."""

    width: int | None = None
    colour: bool = False


class Line(NamedTuple):
    """One line of text. Where it is too long for the terminal it is wrapped under its ``indent``, or cropped."""

    parts: tuple[Part, ...]
    indent: int = 0
    crop: bool = False


def look(stream: TextIO, color: str, environ: Mapping[str, str]) -> Look:
    """What ``stream`` can show. ``color`` is ``auto``, ``always`` or ``never``; NO_COLOR, TERM=dumb rule ``auto``."""
    import shutil

    terminal = stream.isatty()
    able = terminal and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") not in {"dumb", "unknown", ""}
    width = max(20, shutil.get_terminal_size((100, 24)).columns) if terminal else None
    return Look(width, color == "always" or (color == "auto" and able))


def line(*parts: Part | str, indent: int = 0, crop: bool = False) -> Line:
    """A line of parts; a bare string is a part without style."""
    return Line(tuple(_safe((part, "") if isinstance(part, str) else part) for part in parts), indent, crop)


def _safe(part: Part) -> Part:
    """Whatever a cell holds, it steers no terminal: in a store that somebody else has made a state may be any text."""
    text, style = part
    return part if text.isprintable() else (visible(text).replace("\n", "\\n"), style)


class Columns:
    """Rows in columns as wide as their widest cell so far; the last one is not padded and may have several parts."""

    def __init__(self, titles: Sequence[str], right: Collection[str] = ()) -> None:
        self.titles = titles
        self._right = [title in right for title in titles]
        self._widths = [len(title) for title in titles]

    def head(self, indent: int = 0) -> Line:
        """The titles; to be asked for after the first rows, which set the widths."""
        return self._line([(title, "dim") for title in self.titles], indent)

    def rows(self, rows: Sequence[Sequence[Part]], indent: int = 0) -> list[Line]:
        """One cropped line for each row."""
        rows = [[_safe(part) for part in row] for row in rows]
        for index in range(len(self._widths) - 1):
            self._widths[index] = max(self._widths[index], *(_width(row[index][0]) for row in rows), 0)
        return [self._line(row, indent) for row in rows]

    def _line(self, row: Sequence[Part], indent: int) -> Line:
        parts: list[Part] = []
        last = len(self.titles) - 1
        for (text, style), width, right in zip(row[:last], self._widths, self._right, strict=False):
            blank = " " * (width - _width(text))
            parts += [(blank + text, style), (GAP, "")] if right else [(text, style), (blank + GAP, "")]
        return Line((*parts, *row[last:]), indent, crop=True)


def render(lines: Iterable[Line], look: Look) -> str:
    """The lines as one string that ends in a newline (or is empty)."""
    if look.width is None and not look.colour:
        return "".join(
            f"{' ' * line.indent}{''.join(text for text, _ in line.parts)}".rstrip() + "\n" for line in lines
        )
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    out = io.StringIO()
    console = Console(
        file=out,
        width=look.width or 100,
        force_terminal=look.colour,
        color_system="standard" if look.colour else None,
        no_color=not look.colour,
        highlight=False,
        legacy_windows=False,
    )
    for parts, indent, crop in lines:
        text = Text.assemble(*parts, overflow="fold")
        text.rstrip()
        if look.width is None or not text:
            console.print(Text(" " * indent) + text, soft_wrap=True)
            continue
        if crop:
            text.truncate(look.width - indent, overflow="ellipsis")
        console.print(Padding(text, (0, 0, 0, indent), expand=False))
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 job``, ``2,000 jobs``, ``3 retries``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
