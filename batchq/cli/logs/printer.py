"""Printing the output of one job after another: with headings or labels or without, whole or only some lines."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from batchq.cli.logs.writer import writer
from batchq.named import NamedTuple
from batchq.notes import note
from batchq.report import printed
from batchq.report.layout import count
from batchq.report.printed import Lines
from batchq.store.file.connection import Store
from batchq.store.looking import details, outputs
from batchq.store.looking.pieces import STREAMS, Piece, in_order
from batchq.store.looking.rows import Job
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.cli.logs.matching import Pattern


class Manner(NamedTuple):
    """How output is printed: after a heading for each job, or with a label before each line; only the last ``lines`` of
    each job, or those that match ``pattern``."""

    titled: bool
    labelled: bool
    lines: int | None
    pattern: str | None
    streams: tuple[str, ...]

    @classmethod
    def of(
        cls,
        *,
        several: bool,
        prefix: bool,
        raw: bool,
        follow: bool,
        lines: int | None,
        pattern: str | None,
        streams: Sequence[str],
        is_terminal: bool,
    ) -> "Manner":
        """Return what the options mean. One stream in a file or a pipe is bytes and nothing else, also of several jobs."""
        bare = raw or (len(streams) == 1 and not is_terminal and pattern is None)
        labelled = prefix or (several and not bare and (follow or pattern is not None))
        return cls(several and not bare and not labelled, labelled, lines, pattern, tuple(streams) or STREAMS)


class Printer:
    """Prints the output of jobs to stdout; inside its block a pattern can be searched for. ``lines`` counts the lines that
    it found."""

    def __init__(self, store: Store, manner: Manner) -> None:
        self.manner = manner
        self.lines = 0
        self.pattern = None if manner.pattern is None else _pattern(manner.pattern)
        self._store = store
        self._writer = writer()
        self._jobs = 0  # that printed something
        self._missing = 0
        self._gaps: list[tuple[Job, str, int]] = []  # of the first job

    def __enter__(self) -> "Printer":
        if self.pattern is not None:
            self.pattern.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        if self.pattern is not None:
            self.pattern.__exit__()

    def job(self, job: Job, attempt: int) -> None:
        """Print what an attempt of a job printed."""
        pieces = self.pieces(job.id, attempt)
        if not pieces:
            return
        self._jobs += 1
        if self.manner.titled:
            host = job.host if attempt == job.attempt else details.host(self._store, job.id, attempt)
            self._writer.text(printed.heading(job, attempt, host, self.manner.streams))
        if self.manner.lines is not None and self.pattern is not None:
            found = self._wanted(job, printed.lines(pieces))
            self._print(job, deque(found, maxlen=self.manner.lines))
            return
        lines = Lines()
        self.feed(job, lines, pieces if self.manner.lines is None else printed.last(pieces, self.manner.lines))
        self.finish(job, lines)

    def pieces(self, job: int, attempt: int, seen: dict[str, int] | None = None) -> list[Piece]:
        """Return what an attempt has printed so far to the streams that are wanted, after its ``seen`` bytes.

        These are counted as seen then.
        """
        found = outputs.transcript(self._store, job, attempt)
        wanted = {stream: found.outputs[stream] for stream in self.manner.streams}
        pieces = [*in_order(wanted, found.turns if len(wanted) > 1 else None, seen)]
        if seen is not None:
            seen.update((stream, output.total) for stream, output in wanted.items() if output.total)
        return pieces

    def feed(self, job: Job, lines: Lines, pieces: Iterable[Piece]) -> None:
        """Print the next pieces of a job; ``lines`` keeps what is not a whole line yet, if only whole ones are printed."""
        for piece in pieces:
            if self.manner.labelled or self.pattern is not None:
                self._print(job, self._wanted(job, lines.feed(piece)))
                continue
            if piece.missing:
                self._note_gap(job, piece)
                self._writer.text(printed.gap(piece, _file_of(job, piece.stream)))
            self._writer.write(piece.data)

    def finish(self, job: Job, lines: Lines) -> None:
        """Print what a job printed after its last newline."""
        self._print(job, self._wanted(job, lines.rest()))
        self._writer.end()

    def flush(self) -> None:
        """Let readers see everything that was printed so far."""
        self._writer.flush()

    def note_what_is_missing(self, only: Job | None, jobs: int) -> None:
        """Report, after all output, that there was none, or that bytes of it are not kept; ``jobs`` were selected."""
        self.flush()
        if not self._jobs and self.pattern is None:
            note(f"logs: {_nothing(only, self.manner.streams, jobs)}")
        if self._missing and (only is None or self.pattern is not None):
            what = "are missing" if self.pattern is None else "could not be searched"
            note(f"logs: {self._missing:,} bytes {what}: of long output only the beginning and the end are kept")
            return
        for job, stream, lost in self._gaps:
            file = _file_of(job, stream)
            note(
                f"logs: {lost:,} bytes are missing of the {stream} of job {job.id}: only its beginning and its end are"
                f" kept{f'; all of it is in {file}' if file else ''}"
            )

    def _note_gap(self, job: Job, piece: Piece) -> None:
        self._missing += piece.missing
        if len(self._gaps) < len(STREAMS):
            self._gaps.append((job, piece.stream, piece.missing))

    def _wanted(self, job: Job, lines: Iterable[Piece]) -> Iterator[Piece]:
        for line in lines:
            if line.missing:
                self._note_gap(job, line)
            if self.pattern is None or (line.data and self.pattern.is_in(line.data, job.id)):
                yield line

    def _print(self, job: Job, lines: Iterable[Piece]) -> None:
        label = printed.label(job.id, job.name) if self.manner.labelled else ""
        for line in lines:
            self.lines += 1
            if line.missing:
                self._writer.text(label + printed.gap(line, _file_of(job, line.stream)))
            elif label or self.pattern is not None:
                self._writer.line(line.data, label)
            else:
                self._writer.write(line.data)


def _pattern(text: str) -> "Pattern":
    from batchq.cli.logs.matching import Pattern

    return Pattern(text)


def _nothing(only: Job | None, streams: Sequence[str], jobs: int) -> str:
    if only is None:
        return f"none of these {count(jobs, 'job')} printed anything" if jobs else "no jobs"
    nothing = f"printed nothing to {' or '.join(streams)}" + (" yet" if only.state == "running" else "")
    return f"job {only.id} {nothing if only.attempt else 'has not started yet'}"


def _file_of(job: Job, stream: str) -> str | None:
    """Return the log file with the complete output of a stream, if there is one."""
    paths = [log.path for log in job.logs if log.stream in (stream, "both") and not log.trouble]
    return visible(paths[0], one_line=True) if paths else None
