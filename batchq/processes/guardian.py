"""The guardian: the parent of the runner, which makes sure that nothing the runner started outlives it.

``run`` forks once, before it opens the store. The parent forwards signals to the runner and, however the runner ends,
kills every descendant until none is left; then it exits with the runner's status. It holds the runner's liveness lock
until then, so "the lock is free" means "the runner is gone and its tree is dead". If the guardian itself is killed, the
runner gets its death signal and ends its jobs.
"""

import contextlib
import gc
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable

from batchq.errors import ScarceError
from batchq.processes import proc, scratch, tree
from batchq.processes.kept import Kept
from batchq.processes.signals import FORWARDED, GUARDIAN_DIED, SAME, end_by_signal, kind_of, relayed
from batchq.visible import visible

PATIENCE = 60.0  #: seconds after which a process that SIGKILL does not end is reported and given up
_TICK = 0.0005  #: seconds between checks whether the guardian has stopped


def _tell_of_a_run(code: int) -> None:
    sys.stderr.write(
        f"batchq: the run was ended by os._exit({code}) in a handler or in code that it called; the next batchq run"
        " takes up what is left\n"
    )


def guarded(
    body: Callable[[Kept], int],
    cookie: str,
    forget: Callable[[], None] = lambda: None,
    messenger: int | None = None,
    tell: Callable[[int], None] = _tell_of_a_run,
) -> int:
    """Run ``body(kept)`` in a child process under a guardian; return the exit status for this process.

    ``cookie`` marks what the run starts and makes, ``kept`` are the processes that stay after the run. ``forget()`` is
    called in the guardian, and releases what only the child needs. ``messenger`` is a child of this process that stays
    until the caller ends it.

    The status is negative (-SIGINT) if this process should die of that signal, as an interrupted process does. It is 70 if
    code that the child called ended it by ``os._exit``, whose code ``tell`` gets. Call it from the main thread of a process
    that has no other threads and no open store.
    """
    kept = Kept()
    over = mmap.mmap(-1, 1)  # the child sets it to 1 at its regular end
    helpers = {(pid, proc.started_ticks(pid)) for pid in proc.children(os.getpid()) if pid != messenger}

    def is_spared(pid: int) -> bool:
        if pid == messenger or kept.has(pid):
            return True
        # What a wrapper script started before it became this process is not ours, nor are the leftovers of that.
        return bool(helpers) and ((pid, proc.started_ticks(pid)) in helpers or not proc.carries(pid, cookie))

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    handled = [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    tree.become_subreaper()
    sys.stdout.flush()
    sys.stderr.flush()
    # Whatever the parent had blocked: a run that does not receive SIGTERM cannot be stopped in order.
    signal.pthread_sigmask(signal.SIG_SETMASK, [*handled, *map(relayed, handled), signal.SIGCHLD])
    guardian = os.getpid()

    def whole() -> int:
        try:
            return body(kept)
        finally:
            if os.getppid() != guardian:
                scratch.remove(cookie)

    try:
        runner = os.fork()
    except OSError as error:
        raise ScarceError(
            f"cannot start the run: the machine grants it no process ({error.strerror}; see ulimit -u); no job was"
            " started; try again later"
        ) from None
    if runner == 0:
        _run_child(whole, guardian, over)
    try:
        forget()
        status = _status(_watch(runner, handled), tell, is_over=bool(over[0]))
        kept.read()
        for pid in tree.end_descendants(PATIENCE, is_spared):
            sys.stderr.write(f"batchq: {visible(tree.why_alive(pid))}\n")
    finally:
        scratch.remove(cookie)
    return status


def _run_child(body: Callable[[], int], guardian: int, over: mmap.mmap) -> None:
    """Run the body and exit. Signals are blocked until the body opens its inbox."""
    status = 70
    try:
        os.setpgid(0, 0)
        # In a process group of its own it would be stopped when it writes to a terminal with `stty tostop`.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        tree.become_subreaper()
        tree.die_with_parent(GUARDIAN_DIED)
        _close_inherited_on_exec()
        if proc.LINUX and os.getppid() != guardian:
            os._exit(status)
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)  # claims come by the thousand and have no cycles to search for
        status = body()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # a handler may have closed or replaced it
                stream.flush()
        over[0] = 1
        if status < 0:
            end_by_signal(-status)
        os._exit(status)


