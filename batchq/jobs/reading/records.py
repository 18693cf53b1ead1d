"""Input a line at a time: lines, items that end with NUL, and tables (CSV, TSV) whose first row names the columns.

Bytes that are not UTF-8 become the surrogates of ``os.fsdecode``, so a value keeps its bytes.
"""

from batchq.errors import InputError
from batchq.jobs.reading.blocks import pieces
from batchq.jobs.work import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Row = tuple[int, str, list[str]]  #: the number of its (first) line, its text, its cells

_COMPLAINTS = {
    "unexpected": "has a quotation mark that is never closed",
    "field": "has a cell of over 128 KiB",
    "new-line": "has a carriage return outside quotation marks",
}


def lines(blocks: "Iterable[bytes]", source: str, *, nul: bool) -> "Iterator[Row]":
    """Yield each line that is not blank, byte for byte, without a leading byte order mark and its carriage return.

    With ``nul`` each item up to a NUL, with every byte; only empty ones are skipped.
    """
    if nul:
        for piece in pieces(blocks, source, nul=True):
            items = piece.data.decode("utf-8", "surrogateescape").split("\0")
            yield from ((number, item, [item]) for number, item in enumerate(items, piece.number) if item)
        return
    for number, whole in _texts(blocks, source):
        line = whole.removesuffix("\r")
        if line and not line.isspace():
            yield number, line, [line]


def _texts(blocks: "Iterable[bytes]", source: str, *, is_table: bool = False) -> "Iterator[tuple[int, str]]":
    """Yield the lines with their numbers. With ``is_table`` a NUL is refused."""
    for piece in pieces(blocks, source):
        if is_table and (at := piece.data.find(b"\0")) >= 0:
            line = piece.number + piece.data.count(b"\n", 0, at)
            at += piece.offset
            raise InputError(
                f"{source}, line {line}: contains a NUL byte (at byte {at} of the file): save the file as UTF-8"
            )
        text = piece.data.decode("utf-8", "surrogateescape")
        yield from enumerate((text if piece.offset else text.removeprefix("\ufeff")).split("\n"), piece.number)


def table(blocks: "Iterable[bytes]", source: str, *, tabs: bool) -> "tuple[list[str], Iterator[Row]]":
    """Return the names of the columns, and the rows below them. Rows without any text are skipped.

    CSV is RFC 4180. With ``tabs`` the cells are separated by tabs, and quotation marks are text. Raises InputError, with
    the line, for missing or repeated names, for a row of another length, and for invalid CSV.
    """
    found = _texts(blocks, source, is_table=True)
    rows = (row for row in (_tsv(found) if tabs else _csv(found, source)) if any(cell.strip() for cell in row[2]))
    number, _, header = next(rows, (1, "", []))
    names = [name.strip() for name in header]
    for position, name in enumerate(names, 1):
        if not name or name in names[: position - 1]:
            problem = f"has the name {quoted(name)} twice" if name else f"has no name for column {position}"
            raise InputError(f"{source}, line {number}: {problem}: the first row names the columns")
    return names, _of_length(rows, len(names), source)


def _of_length(rows: "Iterable[Row]", length: int, source: str) -> "Iterator[Row]":
    for number, line, cells in rows:
        if len(cells) != length:
            raise InputError(
                f"{source}, line {number}: has {len(cells)} column{'s' * (len(cells) != 1)}, but the first row names"
                f" {length}"
            )
        yield number, line, cells


def _tsv(lines: "Iterable[tuple[int, str]]") -> "Iterator[Row]":
    for number, line in lines:
        whole = line.removesuffix("\r")
        yield number, whole, whole.split("\t")


def _csv(lines: "Iterable[tuple[int, str]]", source: str) -> "Iterator[Row]":
    import csv

    taken: list[str] = []

    def fed() -> "Iterator[str]":
        for _, line in lines:
            taken.append(line)
            yield line + "\n"

    reader = csv.reader(fed(), strict=True)  # else one quotation mark too many would swallow the rest
    while True:
        number = reader.line_num + 1
        taken.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = _COMPLAINTS.get(str(error).partition(" ")[0], f"is not CSV: {error}")
            raise InputError(f"{source}, line {number}: {problem}") from None
        yield number, "\n".join(taken).removesuffix("\r"), cells
