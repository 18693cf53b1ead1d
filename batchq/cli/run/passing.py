"""``run --output``: what all jobs print goes to stdout and stderr of the run, line by line, each with its job.

A line is passed on when it is complete, so lines never mix. ``--keep-order`` prints the output of one job after the other,
in the order in which the jobs are claimed; what comes earlier waits in a ``Backlog``.
"""

import os
import selectors
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter

from batchq.cli.run.backlog import Backlog, Waiting
from batchq.executors.listener import Flow
from batchq.executors.tee import FULL, Tee
from batchq.jobs.attempt import Claim
from batchq.processes.signals import Inbox
from batchq.report.layout import look
from batchq.report.printed import Lines, label, on_a_terminal
from batchq.store.looking.pieces import Piece
from batchq.store.running.recording import Settled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.cli.run.live.screen import Screen

LONGEST = 64 * 1024  #: bytes of a line; what is longer is passed on in several lines


class _Job:
    """A job that prints, with the output that waits for its turn."""

    def __init__(self, claim: Claim, backlog: Backlog) -> None:
        self.label = label(claim.id, claim.name)
        self.lines = Lines()
        self.waiting = Waiting(backlog)
        self.is_over = False


class Passing(Tee):
    """A tee of complete lines. What goes to the terminal of the run's screen is printed there."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: dict[str, _Job] = {}  # by token, in the order in which they were claimed
        self._backlog = Backlog()
        self._looks = {
            name: look(stream, "auto", os.environ)
            for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr))
            if stream.isatty()
        }
        self._screen: Screen | None = None
        self._error: OSError | None = None

    def attach(self, selector: selectors.BaseSelector, flow: Flow) -> None:
        """Begin. If both streams go to one place, one outlet writes to it, so that no line is written into another."""
        super().attach(selector, flow)
        out, err = self._outlets["stdout"], self._outlets["stderr"]
        self._outlets["stderr"] = out if out.identity == err.identity else err

    @contextmanager
    def sharing(self, screen: "Screen") -> Iterator[None]:
        """Meanwhile print to this screen what goes to its terminal."""
        self._screen, screen.relaxed = screen, self._relax
        try:
            yield
        finally:
            screen.finish()
            self._screen = None

    # --- what jobs print ----------------------------------------------------------------------------------------------

    def printed(self, claim: Claim, stream: str, data: bytes) -> None:
        """Pass on the lines that are complete now, and of a very long one what there is."""
        job = self._job(claim)
        self._pass_on(job, self._shown(job, [*job.lines.feed(Piece(stream, data)), *job.lines.cut(LONGEST)]))

    def ended(self, claim: Claim) -> None:
        """Pass on the rest."""
        job = self._job(claim)
        self._pass_on(job, self._shown(job, job.lines.rest()))
        self._end(claim.token)

    def _job(self, claim: Claim) -> _Job:
        found = self._jobs.get(claim.token)
        if found is None:
            found = self._jobs[claim.token] = _Job(claim, self._backlog)
        return found

    def _end(self, token: str) -> None:
        del self._jobs[token]

    def _shown(self, job: _Job, lines: Iterable[Piece]) -> Iterator[tuple[str, bytes]]:
        """Lines as they are printed, those of one stream together."""
        for stream, group in groupby(lines, attrgetter("stream")):
            if (seen := self._looks.get(stream)) is not None:
                texts = [job.label + on_a_terminal(one.data.removesuffix(b"\n"), colour=seen.colour) for one in group]
                yield stream, "".join(f"{text}\n" for text in texts).encode("utf-8", "backslashreplace")
            else:
                before = job.label.encode("utf-8", "backslashreplace")
                yield stream, b"".join([before + one.data.removesuffix(b"\n") + b"\n" for one in group])

    # --- where it goes ------------------------------------------------------------------------------------------------

    def _pass_on(self, job: _Job, shown: Iterable[tuple[str, bytes]]) -> None:
        for stream, data in shown:
            self._write(stream, data)
        if self._flow is not None and self._is_full():
            self._flow.hold()

    def _write(self, stream: str, data: bytes) -> None:
        if self._screen is not None and stream in self._looks:
            self._screen.add(data)
        else:
            self._outlets[stream].write(data)

    def _is_full(self) -> bool:
        if self._screen is not None and self._screen.waiting() >= FULL:
            return True
        return any(len(one.waiting) >= FULL for one in self._outlets.values())

    def _relax(self) -> None:
        if self._flow is not None and not self._is_full():
            self._flow.resume()

    def trouble(self) -> OSError | None:
        """Why some of it could not be written; None if all was, or if its reader has gone."""
        return self._error or super().trouble()

    def shown(self) -> frozenset[str]:
        """The streams that need not be repeated in a digest: none, because much has been printed since."""
        return frozenset()


class InOrder(Passing):
    """Passes on the output of one job after the other, in the order of their claims; that of the first as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self._is_advancing = False

    def claimed(self, claims: Sequence[Claim]) -> None:
        """Give each attempt its turn."""
        for claim in claims:
            self._job(claim)

    def settled(self, settled: Sequence[Settled]) -> None:
        """End the turns of attempts that never began."""
        for one in settled:
            self._end(one.claim.token)

    def _end(self, token: str) -> None:
        if (job := self._jobs.get(token)) is not None:
            job.is_over = True
            self._advance()

    def _pass_on(self, job: _Job, shown: Iterable[tuple[str, bytes]]) -> None:
        try:
            for stream, data in shown:
                job.waiting.put(stream, data)
        except OSError as error:
            self._error = error
        self._advance()

    def _relax(self) -> None:
        self._advance()

    def _advance(self) -> None:
        """Print what has its turn, as far as its readers take it."""
        if self._is_advancing:
            return
        self._is_advancing = True
        try:
            while (job := next(iter(self._jobs.values()), None)) is not None:
                while job.waiting:
                    if self._is_full():
                        return
                    self._write(*job.waiting.take())
                if not job.is_over:
                    return
                del self._jobs[next(iter(self._jobs))]
        except OSError as error:
            self._error = error
        finally:
            self._is_advancing = False

    def drain(self, inbox: Inbox) -> None:
        """Wait until everything is read; nothing more will come of any job."""
        for job in self._jobs.values():
            job.is_over = True
        self._advance()
        super().drain(inbox)
