"""What jobs printed, taken apart: pieces in the order in which they came, their lines, and how a terminal shows a line."""

from collections.abc import Iterable, Iterator, Sequence

from batchq.named import NamedTuple
from batchq.report.digest import title
from batchq.store.looking.rows import Job
from batchq.visible import coloured, visible


class Piece(NamedTuple):
    """Bytes that a job printed to one stream, or one line of them. ``lost`` bytes of that stream came before them and
    were not kept."""

    stream: str
    data: bytes
    lost: int = 0


class Lines:
    """Puts the pieces of both streams together to lines, so that no line has text of both."""

    def __init__(self) -> None:
        self._begun: dict[str, list[bytes]] = {}

    def feed(self, piece: Piece) -> Iterator[Piece]:
        """Return the lines that this piece completes, each with its newline; a gap is a line without data."""
        stream, data, lost = piece
        if lost:
            yield from self._rest_of(stream)
            yield Piece(stream, b"", lost)
        *complete, rest = data.split(b"\n")
        for line in complete:
            yield Piece(stream, b"".join([*self._begun.pop(stream, ()), line, b"\n"]))
        if rest:
            self._begun.setdefault(stream, []).append(rest)

    def rest(self) -> Iterator[Piece]:
        """Return what came after the last newline of each stream."""
        for stream in [*self._begun]:
            yield from self._rest_of(stream)

    def _rest_of(self, stream: str) -> Iterator[Piece]:
        if begun := self._begun.pop(stream, None):
            yield Piece(stream, b"".join(begun))


def lines(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Return the lines of an attempt that has ended."""
    made = Lines()
    for piece in pieces:
        yield from made.feed(piece)
    yield from made.rest()


def last(pieces: Sequence[Piece], most: int) -> list[Piece]:
    """Return what holds the last ``most`` lines; a line that has not ended counts."""
    kept: list[Piece] = []
    left = most
    for piece in reversed(pieces if most else ()):
        at = len(piece.data) - (not kept)  # the last newline ends a line and begins none
        while left and (at := piece.data.rfind(b"\n", 0, at)) >= 0:
            left -= 1
        if not left:
            kept.append(piece._replace(data=piece.data[at + 1 :], lost=0))
            break
        kept.append(piece)
    return kept[::-1]


def unseen(pieces: Iterable[Piece], seen: dict[str, int]) -> Iterator[Piece]:
    """Return what comes after the first ``seen`` bytes of each stream, and count it as seen."""
    ends: dict[str, int] = {}
    for stream, data, lost in pieces:
        begin = ends.get(stream, 0) + lost
        ends[stream] = begin + len(data)
        shown = seen.get(stream, 0)
        if ends[stream] > shown:
            seen[stream] = ends[stream]
            yield Piece(stream, data[max(0, shown - begin) :], min(lost, max(0, begin - shown)))


def heading(job: Job, attempt: int, streams: Iterable[str]) -> str:
    """``==> job 3 (load), attempt 2 <==``, with the stream if only one is shown."""
    only = [*streams]
    return f"==> {title(job)}, attempt {attempt}{f': {only[0]}' if len(only) == 1 else ''} <=="


def label(id: int, name: str | None) -> str:
    """``[3 load] ``, which goes before each line of a job."""
    return f"[{id}{f' {visible(name, one_line=True)}' if name else ''}] "


def gap(piece: Piece, file: str | None) -> str:
    """Say how many bytes are missing before a piece, and where they are, or how to keep them next time."""
    where = f"all of it is in {file}" if file else "keep more with --keep-output or run --log-dir"
    return f"[batchq: {piece.lost:,} bytes of {piece.stream} are missing here: {where}]"


def on_a_terminal(line: bytes, *, colour: bool) -> str:
    """Return a line, without its newline, as a terminal may show it: the last state of a progress bar, in its colours."""
    states = [state for state in line.split(b"\r") if state]
    return coloured(states[-1] if states else b"", colour=colour)