def _status(ended: int, tell: Callable[[int], None], *, is_over: bool) -> int:
    """Return the status of the runner: 128+n if a signal killed it, -SIGINT for SIGINT; 70 if it exited early."""
    if ended < 0:
        return ended if ended == -signal.SIGINT else 128 - ended
    if is_over:
        return ended
    tell(ended)
    return 70


def _watch(runner: int, handled: list[signal.Signals]) -> int:
    """Forward signals until the runner has ended; return its exit status, -n if signal n killed it."""
    last: dict[int, float] = {}
    inbox = _Pending(handled)
    is_stopping = False
    while True:
        pid, status = os.waitpid(runner, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        for number in inbox.wait():
            if number == signal.SIGCHLD:
                _reap_orphans(runner)
                continue
            # It came after none was waiting; when exactly, a guardian that was held up does not know.
            if inbox.none_at - last.get(kind_of(number), -SAME) >= SAME or number == signal.SIGUSR1:
                last[kind_of(number)] = inbox.repeats_at = time.monotonic()
                tree.kill(runner, relayed(number))
        if inbox.must_stop and not is_stopping:
            is_stopping = True
            tree.kill(runner, relayed(signal.SIGTSTP))
        if is_stopping and tree.has_stopped(runner):
            # The runner has surely stopped, so it will receive the SIGCONT.
            _stop(inbox)
            is_stopping = inbox.must_stop = False
            tree.kill(runner, signal.SIGCONT)


class _Pending:
    """Blocked signals, taken one by one. ``must_stop``: SIGTSTP has come. ``none_at``: when, before those just taken, none
    was waiting. ``repeats_at``: when the last one was forwarded.

    On Linux SIGTSTP is seen but not taken (signalfd(2)). While it stays pending, no SIGCONT has come after it: the kernel
    drops each when the other comes.
    """

    def __init__(self, handled: list[signal.Signals]) -> None:
        self.must_stop = False
        self.none_at = self._none_at = time.monotonic()
        self.repeats_at = -SAME
        self._all = [*handled, signal.SIGCHLD]
        self._fd = tree.signal_descriptor(self._all)
        self._taken = [one for one in self._all if one != signal.SIGTSTP or self._fd is None]

    def wait(self) -> list[int]:
        """Wait for the next signal, and take all that have come."""
        if self._fd is None:
            number = signal.sigwait(self._all)
            self.none_at = time.monotonic()
            self.must_stop = self.must_stop or number == signal.SIGTSTP
            return [] if number == signal.SIGTSTP else [number]
        import select

        # A pending SIGTSTP would be readable all the time: while the runner stops, wait for the other signals.
        if self.must_stop:
            found = [signal.sigwait(self._taken)]
        else:
            until = self.repeats_at + SAME  # once later none must have been waiting, to tell a new one from an old one
            rest = max(0.0, until - time.monotonic()) if self._none_at < until else None
            select.select([self._fd], [], [], rest)
            found = []
        self.none_at, self._none_at = self._none_at, time.monotonic()
        while (more := signal.sigtimedwait(self._taken, 0)) is not None:
            found.append(signal.Signals(more.si_signo))
            self._none_at = time.monotonic()
        self.must_stop = signal.SIGTSTP in self._all and self.may_stop()
        return list(found)

    def may_stop(self) -> bool:
        """Whether no SIGCONT has come since the SIGTSTP."""
        return self._fd is None or signal.SIGTSTP in signal.sigpending()


def _stop(inbox: _Pending) -> None:
    """Stop this process, as Ctrl-Z would, until it is continued.

    A SIGCONT that comes just before would be lost. So a child checks: if this process is stopped while no SIGTSTP is
    pending any more, a SIGCONT has come, and the child repeats it.
    """
    if not inbox.may_stop():
        return
    guardian = os.getpid()
    child = os.fork() if proc.CAN_TRACE else 0
    if child == 0 and proc.CAN_TRACE:
        while not proc.is_stopped(guardian):
            time.sleep(_TICK)
        if not proc.is_pending(guardian, signal.SIGTSTP):
            tree.kill(guardian, signal.SIGCONT)
        os._exit(0)
    tree.stop_self()
    if child:
        tree.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _reap_orphans(runner: int) -> None:
    # The runner is left for waitpid above; orphans come here only just after it died.
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == runner:
            return
        os.waitpid(ended.si_pid, 0)


def _close_inherited_on_exec() -> None:
    """Let jobs inherit descriptors 0–2 only, not the lock that a wrapper script holds on its descriptor 9."""
    folder = "/proc/self/fd" if proc.LINUX else "/dev/fd"
    for name in os.listdir(folder):
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(name), False)
