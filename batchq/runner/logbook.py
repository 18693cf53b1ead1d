"""The log files of a run's attempts, until the ledger has them; with one warning if a log is incomplete."""

import math
import time

from batchq.jobs.attempt import Logged
from batchq.notes import note
from batchq.runner.tally import Tally

PATIENCE = 1.0  #: seconds that news of logs wait for an exchange due for other reasons


class Logbook:
    """Keeps the newest news of each log, so that a long outage does not fill the memory."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._news: dict[tuple[str, str], Logged] = {}
        self._since = 0.0

    def note(self, logged: Logged) -> None:
        """Note that a log was begun, or that something is missing in it."""
        if not self._news:
            self._since = time.monotonic()
        self._news[logged.claim.token, logged.stream] = logged
        if logged.trouble is not None:
            if not self._tally.unlogged:
                note(f"job {logged.claim.id}: its log {logged.path} is incomplete: {logged.trouble}")
            self._tally.unlogged[logged.claim.id] = None

    def news(self) -> list[Logged]:
        """The logs that the next exchange should record."""
        return list(self._news.values())

    def recorded(self) -> None:
        """Forget news that an exchange has recorded."""
        self._news.clear()

    def due_at(self) -> float:
        """When the oldest news has waited long enough, in monotonic seconds."""
        return self._since + PATIENCE if self._news else math.inf
