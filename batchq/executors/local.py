"""The local executor: child processes on this machine, watched by one selector loop.

A command is a process in its own session (``commands``); callables run in resident workers (``pool``). SIGCHLD and
wait4(2) report how a process ended; a subreaper needs them anyway for the orphans of jobs. Pipes are reused from job to
job and never waited for: a job has ended when its process has, even if another process still holds its output.
"""

import math
import selectors
import signal
import time
from collections.abc import Callable, Collection, Iterable, Sequence

from batchq.executors.aftermath import Aftermath
from batchq.executors.commands import Commands
from batchq.executors.handle import WorkerHandle
from batchq.executors.listener import Listener, attach
from batchq.executors.message import Hook
from batchq.executors.pipes import Pipes
from batchq.executors.pool import Pool
from batchq.executors.seam import Lost, Report
from batchq.executors.shared import ExecutorContext
from batchq.executors.starting import Starting
from batchq.executors.watch import NEWS, Watch
from batchq.jobs.attempt import KEPT, Claim, Ended
from batchq.processes import proc, tree
from batchq.processes.kept import Kept
from batchq.processes.signals import Inbox
from batchq.processes.spawn import Spawner

KEEP = 0.1  #: seconds after which a run reads the rest of batchq's files, which its workers may need
TURN = 0.005  #: seconds for reaping and starting commands before everything else gets a turn


