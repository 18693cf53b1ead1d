"""What limits, rates, pauses and slots let through, in plain dictionaries: the part of the model that picks the claims."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

Row = dict[str, Any]
STALE = 1_000  #: milliseconds: a little older is a claim that has waited for the store
ANY = 1 << 30  #: jobs, where nothing bounds them


class Queues:
    """``set`` holds of each queue that is bounded what was set for it, and the starts that its rate has ``left``."""

    def __init__(self, jobs: dict[int, Row]) -> None:
        self.jobs = jobs
        self.set: dict[str, Row] = {}

    def change(self, queue: str, what: str, value: Any) -> None:
        """Set the limit, the rate or the pause of a queue. A rate that is set begins anew, as if nothing had started."""
        its = self.set.setdefault(queue, {"paused": False, "limit": None, "rate": None, "left": None, "at": 0})
        its |= {what: value} | ({"left": None, "at": 0} if what == "rate" else {})
        if not its["paused"] and its["limit"] is its["rate"] is None:
            del self.set[queue]

    def running(self, queue: str) -> int:
        return sum(row["state"] == "running" and row["queue"] == queue for row in self.jobs.values())

    def room(self, queue: str, now: int) -> int:
        """How many jobs of a queue may start now."""
        its = self.set.get(queue)
        if its is None:
            return ANY
        room = 0 if its["paused"] else ANY
        room = room if its["limit"] is None else min(room, max(0, its["limit"] - self.running(queue)))
        return room if its["rate"] is None else min(room, int(self.saved(its, now)))

    @staticmethod
    def saved(its: Row, now: int) -> Fraction:
        """How many starts a rate lets through at once: as many as have come in, of which a twentieth of a second's keep."""
        rate = Fraction(its["rate"])
        full = max(Fraction(1), rate / 20)
        if its["left"] is None or now < int(its["at"]) - STALE:
            return full
        come_in = max(0, now - int(its["at"])) * rate / 1000
        return min(full, Fraction(its["left"]) + come_in)

    def start(self, queue: str, now: int) -> None:
        """A job of the queue starts: it costs what the rate had saved."""
        if (its := self.set.get(queue)) and its["rate"] is not None:
            is_set_back = now < its["at"] - STALE
            its |= {"left": self.saved(its, now) - 1, "at": now if is_set_back else max(now, its["at"])}

    def claimable(
        self, takes: Callable[[Row], bool], slots: int, free: int, ahead: int, now: int
    ) -> tuple[list[int], list[int]]:
        """The jobs that a runner gets now, and those that it gets ahead, in order."""
        waiting = [job for job, row in self.jobs.items() if row["state"] == "queued"]
        waiting.sort(key=lambda job: (-self.jobs[job]["priority"], job))
        mine = [job for job in waiting if takes(self.jobs[job]) and self.jobs[job]["slots"] <= slots]
        left = {row["queue"]: self.room(row["queue"], now) for row in self.jobs.values()}
        first: list[int] = []
        room = free
        for job in mine if free else ():
            row = self.jobs[job]
            if left[row["queue"]] < 1:
                continue
            room -= row["slots"]
            if room < 0:  # too wide for what is left: it keeps its place, and the others wait behind it
                break
            left[row["queue"]] -= 1
            first.append(job)
        rest = [job for job in waiting if job not in first]
        if len(first) < free or any(self.jobs[job]["slots"] > 1 for job in rest):
            return first, []
        return first, [job for job in rest if job in mine and self.jobs[job]["queue"] not in self.set][:ahead]
