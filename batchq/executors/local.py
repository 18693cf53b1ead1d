"""The local executor: child processes on this machine, watched by one selector loop.

A command is a process of its own session; callables run in resident workers. How a process ended is learnt from SIGCHLD
and wait4(2), which as a subreaper we need anyway for the orphans of jobs. Pipes are kept from job to job and are never
waited for: a job has ended when its process has, whoever may still hold its output.
"""

import math
import os
import resource
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from batchq import clock
from batchq.executors.command import Command, unkillable
from batchq.executors.departures import Departures
from batchq.executors.homes import alike, home_of
from batchq.executors.leftovers import Alive, Leftovers
from batchq.executors.member import Hook, Member
from batchq.executors.place import Place
from batchq.executors.seam import Lost, Noted, Report, Started
from batchq.jobs.attempt import (
    FAILED,
    INTERRUPTED,
    MACHINE_BUSY,
    SUCCEEDED,
    TIMED_OUT,
    Claim,
    Ended,
    Failure,
    Outcome,
    Printed,
)
from batchq.named import NamedTuple
from batchq.processes import tree
from batchq.processes.capture import Capture, Filed, Output
from batchq.processes.kept import Kept
from batchq.processes.resident import Home
from batchq.processes.signals import Inbox
from batchq.processes.spawn import Refusal, Spawner, machine_refusal

MESSAGE = 0.002  #: seconds of work that one message to a worker should hold
AT_HAND = 0.05  #: seconds of work that should wait here, so that a slot never waits for the ledger
MOST_AHEAD = 1024  #: claims that wait here for their turn
AT_ONCE = 512  #: of them claimed in one exchange, so that nobody waits long for the store
LATE = 16  #: ended commands that are seen to together, at most
CALLABLE = ("call", "payload")  #: the kinds of work that workers do
NEWS = 1.0  #: seconds between looks at what running jobs have printed
REST = 0.5, 30.0  #: seconds without new starts after the machine refused one: the first time, and at most
LOST_RESULT = (
    "the folder for the results of jobs was taken away: what jobs had left there that ran at that time is lost"
)
KEEP = 0.1  #: seconds after which a run that goes on keeps what its workers need of batchq
TURN = 0.005  #: seconds in which commands may end, and others start, before there is a look at all else
TICK = 0.05  #: seconds between looks at a worker that has several tasks: its bell rings only after the last


class Lingering(NamedTuple):
    """An attempt whose process has ended, and something that it left has not: ``ended`` is how a worker's task ended."""

    claim: Claim
    out: Output
    err: Output
    command: Command | None
    ended: Ended | None


