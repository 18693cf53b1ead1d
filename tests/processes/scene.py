"""A folder with a store and jobs that misbehave, and a look at every process that may come from them.

(A plugin: PYTEST_DONT_REWRITE.)
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import survivors
from conftest import Done, Shell, eventually, shell_status

from batchq.jobs.reading import jobfile
from batchq.store.adding import intake
from batchq.store.file.opening import open_at

Row = tuple[object, ...]

REST = """\
#!/bin/sh
echo $$ >> {pids}
: < {never}
"""


#: Fields of a job that is to time out when it is ready: its timeout grows until it was, so that no machine is too slow.
TRIES: dict[str, object] = {"timeout": "300ms", "retry_timeout_factor": 3, "max_attempts": 7, "backoff": "1ms"}


def until_ready(before: str, after: str) -> dict[str, object]:
    """A command with a timeout that passes in ``after``; ``Scene.attempt_that_was_ready`` is the one in which it did.

    What is to be done by then is ``before``. A callable does the same with the module ``ready``.
    """
    own = "ready-$BATCHQ_JOB_ID-"
    return {"command": f"ls {own}* >/dev/null 2>&1 && exit 0; {before}; : > {own}$BATCHQ_ATTEMPT; {after}"} | TRIES


class Scene:
    """``shell`` runs batchq here. ``rest`` is a program that notes its process id and then waits without end.

    A job that opens the FIFO ``gate`` to read waits there until ``open_gate()``; in a loop with ``sleep`` it would work.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shell = Shell(folder)
        self.shell.env["PYTHONDONTWRITEBYTECODE"] = "1"
        self.pids = folder / "pids"
        self.never = folder / "never"
        self.rest = folder / "rest"
        self.begun = folder / "begun"
        self.gate = folder / "gate"
        self._open: list[int] = []
        self._started: list[subprocess.Popen[bytes]] = []
        for fifo in (self.never, self.gate):
            os.mkfifo(fifo)
        self.rest.write_text(REST.format(pids=shlex.quote(str(self.pids)), never=shlex.quote(str(self.never))))
        self.rest.chmod(0o755)
        self.shell.make_store()

    # --- work ----------------------------------------------------------------------------------------------------------

    def add(self, *jobs: Mapping[str, object]) -> None:
        """Store jobs, each with the fields of a line of a .jsonl file."""
        lines = "\n".join(json.dumps(job) for job in jobs).encode()
        specs = jobfile.read(lines, "jsonl", "test", {}, str(self.folder), os.environ["PATH"])
        with open_at(str(self.shell.db())) as store:
            intake.add(store, specs)

    def run(self, *options: str, code: int | None = 0, env: dict[str, str] | None = None) -> Done:
        """``batchq run`` to its end."""
        return self.shell("run", *options, code=code, env=env)

    def start(self, *options: str) -> "subprocess.Popen[bytes]":
        """``batchq run`` in the background; what it says goes to the file ``said``."""
        return self.start_program(*map(os.fsdecode, self.shell.argv("run", *options)))

    def start_program(self, *words: str) -> "subprocess.Popen[bytes]":
        """Any program in the background, as ``start`` does it."""
        with (self.folder / "said").open("ab") as said:
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                env=self.shell.env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def said(self) -> str:
        """What started runs have said."""
        return (self.folder / "said").read_text(errors="replace")

    def runner(self) -> int:
        """The process id of the newest runner, as soon as the store has it."""
        eventually(lambda: self.rows("SELECT 1 FROM runners"))
        ((pid,),) = self.rows("SELECT pid FROM runners ORDER BY id DESC LIMIT 1")
        assert isinstance(pid, int)
        return pid

    def rows(self, sql: str) -> list[Row]:
        return self.shell.rows(sql)

    def attempts(self, columns: str = "outcome") -> list[Row]:
        return self.rows(f"SELECT {columns} FROM attempts ORDER BY job, number")

    def jobs(self, columns: str = "state") -> list[Row]:
        return self.rows(f"SELECT {columns} FROM jobs ORDER BY id")

    def attempt_that_was_ready(self, columns: str = "outcome", job: int = 1) -> Row:
        """The attempt of a job with ``TRIES`` that was ready when its time was over."""
        (name,) = (path.name for path in self.folder.glob(f"ready-{job}-*"))
        number = int(name.rpartition("-")[2])
        (row,) = self.rows(f"SELECT {columns} FROM attempts WHERE job = {job} AND number = {number}")
        return row

    def output(self, job: int = 1, stream: str = "stdout", attempt: int = 1) -> bytes:
        """What is kept of one stream of one attempt; nothing is missing of short ones."""
        rows = self.rows(
            f"SELECT head, tail FROM outputs WHERE job = {job} AND number = {attempt} AND stream = '{stream}'"
        )
        return b"".join(part for row in rows for part in row if isinstance(part, bytes))

    def open_gate(self, gate: Path | None = None) -> None:
        """Let all pass who wait at the gate, or such a FIFO, and all who come later: it stays open until the scene ends."""
        self._open.append(os.open(gate or self.gate, os.O_RDWR | os.O_NONBLOCK))

    def resting(self) -> int:
        """The process of ``rest``, as soon as it has noted itself."""
        eventually(lambda: self.pids.exists() and self.pids.read_text().endswith("\n"))
        return int(self.pids.read_text())

    # --- processes -----------------------------------------------------------------------------------------------------

    def survivors(self) -> list[str]:
        """Every living process that comes from this scene."""
        return [f"{pid} {words}" for pid, words in survivors.living(self.folder)]

    def end_survivors(self) -> None:
        """SIGKILL what is left, as a test fails or as it wants to."""
        survivors.end_all(self.folder)
        for process in self._started:
            process.wait()
        while self._open:
            os.close(self._open.pop())


