"""What waits for an empty slot of this machine, and how it starts; with all that is to be reported."""

import math
from collections import deque
from collections.abc import Collection, Sequence

from batchq.executors.commands import CALLABLE, Commands, unbegun
from batchq.executors.pace import Pace, Rest
from batchq.executors.pool import Pool
from batchq.executors.seam import Lost, Report, Started
from batchq.executors.shared import ExecutorContext
from batchq.executors.watch import Watch
from batchq.jobs.attempt import MACHINE_BUSY, Claim, Ended
from batchq.processes.spawn import Refusal


class Starting:
    """Starts claims in ``slots`` slots, as ``commands`` or in the workers of ``pool``; ``watch`` watches them from then on.

    ``reports`` are those since they were last taken.
    """

    def __init__(self, slots: int, context: ExecutorContext, commands: Commands, pool: Pool, watch: Watch) -> None:
        self.reports: list[Report] = []
        self._backlog: deque[Claim] = deque()
        self._slots = slots
        self._context = context
        self._commands = commands
        self._pool = pool
        self._watch = watch
        self._pace = Pace()
        self._rest = Rest()
        self._any_wide = False  # whether any claim took more than one slot

    def free(self) -> int:
        """Count the claims that would start at once; 0 for a while after the machine refused to start a process."""
        if self._rest.is_on():
            return 0
        waiting = sum(claim.slots for claim in self._backlog) if self._any_wide else len(self._backlog)
        return max(0, self._slots - self._watch.used() - waiting)

    def ahead(self) -> int:
        """Count the claims that keep all slots busy for a moment at the present pace; 0 for longer jobs."""
        waiting = len(self._backlog) + sum(len(worker.tasks) for worker in self._pool.workers.values())
        return self._pace.ahead(self._slots, waiting)

    def has_enough(self) -> bool:
        """Whether every slot is busy and more work is waiting."""
        return bool(self._backlog) and not self.ahead() and not self._rest.is_on()

    def rests_until(self) -> float:
        """Return when (monotonic seconds) what waits because the machine refused a process is tried again."""
        return self._rest.until if self._backlog and self._rest.is_on() else math.inf

    def add(self, claims: Sequence[Claim]) -> None:
        """Start the claims that find an empty slot; the rest waits here."""
        self._pool.note_claims()
        self._any_wide = self._any_wide or any(claim.slots > 1 for claim in claims)
        for claim in claims:
            refusal = self._context.write_parents(claim) or self._commands.make_ready(claim)
            if refusal is None:
                self._backlog.append(claim)
            else:
                self._refuse(claim, refusal)
        self.fill()

    def drop(self, tokens: Collection[str]) -> None:
        """Report those as Lost that wait here."""
        waiting = [claim for claim in self._backlog if claim.token in tokens]
        self._backlog = deque(claim for claim in self._backlog if claim.token not in tokens)
        self._commands.drop(waiting)
        self.reports += [Lost(claim, started=False) for claim in waiting]

    def fill(self) -> None:
        """Start claims while there are empty slots, in the order of the backlog."""
        self.collect()
        if self._backlog and self._backlog[0].kind in CALLABLE:
            self._context.package.check(rarely=self._pool.is_fast(self._pace) and bool(self._pool.busy()))
        self._pool.retire()
        while self._backlog and not self._rest.is_on():
            claim, empty = self._backlog[0], self._slots - self._watch.used()
            if claim.kind in CALLABLE:
                given = self._pool.give(self._backlog, empty, self._pace, self._watch.choose_numbers)
                if given is None:
                    return
                if isinstance(given, Refusal):
                    self._refuse(self._backlog.popleft(), given)
                    continue
                self.reports += given.begun
                if given.is_new:
                    self._rest.forget()
            elif empty >= claim.slots:
                self._start_command(self._backlog.popleft())
            else:
                return

    def collect(self) -> None:
        """Collect the reports of the watch, and the claims that another worker has to take."""
        reports, again = self._watch.take()
        self._backlog.extendleft(reversed(again))
        ended = [one for one in reports if isinstance(one, Ended)]
        self._pace.note(ended)
        self.reports += reports
        for claim, outcome in ended:
            if outcome.failure is not None and outcome.failure.type == MACHINE_BUSY and claim.kind not in CALLABLE:
                self.reports += self._rest.begin(outcome.failure.message)

    def take(self) -> list[Report]:
        """Take the reports."""
        self.collect()
        reports, self.reports = self.reports, []
        return reports

    def _start_command(self, claim: Claim) -> None:
        command = self._commands.start(claim, self._watch.choose_numbers(claim.slots))
        if isinstance(command, Refusal):
            self._refuse(claim, command)
            return
        self._rest.forget()
        if claim.started_at is None:
            self.reports.append(Started(claim, command.started_at))

    def _refuse(self, claim: Claim, refusal: Refusal) -> None:
        """Report an attempt that could not begin; if the machine refused it, start nothing for a while."""
        if refusal.of_machine:
            self.reports += self._rest.begin(refusal.message)
        self.reports.append(unbegun(claim, refusal))
