"""The times that the clock of another machine has shown, on the clock of the run.

A place sends its time when it comes up. That tells how far its clock is off, except for the time that the message took;
differences that this could explain are ignored. In any case no time is before the claim or in the future, and durations
stay as they were measured.
"""

from collections.abc import Iterable

from batchq import clock
from batchq.executors.seam import Report, Started
from batchq.jobs.attempt import Claim, Ended, Outcome

CLOSE = 1000  #: milliseconds by which clocks may differ and still be taken for equal


class Clock:
    """The clock of one place, which shows what ``read`` was told. ``give`` and ``forget`` are for claims that it gets."""

    def __init__(self) -> None:
        self._ahead = 0  # milliseconds
        self._since: dict[str, int] = {}  # when claims ahead were sent

    def read(self, their_now: float) -> None:
        """Note what it shows, in seconds since 1970."""
        self._ahead = ahead(their_now)

    def give(self, claims: Iterable[Claim]) -> None:
        """Note that these claims are sent now."""
        if waiting := [claim.token for claim in claims if claim.started_at is None]:
            self._since |= dict.fromkeys(waiting, clock.now())

    def forget(self, token: str) -> None:
        """Note that a claim has come back."""
        self._since.pop(token, None)

    def ours(self, report: Report) -> Report:
        """Return a report with its times on the clock of the run."""
        if isinstance(report, Started):
            return report._replace(at=moment(report.at, self._ahead, self._since[report.claim.token]))
        if isinstance(report, Ended):
            claimed = report.claim.started_at
            since = self._since[report.claim.token] if claimed is None else claimed
            return report._replace(outcome=outcome(report.outcome, self._ahead, since))
        return report


def ahead(their_now: float) -> int:
    """Return by how many milliseconds a clock is ahead of this one that shows ``their_now``, seconds since 1970."""
    difference = round(their_now * 1000) - clock.now()
    return difference if abs(difference) > CLOSE else 0


def moment(at: int, ahead: int, since: int) -> int:
    """Return the moment ``at`` of a clock that is ``ahead``; ``since`` is the claim."""
    return max(since, min(at - ahead, clock.now()))


def outcome(one: Outcome, ahead: int, since: int) -> Outcome:
    """Return an outcome with its times on this clock."""
    if one.finished_at is None:
        return one
    began = one.finished_at if one.started_at is None else one.started_at
    duration = max(0, one.finished_at - began)
    end = max(since + duration, min(one.finished_at - ahead, clock.now()))
    if end == one.finished_at:
        return one
    return one._replace(started_at=None if one.started_at is None else end - duration, finished_at=end)
