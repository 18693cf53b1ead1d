"""One place of work at the other end of a pipe, as the run sees it: its process, its room, and the claims it has."""

import math
import time

from batchq import clock
from batchq.executors.afar import clocks, protocol
from batchq.executors.afar.hearing import Hearing
from batchq.executors.seam import Left, Lost, Noted, Refused, Report, Started
from batchq.jobs.attempt import INTERRUPTED, Claim, Ended, Outcome, Printed
from batchq.processes.companion import Companion
from batchq.processes.link import Closed
from batchq.processes.spawn import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.processes.link import Message

AGAIN = 1.0  #: seconds before a place that is gone is started again; doubled each time
ATTEMPTS = 5  #: starts in a row that may fail
FIRST_ATTEMPTS = 2  #: the same for a place that has never been up
_FIRST = ("up", "refused", "noted")  #: kinds of messages before it is up; anything else is of a greeting
_NOT_THERE = (126, 127)  #: exit codes of a shell whose program is missing or cannot be executed
PATIENCE = 3.0  #: seconds that a place has to end when it is told to
ANSWER = 2.0  #: seconds that a place has to answer when the run is stopped


class Place:
    """``words`` start what leads to the site, ``setup`` is its first message; ``name`` is what people call it.

    ``claims`` are with it, by token, and of these ``begun`` are at work. ``slots``, ``ahead`` and ``widest`` (as of
    an executor) are 0 until it is up; it ``is_unfit`` if another version of batchq is there, or nothing leads there.
    ``host`` is where its attempts run: the machine, with the name of the place if it ``is_one_of_several`` and has another
    name than that machine. A bridge has none; its attempts run at the workers of the engine.

    If it is lost, ``ghosts`` are the claims that it had. They may still run there: until its successor is up, which first
    ends everything left of it, or until ``ghosts_until``, when its lease has run out. A run that is stopped does not wait
    for that: it leaves what it wants to end at a place that has not answered by ``answer_by``.
    """

    def __init__(self, name: str, words: list[str], setup: "dict[str, Any]", hearing: Hearing | None = None) -> None:
        self.name = name
        self.claims: dict[str, Claim] = {}
        self.begun: set[str] = set()
        self.slots = self.ahead = self.widest = 0
        self.host: str | None = None
        self.is_one_of_several = False
        self._at: dict[str, str] = {}  # hosts of attempts, as a bridge has reported them
        self._was_up = False
        self.is_up = self.is_unfit = self.is_suspended = False
        self.failures = 0
        self.again_at = 0.0
        self.ghosts: list[Lost] = []
        self.ghosts_until = 0.0
        self.refusal = ""
        self.received_at = 0.0
        self.answer_by = math.inf
        self._asked_at = 0.0
        self._told: set[str] = set()  # tokens of attempts that the stopped run wants to end
        self._is_mute = False
        self._clock_ahead = 0  # milliseconds
        self._since: dict[str, int] = {}  # when claims ahead were sent
        self._hearing = Hearing() if hearing is None else hearing
        self._words, self._setup = words, setup
        self._lease: float = setup["lease"] or 0.0
        self.companion: Companion | None = None

    def start(self) -> None:
        """Start it; a failure counts like a place that ends at once."""
        started = Companion.start(self._words)
        if isinstance(started, Refusal):
            self.is_unfit = True
            self._fail(started.message)
            return
        self.companion = started
        self.send(["setup", self._setup])
        if self._hearing.is_held:
            self.send(["hold"])

    def used(self) -> int:
        """Count the slots that its claims take."""
        return sum(claim.slots for claim in self.claims.values())

    def give(self, claims: list[Claim]) -> None:
        """Send claims."""
        self.claims |= {claim.token: claim for claim in claims}
        self.begun |= {claim.token for claim in claims if claim.started_at is not None}
        if waiting := [claim.token for claim in claims if claim.started_at is None]:
            self._since |= dict.fromkeys(waiting, clock.now())
        self.send(["run", [protocol.packed(claim) for claim in claims]])

    def send(self, message: "Message") -> None:
        """Send a message, if it has a link; that this has broken is seen at the next ``receive``."""
        if self.companion is not None:
            try:
                self.companion.link.send(message)
            except Closed:
                pass

    def stop(self, chosen: set[str], status: str, grace: float) -> None:
        """Pass the order on for those of the claims that it has; ask for a sign of life if the run is stopped."""
        mine = [token for token in self.claims if token in chosen]
        ghosts = [one.claim.token for one in self.ghosts if one.claim.token in chosen]
        if mine:
            self.send(["stop", mine, status, grace])
        if (mine or ghosts) and status == INTERRUPTED:
            self._told.update(mine, ghosts)
            if self.answer_by == math.inf:
                self.send(["alive"])
                self._asked_at = time.monotonic()
                self.answer_by = self._asked_at + ANSWER

    def leave(self) -> list[Report]:
        """Return the claims that must be left to the next run, once the time to answer is over."""
        told, self._told, self.answer_by = self._told, set(), math.inf
        left: list[Report] = [Left(one.claim) for one in self.ghosts if one.claim.token in told]
        self.ghosts = [one for one in self.ghosts if one.claim.token not in told]
        if self.received_at < self._asked_at:
            self._is_mute = True
            for token in told.intersection(self.claims):
                left.append(Left(claim := self.claims.pop(token)))
                if token in self.begun:
                    self._hearing.lost(claim, self._where(claim) or self.name)
                self.begun.discard(token)
                self._since.pop(token, None)
        if left:
            jobs = "1 job" if len(left) == 1 else f"{len(left)} jobs"
            left.append(
                Noted(f"{self.name} does not confirm that {jobs} ended: left to the next run, which makes sure")
            )
        return left

    def push(self) -> bool:
        """Send what had no room before; return whether that was all."""
        try:
            return self.companion is None or self.companion.link.push()
        except Closed:
            return True

    def receive(self) -> list[Report]:
        """Return what it has reported. Raises Closed once it is gone."""
        if self.companion is None:
            return []
        reports: list[Report] = []
        for message in self.companion.link.receive():
            self.received_at = time.monotonic()
            self._is_mute = False
            if message[0] == "alive" or not (self.is_up or message[0] in _FIRST):
                pass
            elif message[0] == "suspended":
                self.is_suspended = True
            elif message[0] == "up":
                reports += self._come_up(message[1])
            elif message[0] == "room":
                self.slots, self.ahead, widest = message[1:]
                self.widest = widest or self.widest  # 0: it is leaving, and will be started again
            elif message[0] == "said":
                token, stream, data = protocol.said(message)
                if (claim := self.claims.get(token)) is not None:
                    self._hearing.said(claim, stream, data)
            elif message[0] == "silent":
                if (claim := self.claims.get(message[1])) is not None:
                    self._hearing.silent(claim)
            elif message[0] == "at":
                self._at = {token: host for token, host in (self._at | message[1]).items() if token in self.claims}
            elif (report := protocol.report(message, self.claims)) is not None:
                reports.append(report := self._placed(self._on_our_clock(report)))
                if isinstance(report, Started):
                    self.begun.add(report.claim.token)
                elif isinstance(report, Refused):
                    self.is_unfit = True
                elif isinstance(report, Printed):
                    self._hearing.printed(report)
                elif isinstance(report, Ended | Lost):
                    if isinstance(report, Ended):
                        self._hearing.over(report)
                    elif report.started:
                        self._hearing.lost(report.claim, report.host or self.name)
                    del self.claims[report.claim.token]
                    self.begun.discard(report.claim.token)
                    self._since.pop(report.claim.token, None)
        return reports

    def _on_our_clock(self, report: Report) -> Report:
        if isinstance(report, Started):
            since = self._since[report.claim.token]
            return report._replace(at=clocks.moment(report.at, self._clock_ahead, since))
        if isinstance(report, Ended):
            claimed = report.claim.started_at
            since = self._since[report.claim.token] if claimed is None else claimed
            return report._replace(outcome=clocks.outcome(report.outcome, self._clock_ahead, since))
        return report

    def _placed(self, report: Report) -> Report:
        """Return the report with the host, if it ends an attempt; a bridge has named that already."""
        if isinstance(report, Ended) and report.outcome.host is None and (host := self._where(report.claim)):
            return Ended(report.claim, Outcome(*report.outcome[:-1], host))
        if isinstance(report, Lost) and report.host is None:
            return report._replace(host=self._where(report.claim))
        return report

    def _where(self, claim: Claim) -> str | None:
        return self._at.get(claim.token, self.host)

    def whereabouts(self) -> dict[str, str]:
        """Map the tokens of the attempts at work to their hosts, as far as these are known."""
        known = {token: self._where(self.claims[token]) for token in self.begun}
        return {token: host for token, host in known.items() if host is not None}

    def _come_up(self, greeting: "dict[str, Any]") -> list[Report]:
        if greeting["protocol"] != protocol.PROTOCOL:
            self.refusal = f"batchq {greeting['batchq']} is there, which this one cannot work with: install the same"
            self.is_unfit = True
            raise Closed
        self._clock_ahead = clocks.ahead(greeting["now"])
        self.slots, self.ahead, self.widest = greeting["room"]
        if self._setup["engine"] is None:
            self.host = _named(greeting["host"], self.name if self.is_one_of_several else "")
        self.is_up = self._was_up = True
        self.failures = 0
        self.refusal = ""
        return self.settle()

    def lose(self, patience: float = PATIENCE) -> None:
        """Note that its link has closed, or that it is silent: nobody knows how its claims end."""
        code = None
        if self.companion is not None:
            self.companion.end(patience)
            code = self.companion.code
            self.companion = None
        for token in self.begun:
            self._hearing.lost(self.claims[token], self._where(self.claims[token]) or self.name)
        self.ghosts += [Lost(claim, token in self.begun, self._where(claim)) for token, claim in self.claims.items()]
        self.ghosts_until = time.monotonic() + self._lease
        self.claims.clear()
        self.begun.clear()
        self._since.clear()
        if code in _NOT_THERE and not self._was_up:
            self.is_unfit = True
            self._fail(f"it has no program {self._words[-1]}: install batchq there, or write HOST:/path/of/batchq-site")
        else:
            self._fail("its connection has broken" if self._was_up else "no connection, or it ended at once")

    def is_silent(self, now: float) -> bool:
        """Whether a place that was up has not been heard for the time of its lease: its jobs are ended by then."""
        return self.is_up and self._lease > 0 and now - self.received_at > self._lease

    def why_lost(self) -> str:
        """Return why its last start or its link failed, and what may still run there."""
        waiting = f", and may still run {len(self.ghosts)} jobs" if self.ghosts else ""
        return f"{self.refusal}{waiting}"

    def settle(self) -> list[Report]:
        """Return the lost claims, of which nothing runs any more."""
        settled: list[Report] = [*self.ghosts]
        self.ghosts = []
        return settled

    def close(self, patience: float = PATIENCE) -> None:
        """End the place, whose jobs are killed if any are left; one that does not answer is killed at once."""
        self.send(["close"])
        if self.companion is not None:
            self.companion.end(0.0 if self._is_mute else patience)
            self.companion = None

    def may_start(self, now: float) -> bool:
        """Whether it must be started (again)."""
        return self.companion is None and not self.is_given_up() and now >= self.again_at

    def is_given_up(self) -> bool:
        """Whether it failed so often that it is not tried again."""
        return self.is_unfit or self.failures >= (ATTEMPTS if self._was_up else FIRST_ATTEMPTS)

    def _fail(self, why: str) -> None:
        self.is_up = False
        self.slots = self.ahead = 0
        self.failures += 1
        if self.is_given_up():
            self.widest = 0
        self.refusal = self.refusal or why
        self.again_at = time.monotonic() + AGAIN * 2 ** (self.failures - 1)


def _named(machine: str, name: str) -> str:
    """Name a machine as reached by this name: ``me@alpha`` for ``alpha.example`` adds nothing, ``10.0.0.5`` does."""
    short = name.rpartition("@")[2].partition(".")[0]
    return machine if short in ("", machine.partition(".")[0]) else f"{machine}/{name}"
