"""The pool of workers: hiring them, giving them tasks, hearing how those ended, and letting workers go."""

import selectors
from collections import deque
from collections.abc import Collection
from itertools import islice

from batchq.executors.aftermath import Over
from batchq.executors.command import unkillable
from batchq.executors.departures import Departures
from batchq.executors.homes import alike, home_of
from batchq.executors.member import Member
from batchq.executors.message import Hook
from batchq.executors.pace import MOST_AHEAD, Pace
from batchq.executors.pipes import Pipes
from batchq.executors.place import Place
from batchq.executors.seam import Lost, Report, Started
from batchq.jobs.attempt import Claim, Ended
from batchq.named import NamedTuple
from batchq.processes.resident import Home
from batchq.processes.spawn import Refusal


class Given(NamedTuple):
    """Tasks were given to a worker: those that have ``begun`` by that, and whether the worker ``is_new``."""

    begun: list[Started]
    is_new: bool


class Heard(NamedTuple):
    """What has ended and begun in a worker, and the claims that another worker has to do."""

    ended: list[Ended]
    reports: list[Report]
    unbegun: list[Claim]


class Pool:
    """Workers for ``slots`` tasks at once. ``members`` get tasks; the processes in ``departures`` are about to end."""

    def __init__(
        self,
        slots: int,
        selector: selectors.BaseSelector,
        pipes: Pipes,
        place: Place,
        hook: Hook,
        *,
        grace: float,
        worker_jobs: int,
    ) -> None:
        self.members: dict[int, Member] = {}
        self.departures = Departures(grace)
        self._slots = slots
        self._selector = selector
        self._pipes = pipes
        self._place = place
        self._hook = hook
        self._grace = grace
        self._worker_jobs = worker_jobs
        self._unwanted: set[str] = set()

    def busy(self) -> list[Member]:
        """The workers that have tasks."""
        return [member for member in self.members.values() if member.tasks]

    def used(self) -> int:
        """Count the slots that running tasks and leaving workers hold."""
        return sum(member.tasks[0].slots for member in self.busy()) + len(self.departures)

    def note_claims(self) -> None:
        """Let each worker look for new code before its next task, which was just claimed."""
        for member in self.members.values():
            member.must_look = True

    # --- giving --------------------------------------------------------------------------------------------------------

    def give(self, backlog: deque[Claim], empty: int, pace: Pace) -> Given | Refusal | None:
        """Hand the first claims of the backlog to a worker; None where none can take them now.

        ``empty`` is the number of empty slots. The claim of a refusal stays in the backlog.
        """
        first, home = backlog[0], home_of(backlog[0])
        is_fast = self.is_fast(pace)
        mine = [] if first.fresh else [one for one in self.members.values() if one.home == home and not one.is_fresh]
        member, is_new = None, False
        if empty >= first.slots:
            member = next((member for member in mine if not member.tasks), None)
            if member is None:
                if not self._has_place():
                    return None
                hired = self._hire(first, home)
                if isinstance(hired, Refusal):
                    return hired
                member, is_new = hired, True
        if member is None and first.slots == 1 and is_fast:
            roomy = (one for one in mine if one.tasks and one.has_room() and self._remaining(one) > 0)
            member = min(roomy, key=lambda one: len(one.tasks), default=None)
        if member is None:
            return None
        share = -(-len(backlog) // max(1, empty))
        claims = alike(islice(backlog, min(self._remaining(member), pace.in_a_message() if is_fast else 1, share)))
        for _ in claims:
            backlog.popleft()
        was_idle = not member.tasks
        member.give(claims, single=not is_fast)
        self.push(member)
        return Given(_begun(member) if was_idle else [], is_new)

    def is_fast(self, pace: Pace) -> bool:
        """Whether several tasks go into one message; with a log folder each goes alone."""
        return pace.is_fast() and self._place.logs.folder is None

    def push(self, member: Member) -> None:
        """Send what the worker has room for; the selector says when there is more."""
        is_watched = member.resident.fileno() in self._selector.get_map()
        if member.resident.push() == is_watched:
            if is_watched:
                self._selector.unregister(member.resident.fileno())
            else:
                self._selector.register(member.resident.fileno(), selectors.EVENT_WRITE, member)

    def _remaining(self, member: Member) -> int:
        """How many tasks more it may get before it is replaced."""
        most = 1 if member.is_fresh else self._worker_jobs
        if self._place.package.is_replaced and not member.resident.is_outlasting:
            return 0  # what it has not imported yet is not there, or that of another version
        return most - member.performed - len(member.tasks) if most else MOST_AHEAD

    def _has_place(self) -> bool:
        """Whether one more worker may be there; where not, one that is idle makes room for it, and that takes a moment."""
        if len(self.members) + len(self.departures) < self._slots:
            return True
        self.dismiss(next(member for member in self.members.values() if not member.tasks))
        return False

    def _hire(self, claim: Claim, home: Home) -> Member | Refusal:
        pipes = self._pipes.take()
        if isinstance(pipes, Refusal):
            return pipes
        self._place.package.keep()  # not while the worker starts: it may find the files gone
        is_fresh = claim.fresh or self._worker_jobs == 1
        member = Member.start(home, self._hook, self._place, *pipes, is_fresh=is_fresh)
        if isinstance(member, Refusal):
            self._pipes.give_back(*pipes)
            return member
        self.members[member.pid] = member
        self._selector.register(member.resident.bell, selectors.EVENT_READ, member)
        return member

    # --- hearing -------------------------------------------------------------------------------------------------------

    def hear(self, member: Member) -> Heard:
        """Take the answers of a worker; one that said farewell is dismissed."""
        ended = member.hear(self._grace)
        if self._unwanted:
            self._unwanted.difference_update(claim.token for claim, _ in ended)
        reports: list[Report] = [*_begun(member)] if ended else []
        unbegun: list[Claim] = []
        if member.resident.is_leaving and not member.is_ending() and member.pid in self.members:
            unbegun = self._wanted(member.unbegun(), reports)
            self.dismiss(member)
        return Heard(ended, reports, unbegun)

    def bury(self, member: Member, code: int | None) -> tuple[Ended | None, Heard]:
        """A worker that was heard has died, or is given up (None): how the task that ran ended."""
        ended, unbegun = member.died(code)
        self._forget(member)
        if ended is not None:
            self._unwanted.discard(ended.claim.token)
        reports: list[Report] = []
        return ended, Heard([], reports, self._wanted(unbegun, reports))

    def over(self, ended: Ended, over: Over) -> Ended:
        """How the last task of a worker ended of which nothing is left: with what it printed."""
        claim, outcome = ended
        out, err = over.attempt.out, over.attempt.err
        outcome = outcome._replace(
            leftovers=outcome.leftovers + over.leftovers,
            stdout=outcome.stdout or out.take(),
            stderr=outcome.stderr or err.take(),
        )
        self._place.close_log(out, err)
        return Ended(claim, unkillable(outcome, over.outliving[0]) if over.outliving else outcome)

    def _wanted(self, claims: list[Claim], reports: list[Report]) -> list[Claim]:
        """Those that another worker has to do; the others are reported as given back."""
        unwanted = [claim for claim in claims if claim.token in self._unwanted]
        self._unwanted.difference_update(claim.token for claim in unwanted)
        reports += [Lost(claim, started=False) for claim in unwanted]
        return [claim for claim in claims if claim not in unwanted]

    # --- ending --------------------------------------------------------------------------------------------------------

    def stop(self, tokens: Collection[str], status: str, grace: float) -> None:
        """End the tasks that run with one of these tokens, and do not begin the others. Hear the workers before."""
        for member in self.members.values():
            if member.began_at is not None and member.tasks[0].token in tokens:
                member.enforce(status, grace)
            self._unwanted.update(claim.token for claim in member.tasks if claim.token in tokens)

    def retire(self) -> None:
        """Dismiss the workers that have performed as many tasks as they may."""
        for member in list(self.members.values()):
            if not member.tasks and self._remaining(member) <= 0:
                self.dismiss(member)

    def dismiss(self, member: Member) -> None:
        """Give this worker no more tasks: it ends as Python does, and holds its slot meanwhile."""
        self._forget(member)
        self.departures.add(member)

    def _forget(self, member: Member) -> None:
        del self.members[member.pid]
        self._selector.unregister(member.resident.bell)
        if member.resident.fileno() in self._selector.get_map():
            self._selector.unregister(member.resident.fileno())
        member.resident.close()


def _begun(member: Member) -> list[Started]:
    """The task that just began, if it was claimed ahead."""
    if not member.tasks or member.began_at is None or member.tasks[0].started_at is not None:
        return []
    return [Started(member.tasks[0], member.began_at)]