@contextmanager
def closing(folder: Path) -> Iterator[Scene]:
    """A scene that leaves nothing behind, whatever the test did."""
    scene = Scene(folder)
    try:
        yield scene
    finally:
        scene.end_survivors()


@pytest.fixture
def scene(folder: Path) -> Iterator[Scene]:
    """An empty store, and no process of it left afterwards."""
    with closing(folder) as opened:
        yield opened
        assert opened.survivors() == []


def ended(process: "subprocess.Popen[bytes]", seconds: float = 60.0) -> int:
    """The exit code of a started run, once it has ended."""
    return shell_status(process.wait(timeout=seconds))


def end(*pids: int) -> None:
    """SIGKILL these processes, which may be gone. All are stopped before: none can act when it sees another gone.

    Name children before their parents: the kernel wakes the stopped child of a process that dies (SIGHUP, SIGCONT).
    """
    for number in (signal.SIGSTOP, signal.SIGKILL)[len(pids) == 1 :]:
        for pid in pids:
            signal_one(pid, number)


def signal_one(pid: int, number: int) -> None:
    """Signal one process that the test started; it may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def stop(pid: int) -> None:
    """Stop a process. Its threads are told one after the other: on a busy machine some would go on for a while."""
    signal_one(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    eventually(lambda: {status_of(int(one.name)).get("State", "")[:1] for one in threads.iterdir()} == {"T"})


def status_of(pid: int) -> dict[str, str]:
    """The lines of /proc/PID/status; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def children_of(pid: int) -> list[int]:
    """The children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    """Whether a process has ended, with all its threads; it may wait to be reaped."""
    status = status_of(pid)
    return status.get("State", "Z")[0] in "ZX" and int(status.get("Threads", "0")) <= 1


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal."""
    return status_of(pid).get("State", "")[:1] == "T"


def python(*words: str) -> list[str]:
    """The command that runs Python."""
    return [sys.executable, *words]


# --- figures -----------------------------------------------------------------------------------------------------------

_TOLD: list[str] = []


def tell(line: str) -> None:
    """Print a figure below the results of the tests."""
    _TOLD.append(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was told."""
    if _TOLD:
        terminalreporter.section("processes")
        for line in _TOLD:
            terminalreporter.write_line(line)
