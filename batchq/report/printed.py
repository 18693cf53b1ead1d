"""What jobs printed as lines: those of an attempt, what goes before them, and how a terminal shows one."""

from collections.abc import Iterable, Iterator, Sequence

from batchq.store.looking.pieces import Piece
from batchq.store.looking.rows import Job
from batchq.visible import coloured, visible


class Lines:
    """Puts the pieces of both streams together to lines, so that no line has text of both."""

    def __init__(self) -> None:
        self._begun: dict[str, list[bytes]] = {}

    def feed(self, piece: Piece) -> Iterator[Piece]:
        """Return the lines that this piece completes, each with its newline; a gap ends the line before it."""
        stream, data, missing = piece
        if missing:
            yield from self._rest_of(stream)
            yield piece
        *complete, rest = data.split(b"\n")
        for line in complete:
            yield Piece(stream, b"".join([*self._begun.pop(stream, ()), line, b"\n"]))
        if rest:
            self._begun.setdefault(stream, []).append(rest)

    def cut(self, most: int) -> Iterator[Piece]:
        """Return what has begun of lines that are longer already."""
        for stream, begun in [*self._begun.items()]:
            if sum(map(len, begun)) > most:
                yield from self._rest_of(stream)

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
            kept.append(piece._replace(data=piece.data[at + 1 :]))
            break
        kept.append(piece)
    return kept[::-1]


def heading(job: Job, attempt: int, host: str | None, streams: Iterable[str]) -> str:
    """``==> job 3 (load), attempt 2 on alpha <==``, with the stream if only one is shown."""
    from batchq.report.digest import title  # one job has no heading
    from batchq.report.ending import at

    only = [*streams]
    return f"==> {title(job)}, attempt {attempt}{at(host)}{f': {only[0]}' if len(only) == 1 else ''} <=="


def label(id: int, name: str | None) -> str:
    """``[3 load] ``, which goes before each line of a job."""
    return f"[{id}{f' {visible(name, one_line=True)}' if name else ''}] "


def gap(piece: Piece, file: str | None) -> str:
    """Say how many bytes are missing, and where they are, or how to keep them next time."""
    where = f"all of it is in {file}" if file else "keep more with --keep-output or run --log-dir"
    return piece.gap(where)


def on_a_terminal(line: bytes, *, colour: bool) -> str:
    """Return a line, without its newline, as a terminal may show it: the last state of a progress bar, in its colours."""
    states = [state for state in line.split(b"\r") if state]
    return coloured(states[-1] if states else b"", colour=colour)
