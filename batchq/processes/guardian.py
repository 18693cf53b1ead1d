"""The guardian: the parent of the runner, which makes sure that nothing the runner started outlives it.

``run`` forks once, before it opens the store. The parent forwards signals to the runner and, however the runner ends,
kills every descendant until none is left; then it exits with the runner's status. It holds the runner's liveness lock
until then, so "the lock is free" means "the runner is gone and its tree is dead". Should the guardian itself be killed,
the runner is told by its death signal and ends its jobs.
"""

import contextlib
import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable

from batchq.processes import tree
from batchq.processes.signals import GUARDIAN_DIED, STOPPING
from batchq.processes.turns import take_short_turns

PATIENCE = 60.0  #: seconds after which a process that SIGKILL does not end is reported and given up
_KEPT = "kept"
_SAME_SIGNAL = 0.2  #: the same signal within this many seconds is one: timeout(1) sends two
_FORWARDED = (*STOPPING, signal.SIGQUIT, signal.SIGUSR1, signal.SIGTSTP, signal.SIGCONT)


def guarded(body: Callable[[str], int], forget: Callable[[], None] = lambda: None) -> int:
    """Run ``body(scratch)`` in a child process under a guardian; the exit status for this process.

    ``forget()`` is called in the guardian, and lets go of what only the child needs.

    ``scratch`` is a private folder that is gone when the guardian ends. Call it from the main thread of a process
    that has no other threads and no open store.
    """
    scratch = tempfile.mkdtemp(prefix="batchq-")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    heard = [number for number in _FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    tree.become_subreaper()
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [*heard, signal.SIGCHLD])
    guardian = os.getpid()
    runner = os.fork()
    if runner == 0:
        _be_runner(body, scratch, guardian, before)
    try:
        forget()
        status = _watch(runner, heard)
        for pid in tree.end_descendants(PATIENCE, kept_tokens(scratch)) if tree.CAN_TRACE else ():
            sys.stderr.write(f"batchq: process {pid} cannot be killed; the system has it in a call that does not end\n")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return status


def keep(scratch: str, token: str) -> None:
    """Note for the guardian that what this attempt left behind is to stay (``leftovers = "keep"``)."""
    with open(os.path.join(scratch, _KEPT), "a") as file:
        file.write(token + "\n")


def kept_tokens(scratch: str) -> set[str]:
    """The attempts whose processes are to stay when the run ends."""
    try:
        with open(os.path.join(scratch, _KEPT)) as file:
            return set(file.read().split())
    except OSError:
        return set()


def _be_runner(body: Callable[[str], int], scratch: str, guardian: int, mask: set[int]) -> None:
    status = 70
    try:
        os.setpgid(0, 0)
        tree.become_subreaper()
        tree.die_with_parent(GUARDIAN_DIED)
        take_short_turns()
        _close_inherited_on_exec()
        if tree.CAN_TRACE and os.getppid() != guardian:
            os._exit(status)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)  # claims by the thousand, which die by themselves, need no search for cycles
        status = body(scratch)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 70
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)


def _watch(runner: int, heard: list[signal.Signals]) -> int:
    """Forward signals until the runner has ended; its exit status, 128+n where a signal killed it."""
    last: dict[int, float] = {}
    while True:
        pid, status = os.waitpid(runner, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        number = signal.sigwait([*heard, signal.SIGCHLD])
        if number == signal.SIGCHLD:
            _reap_orphans(runner)
            continue
        now = time.monotonic()
        if now - last.get(number, -1.0) < _SAME_SIGNAL:
            continue
        last[number] = now
        tree.kill(runner, number)
        if number == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)
            tree.kill(runner, signal.SIGCONT)


def _reap_orphans(runner: int) -> None:
    # The runner is left for waitpid above; orphans come here only in the moment after it died.
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == runner:
            return
        os.waitpid(ended.si_pid, 0)


def _close_inherited_on_exec() -> None:
    """Jobs inherit descriptors 0–2 only, not the lock that a wrapper script holds on its descriptor 9."""
    folder = "/proc/self/fd" if tree.CAN_TRACE else "/dev/fd"
    for name in os.listdir(folder):
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(name), False)
