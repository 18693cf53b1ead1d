"""``batchq list`` for people: one line per job, fitted into the window of a terminal, or whole."""

from collections.abc import Iterable, Iterator, Sequence

from batchq.report.columns import COLUMNS, IN_FULL, ON_SCREEN, Column, Now
from batchq.report.layout import GAP, Columns, Look, Part, render
from batchq.report.widths import fitting, width
from batchq.store.looking.queries import PAGE
from batchq.store.looking.rows import Job

_IF_THEY_DIFFER = ("batch", "queue")
_IF_ANY = ("tries", "host", "name", "reason")  #: if any job has one, or was tried more than once
_RARE = "host"  #: most runs are on one machine, so later pages are not expected to need it
_READ = ("reason", "command")  #: columns that people read: others go, in this order, until these have ENOUGH columns
_FIRST_TO_GO = ("tries", "host", "age", "queue", "batch", "took")
_ENOUGH = 20
_PADDED = 50  #: off a terminal, a longer label pushes the rest of its own line only

Row = list[Part]


def listing(
    pages: Iterable[list[Job]], look: Look, at: int, columns: Sequence[Column] = (), *, wide: bool = False
) -> Iterator[str]:
    """One line per job, page by page; ``at`` is now, in milliseconds.

    On a terminal lines are fitted into the window, and without ``columns`` those are left out that all show the same, or
    have no room. Off a terminal and with ``wide`` there is everything, of hosts only if a job of the first page has one.
    """
    is_fitted = look.width is not None and not wide
    now = Now(at, is_fitted)
    look = look if is_fitted else look._replace(width=None)
    shown = list(columns) or [COLUMNS[name] for name in (ON_SCREEN if is_fitted else IN_FULL)]
    layout: Columns | None = None
    room: list[int | None] = []
    for page in pages:
        rows = [[column.cell(job, now) for column in shown] for job in page]
        if layout is None:
            kept = range(len(shown)) if columns else _worth_it(shown, rows, len(page) == PAGE, look.width)
            shown = [shown[index] for index in kept]
            rows = _of(rows, kept)
            room = [] if look.width is None else _rooms(shown, rows, look.width)
            layout = _layout(shown)
            lines = layout.rows(_clipped(rows, room))
            yield render([layout.head(), *lines], look)
        else:
            yield render(layout.rows(_clipped(rows, room)), look)


def _layout(shown: Sequence[Column]) -> Columns:
    return Columns(
        [column.heading for column in shown],
        right=[column.heading for column in shown if column.is_right],
        padded={column.heading: _PADDED for column in shown if column.is_label},
    )


def _worth_it(shown: list[Column], rows: list[Row], is_long: bool, columns: int | None) -> list[int]:
    """The places of the columns that a window shows: without those that distinguish nothing, then as many as fit."""
    if columns is None:
        return [
            index for index, column in enumerate(shown) if column.name != _RARE or _is_worth_it(column, rows, index)
        ]
    kept = [
        index
        for index, column in enumerate(shown)
        if (is_long and column.name != _RARE) or _is_worth_it(column, rows, index)
    ]
    for name in _FIRST_TO_GO:
        room = dict(zip(kept, _rooms([shown[index] for index in kept], _of(rows, kept), columns), strict=True))
        if all(
            (room[index] or 0) >= min(_ENOUGH, _widest(shown[index], rows, index))
            for index in kept
            if shown[index].name in _READ
        ):
            break
        kept = [index for index in kept if shown[index].name != name]
    return kept


def _is_worth_it(column: Column, rows: list[Row], index: int) -> bool:
    texts = {row[index][0] for row in rows}
    if column.name in _IF_THEY_DIFFER:
        return len(texts) > 1
    return column.name not in _IF_ANY or not texts <= {"-", "1"}


def _of(rows: list[Row], kept: Sequence[int]) -> list[Row]:
    return [[row[index] for index in kept] for row in rows]


def _rooms(shown: Sequence[Column], rows: list[Row], columns: int) -> list[int | None]:
    """How long the text of each column may be: labels share what the others leave; None: any length."""
    widest = [_widest(column, rows, index) for index, column in enumerate(shown)]
    left = columns - len(GAP) * (len(shown) - 1)
    left -= sum(wanted for wanted, column in zip(widest, shown, strict=True) if not column.is_label)
    shared = iter(shares([wanted for wanted, column in zip(widest, shown, strict=True) if column.is_label], left))
    return [next(shared) if column.is_label else None for column in shown]


def _widest(column: Column, rows: list[Row], index: int) -> int:
    return max(len(column.heading), *(width(row[index][0]) for row in rows), 0)


def shares(wanted: Sequence[int], room: int) -> list[int]:
    """Share ``room`` fairly: nobody gets more than is ``wanted``, and what one leaves goes to the others."""
    given = dict.fromkeys(range(len(wanted)), 0)
    for done, place in enumerate(sorted(given, key=lambda place: wanted[place])):
        given[place] = max(0, min(wanted[place], room // (len(wanted) - done)))
        room -= given[place]
    return [*given.values()]


def _clipped(rows: list[Row], room: list[int | None]) -> list[Row]:
    if not room:
        return rows
    return [
        [part if most is None else (_clip(part[0], most), part[1]) for part, most in zip(row, room, strict=True)]
        for row in rows
    ]


def _clip(text: str, most: int) -> str:
    if width(text) <= most:
        return text
    return text[: fitting(text, 0, most - 1)] + "…" if most > 0 else ""
