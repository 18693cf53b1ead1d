"""Fixtures for all tiers: a folder whose stores are checked at the end, an open store, and batchq as a real process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import invariants
import pytest
import survivors
from gate import Gate
from hypothesis import HealthCheck, settings
from newstore import open_new
from soaking import SOAK

import batchq
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at

# A shell starts what it sends to the background (`scripts/test &`) with the first two ignored, nohup the third, and all
# that a test starts would inherit that: exec hands an ignored signal on, and one with a handler as the default.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# How long an example takes says nothing where seven pytests share two cores: with a deadline of 200 ms, as it is by
# default, any test fails by chance. Nor does it matter how long hypothesis takes to draw one, or how much it discards.
settings.register_profile("batchq", deadline=None, suppress_health_check=list(HealthCheck), derandomize=not SOAK)
settings.load_profile("batchq")

# Commands that batchq prints begin with the whole path where no batchq is on the PATH.
os.environ["PATH"] += f"{os.pathsep}{Path(sys.executable).parent}"


@contextmanager
def nothing_left(folder: Path) -> Iterator[Path]:
    """A folder of a test; no process of it may be alive when the test is over."""
    yield folder
    left = survivors.after(folder)
    while _started:
        with _started.pop() as process:  # what a failed test did not wait for
            process.kill()
    assert not left, f"left running by this test: {left}"


@pytest.fixture(name="tmp_path")
def _tmp_path(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, and no process of it left afterwards."""
    with nothing_left(tmp_path):
        yield tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; every store below it must hold the invariants when the test is over."""
    yield tmp_path
    invariants.check_all(tmp_path)


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """An open, empty store."""
    with open_new(folder / "batchq.db") as opened:
        yield opened


class Started(subprocess.Popen[bytes]):
    """A command at work. A block of it that fails ends it, for nobody else would, and the failure would never be seen."""

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *rest)


_started: list[Started] = []


class Shell:
    """``batchq`` as a user has it: a process of its own in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            "BATCHQ_DB": "",
        }

    def argv(self, *words: str | bytes) -> list[str | bytes]:
        return [sys.executable, "-m", "batchq", *words]

    def __call__(
        self,
        *words: str | bytes,
        stdin: bytes | str | None = None,
        code: int | None = 0,
        env: dict[str, str] | None = None,
    ) -> "Done":
        """Run one command to its end and expect its exit code (None: any)."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            self.argv(*words),
            cwd=self.folder,
            env=self.env | (env or {}),
            input=data if data is not None else b"",
            capture_output=True,
            timeout=120,
            check=False,
        )
        result = Done(
            shell_status(done.returncode), done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        assert code is None or result.code == code, result
        assert f'File "{Path(batchq.__file__).parent}' not in result.err, f"batchq itself failed: {result.err}"
        return result

    def start(self, *words: str) -> Started:
        """Start one command; ``finish`` or ``kill`` it."""
        started = Started(
            self.argv(*words),
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        _started.append(started)
        return started

    def db(self) -> Path:
        return self.folder / "batchq.db"

    def make_store(self) -> None:
        """``db()`` as ``batchq init`` makes it."""
        open_new(self.db()).close()

    def full(self, text: str) -> str:
        """A text with its commands as they are printed off a terminal: each names the store by its whole path."""
        verbs = "cancel|doctor|explain|list|logs|queue|release|report|retry|run|show"
        return re.sub(rf"(?<![\w/])batchq (?={verbs})", f"batchq --db {self.db()} ", text)

    def interrupted(self, code: int = 0) -> "Done":
        """A run whose ``--max-time`` ends while a job is at work; if it was too short for that, there is another."""
        begun = "SELECT count(*) FROM attempts WHERE outcome = 'interrupted'"
        before, milliseconds = self.rows(begun), 50
        while self.rows(begun) == before:
            done = self("run", "--max-time", f"{milliseconds}ms", "--grace", "0s", code=None)
            milliseconds *= 2
        assert done.code == code, done
        return done

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What the store says, over a connection that is closed again."""
        with open_at(str(self.db())) as opened:
            return opened.db.execute(sql).fetchall()


class Done:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@pytest.fixture(name="batchq")
def _batchq(folder: Path) -> Shell:
    """The command in an empty folder that has a store, ``batchq.db``."""
    shell = Shell(folder)
    shell.make_store()
    return shell


@pytest.fixture
def gate(folder: Path) -> Iterator[Gate]:
    """A closed gate, ``gate`` in the folder of the test."""
    made = Gate(folder / "gate")
    yield made
    made.close()


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until ``condition()`` is true, looking less often the longer it takes; fail after ``seconds``."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < seconds, "the condition never became true"
        time.sleep(min(max(0.01, waited / 10), 0.03))


def shell_status(code: int) -> int:
    """What a shell has in ``$?`` after an interrupt, of which who hears it dies; all else as it is."""
    return 130 if code == -signal.SIGINT else code


def finish(process: "subprocess.Popen[bytes]", seconds: float = 60.0) -> Done:
    """Wait for a started command."""
    out, err = process.communicate(timeout=seconds)
    return Done(shell_status(process.returncode), out.decode(errors="replace"), err.decode(errors="replace"))


def send(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Signal a started command, and only that process."""
    os.kill(process.pid, number)
