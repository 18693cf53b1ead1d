"""Starting a child process: its own session, only descriptors 0–2, default signals, its own folder and umask."""

import errno
import fcntl
import os
import signal
import sys

from batchq.jobs.attempt import MACHINE_BUSY
from batchq.named import NamedTuple
from batchq.paths import without_dots
from batchq.processes import marks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# By Python, and SIGTTOU by the guardian; exec passes an ignored signal on.
_IGNORED_HERE = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTOU)
_MACHINE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EBADF, errno.ENOSPC, errno.EDQUOT)
_SHELL = "/bin/sh"
_OWN_SESSION: "dict[str, Any]" = {"setsid": True} if sys.platform == "linux" else {"setpgroup": 0}

#: The variables that describe a job to itself: a run that a job has called does not pass them on to its own jobs
OF_A_JOB = frozenset(
    f"BATCHQ_{name}"
    for name in (
        "JOB_ID", "ATTEMPT", "BATCH", "QUEUE", "KEY", "DB", "TOKEN", "RUNNER", "DEADLINE", "RESULT_FILE",
        "SLOT", "PARENTS_FILE",
    )
)  # fmt: skip


class Refusal(NamedTuple):
    """Why a process could not be started; ``of_machine``: the machine lacks memory, processes or descriptors.

    ``missing`` as in a Failure.
    """

    type: str
    message: str
    of_machine: bool = False
    missing: str = ""


class Spawner:
    """Starts processes for a runner. That has one thread, so this may set the folder and the umask of the process."""

    def __init__(self) -> None:
        # Python keeps 8 KiB of what it prints to a pipe: it would come late, and be lost with the process.
        self._base = {"PYTHONUNBUFFERED": "1"}
        self._base |= {name: value for name, value in os.environ.items() if name not in OF_A_JOB}
        self._located: dict[tuple[str, str], str] = {}
        self._home = _folder_of_start()
        self._null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._can_mark = marks.can_mark()
        self._umask = os.umask(0)
        os.umask(self._umask)
        # All that are not ignored, though exec resets most: for each signal not named here, the C library makes a call.
        self._reset = tuple(
            int(number)
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
            if number in _IGNORED_HERE or signal.getsignal(number) is not signal.SIG_IGN
        )

    def environment(self, path: str, cwd: str, named: dict[str, str], own: dict[str, str]) -> dict[str, str]:
        """Make the environment of a job: the runner's, then PATH and PWD as stored, the named variables, batchq's own.

        PYTHONUNBUFFERED is 1 unless one of these has another value.
        """
        return {**self._base, **({"PATH": path} if path else {}), "PWD": without_dots(cwd), **named, **own}

    def spawn(
        self,
        words: list[str],
        environment: dict[str, str],
        cwd: str,
        out: int,
        err: int,
        *,
        mark: str,
        stdin: int | None = None,
        channels: tuple[int, ...] = (),
        umask: int | None = None,
        anew: bool = False,
    ) -> "int | Refusal":
        """Start ``words`` as leader of a new session; return the process id, or why that was not possible.

        It and its descendants carry ``mark``. ``stdin`` None is /dev/null. ``channels`` become descriptors 3, 4 …. A file
        of unknown format is run by ``/bin/sh``, as execvp(3) does. ``anew``: do not use remembered paths of programs.
        """
        if (refusal := self._enter(cwd)) is not None:
            return refusal
        actions = [
            (os.POSIX_SPAWN_DUP2, self._null if stdin is None else stdin, 0),
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, err, 2),
        ]
        # Move them away first: dup2 of a descriptor onto its own number would leave it closed on exec.
        parked: list[int] = []
        sources = list(channels)
        try:
            for at, fd in enumerate(channels):
                if fd < 3 + len(channels):
                    sources[at] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
                    parked.append(sources[at])
        except OSError as error:
            for fd in parked:
                os.close(fd)
            self._return()
            return machine_refusal(error)
        actions += [(os.POSIX_SPAWN_DUP2, fd, 3 + number) for number, fd in enumerate(sources)]
        if self._can_mark:
            marks.put(mark)
        try:
            if umask is not None:
                os.umask(umask)
            if anew:
                self._located.clear()
            return self._execute(words, environment, actions)
        finally:
            self._return()  # the runner must not keep the folder of a job busy
            if umask is not None:
                os.umask(self._umask)
            for fd in parked:
                os.close(fd)

    def _enter(self, cwd: str) -> Refusal | None:
        try:
            os.chdir(cwd)  # each time: the folder of that name may be another one by now
        except OSError as error:
            problem = f"cannot enter the working directory {cwd!r}: {error.strerror}"
            return Refusal("NoSuchFolder", problem, missing=cwd)
        return None

    def _return(self) -> None:
        try:
            os.chdir(self._home)
        except OSError:
            os.chdir("/")

    def _execute(
        self, argv: list[str], environment: dict[str, str], actions: list[tuple[int, int, int]]
    ) -> int | Refusal:
        program = self._locate(argv[0], environment.get("PATH", os.defpath))
        if isinstance(program, Refusal):
            return program
        try:
            try:
                return self._start(program, argv, environment, actions)
            except OSError as error:
                if error.errno != errno.ENOEXEC:
                    raise
                return self._start(_SHELL, [_SHELL, program, *argv[1:]], environment, actions)
        except OSError as error:
            self._located.clear()
            return _refusal(error, program)

    def _locate(self, program: str, path: str) -> str | Refusal:
        """Find a program as exec would; a relative folder of PATH is relative to the job's working directory."""
        if "/" in program:
            return program
        if found := self._located.get((program, path)):
            return found
        denied = False
        for folder in path.split(":"):
            candidate = os.path.join(folder or ".", program)
            if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
                if folder.startswith("/"):
                    self._located[program, path] = candidate
                return candidate
            denied = denied or os.path.isfile(candidate)
        if denied:
            return Refusal("NotExecutable", f"the program {program!r} is not executable (permission denied)")
        return Refusal("NoSuchProgram", f"the program {program!r}{_hint(program)} is not on the PATH {path!r}")

    def _start(
        self, path: str, argv: list[str], environment: dict[str, str], actions: list[tuple[int, int, int]]
    ) -> int:
        return os.posix_spawn(
            path, argv, environment, file_actions=actions, setsigmask=(), setsigdef=self._reset, **_OWN_SESSION
        )


def _hint(program: str) -> str:
    """What helps if the name of a program looks like a line for a shell."""
    from batchq.jobs.shellwords import needs_shell

    return " (a line for a shell is added with -c)" if needs_shell(program) else ""


def _folder_of_start() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/"


def machine_refusal(error: OSError) -> Refusal:
    """Make the refusal of a machine that has no process, memory, descriptor or disk space left."""
    return Refusal(MACHINE_BUSY, f"cannot start a process now: {error.strerror}", of_machine=True)


def _refusal(error: OSError, program: str) -> Refusal:
    if error.errno in _MACHINE:
        return machine_refusal(error)
    if error.errno == errno.E2BIG:
        return Refusal("TooLong", "the arguments and the environment together are too long for the system")
    if error.errno == errno.EACCES:
        return Refusal("NotExecutable", f"the program {program!r} is not executable (permission denied)")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        text = f"the program {program!r}{_hint(program)}, or the interpreter that it names, does not exist"
        return Refusal("NoSuchProgram", text)
    return Refusal("CannotExecute", f"cannot execute {program!r}: {error.strerror}")
