"""A site: an executor in a process of its own, under a guardian, behind a pipe; in most the local executor.

So session, timeout, kill of the whole tree, output, results and tracebacks are the same code everywhere. A site is started
by exec: next to the worker of an engine, or through ``ssh HOST`` or ``srun``. It reads stdin and writes stdout as
``protocol`` describes. It ends with all that it runs when the pipe closes, when its parent is gone, when it has heard
nothing for the time of its lease, or when it is told to. A signal stops it in order: Slurm sends one to all processes of a
step before it kills them, so jobs that die of it have been interrupted.
"""

import contextlib
import errno
import mmap
import os
import select
import sys
import time

from batchq.executors.afar import making, protocol
from batchq.executors.afar.elsewhere import Elsewhere
from batchq.executors.afar.entrance import HEADROOM, TOO_LITTLE
from batchq.executors.afar.greeting import greeting
from batchq.executors.afar.lifetime import Lifetime
from batchq.executors.afar.saying import Saying
from batchq.executors.afar.unfit import Unfit
from batchq.executors.afar.viewpoint import Viewpoint
from batchq.executors.local import LocalExecutor
from batchq.executors.seam import Executor, Left, Lost, Refused, Report
from batchq.executors.struck import Struck
from batchq.jobs.attempt import INTERRUPTED, Claim, Ended, Logged
from batchq.notes import note
from batchq.processes import guardian, machine, proc, remains
from batchq.processes.kept import Kept
from batchq.processes.link import Closed, Link
from batchq.processes.remains import Marks
from batchq.processes.signals import STOPPING, Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.processes.link import Message

