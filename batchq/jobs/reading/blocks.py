"""Input in blocks: jobs are made while it is read, so its size costs no memory. Endless input is refused."""

from batchq.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK = 256 * 1024  #: bytes that are read together
INPUT_LIMIT = 256 * 1024 * 1024  #: bytes of one input
LINE_LIMIT = 16 * 1024 * 1024  #: bytes of one line; no job can be as long
JOBS_LIMIT = 2_000_000  #: jobs of one add


class Piece:
    """Whole lines of an input, without the last line end. The first is line ``number``, at byte ``offset``."""

    __slots__ = ("data", "number", "offset")

    def __init__(self, data: bytes, number: int, offset: int) -> None:
        self.data = data
        self.number = number
        self.offset = offset


def pieces(blocks: "Iterable[bytes]", source: str, *, nul: bool = False) -> "Iterator[Piece]":
    """Yield the input in pieces of whole lines, or with ``nul`` of items that end with NUL.

    Raises InputError for a line or an input that is too long.
    """
    end, unit = (b"\0", "item") if nul else (b"\n", "line")
    rest: list[bytes] = []  # the parts of an unfinished line
    number, offset, waiting, total = 1, 0, 0, 0
    for block in blocks:
        total += len(block)
        if total > INPUT_LIMIT:
            raise InputError(f"{source}: is over {INPUT_LIMIT >> 20} MiB: split it, and add one part at a time")
        cut = block.rfind(end)
        if cut < 0:
            rest.append(block)
            waiting += len(block)
            if not nul and waiting > BLOCK and b"\0" in block:
                raise InputError(
                    f"{source}, line {number}: contains NUL bytes and no line end: it is not a list of jobs"
                )
            if waiting > LINE_LIMIT:
                raise InputError(
                    f"{source}, {unit} {number}: is over {LINE_LIMIT >> 20} MiB, more than any job can have"
                )
            continue
        data = b"".join((*rest, block[:cut]))
        if data.strip(end):  # else it has only empty lines, of which there may be many
            yield Piece(data, number, offset)
        number += data.count(end) + 1
        offset += len(data) + 1
        rest = [block[cut + 1 :]]
        waiting = len(rest[0])
    if waiting:
        yield Piece(b"".join(rest), number, offset)


def whole(blocks: "Iterable[bytes]", source: str, most: int, instead: str) -> bytes:
    """Read all of an input that cannot be read in parts. Raises InputError if it is over ``most`` bytes."""
    found: list[bytes] = []
    size = 0
    for block in blocks:
        size += len(block)
        if size > most:
            raise InputError(f"{source}: is over {most >> 20} MiB: {instead}")
        found.append(block)
    return b"".join(found)


def too_many(source: str) -> InputError:
    """Return the error for more jobs than one add stores."""
    return InputError(f"{source}: describes more than {JOBS_LIMIT:,} jobs: split it, and add one part at a time")
