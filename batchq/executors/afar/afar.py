"""The executor of a run whose jobs run elsewhere: places of work, each at the other end of a pipe."""

import math
import selectors
import time
from collections.abc import Iterable, Sequence

from batchq.executors.afar.arrival import Arrival, unreachable
from batchq.executors.afar.elsewhere import Elsewhere
from batchq.executors.afar.hearing import Hearing
from batchq.executors.afar.missing import Here, returned
from batchq.executors.afar.place import Place
from batchq.executors.afar.way import PATIENCE
from batchq.executors.seam import Noted, Refused, Report
from batchq.jobs import vacancy
from batchq.jobs.attempt import Claim, Ended
from batchq.processes.link import Closed
from batchq.processes.signals import Inbox

SOON = 0.01  #: seconds after which a pipe without room is tried again
SUSPENDED = 1.0  #: seconds within which places have suspended their jobs
BEATS = 6  #: signs of life in the time of a lease,
BEAT = 10.0  #: at most so many seconds apart
TICK = 0.01  #: seconds between looks whether the process of a lost place has ended


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
        self._beat = math.inf if lease is None else min(lease / BEATS, BEAT)
        self._beat_at = time.monotonic() + self._beat
        self._is_refused = False
        self._slots_before = 0

        self._selector = selectors.DefaultSelector()
        self._selector.register(inbox.fileno(), selectors.EVENT_READ)
        self._hearing = Hearing() if hearing is None else hearing
        self._hearing.attach(self._selector, self._send_all)
        self._arrival = Arrival(places)
        self._start_places()
        while not any(one.is_up for one in places) and not self._reports and not inbox.received:
            self._step(self._arrival.tell_at)

    @property
    def slots(self) -> int:
        """How many slots all places have now; it changes as they come and go, and is at least 1."""
        return max(1, sum(place.room.slots for place in self.places))

    @property
    def widest(self) -> int:
        """What the largest place has: a job cannot be spread over several."""
        return max([1, *(place.room.widest for place in self.places)])

    @property
    def hoped(self) -> int:
        """What the largest place may have once those are up that may come up, or come back."""
        return max([self.widest, *(place.hoped() for place in self.places)])

    def free(self) -> int:
        """Count the claims that would start at once."""
        if self._hearing.is_full():
            return 0
        waiting = sum(claim.slots for claim in self._backlog)
        return max(0, sum(max(0, place.room.slots - place.used()) for place in self.places) - waiting)

    def rooms(self) -> list[int]:
        """Return how many slots are free at each host and at each worker of an engine; none while something waits here."""
        return [] if self._backlog else [free for one in self.places for free in one.room.vacant(one.used())]

    def ahead(self) -> int:
        """Count the claims that the places would take in advance."""
        if self._hearing.is_full():
            return 0
        return max(0, sum(place.room.ahead for place in self.places) - len(self._backlog))

    def poll(self, timeout: float | None, gather: float = 0.0) -> list[Report]:
        """Wait for reports, or until there are more slots than before."""
        self._hearing.was_released = False
        self._slots_before = self.slots
        reports = super().poll(timeout, gather)
        return [*self._hearing.logged(), *reports]  # logs are reported before ends

    def _is_awaited(self) -> bool:
        return self._hearing.was_released or self.slots > self._slots_before or super()._is_awaited()

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
        for place in self.places:
            place.suspend(is_on=True)
        until = time.monotonic() + SUSPENDED
        while time.monotonic() < until and any(place.is_up and not place.is_suspended for place in self.places):
            self._step(until)

    def resume(self) -> None:
        """Have all places continue their jobs."""
        for place in self.places:
            place.suspend(is_on=False)

    def close(self) -> None:
        """End all places."""
        self._send_all("close")
        now = time.monotonic()  # for all together
        for place in self.places:
            place.close(now + place.patience)
        self._selector.close()

    def _send_all(self, kind: str) -> None:
        for place in self.places:
            place.way.send([kind])

    def _fill(self) -> None:
        """Give claims to places: those that start at once first, then those ahead, to the place with the most room.

        Wide ones come before all, because others find room anywhere. One for which no place has room any more comes back:
        while it waits it has not begun.
        """
        parcels: dict[int, list[Claim]] = {}
        room = [place.room.slots - place.used() for place in self.places]
        for claim in self._wide():
            if (found := vacancy.take(room, claim.slots)) is None:
                self._requeue({claim.token})
            else:
                self._backlog.remove(claim)
                parcels.setdefault(found, []).append(claim)
        while self._backlog:
            number = max(range(len(room)), key=room.__getitem__)
            if room[number] > 0:
                room[number] -= 1
            else:
                number = max(range(len(room)), key=lambda one: self.places[one].room.ahead)
                if self.places[number].room.ahead <= 0:
                    break
                self.places[number].room.ahead -= 1
            parcels.setdefault(number, []).append(self._backlog.popleft())
        for number, claims in parcels.items():
            self.places[number].give(claims)

    def _step(self, until: float) -> None:
        now = time.monotonic()
        due = [until, self._beat_at, self._arrival.tell_at]
        for place in self.places:
            due += [place.up_by, place.pulse.answer_by, place.quiet_at(), place.way.starts_at()]
            due += [place.ghosts.until] + [now + TICK] * place.way.is_leaving
        if not all([place.way.push() for place in self.places]):
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
        self._send()

    def _lose(self, place: Place, why: str = "", patience: float = PATIENCE) -> None:
        self._selector.unregister(place.way.fileno())
        place.lose(why, patience)

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

    def _note_lost(self, place: Place) -> None:
        if not place.way.is_given_up():
            self._reports.append(Noted(f"lost {place.name} ({place.why_lost()}): starting it again"))
        elif not all(one.way.is_given_up() for one in self.places):
            self._reports.append(Noted(f"gave {place.name} up ({place.why_lost()}): going on without it"))

    def _start_places(self) -> None:
        for place in self.places:
            if time.monotonic() >= place.way.starts_at():
                place.start()
                if place.way.is_open:
                    self._selector.register(place.way.fileno(), selectors.EVENT_READ, place)

    def _keep_time(self) -> None:
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat_at = now + self._beat
            for place in self.places:
                place.ask()
            if not self._backlog and any(place.is_up and place.used() < place.room.slots for place in self.places):
                for place in self.places:
                    place.take_back()  # what was claimed ahead may wait for a long job
        self._reports += self._arrival.late()
        for place in self.places:
            if now >= place.up_by:
                self._lose(place, f"no answer within {place.within:g} s", 0.0)
            if place.is_up and now >= place.pulse.lost_at():
                self._lose(place, f"it has not answered for {self.lease or 0:g} s", 0.0)
            if place.way.has_left():
                self._note_lost(place)
            if now >= place.quiet_at():
                self._reports.append(place.fall_quiet())
            if now >= place.ghosts.until:
                self._reports += place.ghosts.settle()
            if now >= place.pulse.answer_by:
                self._reports += place.leave()
        if not self._is_refused and (refusal := unreachable(self.places)) is not None:
            self._is_refused = True
            if not any(isinstance(one, Refused) for one in self._reports):
                self._reports.append(refusal)