LOOK = 0.5  #: seconds between checks of the lease and of the parent
SOON = 0.02  #: seconds after which a pipe without room is tried again
FIRST = 60.0  #: seconds within which the setup must come
NO_ROOM = [0, 0, 0]
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
        machine.free_descriptors()
        mmap.mmap(-1, HEADROOM).close()
    except Closed:
        sys.exit(0)
    except MemoryError:
        link.send(protocol.message(Refused(f"{machine.host()}: {TOO_LITTLE}")))
        sys.exit(0)
    except OSError as error:  # a container without /proc: neither can a run work there
        why = TOO_LITTLE if error.errno == errno.ENOMEM else f"{error.filename}: {error.strerror}"
        link.send(protocol.message(Refused(f"{machine.host()}: {why}")))
        sys.exit(0)
    is_up = mmap.mmap(-1, 1)  # the site sets it to 1

    def tell(code: int) -> None:
        """Say that code of an engine has ended the site; if it never came up, another try would end as this one."""
        why = f"--executor {setup['engine']}: its code ended the process of the client by os._exit({code})"
        if is_up[0]:
            note(why)
            return
        with contextlib.suppress(Closed):
            link.send(protocol.message(Refused(why)))

    status = guardian.guarded(
        lambda kept: Site(link, setup, early, kept, parent, is_up).serve(), setup["cookie"], tell=tell
    )
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

    def __init__(
        self, link: Link, setup: "dict[str, Any]", early: "list[Message]", kept: Kept, parent: int, is_up: mmap.mmap
    ) -> None:
        self._link = link
        self._early = early
        self._parent = parent
        self._is_up = is_up
        self._guardian = os.getppid()
        self._life = Lifetime(setup["lease"], time.monotonic())
        self._view = Viewpoint(setup)
        self._running: dict[str, Claim] = {}
        self._saying = Saying()
        self._hosts: dict[str, object] = {}
        self._look_at = 0.0
        self._received = 0
        self._inbox = Inbox()
        self._inbox.listen(link.fileno())
        for cookie in setup["end"]:
            remains.end(Marks((), cookie, {}, {*setup["spared"]}.__contains__))
        self._setup = setup
        self._kept = kept
        self._executor: Executor | None = None

    def serve(self) -> int:
        """Work until there is nothing more to do here; return the exit status."""
        try:
            executor = making.executor(self._setup, self._inbox, self._view, self._kept, self._saying, self._tell)
            self._executor = executor
            struck = Struck(executor, self._inbox, delays=False)
            is_sure = not isinstance(executor, Elsewhere) or executor.is_sure
            self._link.send(["up", greeting() | {"room": self._room(executor), "is_sure": is_sure}])
            self._is_up[0] = 1
            room = self._room(executor)
            while not self._life.is_over:
                self._receive(executor)
                timeout = LOOK if self._link.push() else SOON
                self._saying.hold_back(is_full=self._link.unsent > _MOST)
                reports = executor.poll(max(0.0, min(timeout, struck.next_at() - time.monotonic())))
                self._check_signals(executor, struck)
                reports = self._as_they_count(reports, struck)
                messages = [*self._saying.take(), *map(protocol.message, reports)]
                if self._link.unsent > _MOST:
                    messages = [one for one in messages if one[0] not in protocol.SPARED]
                if room != (room := NO_ROOM if self._life.is_stopped else self._room(executor)):
                    messages.append(["room", *room])
                if self._setup["engine"] is not None and (at := self._news_of_hosts(executor)):
                    messages.append(["at", at])
                self._link.send(*messages)
                self._inbox.was_notified = False
                self._life.check(time.monotonic(), is_idle=not self._running, has_parent=self._has_parent())
        except Unfit as problem:
            with contextlib.suppress(Closed):
                self._tell(Refused(str(problem)))
        except Closed:
            pass
        if self._executor is not None:
            self._executor.stop(list(self._running), INTERRUPTED, 0)
            self._executor.close()
        with contextlib.suppress(Closed):
            self._link.push()
        return 0

    def _tell(self, report: Report) -> None:
        self._link.send(protocol.message(report))

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
            self._life.hear(time.monotonic())
            if kind == "run":
                claims = [self._view.claim(protocol.unpacked(values)) for values in rest[0]]
                if self._life.is_stopped:
                    self._link.send(*(protocol.message(Lost(claim, started=False)) for claim in claims))
                    continue
                self._running |= {claim.token: claim for claim in claims}
                self._received += len(claims)
                executor.start(claims)
            elif kind == "alive":
                self._link.send(["alive"])
            elif kind == "stop":
                executor.stop(*rest)
            elif kind == "back" and isinstance(executor, LocalExecutor):
                executor.give_back(set(rest[0]))
            elif kind == "suspend":
                self._life.is_suspended = True
                executor.suspend()
                self._link.send(["suspended"])
            elif kind == "resume":
                self._life.is_suspended = False
                executor.resume()
            elif kind in ("hold", "release"):
                self._saying.is_held = kind == "hold"
            elif kind == "close":
                self._life.is_over = True

    def _as_they_count(self, reports: list[Report], struck: Struck) -> list[Report]:
        """Return the reports to pass on now; the end of an attempt may have to wait until it is clear how it counts."""
        counted: list[Report] = []
        for report in reports:
            if isinstance(report, Logged):
                counted.append(report._replace(path=self._view.path_for_the_run(report.path)))
            elif not isinstance(report, Ended):
                counted.append(report)
            elif (ended := struck.judge(report)) is not None:
                counted.append(ended)
        counted += struck.resolved()
        for report in counted:
            if isinstance(report, Ended | Lost | Left):
                self._running.pop(report.claim.token, None)
        return counted

    def _check_signals(self, executor: Executor, struck: Struck) -> None:
        """Stop the jobs after a signal to this site."""
        while self._inbox.received:
            number = self._inbox.received.pop(0)
            if (grace := self._life.strike(number, time.monotonic())) is not None:
                struck.numbers |= {number} & {*STOPPING}
                executor.stop(list(self._running), INTERRUPTED, grace)
        struck.check_signals()

    def _room(self, executor: Executor) -> "Message":
        """Return what there is room for; of workers with several threads each, and of the claims that this takes in."""
        room: Message = [executor.slots, executor.ahead(), executor.widest]
        if (rooms := executor.rooms()) is not None:
            room += [[free for free in rooms if free > 1], self._received]
        return room

    def _has_parent(self) -> bool:
        """Whether the guardian of this site is alive, and what started that."""
        if os.getppid() != self._guardian:
            return False
        return not proc.CAN_TRACE or proc.parent(self._guardian) == self._parent


if __name__ == "__main__":
    main()
