"""What the listeners and the log files of a run receive of attempts elsewhere.

A site says all that its attempts print, while they print it. Of an attempt at an engine come news, about once a second:
the first and the last bytes so far. What is new in them is passed on, and a line says how many bytes are missing.
"""

import selectors
from collections.abc import Callable, Sequence

from batchq.executors.afar import protocol
from batchq.executors.listener import Listener, Relay, attach
from batchq.executors.logs import Log, Logs
from batchq.executors.seam import Lost, Report
from batchq.jobs.attempt import Claim, Ended, Logged, Outcome, Printed
from batchq.processes.capture import Sink
from batchq.store.looking.pieces import Piece, in_order
from batchq.store.looking.rows import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.processes.link import Message

_ADVICE = "keep more with --keep-output"


class _Attempt:
    """An attempt that is heard: where its output goes, and how much of each stream has gone there."""

    def __init__(self, sinks: list[Sink], log: Log | None) -> None:
        self.sinks = sinks if log is None else [*sinks, log]
        self.log = log
        self.seen: dict[str, int] = {}
        self.last: dict[str, bytes] = {}
        self.missing = 0

    def write(self, stream: str, data: bytes) -> None:
        for sink in self.sinks:
            sink.write(stream, memoryview(data))
        self.last[stream] = data[-1:]

    def remark(self, stream: str, line: str) -> None:
        """Write a line of batchq's own."""
        is_amid_line = self.last.get(stream, b"\n") != b"\n"
        self.write(stream, b"\n" * is_amid_line + line.encode() + b"\n")


class Hearing:
    """``listeners`` and ``logs`` receive the output. From places that ``bring_news`` it comes in parts, else as it is said.

    It is held while a reader is slow: sites then let their jobs wait, and for an engine no more jobs should be started.
    """

    def __init__(
        self, listeners: Sequence[Listener] = (), logs: Logs | None = None, *, brings_news: bool = False
    ) -> None:
        self.is_held = self.was_released = False
        self._listeners = listeners
        self._logs = logs
        self._brings_news = brings_news
        self._attempts: dict[str, _Attempt] = {}
        self._silent: set[str] = set()  # of sites: their ends are still to come
        self._tell: Callable[[str], None] = lambda _: None

    def __bool__(self) -> bool:
        """Whether anything is to be heard."""
        return bool(self._listeners) or self._logs is not None

    def attach(self, selector: selectors.BaseSelector, tell: Callable[[str], None]) -> None:
        """Begin; ``tell`` gives all places an order: ``hold`` or ``release``."""
        self._tell = tell
        attach(self._listeners, selector, self)

    def hold(self) -> None:
        """Have the jobs wait that print."""
        if not self.is_held:
            self.is_held = True
            self._tell("hold")

    def resume(self) -> None:
        """Have them print again."""
        if self.is_held:
            self.is_held, self.was_released = False, True
            self._tell("release")

    def is_full(self) -> bool:
        """Whether no more claims should be taken: an engine cannot let the jobs wait."""
        return self.is_held and self._brings_news

    def logged(self) -> list[Logged]:
        """Return the news of log files."""
        return [] if self._logs is None else self._logs.take_news()

    def take(self, claim: Claim, message: "Message") -> None:
        """Pass on what a site says of an attempt: what it has just printed, or that nothing more will come."""
        if message[0] == "silent":
            self.silent(claim)
        elif self:
            self._of(claim).write(*protocol.said(message))

    def heed(self, report: Report, where: str) -> None:
        """Pass on what a report of a place named ``where`` says of the output of an attempt."""
        if isinstance(report, Printed):
            self.printed(report)
        elif isinstance(report, Ended):
            self.over(report)
        elif isinstance(report, Lost) and report.started:
            self.lost(report.claim, report.host or where)

    def printed(self, so_far: Printed) -> None:
        """Pass on what is new in the output of a running attempt; while a reader is slow that waits for the next news."""
        if self._brings_news and not self.is_held:
            self._catch_up(so_far.claim, so_far)

    def over(self, ended: Ended) -> None:
        """Pass on the rest of an attempt that has ended at an engine: a site says by itself when an attempt is silent."""
        claim, outcome = ended
        self._silent.discard(claim.token)
        if not self._brings_news:
            return
        has_run = outcome.seconds > 0
        if not has_run and outcome.started_at is not None and outcome.failure is None:  # its worker was taken away
            self.lost(claim, outcome.host or "its worker")
        elif has_run or claim.token in self._attempts:
            self._catch_up(claim, outcome)
            self.silent(claim)

    def silent(self, claim: Claim) -> None:
        """Pass on that nothing more will come of an attempt."""
        if not self:
            return
        one = self._of(claim)
        del self._attempts[claim.token]
        if not self._brings_news:
            self._silent.add(claim.token)
        if one.missing and one.log is not None:
            one.log.note(f"{one.missing:,} bytes of the output were not kept where the job ran")
        for sink in one.sinks:
            sink.close()

    def lost(self, claim: Claim, where: str) -> None:
        """Pass on that nobody knows what else this attempt has printed, or will print."""
        if claim.token in self._silent:
            self._silent.discard(claim.token)
            return
        if not self:
            return
        one = self._of(claim)
        why = f"what came after this is missing: {where} was lost"
        one.remark("stdout" if claim.output == "merged" else "stderr", f"[batchq: {why}]")
        if one.log is not None:
            one.log.note(why)
        self.silent(claim)
        self._silent.discard(claim.token)

    def _catch_up(self, claim: Claim, kept: Printed | Outcome) -> None:
        streams = {"stdout": kept.stdout, "stderr": kept.stderr}
        outputs = {name: Output(claim.attempt, *stream) for name, stream in streams.items() if stream is not None}
        if not self or not outputs:
            return
        one = self._of(claim)
        for piece in in_order(outputs, kept.turns, one.seen):
            if piece.missing:
                self._miss(one, piece)
            else:
                one.write(piece.stream, piece.data)
        one.seen |= {name: output.total for name, output in outputs.items()}

    def _miss(self, one: _Attempt, piece: Piece) -> None:
        one.missing += piece.missing
        one.remark(piece.stream, piece.gap(_ADVICE))

    def _of(self, claim: Claim) -> _Attempt:
        found = self._attempts.get(claim.token)
        if found is None:
            log = None if self._logs is None else self._logs.open(claim)
            found = self._attempts[claim.token] = _Attempt([Relay(one, claim) for one in self._listeners], log)
        return found
