"""The claims at a pool: what an answer of the pool means for them, and when those without an answer have ended.

Decisions only: nothing here speaks with the pool, its workers or their folder.
"""

import json
from collections.abc import Iterable

from batchq.executors.afar import protocol
from batchq.executors.afar.perform import UNSHARED
from batchq.executors.afar.unfit import Unfit
from batchq.executors.seam import Lost, Report, Started
from batchq.jobs.attempt import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GONE = 3.0  #: seconds after the end of a worker in which its result may still come
SETTLE = 1.0  #: seconds until the site of a dead worker has ended: it checks for its parent twice a second


class Flight:
    """One claim at the pool. It ``is_at_work`` if a worker has begun it; ``has_begun`` is what the run has been told."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.has_begun = claim.started_at is not None
        self.is_at_work = False
        self.host: str | None = None
        self.gone_at: float | None = None  # when its worker was first missing

    def begun(self, at: int) -> list[Started]:
        """Report that the attempt has begun, once."""
        if self.has_begun:
            return []
        self.has_begun = True
        return [Started(self.claim, at)]


class Flights(dict[str, Flight]):
    """The claims at the pool, by token; and those that nobody will report, which may still be about to end."""

    def __init__(self) -> None:
        super().__init__()
        self._dying: list[tuple[float, Flight]] = []

    def used(self) -> int:
        """Count the slots that they take."""
        return sum(flight.claim.slots for flight in self.values())

    def hosts(self) -> dict[str, str]:
        """Map the tokens of attempts to their hosts, as far as these are known."""
        return {token: flight.host for token, flight in self.items() if flight.host}

    def claims(self) -> dict[str, Claim]:
        """Map the tokens to the claims."""
        return {token: flight.claim for token, flight in self.items()}

    def abandoned(self, missing: Iterable[str], now: float) -> list[Flight]:
        """Return those whose workers have been ``missing`` so long that no result can be on its way any more."""
        found = []
        for token in missing:
            flight = self[token]
            if flight.gone_at is None:
                flight.gone_at = now
            elif now >= flight.gone_at + GONE:
                found.append(flight)
        return found

    def give_up(self, flight: Flight, now: float) -> None:
        """Expect no report of this one any more."""
        del self[flight.claim.token]
        self._dying.append((now + SETTLE, flight))

    def next_at(self) -> list[float]:
        """Return when the next of those given up may have ended; empty if there is none."""
        return [at for at, _ in self._dying[:1]]

    def over(self, now: float) -> list[Flight]:
        """Return those given up whose sites have had the time to end, once."""
        due = [flight for at, flight in self._dying if at <= now]
        self._dying = [one for one in self._dying if one[0] > now]
        return due


def landed(claim: Claim, answer: "Any") -> list[Report] | None:
    """Return what a worker reports of a claim, the end last; None if it does not see the folder of the run.

    Raises Unfit if that is something else.
    """
    try:
        messages = json.loads(answer)
        if messages == UNSHARED:
            return None
        found = [protocol.report(message, {claim.token: claim}) for message in messages]
        reports = [one for one in found if one is not None]
        if not reports:
            raise ValueError
        return reports
    except (TypeError, ValueError, LookupError):
        what = type(answer).__name__
        raise Unfit(f"the pool returned {what} instead of what came of the job") from None


def has_no_end(report: Report) -> bool:
    """Whether an attempt has begun, and nobody knows how it ended: the pool may have run its task twice."""
    return isinstance(report, Lost) and report.started
