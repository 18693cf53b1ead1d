"""A site: an executor in a process of its own, under a guardian, behind a pipe; in most the local executor.

So session, timeout, kill of the whole tree, output, results and tracebacks are the same code everywhere. A site is started
by exec: next to the worker of an engine, or through ``ssh HOST`` or ``srun``. It reads stdin and writes stdout as
``protocol`` describes. It ends with all that it runs when the pipe closes, when its parent is gone, when it has heard
nothing for the time of its lease, or when it is told to. A signal stops it in order: Slurm sends one to all processes of a
step before it kills them, so jobs that die of it have been interrupted.
"""

import contextlib
import os
import select
import selectors
import sys
import time

from batchq.executors.afar import protocol
from batchq.executors.afar.mapping import mapped
from batchq.executors.afar.unfit import Unfit
from batchq.executors.listener import Flow
from batchq.executors.local import LocalExecutor
from batchq.executors.seam import Executor, Left, Lost, Refused, Report
from batchq.executors.struck import Struck
from batchq.jobs.attempt import INTERRUPTED, Claim, Ended, Logged
from batchq.processes import guardian, machine, proc, remains
from batchq.processes.kept import Kept
from batchq.processes.link import Closed, Link
from batchq.processes.remains import Marks
from batchq.processes.signals import SAME, STOPPING, STOPPING_NOW, Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.processes.link import Message

LOOK = 0.5  #: seconds between checks of the lease and of the parent
SOON = 0.02  #: seconds after which a pipe without room is tried again
FIRST = 60.0  #: seconds within which the setup must come
TERM_TO_KILL = 2.0  #: seconds between TERM and KILL of jobs when the site itself is stopped by a signal
NO_ROOM = (0, 0, 0)
_MOST = 4 * 1024 * 1024  #: unsent bytes; with more, output of running jobs is not reported before their end


def main() -> None:
    """Serve the run at the other end of stdin and stdout until it is gone."""
    link = Link(os.dup(0), os.dup(1))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)  # what anybody prints here by mistake must not get into the protocol
    parent = os.getppid()
    try:
        setup, early = _first(link)
    except Closed:
        sys.exit(0)
    cookie = setup["cookie"]
    status = guardian.guarded(lambda kept: Site(link, setup, early, kept, parent).serve(), cookie)
    os._exit(max(status, 0))


def _first(link: Link) -> "tuple[dict[str, Any], list[Message]]":
    """Return the setup, and the messages that came with it. Raises Closed."""
    until = time.monotonic() + FIRST
    while (left := until - time.monotonic()) > 0:
        select.select([link], [], [], left)
        for number, (kind, *rest) in enumerate(found := link.receive()):
            if kind == "setup":
                return rest[0], found[number + 1 :]
    raise Closed


