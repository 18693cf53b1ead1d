"""One worker and the tasks sent to it: at most three messages, each of about two milliseconds of work."""

import time
from collections import deque
from collections.abc import Sequence

from batchq import clock
from batchq.executors import outcomes
from batchq.executors.exits import ExitResult
from batchq.executors.kill import TaskKill, overrun, unkillable
from batchq.executors.message import Hook, message
from batchq.executors.shared import ExecutorContext
from batchq.jobs.attempt import INTERRUPTED, SILENCE, TIMED_OUT, Claim, Ended, Failure, Outcome, Printed, Printout
from batchq.processes import tree
from batchq.processes.capture import Piped
from batchq.processes.resident import Home, Resident
from batchq.processes.spawn import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.processes.resident import Answer

MESSAGES = 3  #: in flight at once, so that a worker has work while an exchange takes place


class WorkerHandle:
    """A worker process. ``tasks`` are its claims in order: the first one runs, the others wait.

    One that ``is_fresh`` performs a single task, which ends with the process. ``must_check`` is set when tasks were
    claimed: a job that was added after a file had changed must find the new file.
    """

    def __init__(
        self, resident: Resident, hook: Hook, context: ExecutorContext, output: Piped, *, is_fresh: bool
    ) -> None:
        self.resident = resident
        self.pid = resident.pid
        self.home = resident.home
        self.tasks: deque[Claim] = deque()
        self.numbers: Sequence[int] = ()  # of its slots while it has tasks, which get the first one
        self.began_at: int | None = None  # the task that runs, in milliseconds since 1970
        self.deadline: float | None = None
        self.read_at = 0.0
        self.output = output
        self.performed = 0
        self.is_fresh = is_fresh
        self.must_check = False
        self._hook = hook
        self._context = context
        self._sizes: deque[int] = deque()
        self._kill = TaskKill()
        self._exit_result: ExitResult | None = None
        self._single = True
        self._began = 0.0
        self._reported = (0, 0)

    @classmethod
    def start(
        cls, home: Home, hook: Hook, context: ExecutorContext, output: Piped, *, is_fresh: bool
    ) -> "WorkerHandle | Refusal":
        """Start the process, or return why that is not possible."""
        resident = Resident.start(context.spawner, context.package, home, context.cookie, *output.writers())
        if isinstance(resident, Refusal):
            return resident
        return cls(resident, hook, context, output, is_fresh=is_fresh)

    def has_room(self) -> bool:
        """Whether another message may be sent: not during a kill, nor after a single task or ``MESSAGES``."""
        return len(self._sizes) < MESSAGES and self._kill.status is None and not (self.tasks and self._single)

    def give(self, claims: Sequence[Claim], *, single: bool) -> None:
        """Send one message of tasks that all are calls, or all payloads.

        A ``single`` task writes into the pipes, which are read while it runs, so nothing may follow it. The output of
        others goes to files, where the output of each can be size apart.
        """
        was_idle = not self.tasks
        self.tasks += claims
        self._sizes.append(len(claims))
        self._single = single or self.is_fresh
        look, self.must_check = self.must_check, False
        self.resident.send(
            message(
                claims,
                self._hook,
                self._context.db,
                parents_file=self._context.parents_file,
                kept=self._context.kept(claims[0]),
                slot=self.numbers[0],
                look=look,
                single=self._single,
                last=self.is_fresh,
            )
        )
        if was_idle:
            self._begin_next()

    def news(self, patience: float) -> Printed | None:
        """Return the new output of the running task. It may have ended since: call ``read_answers`` before reporting it.

        A task that shares its message with others is skipped for ``patience`` seconds: most end sooner.
        """
        if not self.tasks:
            return None
        if self._single:
            printout = self.output.news()
            return None if printout is None else Printed(self.tasks[0], *printout)
        if time.monotonic() - self._began < patience:
            return None
        out, err = self.resident.spilled(self._context.kept(self.tasks[0]))
        size = (out.total if out else 0, err.total if err else 0)
        if size == self._reported:
            return None
        self._reported = size
        return Printed(self.tasks[0], out, err)

    def _begin_next(self) -> None:
        if self.tasks and self._single:
            self._context.begin_output(self.tasks[0], self.output)
        self._began = time.monotonic()
        self.began_at = clock.now() if self.tasks else None
        self._reported = (0, 0)
        timeout = self.tasks[0].timeout if self.tasks else None
        self.deadline = None if timeout is None else time.monotonic() + timeout / 1000

    def enforce(self, status: str, grace: float) -> None:
        """End the running task as ``status``, and the worker with it unless the task handles TERM.

        A process whose task has answered already has a deadline for its exit, which a stop of the run does not change.
        """
        if self._exit_result is not None and status == INTERRUPTED and grace:
            return
        if self._exit_result is not None and status == TIMED_OUT:
            grace = 0
        self.deadline = self._kill.enforce(self.pid, status, grace)

    def is_killed(self) -> bool:
        """Whether SIGKILL was sent, and only the system can still keep the process."""
        return self._kill.is_killed

    def is_ending(self) -> bool:
        """Whether its only task has answered, and only the process has yet to exit."""
        return self._exit_result is not None

    def read_answers(self, grace: float) -> list[Ended]:
        """Return the tasks that have ended since the last call; a fresh process has ``grace`` seconds to exit."""
        self.read_at = time.monotonic()
        answers = self.resident.answers()
        if not answers:
            return []
        if self.is_fresh:
            self._exit_result = ExitResult(self._outcome(self.tasks[0], answers[0]), grace, self.deadline)
            self.deadline = self._exit_result.due
            return []
        ended = []
        for answer in answers:
            claim = self.tasks.popleft()
            ended.append(Ended(claim, self._outcome(claim, answer)))
        self._count_off(len(answers))
        self._context.end_output(self.output)
        self.performed += len(answers)
        if self.resident.is_leaving:
            self.began_at = None
        else:
            self._begin_next()
        return ended

    def _count_off(self, done: int) -> None:
        """Drop the messages whose tasks have all ended."""
        while done:
            of_first = min(done, self._sizes[0])
            self._sizes[0] -= of_first
            done -= of_first
            if not self._sizes[0]:
                self._sizes.popleft()

    def _outcome(self, claim: Claim, answer: "Answer") -> Outcome:
        printout = self._printed(answer[1]) if answer[1] or self._single else SILENCE
        outcome = outcomes.answered(answer, printout)
        if self._kill.signalled_at is None:
            return outcome
        return self._kill.judged(outcome, answer[0][2], self._overrun(claim))

    def _printed(self, output: str) -> Printout:
        """Return what a task printed to the pipes or files; for a fresh process it is known only at its exit."""
        if self._single:
            return SILENCE if self.is_fresh else self.output.take()
        return outcomes.printed(output)

    def on_death(self, code: int | None) -> tuple[Ended | None, list[Claim]]:
        """Return how the running task ended and the claims that never began, after a worker was reaped or given up (None).

        Its output in the pipes is taken later, when none of its processes can print more.
        """
        if not self.tasks:
            return None, []
        if self._lost_its_files():
            self._context.discard_output(self.output)
            return None, self.unbegun()
        claim, started_at = self.tasks.popleft(), self.began_at or clock.now()
        out, err = (None, None) if self._single else self.resident.spilled(self._context.kept(claim))
        if self._exit_result is not None:
            outcome = self._exit_result.outcome(code, self._kill.status, self._overrun(claim))
        else:
            death = outcomes.Death(
                code,
                self._kill.status,
                is_late=self._kill.signalled_at is not None,
                has_reported=self.resident.has_reported,
                is_garbled=self.resident.is_garbled,
                python=self.home.python,
            )
            status, failure = outcomes.on_death(
                death, self._overrun(claim), self._meanwhile(), self._context.saw_oom_kill
            )
            outcome = Outcome(
                status,
                exit_code=code if code is not None and code >= 0 else None,
                signal=-code if code is not None and code < 0 else None,
                seconds=time.monotonic() - self._began,
                failure=failure,
                started_at=started_at,
                finished_at=clock.now(),
            )
        outcome = outcome._replace(stdout=out, stderr=err)
        if code is None:
            outcome = unkillable(outcome, tree.why_alive(self.pid))
        return Ended(claim, outcome), self.unbegun()

    def _lost_its_files(self) -> bool:
        """Whether it died before any code of a job ran, because the files of batchq were taken away."""
        if self.resident.has_reported or self.resident.is_outlasting or self._kill.status is not None:
            return False
        self._context.package.check()
        return self._context.package.is_replaced

    def unbegun(self) -> list[Claim]:
        """Take back the tasks that it will not begin."""
        claims = list(self.tasks)
        self.tasks.clear()
        self.began_at = self.deadline = None
        return claims

    def _overrun(self, claim: Claim) -> Failure | None:
        return None if claim.timeout is None else overrun(claim, self._meanwhile())

    def _meanwhile(self) -> str:
        return f" while it imported {self.resident.imports}" if self.resident.imports else ""
