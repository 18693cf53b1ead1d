"""Watching attempts until they have finished: workers' answers, ended processes, leftovers and deadlines."""

import math
import os
import resource
import time
from collections.abc import Iterator

from batchq.executors.aftermath import Aftermath, Cleared, Lingering
from batchq.executors.command import Command
from batchq.executors.commands import Commands
from batchq.executors.handle import WorkerHandle
from batchq.executors.leftovers import LiveProcesses
from batchq.executors.pipes import Pipes
from batchq.executors.pool import Pool
from batchq.executors.seam import Noted, Report
from batchq.jobs.attempt import TIMED_OUT, Claim, Ended
from batchq.processes import tree
from batchq.processes.capture import Output

NEWS = 1.0  #: seconds between reports of what running jobs have printed
TICK = 0.05  #: seconds between reads of a worker that has several tasks: its bell rings only after the last
LOST_RESULT = "the folder for the results of jobs was removed; results of jobs that were running at that time are lost"


class Watch:
    """Watches ``commands`` and the workers of ``pool``. Reports are kept until ``take``.

    ``is_urgent``: an attempt has ended that must be recorded at once.
    """

    def __init__(self, commands: Commands, pool: Pool, aftermath: Aftermath, pipes: Pipes, grace: float) -> None:
        self.is_urgent = self._has_lost_results = False
        self._commands = commands
        self._pool = pool
        self._aftermath = aftermath
        self._pipes = pipes
        self._grace = grace
        self._reports: list[Report] = []
        self._unbegun: list[Claim] = []

    def take(self) -> tuple[list[Report], list[Claim]]:
        """Take the reports since the last call, and the claims that must be started again."""
        taken = self._reports, self._unbegun
        self._reports, self._unbegun = [], []
        return taken

    def used(self) -> int:
        """Count the slots that are not empty."""
        return self._commands.used() + self._pool.used() + self._aftermath.used()

    def choose_numbers(self, count: int) -> list[int]:
        """Return the lowest numbers, from 1, of that many empty slots."""
        held = {*self._commands.numbers(), *self._pool.numbers(), *self._aftermath.numbers()}
        return [number for number in range(1, len(held) + count + 1) if number not in held][:count]

    def running(self) -> dict[int, Claim]:
        """Map first processes to the claims that run now."""
        running = {pid: command.claim for pid, command in self._commands.running.items()}
        return running | {worker.pid: worker.tasks[0] for worker in self._pool.busy()}

    def processes(self) -> list[int]:
        """List all processes that were started for jobs and have not ended."""
        return [*self._commands.running, *self._pool.workers, *self._pool.departures.pids()]

    def signal(self, number: int) -> None:
        """Send a signal to the group of each of these processes."""
        for pid in self.processes():
            tree.kill_group(pid, number)

    def due(self, now: float) -> float:
        """Return when (monotonic seconds) there is something to do even if no event comes before."""
        waits = [self._pool.departures.due(), self._aftermath.due()]
        waits += [one.deadline for one in self._timed() if one.deadline is not None]
        waits += [now + (TICK if len(worker.tasks) > 1 else NEWS) for worker in self._pool.busy()]
        return min([*waits, now + NEWS] if self._commands.running else waits)

    # --- processes that have ended ----------------------------------------------------------------------------------------

    def reap(self) -> bool:
        """Reap every child that has ended: jobs, workers and orphans. Return whether one was a command."""
        ended: dict[int, Lingering] = {}
        for pid, status, usage in _reaped():
            if (lingering := self._commands.reaped(pid, status, usage)) is not None:
                ended[pid] = lingering
            elif (worker := self._pool.workers.get(pid)) is not None:
                self._drop_dead(worker, os.waitstatus_to_exitcode(status))
            else:
                self._drop_departed(pid)
        if not ended:
            return False
        self._sweep(ended)
        if self._commands.are_many_finished():
            self.conclude()
        return True

    def _drop_dead(self, worker: WorkerHandle, code: int | None) -> None:
        """Drop a worker that has died, or is given up (``code`` None)."""
        worker.resident.is_reaped = code is not None
        self.read_answers(worker)
        if worker.pid not in self._pool.workers:  # that was its last answer
            self._drop_departed(worker.pid)
            return
        ended, progress = self._pool.drop_dead(worker, code)
        if ended is not None:
            numbers = worker.numbers[: ended.claim.slots]
            self._sweep({worker.pid: Lingering(ended.claim, worker.output, None, ended, numbers)})
        else:
            self._free(worker.output)
        self._reports += progress.reports
        self._unbegun += progress.unbegun

    def _drop_departed(self, pid: int) -> None:
        """Drop a released worker that has ended, or is given up: its pipes are free for the next job."""
        worker = self._pool.departures.pop(pid)
        if worker is not None:
            has_left = self._aftermath.has_left(pid, self._live())
            worker.output.take()
            if has_left:  # what these processes still print belongs to no job
                self._pipes.discard(worker.output)
            else:
                self._free(worker.output)

    # --- workers and output -----------------------------------------------------------------------------------------------

    def read_answers(self, worker: WorkerHandle) -> None:
        """Read the answers of a worker."""
        ended, reports, unbegun = self._pool.read_answers(worker)
        self._end(ended)
        self._reports += reports
        if ended:
            self._sweep({})
        self._unbegun += unbegun

    def read_all_answers(self) -> None:
        """Read the answers of all workers."""
        for worker in list(self._pool.workers.values()):
            self.read_answers(worker)

    def read_overdue_answers(self) -> None:
        """Read the answers of workers with several tasks that have not rung their bell for a while."""
        now = time.monotonic()
        for worker in self._pool.busy():
            if len(worker.tasks) > 1 and now - worker.read_at > TICK:
                self.read_answers(worker)

    def report_output(self) -> None:
        """Report what running jobs have printed since the last call."""
        news = self._commands.news()
        for worker in self._pool.busy():
            printed = worker.news(NEWS)
            self.read_answers(worker)
            if printed is not None and worker.tasks and worker.tasks[0].token == printed.claim.token:
                news.append(printed)
        self._reports += news

    # --- deadlines --------------------------------------------------------------------------------------------------------

    def enforce(self) -> None:
        """Kill what has timed out, and give up what even SIGKILL does not end."""
        now = time.monotonic()
        for running in self._timed():
            if self._is_over_time(running, now):
                if running.is_killed():
                    self._give_up(running)
                else:
                    running.enforce(TIMED_OUT, self._grace)
        for pid in self._pool.departures.enforce(now):
            self._aftermath.give_up(pid)
            self._drop_departed(pid)

    def _timed(self) -> list[Command | WorkerHandle]:
        running: list[Command | WorkerHandle] = [*self._commands.running.values(), *self._pool.workers.values()]
        return [one for one in running if one.deadline is not None]

    def _is_over_time(self, running: Command | WorkerHandle, now: float) -> bool:
        if running.deadline is None or running.deadline > now:
            return False
        if isinstance(running, WorkerHandle):
            self.read_answers(running)  # a task that has ended is not late, and the next one has its own time
        return running.deadline is not None and running.deadline <= now

    def _give_up(self, running: Command | WorkerHandle) -> None:
        """Free the slot of a process that SIGKILL does not end."""
        self._aftermath.give_up(running.pid)
        if (claim := self.running().get(running.pid)) is not None:
            self._reports.append(Noted(f"job {claim.id}: {tree.why_alive(running.pid)}"))
        if isinstance(running, WorkerHandle):
            self._drop_dead(running, None)
        else:
            self._end([self._commands.give_up(running)])
            self._free(running.output)

    # --- the end of attempts ----------------------------------------------------------------------------------------------

    def sweep_when_due(self) -> None:
        """Handle the leftovers of ended attempts, if there are any."""
        if self._aftermath.due() < math.inf:
            self._sweep({})

    def conclude(self) -> None:
        """Make the outcomes of ended commands, many at once, while their slots are busy again."""
        ended, is_result_lost = self._commands.conclude()
        if is_result_lost and not self._has_lost_results:
            self._has_lost_results = True
            self._reports.append(Noted(LOST_RESULT))
        self._end(ended)

    def _sweep(self, ended: dict[int, Lingering]) -> None:
        """Handle the leftovers of these attempts and of lingering ones; finish those with none left."""
        for over in self._aftermath.sweep(ended, self._live()):
            self._finish(over)

    def _finish(self, over: Cleared) -> None:
        """Finish an attempt that has nothing left to kill: its pipes are free for the next one."""
        one = over.attempt
        self._reports += [Noted(f"job {one.claim.id}: {why}") for why in over.outliving]
        if one.command is not None:
            self.is_urgent = self.is_urgent or one.claim.on_crash == "hold"
            self._commands.finish(one.command, over)
        elif one.ended is not None:
            self._end([self._pool.finish(one.ended, over)])
        self._free(one.output)

    def _end(self, ended: list[Ended]) -> None:
        self.is_urgent = self.is_urgent or any(claim.on_crash == "hold" for claim, _ in ended)
        self._reports += ended

    def _free(self, output: Output) -> None:
        """Keep the pipes for the next job, unless a surviving process may still write there."""
        if self._aftermath.may_print():
            self._pipes.discard(output)
        else:
            self._pipes.give_back(output)

    def _live(self) -> LiveProcesses:
        tokens = {claim.token for claim in self.running().values()}
        return LiveProcesses(set(self.processes()), tokens, bool(tokens) or len(self._pool.departures) > 0)


def _reaped() -> Iterator[tuple[int, int, resource.struct_rusage]]:
    """Yield the children that have ended, as wait4(2) returns them."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status, usage