class LocalExecutor:
    """``slots`` jobs at once on this machine.

    ``scratch`` is a private folder for result files (empty: one is made); ``db`` is told to the jobs; ``cookie`` marks
    all that is started, and ``kept`` notes what of it stays. ``perform`` is the ``pkg.mod:func`` for payload jobs,
    imported from the job's folder or else from ``home``. ``grace`` (seconds) lies between TERM and KILL of a job that is
    over its time. ``logs`` is a folder for all output, ``mark`` is part of the names there; a worker is
    replaced after ``worker_jobs`` tasks (0: never). ``prepare`` is called before the first job starts.
    """

    name = "local"

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
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.slots = slots
        self._inbox = inbox
        self._grace = grace
        self._worker_jobs = worker_jobs
        self._place = Place(Spawner(), scratch, db, cookie, logs, mark)
        self._hook = Hook(perform, home)
        self._selector = selectors.DefaultSelector()
        self._selector.register(inbox.fileno(), selectors.EVENT_READ, None)
        self._pipes: list[tuple[Capture, Capture]] = []
        self._backlog: deque[Claim] = deque()
        self._ready: dict[str, Command] = {}
        self._commands: dict[int, Command] = {}
        self._over: list[Command] = []
        self._members: dict[int, Member] = {}
        self._departures = Departures(grace)
        self._unwanted: set[str] = set()
        self._reports: list[Report] = []
        self._leftovers = Leftovers(Kept() if kept is None else kept)
        self._lingering: dict[int, Lingering] = {}
        self._any_wide = False  # whether a job of several slots has come
        self._pace: float | None = None
        self._told = time.monotonic()
        self._keep_at = self._told + KEEP
        self._is_urgent = False  # something has ended that must not wait for others
        self._rest = self._rest_until = 0.0
        self._is_new = True
        self._prepare = prepare
        self._troubles: set[str] = set()  # that were told

    # --- how much ------------------------------------------------------------------------------------------------------

    def _empty(self) -> int:
        used = len(self._commands) if not self._any_wide else sum(one.claim.slots for one in self._commands.values())
        if self._members:
            used += sum(one.tasks[0].slots for one in self._members.values() if one.tasks)
        if self._lingering:
            used += sum(one.claim.slots for one in self._lingering.values())
        return self.slots - used - len(self._departures)

    def free(self) -> int:
        """How many claims would start at once; none for a moment after the machine refused to start a process."""
        if self._is_resting():
            return 0
        waiting = len(self._backlog) if not self._any_wide else sum(claim.slots for claim in self._backlog)
        return max(0, self._empty() - waiting)

    def ahead(self) -> int:
        """Claims that keep all slots busy for ``AT_HAND`` seconds at the present pace; none for jobs that take longer."""
        if self._pace is None:
            return 0
        wanted = min(MOST_AHEAD, int(self.slots * AT_HAND / self._pace))
        waiting = len(self._backlog) + sum(len(member.tasks) for member in self._members.values())
        return min(AT_ONCE, wanted - waiting) if waiting <= wanted // 2 else 0

    # --- the work ------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Have at hand what the run of jobs needs. Raises ScarceError: it has been taken away."""
        if self._is_new:
            self._is_new = False
            self._prepare()
            self._place.package.begin()

    def start(self, claims: Sequence[Claim]) -> None:
        """Start what finds an empty slot; the rest waits here."""
        self.prepare()
        self._any_wide = self._any_wide or any(claim.slots > 1 for claim in claims)
        for member in self._members.values():
            member.must_look = True
        self._backlog.extend(claims)
        for claim in claims:
            if claim.kind not in CALLABLE:
                self._make_ready(claim)
        self._fill()

    def _make_ready(self, claim: Claim) -> None:
        try:
            self._ready[claim.token] = Command(claim, self._place)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            self._backlog.remove(claim)
            self._refuse(claim, Refusal("Unreadable", f"its stored work is not a command ({error}); add it again"))

    def poll(self, timeout: float | None, gather: float = 0.0) -> list[Report]:
        """Wait for output, answers, endings and deadlines."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        self._step(0.0 if self._reports else until)
        until = min(until, time.monotonic() + gather)
        while time.monotonic() < until and self._has_enough() and not self._is_heard():
            self._step(until)
        self._conclude()
        reports, self._reports = (
            [*self._place.logs.take_news(), *self._reports],
            [],
        )  # what ended has its log told before
        self._is_urgent = False
        return reports

    def _has_enough(self) -> bool:
        """Whether each slot is at work, and more work is at hand."""
        return bool(self._backlog) and not self.ahead() and not self._is_resting()

    def _is_heard(self) -> bool:
        """Whether somebody waits for us: a signal or a bell, or an end that is to be recorded at once."""
        return bool(self._inbox.received) or self._inbox.heard or self._is_urgent

    def _step(self, until: float) -> None:
        """Wait for the next thing to happen, until then (monotonic seconds) at most, and see to it."""
        for key, _ in self._selector.select(self._patience(until)):
            if key.data is None:
                self._inbox.drain()
            elif isinstance(key.data, Member):
                if key.fd == key.data.resident.bell:
                    self._hear(key.data)
                else:
                    self._push(key.data)
            else:
                key.data.pump()
        if self._inbox.received or self._inbox.for_all:
            return  # a stop may go to the jobs, too: their ends are to be seen in its light
        soon = time.monotonic() + TURN
        while self._reap() and time.monotonic() < soon and not self._inbox.received and not self._is_urgent:
            self._fill()
        now = time.monotonic()
        if self._lingering or self._leftovers.next_at() is not None:
            self._see_to_leftovers()
        for member in list(self._members.values()):
            if len(member.tasks) > 1 and now - member.looked > TICK:
                self._hear(member)
        for running in self._timed():
            if self._is_over_time(running, now):
                if running.is_killed():
                    self._give_up(running)
                else:
                    running.enforce(TIMED_OUT, self._grace)
        for pid in self._departures.enforce(now):
            self._leftovers.unkillable.add(pid)
            self._see_off(pid)
        self._fill()
        if now >= self._keep_at:
            self._keep()
        if now - self._told >= NEWS:
            self._told = now
            self._reports += self._news()

    def _is_over_time(self, running: Command | Member, now: float) -> bool:
        if running.deadline is None or running.deadline > now:
            return False
        if isinstance(running, Member):
            self._hear(running)  # what has ended meanwhile is not late, and what is behind it has time of its own
        return running.deadline is not None and running.deadline <= now

    def _news(self) -> list[Printed]:
        """What running jobs have printed since the last look."""
        news = [Printed(one.claim, one.out.news(), one.err.news()) for one in self._commands.values()]
        for member in list(self._members.values()):
            printed = member.news(NEWS)
            self._hear(member)
            if printed is not None and member.tasks and member.tasks[0].token == printed.claim.token:
                news.append(printed)
        return [one for one in news if one.stdout is not None or one.stderr is not None]

    def _patience(self, until: float) -> float | None:
        now = time.monotonic()
        waits = [
            until,
            self._keep_at,
            self._departures.due(),
            *[running.deadline for running in self._timed() if running.deadline is not None],
        ]
        if self._commands:
            waits.append(now + NEWS)
        if (at := self._leftovers.next_at()) is not None:
            waits.append(at)
        if self._backlog and self._is_resting():
            waits.append(self._rest_until)
        for member in self._members.values():
            if member.tasks:
                waits.append(now + (TICK if len(member.tasks) > 1 else NEWS))
        return None if (first := min(waits)) == math.inf else max(0.0, first - now)

    def processes(self) -> dict[str, int]:
        """A command's own process, a callable's worker."""
        found = {command.claim.token: pid for pid, command in self._commands.items()}
        return found | {member.tasks[0].token: pid for pid, member in self._members.items() if member.tasks}

    def stop(self, tokens: Iterable[str], status: str, grace: float) -> None:
        """End attempts before their time; give back those that wait here."""
        chosen = set(tokens)
        kept = [claim for claim in self._backlog if claim.token not in chosen]
        for claim in self._backlog:
            if claim.token in chosen:
                self._ready.pop(claim.token, None)
                self._reports.append(Lost(claim, started=False))
        self._backlog = deque(kept)
        for command in self._commands.values():
            if command.claim.token in chosen:
                command.enforce(status, grace)
        if not grace:
            for pid, one in self._lingering.items():
                if one.claim.token in chosen:
                    self._leftovers.hurry(pid)
        for member in list(self._members.values()):
            self._hear(member)
            if member.began_at is not None and member.tasks[0].token in chosen:
                member.enforce(status, grace)
            self._unwanted.update(claim.token for claim in member.tasks if claim.token in chosen)

    def listening(self, number: int) -> set[str]:
        """Those that have a handler, or something below them has, by /proc."""
        claims = {one.pid: one.claim for one in self._commands.values()}
        claims |= {one.pid: one.tasks[0] for one in self._members.values() if one.began_at is not None}
        return {claim.token for pid, claim in claims.items() if tree.listens(pid, number)}

    def suspend(self) -> None:
        """SIGSTOP to the group of each process."""
        for pid in self._processes():
            tree.kill_group(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to the group of each process."""
        for pid in self._processes():
            tree.kill_group(pid, signal.SIGCONT)

    def close(self) -> None:
        """Let the workers end, within the grace or until another signal comes, and end whatever is left below."""
        for member in list(self._members.values()):
            self._dismiss(member)
        while len(self._departures):
            if self._inbox.received or self._inbox.for_all:
                self._inbox.received.clear()
                self._inbox.for_all.clear()
                self._departures.hurry()
            self._step(self._departures.due())
        if tree.CAN_TRACE:
            tree.end_descendants(self._grace, self._leftovers.kept.has)
        for out, err in self._pipes:
            self._discard(out, err)
        self._selector.close()

    def _running(self) -> list[Command | Member]:
        return [*self._commands.values(), *self._members.values()]

    def _processes(self) -> list[int]:
        return [*self._commands, *self._members, *self._departures.pids()]

    def _timed(self) -> list[Command | Member]:
        return [one for one in self._running() if one.deadline is not None]

    # --- starting ------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        if self._backlog and self._backlog[0].kind in CALLABLE:
            self._place.package.look(seldom=self._is_fast() and any(member.tasks for member in self._members.values()))
        self._retire()
        while self._backlog and not self._is_resting():
            claim = self._backlog[0]
            if claim.kind in CALLABLE:
                if not self._give():
                    return
            elif self._empty() >= claim.slots:
                self._backlog.popleft()
                self._start_command(claim)
            else:
                return

    def _start_command(self, claim: Claim) -> None:
        command = self._ready.pop(claim.token)
        streams = self._take_streams(claim)
        refusal = streams if isinstance(streams, Refusal) else _started(command, *streams)
        if refusal is not None:
            if not isinstance(streams, Refusal):
                self._put_pipes(*streams)
            self._refuse(claim, refusal)
            return
        self._rest = 0.0
        self._commands[command.pid] = command
        self._note_start(claim, command.started_at)

    def _give(self) -> bool:
        """Hand the next tasks of the backlog to a worker; False where none can take them now."""
        first = self._backlog[0]
        home = home_of(first)
        mine = [] if first.fresh else [one for one in self._members.values() if one.home == home and not one.is_fresh]
        member = None
        if self._empty() >= first.slots:
            member = next((member for member in mine if not member.tasks), None)
            if member is None:
                if not self._has_place():
                    return False
                member = self._hire(first, home)
                if member is None:
                    return True
        if member is None and first.slots == 1 and self._is_fast():
            roomy = (one for one in mine if one.tasks and one.has_room() and self._remaining(one) > 0)
            member = min(roomy, key=lambda one: len(one.tasks), default=None)
        if member is None:
            return False
        claims = self._message(self._remaining(member))
        was_idle = not member.tasks
        member.give(claims, single=not self._is_fast())
        self._push(member)
        if was_idle:
            self._note_start(member.tasks[0], member.began_at)
        return True

    def _is_fast(self) -> bool:
        """Whether callables end so soon that several go into one message; with a log folder each goes alone."""
        return self._pace is not None and self._pace < MESSAGE and self._place.logs.folder is None

    def _remaining(self, member: Member) -> int:
        """How many tasks more it may get before it is replaced."""
        most = 1 if member.is_fresh else self._worker_jobs
        if self._place.package.is_replaced and not member.resident.is_outlasting:
            return 0  # what it has not imported yet is not there, or that of another version
        return most - member.performed - len(member.tasks) if most else MOST_AHEAD

    def _push(self, member: Member) -> None:
        """Send what the worker has room for; the selector says when there is more."""
        is_watched = member.resident.fileno() in self._selector.get_map()
        if member.resident.push() == is_watched:
            if is_watched:
                self._selector.unregister(member.resident.fileno())
            else:
                self._selector.register(member.resident.fileno(), selectors.EVENT_WRITE, member)

    def _message(self, most: int) -> list[Claim]:
        """The first claim of the backlog, and those behind it that the same worker may do."""
        fitting = max(1, min(128, int(MESSAGE / max(self._pace, 1e-6)))) if self._is_fast() and self._pace else 1
        most = min(most, fitting, -(-len(self._backlog) // max(1, self._empty())))
        claims = alike(islice(self._backlog, most))
        for _ in claims:
            self._backlog.popleft()
        return claims

    def _has_place(self) -> bool:
        """Whether one more worker may be there; where not, one that is idle makes room for it, and that takes a moment."""
        if len(self._members) + len(self._departures) < self.slots:
            return True
        self._dismiss(next(member for member in self._members.values() if not member.tasks))
        return False

    def _hire(self, claim: Claim, home: Home) -> Member | None:
        try:
            out, err = self._take_pipes()
        except OSError as error:
            self._backlog.popleft()
            self._refuse(claim, machine_refusal(error))
            return None
        if self._keep_at < math.inf:
            self._keep()  # not while the worker starts: it may find the files gone
        is_fresh = claim.fresh or self._worker_jobs == 1
        member = Member.start(home, self._hook, self._place, out, err, is_fresh=is_fresh)
        if isinstance(member, Refusal):
            self._pipes.append((out, err))
            self._backlog.popleft()
            self._refuse(claim, member)
            return None
        self._rest = 0.0
        self._members[member.pid] = member
        self._selector.register(member.resident.bell, selectors.EVENT_READ, member)
        return member

    def _keep(self) -> None:
        """Keep what workers need of batchq, should its files be taken away."""
        self._keep_at = math.inf
        self.prepare()
        self._place.package.keep()

    def _note_start(self, claim: Claim, at: int | None) -> None:
        if at is not None and claim.started_at is None:
            self._reports.append(Started(claim, at))

    def _refuse(self, claim: Claim, refusal: Refusal) -> None:
        now = clock.now()
        status = INTERRUPTED if refusal.of_machine else FAILED
        failure = Failure(refusal.type, refusal.message)
        if refusal.of_machine:
            self._take_a_rest(refusal.message)
        began = None if refusal.of_machine else now
        self._reports.append(Ended(claim, Outcome(status, failure=failure, started_at=began, finished_at=now)))

    def _take_a_rest(self, why: str) -> None:
        """Start nothing for a while, which is the longer the more often in a row the machine refuses; say so once."""
        first, most = REST
        self._rest = min(max(first, 2 * self._rest), most)
        self._rest_until = time.monotonic() + self._rest
        self._say_once(f"{why}; trying again, at longer and longer intervals")

    def _say_once(self, text: str) -> None:
        if text not in self._troubles:
            self._troubles.add(text)
            self._reports.append(Noted(text))

    def _is_resting(self) -> bool:
        return self._rest_until > 0 and time.monotonic() < self._rest_until

    # --- ending --------------------------------------------------------------------------------------------------------

    def _hear(self, member: Member) -> None:
        ended = member.hear(self._grace)
        self._end(*ended)
        if ended and member.tasks:
            self._note_start(member.tasks[0], member.began_at)
        if ended:
            self._sweep({})
        if member.resident.is_leaving and not member.is_ending() and member.pid in self._members:
            unbegun = member.unbegun()
            self._dismiss(member)
            self._take_back(unbegun)

    def _retire(self) -> None:
        """Dismiss the workers that have performed as many tasks as they may."""
        for member in list(self._members.values()):
            if not member.tasks and self._remaining(member) <= 0:
                self._dismiss(member)

    def _end(self, *ended: Ended) -> None:
        pace = self._pace
        for claim, outcome in ended:
            if claim.on_crash == "hold":
                self._is_urgent = True
            seconds = outcome.seconds
            pace = seconds if pace is None else max(seconds, 0.7 * pace + 0.3 * seconds)
        self._pace = pace
        if self._unwanted:
            self._unwanted.difference_update(claim.token for claim, _ in ended)
        self._reports += ended

    def _reap(self) -> bool:
        """Collect every child that has ended: jobs, workers, and orphans that came to us as their subreaper.

        Whether there was a command among them.
        """
        over: dict[int, Command] = {}
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if (command := self._commands.pop(pid, None)) is not None:
                if not tree.CAN_TRACE:
                    tree.kill_group(pid, signal.SIGKILL)
                command.note_end(status, usage)
                over[pid] = command
            elif (member := self._members.get(pid)) is not None:
                self._bury(member, os.waitstatus_to_exitcode(status))
            else:
                self._see_off(pid)
        if not over:
            return False
        for pid, command in over.items():
            if command.claim.leftovers == "keep":
                self._leftovers.kept.keep(command.claim.token, pid)
        left = self._sweep({pid: command.claim.token for pid, command in over.items()})
        for pid, command in over.items():
            lingering = Lingering(command.claim, command.out, command.err, command, None)
            if pid in left:
                self._lingering[pid] = lingering
            else:
                self._finish(pid, lingering)
        if len(self._over) >= LATE:
            self._conclude()
        return True

    def _see_to_leftovers(self) -> None:
        """What jobs left has ended, or is told to."""
        left = self._sweep({})
        for pid, one in list(self._lingering.items()):
            if pid not in left:
                del self._lingering[pid]
                self._finish(pid, one)

    def _finish(self, pid: int, one: Lingering) -> None:
        """Nothing is left of an attempt that could be ended: its pipes are the next one's."""
        count, outliving = self._leftovers.tell(pid)
        self._reports += [Noted(f"job {one.claim.id}: {why}") for why in outliving]
        if one.command is not None:
            self._is_urgent = self._is_urgent or one.claim.on_crash == "hold"
            one.command.leftovers, one.command.outlived_by = count, "; ".join(outliving)
            one.command.take_output()
            self._over.append(one.command)
        elif one.ended is not None:
            claim, outcome = one.ended
            outcome = outcome._replace(
                leftovers=outcome.leftovers + count,
                stdout=outcome.stdout or one.out.take(),
                stderr=outcome.stderr or one.err.take(),
            )
            self._place.close_log(one.out, one.err)
            self._end(Ended(claim, unkillable(outcome, outliving[0]) if outliving else outcome))
        self._put_pipes(one.out, one.err)

    def _conclude(self) -> None:
        """See to the commands that have ended: to many at once, while their slots are at work again."""
        if not self._over:
            return
        floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        results = self._place.results()
        ended = [command.ended(floor, results) for command in self._over]
        if self._place.scratch.was_lost:
            for command, one in zip(self._over, ended, strict=True):
                if one.outcome.status == SUCCEEDED and command.has_lost_its_result():
                    self._say_once(LOST_RESULT)
        self._over.clear()
        self._end(*ended)
        for _, outcome in ended:
            if outcome.failure is not None and outcome.failure.type == MACHINE_BUSY:
                self._take_a_rest(outcome.failure.message)

    def _give_up(self, running: Command | Member) -> None:
        """Free the slot of a process that SIGKILL does not end."""
        self._leftovers.unkillable.add(running.pid)
        claim = running.claim if isinstance(running, Command) else running.tasks[0] if running.tasks else None
        if claim is not None:
            self._reports.append(Noted(f"job {claim.id}: {tree.why_alive(running.pid)}"))
        if isinstance(running, Member):
            self._bury(running, None)
        else:
            del self._commands[running.pid]
            self._end(running.given_up())
            self._put_pipes(running.out, running.err)

    def _bury(self, member: Member, code: int | None) -> None:
        """A worker has died, or is given up (None)."""
        member.resident.is_reaped = code is not None
        self._hear(member)
        if member.pid not in self._members:  # it had said farewell
            self._see_off(member.pid)
            return
        ended, unbegun = member.died(code)
        self._forget(member)
        if ended is not None:
            lingering = Lingering(ended.claim, member.out, member.err, None, ended)
            if member.pid in self._sweep({member.pid: ended.claim.token}):
                self._lingering[member.pid] = lingering
            else:
                self._finish(member.pid, lingering)
        else:
            self._put_pipes(member.out, member.err)
        self._take_back(unbegun)

    def _take_back(self, unbegun: list[Claim]) -> None:
        """Tasks that another worker has to do; those that nobody wants any more are given back."""
        for claim in reversed(unbegun):
            if claim.token in self._unwanted:
                self._unwanted.discard(claim.token)
                self._reports.append(Lost(claim, started=False))
            else:
                self._backlog.appendleft(claim)

    def _forget(self, member: Member) -> None:
        del self._members[member.pid]
        self._selector.unregister(member.resident.bell)
        if member.resident.fileno() in self._selector.get_map():
            self._selector.unregister(member.resident.fileno())
        member.resident.close()

    def _dismiss(self, member: Member) -> None:
        """No more tasks for this worker: it ends as Python does, and holds its slot meanwhile."""
        self._forget(member)
        self._departures.add(member)

    def _see_off(self, pid: int) -> None:
        """A worker that was dismissed has ended: its pipes are the next job's."""
        member = self._departures.pop(pid)
        if member is not None:
            is_left = pid in self._sweep({pid: ""})
            member.out.take()
            member.err.take()
            if is_left:  # what it prints yet is in the output of no job
                self._discard(member.out, member.err)
            else:
                self._put_pipes(member.out, member.err)

    def _sweep(self, ended: dict[int, str]) -> set[int]:
        """See to what these attempts left, and those that linger; of which of them something is alive."""
        lingering = {pid: one.claim.token for pid, one in self._lingering.items()}
        return self._leftovers.sweep(lingering | ended, self._alive())

    def _alive(self) -> Alive:
        running = [one.claim for one in self._commands.values()]
        running += [member.tasks[0] for member in self._members.values() if member.tasks]
        tokens = {claim.token for claim in running}
        return Alive(set(self._processes()), tokens, bool(running) or len(self._departures) > 0)

    # --- pipes ---------------------------------------------------------------------------------------------------------

    def _take_streams(self, claim: Claim) -> tuple[Output, Output] | Refusal:
        """Where a command is to print: pipes, or files where it may leave something running that prints later."""
        if claim.leftovers == "keep":
            return self._place.files(claim)
        try:
            return self._take_pipes()
        except OSError as error:
            return machine_refusal(error)

    def _take_pipes(self) -> tuple[Capture, Capture]:
        if self._pipes:
            return self._pipes.pop()
        first = Capture()
        try:
            pair = (first, Capture())
        except OSError:
            first.close()
            raise
        for capture in pair:
            self._selector.register(capture.reader, selectors.EVENT_READ, capture)
        return pair

    def _put_pipes(self, out: Output, err: Output) -> None:
        """Keep the pipes for the next job, unless some process that lives on may still write there."""
        if isinstance(out, Filed) or isinstance(err, Filed):
            return  # closed with the attempt
        if self._leftovers.unkillable or self._leftovers.are_hidden:
            self._discard(out, err)
        else:
            for capture in (out, err):
                capture.reset()
            self._pipes.append((out, err))

    def _discard(self, *captures: Capture) -> None:
        for capture in captures:
            self._selector.unregister(capture.reader)
            capture.close()


def _started(command: Command, out: Output, err: Output) -> Refusal | None:
    """Start a command; a folder with a NUL in its name, or a umask beyond all numbers, is what no system call takes."""
    try:
        return command.start(out, err)
    except (ValueError, TypeError, OverflowError) as error:
        return Refusal("Unreadable", f"it cannot be started as it is stored ({error}); add it again")