class LocalExecutor:
    """``slots`` jobs at once on this machine.

    ``scratch`` is a private folder for result files (empty: one is made); ``db`` is passed to the jobs; ``cookie`` marks
    all processes, and ``kept`` records which of them stay. ``perform`` is the ``pkg.mod:func`` for payload jobs,
    imported from the job's folder or else from ``home``. ``grace`` is the seconds between TERM and KILL of a job that has
    timed out. ``logs`` is a folder for all output, ``mark`` is part of the names there. A worker is replaced after
    ``worker_jobs`` tasks (0: never). ``listeners`` receive what jobs print; ``keep_output`` bytes of each stream are kept
    unless a job has a number of its own. ``prepare`` is called before the first job starts.
    """

    name = "local"
    lease: float | None = None

    def __init__(
        self,
        slots: int,
        inbox: Inbox,
        scratch: str = "",
        *,
        db: str,
        cookie: str,
        perform: str | None,
        home: str,
        grace: float,
        logs: str | None = None,
        mark: str = "",
        worker_jobs: int = 0,
        kept: Kept | None = None,
        listeners: Sequence[Listener] = (),
        keep_output: int = KEPT,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.slots = slots
        self._inbox = inbox
        self._grace = grace
        self._context = ExecutorContext(Spawner(), scratch, db, cookie, logs, mark, listeners, keep_output)
        self._selector = selectors.DefaultSelector()
        self._selector.register(inbox.fileno(), selectors.EVENT_READ, None)
        self._pipes = Pipes(self._selector, slots)
        attach(listeners, self._selector, self._pipes)
        self._commands = Commands(self._context, self._pipes)
        self._pool = Pool(
            slots, self._selector, self._pipes, self._context, Hook(perform, home), grace=grace, worker_jobs=worker_jobs
        )
        self._aftermath = Aftermath(Kept() if kept is None else kept)
        self._watch = Watch(self._commands, self._pool, self._aftermath, self._pipes, grace)
        self._starting = Starting(slots, self._context, self._commands, self._pool, self._watch)
        self._output_at, self._keep_at = time.monotonic() + NEWS, time.monotonic() + KEEP
        self._is_new = True
        self._prepare = prepare

    @property
    def widest(self) -> int:
        """All slots."""
        return self.slots

    @property
    def hoped(self) -> int:
        """The same."""
        return self.slots

    # --- how much ------------------------------------------------------------------------------------------------------

    def free(self) -> int:
        """Count the claims that would start at once; 0 for a while after the machine refused to start a process."""
        return self._starting.free()

    def rooms(self) -> None:
        """All slots are of one place."""

    def ahead(self) -> int:
        """Count the claims that keep all slots busy for a moment at the present pace; 0 for longer jobs."""
        return self._starting.ahead()

    # --- the work ------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Read what running jobs needs. Raises ScarceError if it has been taken away."""
        if self._is_new:
            self._is_new = False
            self._prepare()
            self._context.package.begin()

    def start(self, claims: Sequence[Claim]) -> None:
        """Start the claims that find an empty slot; the rest waits here."""
        self.prepare()
        self._starting.add(claims)

    def poll(self, timeout: float | None, gather: float = 0.0) -> list[Report]:
        """Wait for output, answers, endings and deadlines."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        self._step(0.0 if self._starting.reports else until)
        until = min(until, time.monotonic() + gather)
        while time.monotonic() < until and self._starting.has_enough() and not self._is_awaited():
            self._step(until)
        self._watch.conclude()
        reports = self._starting.take()
        self._context.remove_parents(report.claim for report in reports if isinstance(report, (Ended, Lost)))
        self._watch.is_urgent = False
        return [*self._context.logs.take_news(), *reports]  # logs are reported before ends

    def _is_awaited(self) -> bool:
        """Whether the runner must return now: a signal, a bell, or an end that must be recorded at once."""
        return bool(self._inbox.received) or self._inbox.was_notified or self._watch.is_urgent

    def whereabouts(self) -> dict[str, int]:
        """Map tokens to a command's own process, or a callable's worker."""
        return {claim.token: pid for pid, claim in self._watch.running().items()}

    def listening(self, number: int) -> set[str]:
        """Find the tokens of attempts that have a handler, or whose descendants have one, according to /proc."""
        return {claim.token for pid, claim in self._watch.running().items() if proc.listens(pid, number)}

    def give_back(self, tokens: Collection[str]) -> None:
        """Report those as Lost that still wait here."""
        self._starting.collect()
        self._starting.drop(tokens)

    def stop(self, tokens: Iterable[str], status: str, grace: float) -> None:
        """Stop attempts; requeue those that wait here."""
        chosen = set(tokens)
        self._watch.read_all_answers()
        self._starting.collect()
        self._starting.drop(chosen)
        self._commands.stop(chosen, status, grace)
        self._pool.stop(chosen, status, grace)
        if not grace:
            self._aftermath.hurry(chosen)

    def suspend(self) -> None:
        """Send SIGSTOP to the group of each process."""
        self._watch.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT to the group of each process."""
        self._watch.signal(signal.SIGCONT)

    def close(self) -> None:
        """Let the workers end, within the grace or until another signal comes, and kill everything left below."""
        self._inbox.stop_listening()
        for worker in list(self._pool.workers.values()):
            self._pool.release(worker)
        while len(self._pool.departures):
            if self._inbox.received or self._inbox.for_all:
                self._inbox.received.clear()
                self._inbox.for_all.clear()
                self._pool.departures.hurry()
            self._step(self._pool.departures.due())
        if proc.CAN_TRACE:
            tree.end_descendants(self._grace, self._aftermath.stays)
        self._pipes.close()
        self._selector.close()

    # --- the loop ------------------------------------------------------------------------------------------------------

    def _step(self, until: float) -> None:
        """Wait until ``until`` (monotonic seconds) at most for the next event, and handle it."""
        self._select(until)
        if self._inbox.received or self._inbox.for_all:
            return  # a stop may reach the jobs too: the runner must know of it before it judges their ends
        self._reap()
        self._watch.sweep_when_due()
        self._watch.read_overdue_answers()
        self._watch.enforce()
        self._starting.fill()
        now = time.monotonic()
        if now >= self._keep_at:
            self._keep()
        if now >= self._output_at:
            self._output_at = now + NEWS
            self._watch.report_output()
        self._starting.collect()

    def _select(self, until: float) -> None:
        """Wait for signals, output and answers, and read them."""
        for key, _ in self._selector.select(self._patience(until)):
            if key.data is None:
                self._inbox.drain()
            elif not isinstance(key.data, WorkerHandle):
                key.data.pump()
            elif key.fd == key.data.resident.bell:
                self._watch.read_answers(key.data)
            else:
                self._pool.push(key.data)

    def _patience(self, until: float) -> float | None:
        now = time.monotonic()
        first = min(until, self._starting.rests_until(), self._keep_at, self._watch.due(now))
        return None if first == math.inf else max(0.0, first - now)

    def _reap(self) -> None:
        """Reap ended processes and start others in their place; repeat while commands end, for ``TURN`` at most."""
        soon = time.monotonic() + TURN
        while self._watch.reap() and time.monotonic() < soon and not self._inbox.received and not self._watch.is_urgent:
            self._starting.fill()

    def _keep(self) -> None:
        """Read what workers need of batchq, in case its files are taken away."""
        self._keep_at = math.inf
        self.prepare()
        self._context.package.keep()
