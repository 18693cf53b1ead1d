"""End what a dead run has left at its places: only then its jobs may be run again."""

import time

from batchq.errors import UsageError
from batchq.executors.afar import choosing
from batchq.executors.afar.place import Place
from batchq.processes.link import Closed


class Reach:
    """Starts a site at each place of the dead run ``cookie``, whose first act is to kill what carries that cookie.

    Nothing here waits: ``is_over`` is asked again and again.
    """

    def __init__(self, executor: str, cookie: str) -> None:
        try:
            commands = choosing.commands(executor)
        except UsageError:  # it was run by a newer version, or in an allocation that is gone
            commands = {}
        self._is_known = bool(commands) and choosing.can_confirm(executor)
        if not self._is_known:
            commands = {}
        self._open: dict[Place, None] = {
            Place(name, words, choosing.setup_to_end(executor, f"{cookie}.{number}")): None
            for number, (name, words) in enumerate(commands.items())
        }

    def is_over(self) -> bool:
        """Whether surely nothing of the dead run is left at any of its places."""
        for place in [*self._open]:
            if place.may_start(time.monotonic()):
                place.start()
            try:
                place.receive()
            except Closed:
                place.lose()
            if place.is_up:
                place.close()
                del self._open[place]
        return self._is_known and not self._open

    def close(self) -> None:
        """Give up."""
        for place in self._open:
            place.close()
        self._open.clear()
