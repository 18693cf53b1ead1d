"""End what a dead run has left at its places: only then its jobs may be run again."""

import time
from collections.abc import Collection, Sequence

from batchq.executors.afar import choosing
from batchq.executors.afar.futures.abandoned import Abandoned
from batchq.executors.afar.place import Place
from batchq.executors.afar.way import Way
from batchq.processes.link import Closed


class Reach:
    """Starts a site at each place of the dead run ``cookie``, whose first act is to kill what carries that cookie.

    The run ``started_at`` that time and had this ``lease``, both in milliseconds: its scheduler may not know all of its
    workers any more. Attempts ``spared`` have ended, and left something running on purpose. If it ``was_stopping``, it has
    withdrawn attempts that may still run. Its ``hosts``, as far as they are known, must be among those that answer: the
    same name may lead somewhere else by now.

    A pool cannot be reached; there the folder that its workers shared prevents the attempts that have not begun.
    Nothing here waits: ``is_over`` is asked again and again.
    """

    def __init__(
        self,
        executor: str,
        cookie: str,
        tokens: Collection[str],
        started_at: int = 0,
        spared: Sequence[str] = (),
        *,
        lease: int = 0,
        was_stopping: bool = False,
        hosts: Collection[str] = (),
    ) -> None:
        known = None if was_stopping else list(tokens)
        dead = {"since": started_at / 1000, "lease": lease / 1000, "tokens": known}
        commands = choosing.commands_back(executor)
        self._is_known = bool(commands)
        self._hosts = set() if choosing.engine(executor) else {*hosts}
        self._pool: Abandoned | None = None
        if commands and not choosing.can_be_reached(executor):
            self._pool = Abandoned(cookie, tokens)
            commands = {}
        self._open: dict[Place, None] = {
            Place(
                name,
                words,
                choosing.setup_to_end(executor, f"{cookie}.{number}", spared, dead),
                without=choosing.unwanted(executor),
            ): None
            for number, (name, words) in enumerate(commands.items())
        }
        for place in self._open:
            place.is_one_of_several = len(self._open) > 1
        self._leaving: list[Way] = []

    @property
    def is_at_work(self) -> bool:
        """Whether a process leads to a place, or is to be started again."""
        return bool(self._open or self._leaving)

    def is_over(self) -> bool:
        """Whether surely nothing of the dead run is left at any of its places."""
        if self._pool is not None:
            return self._pool.is_over()
        for place in [*self._open]:
            place.way.has_left()
            if time.monotonic() >= place.way.starts_at():
                place.start()
            try:
                place.receive()
            except Closed:
                place.lose()
            if place.is_up:
                del self._open[place]
                self._hosts.discard(place.host or "")
                place.way.send(["close"])
                place.way.part()
                self._leaving.append(place.way)
        self.has_left()
        return self._is_known and not self._open and not self._hosts

    def has_left(self) -> bool:
        """Whether what led there has ended."""
        self._leaving = [way for way in self._leaving if way.is_leaving and not way.has_left()]
        return not self._leaving

    def give_up(self) -> None:
        """Ask no more."""
        for place in self._open:
            place.way.part(0.0)
        self._leaving += [place.way for place in self._open]
        self._open.clear()
