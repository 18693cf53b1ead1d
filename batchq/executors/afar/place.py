"""One place of work, as the run sees it: the claims that it has, and what becomes of them."""

import math
import time
from collections.abc import Collection, Iterable

from batchq.executors.afar import hosts, protocol
from batchq.executors.afar.clocks import Clock
from batchq.executors.afar.ghosts import Ghosts
from batchq.executors.afar.hearing import Hearing
from batchq.executors.afar.hosts import Hosts
from batchq.executors.afar.pulse import Pulse
from batchq.executors.afar.room import room_of
from batchq.executors.afar.way import PATIENCE, Way
from batchq.executors.afar.wording import jobs, unconfirmed
from batchq.executors.seam import Left, Lost, Noted, Refused, Report, Started
from batchq.jobs.attempt import INTERRUPTED, Claim, Ended
from batchq.processes.link import Closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.processes.link import Message

_FIRST = ("up", "refused", "noted")  #: kinds of messages before it is up; anything else is of a greeting


class Place:
    """``words`` start what leads to the site (``without`` these variables), ``setup`` is its first message; ``name`` is
    what people call it. It has to come up ``within`` so many seconds, else it is started again; ``up_by`` is that time.

    ``claims`` are with it, by token, and of these ``begun`` are at work. It ``is_one_of_several`` if its name must
    distinguish its attempts from those of others. A bridge is a place, too: its attempts run at the workers of the engine.

    If it is lost, ``ghosts`` are the claims that it had. A run that is stopped does not wait for them: it leaves what it
    wants to end at a place that has not answered in time.
    """

    def __init__(
        self,
        name: str,
        words: list[str],
        setup: "dict[str, Any]",
        hearing: Hearing | None = None,
        without: Collection[str] = (),
        within: float = math.inf,
        patience: float = PATIENCE,
    ) -> None:
        self.name = name
        self.way = Way(words, without)
        self.pulse = Pulse(setup["lease"] or 0.0)
        self.room = room_of(setup)
        self.claims: dict[str, Claim] = {}
        self.begun: set[str] = set()
        self.ghosts = Ghosts(setup["lease"] or 0.0)
        self.is_up = self.is_suspended = self.is_one_of_several = False
        self.within = within
        self.patience = patience
        self.up_by = math.inf
        self._setup = setup
        self._since = time.time()
        self._told: set[str] = set()  # tokens of attempts that the stopped run wants to end
        self._waited: set[str] = set()  # tokens of claims that have waited there for a while
        self._clock = Clock()
        self._hosts = Hosts()
        self._spared: list[str] = []  # tokens of attempts that left something running on purpose
        self._hearing = Hearing() if hearing is None else hearing

    def start(self) -> None:
        """Start it."""
        left = self.ghosts.tokens()
        dead = {"since": self._since, "lease": self._setup["lease"] or 0.0, "tokens": left} if left else None
        self.way.start(["setup", {"spared": self._spared, "dead": dead} | self._setup])
        if self.way.is_open:
            self.up_by = time.monotonic() + self.within
        if self._hearing.is_held:
            self.way.send(["hold"])

    def used(self) -> int:
        """Count the slots that its claims take."""
        return sum(claim.slots for claim in self.claims.values())

    def hoped(self) -> int:
        """How wide a claim there can become, while it is up or may come up."""
        return 0 if self.way.is_given_up() else self.room.hoped()

    def give(self, claims: list[Claim]) -> None:
        """Send claims."""
        self.claims |= {claim.token: claim for claim in claims}
        self.begun |= {claim.token for claim in claims if claim.started_at is not None}
        self.room.give(claims)
        self._clock.give(claims)
        self.way.send(["run", [protocol.packed(claim) for claim in claims]])

    def take_back(self) -> None:
        """Have those claims returned that have waited there since the last call: another place has room for them."""
        waiting = self.claims.keys() - self.begun
        if late := waiting & self._waited:
            self.way.send(["back", sorted(late)])
        self._waited = waiting

    def ask(self) -> None:
        """Ask for a sign of life, and give one."""
        self.way.send(["alive"])
        if self.is_up:
            self.pulse.ask()

    def stop(self, chosen: set[str], status: str, grace: float) -> None:
        """Pass the order on for those of the claims that it has; ask for a sign of life if the run is stopped."""
        mine = [token for token in self.claims if token in chosen]
        ghosts = chosen.intersection(self.ghosts.tokens())
        if mine:
            self.way.send(["stop", mine, status, grace])
        if (mine or ghosts) and status == INTERRUPTED:
            self._told.update(mine, ghosts)
            if self.pulse.answer_by == math.inf:
                self.way.send(["alive"])
                self.pulse.ask(urgently=True)

    def leave(self) -> list[Report]:
        """Return the claims that must be left to the next run, once the time to answer is over."""
        told, self._told = self._told, set()
        left: list[Report] = [*self.ghosts.leave(told)]
        if self.pulse.judge():
            left += [Left(self._abandon(self.claims[token])) for token in told.intersection(self.claims)]
        return [*left, unconfirmed(self.name, len(left))] if left else []

    def suspend(self, *, is_on: bool) -> None:
        """Have its jobs suspended, or continued. A suspended run hears nothing, so silence counts from now on."""
        self.is_suspended = False
        self.way.send(["suspend" if is_on else "resume"])
        self.pulse.restart()

    def receive(self) -> list[Report]:
        """Return what it has reported. Raises Closed once it is gone."""
        reports: list[Report] = []
        for message in self.way.receive():
            if self.pulse.hear():
                reports.append(Noted(f"{self.name} answers again"))
            if self.is_up or message[0] in _FIRST:
                reports += self._take(*message)
        return reports

    def _take(self, kind: str, *values: "Any") -> "Iterable[Report]":
        if kind == "up":
            return self._come_up(values[0])
        if kind == "suspended":
            self.is_suspended = True
        elif kind == "room":
            self.room.change(*values)
        elif kind == "at":
            self._hosts.news(values[0], self.claims)
        elif kind in ("said", "silent"):
            if (claim := self.claims.get(values[0])) is not None:
                self._hearing.take(claim, [kind, *values])
        elif kind != "alive":
            return self._report([kind, *values])
        return ()

    def _report(self, message: "Message") -> "Iterable[Report]":
        if (report := protocol.report(message, self.claims)) is None:
            return ()
        report = self._hosts.named(self._clock.ours(report))
        if isinstance(report, Started):
            self.begun.add(report.claim.token)
        elif isinstance(report, Refused):
            if self._setup["engine"] is None:  # of several hosts the others go on
                self.way.refuse(report.reason)
                raise Closed
            self.way.is_unfit = True
        elif isinstance(report, Left):
            self._abandon(report.claim)
        elif isinstance(report, Ended | Lost):
            if isinstance(report, Ended) and report.claim.leftovers == "keep":
                self._spared.append(report.claim.token)
            self._drop(report.claim)
        self._hearing.heed(report, self.name)
        return (report,)

    def _come_up(self, greeting: "dict[str, Any]") -> list[Report]:
        if (mismatch := protocol.mismatch(greeting)) is not None:
            self.way.refuse(mismatch)
            raise Closed
        self._clock.read(greeting["now"])
        self.room.change(*greeting["room"])
        if self._setup["engine"] is None:
            self._hosts.here = hosts.name(greeting["host"], self.name if self.is_one_of_several else "")
        self.is_up, self.up_by = True, math.inf
        self.way.succeed()
        if greeting["is_sure"]:
            return [*self.ghosts.settle()]
        what = f"workers that do not answer may still run {jobs(len(self.ghosts))}"
        return [Noted(f"{self.name}: {what}; in {self.ghosts.left()} their lease is over")] if self.ghosts else []

    @property
    def host(self) -> str | None:
        """What its attempts name as their host, once it has been up; none at a bridge."""
        return self._hosts.here

    def whereabouts(self) -> dict[str, str]:
        """Map the tokens of the attempts at work to their hosts, as far as these are known."""
        return self._hosts.known(self.begun)

    def lose(self, why: str = "", patience: float = PATIENCE) -> None:
        """Note that its link has closed, or that it is silent: nobody knows how its claims end.

        Its process has ``patience`` seconds to end; nothing waits for that.
        """
        self.is_up, self.up_by = False, math.inf
        self.way.part(patience)
        self.way.trouble = self.way.trouble or why
        self.room.restart()
        self.pulse.restart()
        claims = [*self.claims.values()]
        self.ghosts.add([Lost(one, one.token in self.begun, self._hosts.of(one.token)) for one in claims])
        for claim in claims:
            self._abandon(claim)

    def _abandon(self, claim: Claim) -> Claim:
        """Forget a claim whose end nobody knows."""
        if claim.token in self.begun:
            self._hearing.lost(claim, self._hosts.of(claim.token) or self.name)
        return self._drop(claim)

    def _drop(self, claim: Claim) -> Claim:
        """Forget a claim that comes back."""
        del self.claims[claim.token]
        self.begun.discard(claim.token)
        self._clock.forget(claim.token)
        return claim

    def why_lost(self) -> str:
        """Return why its last start or its link failed, and what may still run there."""
        left = f", and may still run {jobs(len(self.ghosts))} for {self.ghosts.left()}" if self.ghosts else ""
        return self.way.trouble + left

    def quiet_at(self) -> float:
        """When people must know that the run waits for an answer, in monotonic seconds."""
        return self.pulse.quiet_at() if self.claims and self.is_up else math.inf

    def fall_quiet(self) -> Noted:
        """Say that it does not answer, and what follows."""
        self.pulse.is_quiet = True
        left = max(0.0, self.pulse.lost_at() - time.monotonic())
        until = "" if left == math.inf else f"; in {left:.0f} s it counts as lost"
        return Noted(f"{self.name} does not answer: waiting for {jobs(len(self.claims))} there{until}")

    def close(self, until: float) -> None:
        """End the place, whose jobs are killed if any are left; one that does not answer is killed at once."""
        self.way.send(["close"])
        self.way.end(0.0 if self.pulse.is_mute else max(0.0, until - time.monotonic()))
