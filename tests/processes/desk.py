"""A desk at which tests pass claims to an executor and collect what it reports.

(A plugin: PYTEST_DONT_REWRITE.)
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchq.executors.afar.afar import Afar
from batchq.executors.afar.hearing import Hearing
from batchq.executors.afar.nextdoor import site_words
from batchq.executors.afar.place import Place
from batchq.executors.listener import Listener
from batchq.executors.local import LocalExecutor
from batchq.executors.seam import Executor, Report
from batchq.jobs.attempt import KEPT, Claim, Ended, Outcome
from batchq.processes import machine
from batchq.processes.signals import Inbox

SLOTS = 2
POOLS = Path(__file__).parents[1] / "engines"  #: the folder of the factories that ``afar`` may name
HANDLED = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD,
    signal.SIGTSTP,
)  # fmt: skip


def local(folder: Path, listeners: Sequence[Listener]) -> Executor:
    scratch = folder / "scratch"
    scratch.mkdir()
    db = str(folder / "batchq.db")
    return LocalExecutor(
        SLOTS, Inbox(), str(scratch), db=db, cookie="contract", perform=None, home=str(folder), grace=0.2,
        listeners=listeners,
    )  # fmt: skip


def afar(engine: str | None) -> Callable[[Path, Sequence[Listener]], Executor]:
    """Make a place behind a pipe: a site, or a bridge with the client of an engine."""

    def made(folder: Path, listeners: Sequence[Listener]) -> Executor:
        hearing = Hearing(listeners, brings_news=engine is not None)
        given = setup(folder, engine, listens=bool(listeners))
        return Afar([Place("here", site_words(), given, hearing)], Inbox(), None, hearing)

    return made


def setup(folder: Path, engine: str | None = None, *, listens: bool = False) -> dict[str, object]:
    """What a site or a bridge is told first."""
    shared = folder / "shared"
    shared.mkdir(exist_ok=True)
    cookie = f"contract.{os.urandom(8).hex()}"  # a site ends what carries it, also of tests that run meanwhile
    return {
        "slots": SLOTS, "db": str(folder / "batchq.db"), "host": "here", "boot_id": machine.boot_id(),
        "cookie": cookie, "perform": None, "home": str(POOLS), "grace": 0.2, "worker_jobs": 0,
        "lease": None, "end": [cookie], "listens": listens, "engine": engine, "run": cookie,
        "folder": str(shared), "keep_output": KEPT, "reconnect": 5.0, "cwd_map": [], "mark": "",
        "limit_processes": None,
    }  # fmt: skip


EXECUTORS: dict[str, Callable[[Path, Sequence[Listener]], Executor]] = {"local": local, "site": afar(None)}


class Notebook:
    """A listener that keeps all that it receives, in order: (job, stream, data), and (job, "ended", b"")."""

    def __init__(self) -> None:
        self.pages: list[tuple[int, str, bytes]] = []

    def printed(self, claim: Claim, stream: str, data: bytes) -> None:
        self.pages.append((claim.id, stream, data))

    def ended(self, claim: Claim) -> None:
        self.pages.append((claim.id, "ended", b""))

    def of(self, claim: Claim, stream: str) -> bytes:
        return b"".join(data for job, name, data in self.pages if (job, name) == (claim.id, stream))

    def has(self, claim: Claim, line: tuple[str, bytes]) -> bool:
        return line in self.lines(claim)

    def lines(self, claim: Claim) -> list[tuple[str, bytes]]:
        """The pages of one job; neighbours of one stream are one, because Python may write a line in two parts."""
        found: list[tuple[str, bytes]] = []
        for job, stream, data in self.pages:
            if job != claim.id:
                continue
            if found and found[-1][0] == stream and not found[-1][1].endswith(b"\n"):
                found[-1] = stream, found[-1][1] + data
            else:
                found.append((stream, data))
        return found


@pytest.fixture
def listeners() -> list[Listener]:
    """The listeners of ``executor``: none."""
    return []


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest, tmp_path: Path, listeners: list[Listener]) -> Iterator[Executor]:
    """An executor that is closed afterwards."""
    with opened(EXECUTORS[request.param], tmp_path, listeners) as made:
        yield made


@contextmanager
def opened(
    make: Callable[[Path, Sequence[Listener]], Executor], folder: Path, listeners: Sequence[Listener] = ()
) -> Iterator[Executor]:
    """Make an executor and close it afterwards; signals and the working directory are as before."""
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    here = Path.cwd()
    made = make(folder, listeners)
    try:
        yield made
        made.close()
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.chdir(here)


class Desk:
    """Makes claims and collects their outcomes."""

    def __init__(self, executor: Executor, folder: Path) -> None:
        self.executor = executor
        self.folder = folder
        self.reports: list[Report] = []
        self._ids = 0

    def claim(self, kind: str, work: object, *, timeout: int | None = None, ahead: bool = False) -> Claim:
        self._ids += 1
        return Claim(
            id=self._ids, token=f"token{self._ids}{os.urandom(8).hex()}", attempt=1, kind=kind, work=json.dumps(work),
            name=None, batch="default", queue="default", key=None, timeout=timeout, env=None, umask=None, stdin=None,
            leftovers="kill", slots=1, on_crash="retry", python=None, fresh=False,
            success_codes=None, output="separate", keep_output=None,
            started_at=None if ahead else time.time_ns() // 1_000_000,
            cwd=str(self.folder), path=os.environ["PATH"],
        )  # fmt: skip

    def shell(self, script: str, **options: object) -> Claim:
        return self.claim("shell", [script], **options)  # type: ignore[arg-type]

    def call(self, target: str, **args: object) -> Claim:
        return self.claim("call", {"call": target, "args": args})

    def wait(self, done: Callable[[], object], seconds: float = 30.0) -> None:
        """Poll until ``done()``."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"only {self.reports}"
            self.reports += self.executor.poll(0.05)

    def outcomes(self, *claims: Claim) -> list[Outcome]:
        """Start the claims and wait for their ends, in the order of the claims."""
        self.executor.start(claims)
        return self.ends(claims)

    def ends(self, claims: Sequence[Claim]) -> list[Outcome]:
        tokens = [claim.token for claim in claims]
        self.wait(lambda: set(tokens) <= {token for token, _ in self._ended()})
        ended = self._ended()
        assert sorted(token for token, _ in ended if token in tokens) == sorted(tokens), "each ends exactly once"
        return [dict(ended)[token] for token in tokens]

    def _ended(self) -> list[tuple[str, Outcome]]:
        return [(one.claim.token, one.outcome) for one in self.reports if isinstance(one, Ended)]


@pytest.fixture
def desk(executor: Executor, tmp_path: Path) -> Desk:
    return Desk(executor, tmp_path)
