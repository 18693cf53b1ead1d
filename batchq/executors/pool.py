"""The pool of workers: starting them, sending them tasks, reading their answers, and releasing them."""

import selectors
from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import islice

from batchq.executors.aftermath import Cleared
from batchq.executors.departures import Departures
from batchq.executors.handle import WorkerHandle
from batchq.executors.homes import alike, home_of
from batchq.executors.kill import unkillable
from batchq.executors.message import Hook
from batchq.executors.pace import MOST_AHEAD, Pace
from batchq.executors.pipes import Pipes
from batchq.executors.seam import Lost, Report, Started
from batchq.executors.shared import ExecutorContext
from batchq.jobs.attempt import Claim, Ended
from batchq.named import NamedTuple
from batchq.processes.resident import Home
from batchq.processes.spawn import Refusal


class Assignment(NamedTuple):
    """Tasks sent to a worker: those that have ``begun`` with that, and whether the worker ``is_new``."""

    begun: list[Started]
    is_new: bool


class Progress(NamedTuple):
    """What has ended and begun in a worker, and the claims that another worker has to take."""

    ended: list[Ended]
    reports: list[Report]
    unbegun: list[Claim]


class Pool:
    """Workers for ``slots`` tasks at once. ``workers`` get tasks; the processes in ``departures`` are about to end."""

    def __init__(
        self,
        slots: int,
        selector: selectors.BaseSelector,
        pipes: Pipes,
        context: ExecutorContext,
        hook: Hook,
        *,
        grace: float,
        worker_jobs: int,
    ) -> None:
        self.workers: dict[int, WorkerHandle] = {}
        self.departures = Departures(grace)
        self._slots = slots
        self._selector = selector
        self._pipes = pipes
        self._context = context
        self._hook = hook
        self._grace = grace
        self._worker_jobs = worker_jobs
        self._stopped: set[str] = set()

    def busy(self) -> list[WorkerHandle]:
        """List the workers that have tasks."""
        return [worker for worker in self.workers.values() if worker.tasks]

    def used(self) -> int:
        """Count the slots that running tasks and leaving workers hold."""
        return sum(worker.tasks[0].slots for worker in self.busy()) + len(self.departures)

    def numbers(self) -> list[int]:
        """List the numbers of these slots."""
        held = [worker.numbers[: worker.tasks[0].slots] for worker in self.busy()] + self.departures.numbers()
        return [number for numbers in held for number in numbers]

    def note_claims(self) -> None:
        """Let each worker check for changed code before its next task, which was just claimed."""
        for worker in self.workers.values():
            worker.must_check = True

    # --- sending -------------------------------------------------------------------------------------------------------

    def give(
        self, backlog: deque[Claim], empty: int, pace: Pace, choose: Callable[[int], Sequence[int]]
    ) -> Assignment | Refusal | None:
        """Send the first claims of the backlog to a worker; None if no worker can take them now.

        ``empty`` is the number of empty slots, and ``choose`` returns the numbers of that many of them. The claim of a
        refusal stays in the backlog.
        """
        first, home = backlog[0], home_of(backlog[0])
        is_fast = self.is_fast(pace)
        mine = [] if first.fresh else [one for one in self.workers.values() if one.home == home and not one.is_fresh]
        worker, is_new = None, False
        if empty >= first.slots:
            worker = next((worker for worker in mine if not worker.tasks), None)
            if worker is None:
                if not self._make_room():
                    return None
                hired = self._hire(first, home)
                if isinstance(hired, Refusal):
                    return hired
                worker, is_new = hired, True
        if worker is None and first.slots == 1 and is_fast:
            roomy = (one for one in mine if one.tasks and one.has_room() and self._remaining(one) > 0)
            worker = min(roomy, key=lambda one: len(one.tasks), default=None)
        if worker is None:
            return None
        share = -(-len(backlog) // max(1, empty))
        claims = alike(islice(backlog, min(self._remaining(worker), pace.in_a_message() if is_fast else 1, share)))
        for _ in claims:
            backlog.popleft()
        was_idle = not worker.tasks
        if was_idle:
            worker.numbers = choose(first.slots)
        worker.give(claims, single=not is_fast)
        self.push(worker)
        return Assignment(_begun(worker) if was_idle else [], is_new)

    def is_fast(self, pace: Pace) -> bool:
        """Whether several tasks go into one message; with a log folder or a listener each goes alone."""
        return pace.is_fast() and not self._context.is_observed()

    def push(self, worker: WorkerHandle) -> None:
        """Send as much as the pipe takes; the selector reports when it takes more."""
        is_watched = worker.resident.fileno() in self._selector.get_map()
        if worker.resident.push() == is_watched:
            if is_watched:
                self._selector.unregister(worker.resident.fileno())
            else:
                self._selector.register(worker.resident.fileno(), selectors.EVENT_WRITE, worker)

    def _remaining(self, worker: WorkerHandle) -> int:
        """Count the tasks that it may still get before it is replaced."""
        most = 1 if worker.is_fresh else self._worker_jobs
        if self._context.package.is_replaced and not worker.resident.is_outlasting:
            return 0  # modules that it has not imported yet are gone, or those of another version
        return most - worker.performed - len(worker.tasks) if most else MOST_AHEAD

    def _make_room(self) -> bool:
        """Return whether one more worker may start; if not, release an idle one, which takes a moment."""
        if len(self.workers) + len(self.departures) < self._slots:
            return True
        self.release(next(worker for worker in self.workers.values() if not worker.tasks))
        return False

    def _hire(self, claim: Claim, home: Home) -> WorkerHandle | Refusal:
        pipes = self._pipes.take()
        if isinstance(pipes, Refusal):
            return pipes
        self._context.package.keep()  # not while the worker starts: it may find the files gone
        is_fresh = claim.fresh or self._worker_jobs == 1
        worker = WorkerHandle.start(home, self._hook, self._context, pipes, is_fresh=is_fresh)
        if isinstance(worker, Refusal):
            self._pipes.give_back(pipes)
            return worker
        self.workers[worker.pid] = worker
        self._selector.register(worker.resident.bell, selectors.EVENT_READ, worker)
        return worker

    # --- answers -------------------------------------------------------------------------------------------------------

    def read_answers(self, worker: WorkerHandle) -> Progress:
        """Read the answers of a worker; release it after its last answer."""
        ended = worker.read_answers(self._grace)
        if self._stopped:
            self._stopped.difference_update(claim.token for claim, _ in ended)
        reports: list[Report] = [*_begun(worker)] if ended else []
        unbegun: list[Claim] = []
        if worker.resident.is_leaving and not worker.is_ending() and worker.pid in self.workers:
            unbegun = self._still_wanted(worker.unbegun(), reports)
            self.release(worker)
        return Progress(ended, reports, unbegun)

    def drop_dead(self, worker: WorkerHandle, code: int | None) -> tuple[Ended | None, Progress]:
        """Drop a worker that has died, or is given up (None): how its running task ended. Read its answers first."""
        ended, unbegun = worker.on_death(code)
        self._forget(worker)
        if ended is not None:
            self._stopped.discard(ended.claim.token)
        reports: list[Report] = []
        return ended, Progress([], reports, self._still_wanted(unbegun, reports))

    def finish(self, ended: Ended, over: Cleared) -> Ended:
        """Complete the outcome of a worker's last task with its output and leftovers."""
        claim, outcome = ended
        stdout, stderr, turns = over.attempt.output.take()
        outcome = outcome._replace(
            leftovers=outcome.leftovers + over.leftovers,
            stdout=outcome.stdout or stdout,
            stderr=outcome.stderr or stderr,
            turns=turns,
        )
        self._context.end_output(over.attempt.output)
        return Ended(claim, unkillable(outcome, over.outliving[0]) if over.outliving else outcome)

    def _still_wanted(self, claims: list[Claim], reports: list[Report]) -> list[Claim]:
        """Return the claims that another worker has to take; report the stopped ones as requeued."""
        stopped = [claim for claim in claims if claim.token in self._stopped]
        self._stopped.difference_update(claim.token for claim in stopped)
        reports += [Lost(claim, started=False) for claim in stopped]
        return [claim for claim in claims if claim not in stopped]

    # --- stopping --------------------------------------------------------------------------------------------------------

    def stop(self, tokens: Collection[str], status: str, grace: float) -> None:
        """Stop the tasks with these tokens that run, and do not begin the others. Read the workers' answers first."""
        for worker in self.workers.values():
            if worker.began_at is not None and worker.tasks[0].token in tokens:
                worker.enforce(status, grace)
            self._stopped.update(claim.token for claim in worker.tasks if claim.token in tokens)

    def retire(self) -> None:
        """Release the workers that have performed as many tasks as they may."""
        for worker in list(self.workers.values()):
            if not worker.tasks and self._remaining(worker) <= 0:
                self.release(worker)

    def release(self, worker: WorkerHandle) -> None:
        """Send this worker no more tasks: it exits as Python does, and holds its slot meanwhile."""
        self._forget(worker)
        self.departures.add(worker)

    def _forget(self, worker: WorkerHandle) -> None:
        del self.workers[worker.pid]
        self._selector.unregister(worker.resident.bell)
        if worker.resident.fileno() in self._selector.get_map():
            self._selector.unregister(worker.resident.fileno())
        worker.resident.close()


def _begun(worker: WorkerHandle) -> list[Started]:
    """Report the task that just began, if it was claimed ahead."""
    if not worker.tasks or worker.began_at is None or worker.tasks[0].started_at is not None:
        return []
    return [Started(worker.tasks[0], worker.began_at)]
