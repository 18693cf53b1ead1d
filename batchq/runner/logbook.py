"""Which files have the output of the attempts of a run, until the ledger knows; and one warning where one is incomplete."""

import math
import time

from batchq.jobs.attempt import Logged
from batchq.notes import note
from batchq.runner.tally import Tally

PATIENCE = 1.0  #: seconds for which news of logs wait for an exchange that has other reasons


class Logbook:
    """``news`` is what the ledger does not know yet: of each file the newest, so that a long outage fills no memory."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._news: dict[tuple[str, str], Logged] = {}
        self._since = 0.0

    def note(self, logged: Logged) -> None:
        """A log was begun, or something is missing in it."""
        if not self._news:
            self._since = time.monotonic()
        self._news[logged.claim.token, logged.stream] = logged
        if logged.trouble is not None:
            if not self._tally.unlogged:
                note(f"job {logged.claim.id}: its log {logged.path} is incomplete: {logged.trouble}")
            self._tally.unlogged[logged.claim.id] = None

    def news(self) -> list[Logged]:
        """What an exchange is to record."""
        return list(self._news.values())

    def recorded(self) -> None:
        """It did."""
        self._news.clear()

    def due_at(self) -> float:
        """When some news will have waited long enough, in monotonic seconds."""
        return self._since + PATIENCE if self._news else math.inf
