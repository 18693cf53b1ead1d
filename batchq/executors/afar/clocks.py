"""The times that the clock of another machine has shown, on the clock of the run.

A place sends its time when it comes up. That tells how far its clock is off, except for the time that the message took;
differences that this could explain are ignored. In any case no time is before the claim or in the future, and durations
stay as they were measured.
"""

from batchq import clock
from batchq.jobs.attempt import Outcome

CLOSE = 1000  #: milliseconds by which clocks may differ and still be taken for equal


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
