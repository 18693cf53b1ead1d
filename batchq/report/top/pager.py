"""Text over the whole terminal, as a pager shows it: the log of a job, the help. Pure."""

from collections.abc import Sequence

from batchq.report.layout import Line, line
from batchq.report.widths import wrapped
from batchq.visible import visible

FRAME = 2  #: rows besides the text: a title, and the keys
TOP = 1 << 60  #: as many lines above the end as there may be


class Page:
    """A text in a window: ``lines`` to be shown, and how many lines of the text come ``below`` them."""

    def __init__(self, title: str, text: Sequence[str], keys: str, below: int, columns: int, rows: int) -> None:
        body = [row for one in text for row in _rows(visible(one).expandtabs(), columns)]
        while body and not body[-1]:
            body.pop()
        fit = max(1, rows - FRAME)
        self.below = max(0, min(below, len(body) - fit))
        first = max(0, len(body) - fit - self.below)
        shown = body[first : first + fit]
        where = "end" if not self.below else f"{100 * (first + len(shown)) // len(body)} %"
        self.lines: list[Line] = [
            line((title, "bold")),
            *map(line, shown),
            *[line()] * (fit - len(shown)),
            line((f"{where}  {keys}", "dim")),
        ]


def _rows(text: str, columns: int) -> list[str]:
    return [text[start:end].rstrip() for start, end in wrapped(text, max(1, columns))]
