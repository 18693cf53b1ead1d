"""The executor of a run whose jobs run elsewhere: places of work, each at the other end of a pipe."""

import math
import selectors
import time
from collections.abc import Iterable, Sequence

from batchq.executors.afar.elsewhere import Elsewhere
from batchq.executors.afar.hearing import Hearing
from batchq.executors.afar.missing import Here, returned
from batchq.executors.afar.place import PATIENCE, Place
from batchq.executors.seam import Noted, Refused, Report
from batchq.jobs.attempt import Claim, Ended
from batchq.processes.link import Closed
from batchq.processes.signals import Inbox

SOON = 0.01  #: seconds after which a pipe without room is tried again
UP = 30.0  #: seconds that the places have to come up before a run without any begins to wait for them
SUSPENDED = 1.0  #: seconds within which places have suspended their jobs
BEATS = 6  #: signs of life in the time of a lease


class Afar(Elsewhere):
    """``places`` run the claims. ``lease`` is how many seconds a place works on without a sign of life of the run.

    The places have the same ``hearing``. ``home`` is the folder of the run.
    """

    def __init__(
        self,
        places: Sequence[Place],
        inbox: Inbox,
        lease: float | None,
        hearing: Hearing | None = None,
        *,
        name: str = "afar",
        home: str = "/",
    ) -> None:
        self.name = name
        self._here = Here(home)
        self.lease = lease
        self.places = places
        for place in places:
            place.is_one_of_several = len(places) > 1
        super().__init__(inbox)
        self._beat = math.inf if lease is None else lease / BEATS
        self._beat_at = time.monotonic() + self._beat
        self._is_refused = False

        self._selector = selectors.DefaultSelector()
        self._selector.register(inbox.fileno(), selectors.EVENT_READ)
        self._hearing = Hearing() if hearing is None else hearing
        self._hearing.attach(self._selector, self._send_all)
        self._start_places()
        until = time.monotonic() + UP
        while not any(one.is_up for one in places) and not self._reports and not inbox.received:
            if time.monotonic() >= until:
                self._reports.append(Noted(f"no answer yet from {', '.join(one.name for one in places)}: waiting"))
            self._step(until)

    @property
    def slots(self) -> int:
        """How many slots all places have now; it changes as they come and go, and is at least 1."""
        return max(1, sum(place.slots for place in self.places))

    @property
    def widest(self) -> int:
        """What the largest place has: a job cannot be spread over several."""
        return max([1, *(place.widest for place in self.places)])

    def free(self) -> int:
        """Count the claims that would start at once."""
        if self._hearing.is_full():
            return 0
        waiting = sum(claim.slots for claim in self._backlog)
        return max(0, sum(max(0, place.slots - place.used()) for place in self.places) - waiting)

    def ahead(self) -> int:
        """Count the claims that the places would take in advance."""
        return 0 if self._hearing.is_full() else max(0, sum(place.ahead for place in self.places) - len(self._backlog))

    def poll(self, timeout: float | None, gather: float = 0.0) -> list[Report]:
        """Wait for reports."""
        self._hearing.was_released = False
        reports = super().poll(timeout, gather)
        return [*self._hearing.logged(), *reports]  # logs are reported before ends

    def _is_awaited(self) -> bool:
        return self._hearing.was_released or super()._is_awaited()

    def whereabouts(self) -> dict[str, str]:
        """Map the token of each attempt that runs now to its host, as far as that is known."""
        return {token: host for place in self.places for token, host in place.whereabouts().items()}

    def stop(self, tokens: Iterable[str], status: str, grace: float) -> None:
        """Pass the order on; requeue what waits here.

        What the run is to end at a place that is lost or does not answer is reported as Left a moment later.
        """
        chosen = set(tokens)
        self._requeue(chosen)
        for place in self.places:
            place.stop(chosen, status, grace)

    def suspend(self) -> None:
        """Have all places suspend their jobs, and wait a moment until they have: this process may be stopped next."""
        self._send_all("suspend")
        until = time.monotonic() + SUSPENDED
        while time.monotonic() < until and any(place.is_up and not place.is_suspended for place in self.places):
            self._step(until)

    def resume(self) -> None:
        """Have all places continue their jobs."""
        for place in self.places:
            place.is_suspended = False
        self._send_all("resume")

    def close(self) -> None:
        """End all places."""
        self._send_all("close")
        until = time.monotonic() + PATIENCE  # for all together
        for place in self.places:
            place.close(max(0.0, until - time.monotonic()))
        self._selector.close()

    def _send_all(self, kind: str) -> None:
        for place in self.places:
            place.send([kind])

    def _fill(self) -> None:
        """Give claims to places: those that start at once first, then those ahead, to the place with the most room."""
        self._requeue({claim.token for claim in self._backlog if claim.slots > self.widest})
        parcels: dict[int, list[Claim]] = {}
        room = [place.slots - place.used() for place in self.places]
        while self._backlog:
            claim = self._backlog[0]
            number = max(range(len(room)), key=room.__getitem__)
            if room[number] >= claim.slots:
                room[number] -= claim.slots
            else:
                number = max(range(len(room)), key=lambda one: self.places[one].ahead)
                if self.places[number].ahead <= 0 or claim.slots > 1:
                    break
                self.places[number].ahead -= 1
            parcels.setdefault(number, []).append(self._backlog.popleft())
        for number, claims in parcels.items():
            self.places[number].give(claims)

    def _step(self, until: float) -> None:
        now = time.monotonic()
        due = [until, self._beat_at, *(place.answer_by for place in self.places)]
        due += [place.again_at for place in self.places if place.companion is None and not place.is_given_up()]
        due += [place.ghosts_until for place in self.places if place.ghosts]
        if not all([place.push() for place in self.places]):
            due.append(now + SOON)
        first = min(due)
        for key, _ in self._selector.select(None if first == math.inf else max(0.0, first - now)):
            if key.data is None:
                self._inbox.drain()
            elif not isinstance(key.data, Place):
                key.data.pump()
            else:
                try:
                    for report in key.data.receive():
                        self._take(report)
                except Closed:
                    self._lose(key.data)
        self._start_places()
        self._keep_time()
        self._fill()

    def _take(self, report: Report) -> None:
        """Keep a report. If an attempt lacked there what is here, the run ends, and no place gets what waits here."""
        if not isinstance(report, Ended) or (why := self._here.contradiction(report)) is None:
            self._reports.append(report)
            return
        self._reports.append(returned(report, why))
        if not self._is_refused:
            self._is_refused = True
            self._reports.append(Refused(why))
            self._requeue({claim.token for claim in self._backlog})

    def _lose(self, place: Place, patience: float = PATIENCE) -> None:
        if place.companion is not None:
            self._selector.unregister(place.companion.link.fileno())
        place.lose(patience)
        if not place.is_given_up():
            self._reports.append(Noted(f"lost {place.name} ({place.why_lost()}): starting it again"))
        elif not all(one.is_given_up() for one in self.places):
            self._reports.append(Noted(f"gave {place.name} up ({place.why_lost()}): going on without it"))

    def _start_places(self) -> None:
        for place in self.places:
            if place.may_start(time.monotonic()):
                place.start()
                if place.companion is not None:
                    self._selector.register(place.companion.link.fileno(), selectors.EVENT_READ, place)

    def _keep_time(self) -> None:
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat_at = now + self._beat
            self._send_all("alive")
        for place in self.places:
            if place.companion is not None and place.is_silent(now):
                self._lose(place, 0.0)
            if place.ghosts and now >= place.ghosts_until:
                self._reports += place.settle()
            if now >= place.answer_by:
                self._reports += place.leave()
        if not self._is_refused and all(place.is_given_up() for place in self.places):
            self._is_refused = True
            if any(isinstance(one, Refused) for one in self._reports):
                return
            why = "; ".join(f"{place.name}: {place.refusal}" for place in self.places)
            code = 78 if any(place.is_unfit for place in self.places) else 74
            self._reports.append(Refused(f"no place of work can be reached ({why})", code))