class Site:
    """The loop of a site. ``early`` are messages to handle first; ``parent`` is the process that started its guardian."""

    def __init__(self, link: Link, setup: "dict[str, Any]", early: "list[Message]", kept: Kept, parent: int) -> None:
        self._link = link
        self._early = early
        self._parent = parent
        self._guardian = os.getppid()
        self._lease: float | None = setup["lease"]
        self._running: dict[str, Claim] = {}
        self._is_leaving = self._is_suspended = False
        self._stopped_at: float | None = None
        self._received_at = time.monotonic()
        self._said: list[Message] = []
        self._hosts: dict[str, object] = {}
        self._look_at = 0.0
        self._inbox = Inbox()
        self._inbox.listen(link.fileno())
        for cookie in setup["end"]:
            remains.end(Marks((), cookie, {}, lambda _: False))
        self._setup = setup
        self._kept = kept
        self._executor: Executor | None = None
        self._flow: Flow | None = None
        self._is_held = False  # by the run

    def serve(self) -> int:
        """Work until there is nothing more to do here; return the exit status."""
        try:
            self._executor = executor = self._made()
            struck = Struck(executor, self._inbox, delays=False)
            self._link.send(["up", greeting(executor)])
            room = _room(executor)
            while not self._is_leaving:
                self._receive(executor)
                timeout = LOOK if self._link.push() else SOON
                self._hold_back()
                reports = executor.poll(max(0.0, min(timeout, struck.next_at() - time.monotonic())))
                self._check_signals(executor, struck)
                reports = self._as_they_count(reports, struck)
                said, self._said = self._said, []
                messages = [*said, *map(protocol.message, reports)]
                if self._link.unsent > _MOST:
                    messages = [one for one in messages if one[0] not in protocol.SPARED]
                if room != (room := _room(executor) if self._stopped_at is None else NO_ROOM):
                    messages.append(["room", *room])
                if self._setup["engine"] is not None and (at := self._news_of_hosts(executor)):
                    messages.append(["at", at])
                self._link.send(*messages)
                self._inbox.was_notified = False
                self._check_life()
        except Unfit as problem:
            with contextlib.suppress(Closed):
                self._link.send(protocol.message(Refused(str(problem))))
        except Closed:
            pass
        if self._executor is not None:
            self._executor.stop(list(self._running), INTERRUPTED, 0)
            self._executor.close()
        with contextlib.suppress(Closed):
            self._link.push()
        return 0

    def _made(self) -> Executor:
        """Make the executor: of this machine, or in a bridge that of an engine. Raises Unfit."""
        setup = self._setup
        if setup["engine"] is not None:
            from batchq.executors.afar import engines

            return engines.engine(setup["engine"], self._inbox, setup)
        if setup["limit_processes"] is not None:
            machine.limit_processes(setup["limit_processes"])
        return LocalExecutor(
            setup["slots"] or _cores(),
            self._inbox,
            db=_store_as_seen_here(setup),
            cookie=setup["cookie"],
            perform=setup["perform"],
            home=mapped(setup["home"], setup["cwd_map"]),
            grace=setup["grace"],
            worker_jobs=setup["worker_jobs"],
            kept=self._kept,
            listeners=[self] if setup["listens"] else [],
            keep_output=setup["keep_output"],
            mark=setup["mark"],
        )

    def _as_here(self, claim: Claim) -> Claim:
        """Return the claim with the path of its folder here, and on another machine with the PATH of this one.

        A bridge passes claims on as they are: the sites at the workers do this.
        """
        if self._setup["engine"] is not None:
            return claim
        if self._setup["cwd_map"]:
            claim = claim._replace(cwd=mapped(claim.cwd, self._setup["cwd_map"]))
        return claim if _is_of_this_machine(self._setup) else claim._replace(path=os.environ.get("PATH", os.defpath))

    def attach(self, selector: selectors.BaseSelector, flow: Flow) -> None:
        """Be able to hold what attempts print."""
        self._flow = flow

    def _hold_back(self) -> None:
        """Let the attempts wait that print, while the run or the connection does not take it."""
        if self._flow is not None:
            if self._is_held or self._link.unsent > _MOST:
                self._flow.hold()
            else:
                self._flow.resume()

    def printed(self, claim: Claim, stream: str, data: bytes) -> None:
        """Pass on what an attempt has just printed."""
        self._said.append(protocol.piece(claim, stream, data))

    def ended(self, claim: Claim) -> None:
        """Pass on that nothing more comes of an attempt."""
        self._said.append(["silent", claim.token])

    def _news_of_hosts(self, executor: Executor) -> "dict[str, object]":
        """Return the hosts of attempts, by token, that are known since the last call; looks only now and then."""
        now = time.monotonic()
        if now < self._look_at:
            return {}
        self._look_at = now + LOOK
        before, self._hosts = self._hosts, {**executor.whereabouts()}
        return {token: host for token, host in self._hosts.items() if token not in before}

    def _receive(self, executor: Executor) -> None:
        messages, self._early = [*self._early, *self._link.receive()], []
        for kind, *rest in messages:
            self._received_at = time.monotonic()
            if kind == "run":
                claims = [self._as_here(protocol.unpacked(values)) for values in rest[0]]
                if self._stopped_at is not None:
                    self._link.send(*(protocol.message(Lost(claim, started=False)) for claim in claims))
                    continue
                self._running |= {claim.token: claim for claim in claims}
                executor.start(claims)
            elif kind == "alive":
                self._link.send(["alive"])
            elif kind == "stop":
                executor.stop(*rest)
            elif kind == "suspend":
                self._is_suspended = True
                executor.suspend()
                self._link.send(["suspended"])
            elif kind == "resume":
                self._is_suspended = False
                executor.resume()
            elif kind in ("hold", "release"):
                self._is_held = kind == "hold"
            elif kind == "close":
                self._is_leaving = True

    def _as_they_count(self, reports: list[Report], struck: Struck) -> list[Report]:
        """Return the reports to pass on now; the end of an attempt may have to wait until it is clear how it counts."""
        counted: list[Report] = []
        for report in reports:
            if isinstance(report, Logged):
                counted.append(report._replace(path=self._path(report.path)))
            elif not isinstance(report, Ended):
                counted.append(report)
            elif (ended := struck.judge(report)) is not None:
                counted.append(ended)
        counted += struck.resolved()
        for report in counted:
            if isinstance(report, Ended | Lost | Left):
                self._running.pop(report.claim.token, None)
        return counted

    def _path(self, path: str) -> str:
        """Return a path as the run should name it."""
        is_here = self._setup["engine"] is not None or _is_of_this_machine(self._setup)
        return path if is_here else f"{machine.host()}:{path}"

    def _check_signals(self, executor: Executor, struck: Struck) -> None:
        """Stop the jobs after a signal to this site: the first time with grace, then at once. Take no more claims."""
        while self._inbox.received:
            number = self._inbox.received.pop(0)
            if number not in (*STOPPING, *STOPPING_NOW):
                continue
            is_orderly = number in STOPPING and self._stopped_at is None
            self._stopped_at = self._stopped_at or time.monotonic()
            struck.numbers |= {number} & {*STOPPING}
            executor.stop(list(self._running), INTERRUPTED, TERM_TO_KILL if is_orderly else 0)
        struck.check_signals()

    def _check_life(self) -> None:
        """Leave if the parent is gone, or if the run has not been heard for the time of the lease.

        The run then counts these jobs as lost, and runs them elsewhere. A forked child of the engine's worker may keep the
        pipe open, and so does Slurm if srun is killed, so its end alone is not enough. A site that is stopped leaves a
        moment later: claims may be under way.
        """
        if self._stopped_at is not None and not self._running:
            self._is_leaving = time.monotonic() - self._stopped_at > SAME
        elif os.getppid() != self._guardian or (proc.CAN_TRACE and proc.parent(self._guardian) != self._parent):
            self._is_leaving = True
        elif self._lease is not None and not self._is_suspended:
            self._is_leaving = self._is_leaving or time.monotonic() - self._received_at > self._lease


def _store_as_seen_here(setup: "dict[str, Any]") -> str:
    """Return the path of the store for the jobs; on another machine it names the host, so that nothing makes one there."""
    return str(setup["db"]) if _is_of_this_machine(setup) else f"{setup['host']}:{setup['db']}"


def _is_of_this_machine(setup: "dict[str, Any]") -> bool:
    """Whether the run is on this machine, too."""
    return bool(setup["boot_id"] == machine.boot_id())


def _cores() -> int:
    """Count the cores for jobs: at a node of Slurm those of the allocation, which not every Slurm enforces."""
    allocated = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(machine.cores(), max(1, int(allocated))) if allocated.isdecimal() else machine.cores()


def _room(executor: Executor) -> tuple[int, int, int]:
    return executor.slots, executor.ahead(), executor.widest


def greeting(executor: Executor) -> "dict[str, Any]":
    """Describe this place to the run before any work."""
    from importlib import metadata

    return {
        "protocol": protocol.PROTOCOL,
        "batchq": metadata.version("batchq"),
        "python": ".".join(map(str, sys.version_info[:3])),
        "host": machine.host(),
        "boot_id": machine.boot_id(),
        "namespace": machine.namespace(),
        "cores": machine.cores(),
        "pid": os.getpid(),
        "now": time.time(),
        "room": _room(executor),
    }


if __name__ == "__main__":
    main()
