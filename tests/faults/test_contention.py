"""S7: many processes on one store. No job is claimed twice, nobody starves, and a stopped runner is not taken for dead."""

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import contender
import mutants
import pytest
import sizes
from conftest import Shell, eventually
from figures import milliseconds, record, record_caught
from fleet import EFFECT, Fleet, Member, effects, rows

from batchq.jobs.model import job_spec
from batchq.processes import proc
from batchq.store.adding import intake
from batchq.store.file.connection import Store
from batchq.store.file.locks import MUTEX_BYTE, LockFile
from batchq.store.file.opening import open_at

pytest_plugins = ("figures",)

needs_flock = pytest.mark.skipif(shutil.which("flock") is None, reason="flock(1) of util-linux is not installed")
needs_proc = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="there is no /proc/locks to see who waits")


# --- the bare ledger ---------------------------------------------------------------------------------------------------


def contend(path: Path, jobs: int, processes: int, mutant: str | None = None) -> tuple[list[list[int]], list[str]]:
    """Let so many processes empty a store at once: what each was given, and what went wrong."""
    with open_at(str(path), create=True) as store:
        intake.add(store, [job_spec({"command": "true"}, "test", "/", "/bin") for _ in range(jobs)])
    argv = [sys.executable, contender.__file__, str(path), *([mutant] if mutant else [])]
    started = [
        subprocess.Popen(
            argv, env=Shell(path.parent).env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) for _ in range(processes)
    ]  # fmt: skip
    for process in started:  # all are ready before one begins
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(processes) as pool:
        told = list(pool.map(lambda process: process.communicate("go\n", timeout=300), started))
    given = [[int(line) for line in out.split()] for out, _ in told]
    wrong = [err.strip() or "?" for process, (_, err) in zip(started, told, strict=True) if process.returncode]
    return given, wrong


def test_no_job_is_claimed_twice_by_ledgers_that_race(folder: Path) -> None:
    began = time.monotonic()
    given, wrong = contend(folder / "race.db", sizes.CONTENDED_CLAIMS, 4)
    claims = Counter(job for one in given for job in one)
    twice = [job for job, times in claims.items() if times > 1]

    record("S7 race of ledgers", sizes.CONTENDED_CLAIMS, "claims", len(twice) + len(wrong), processes=4,
           a_second=f"{len(claims) / (time.monotonic() - began):.0f}",
           least_to_most=f"{min(map(len, given)) / max(map(len, given)):.2f}")  # fmt: skip
    assert not wrong
    assert not twice
    assert len(claims) == sizes.CONTENDED_CLAIMS


@pytest.mark.parametrize("mutant", mutants.OF_WRITING)
def test_the_race_catches(mutant: str, tmp_path: Path) -> None:
    given, wrong = contend(tmp_path / "race.db", 400, 4, mutant)

    claims = Counter(job for one in given for job in one)
    assert wrong or len(claims) != 400 or max(claims.values()) > 1
    record_caught("S7")


# --- checkpoints and the mutex -----------------------------------------------------------------------------------------

CHECKPOINT = (
    "from batchq.store.file import checkpoints; store = open_at(sys.argv[1]); print(flush=True); sys.stdin.readline();"
    " checkpoints.checkpoint(store, truncate=True)"
)
IMPORTS = "import sys, mutants; from batchq.store.file.opening import open_at; "


def waits_for_the_mutex(folder: Path, doing: str, mutant: str | None = None) -> bool:
    """Whether a process that does this while somebody writes waits for the writer mutex."""
    path = folder / "batchq.db"
    open_at(str(path), create=True).close()
    apply = f"mutants.apply({mutant!r}); " if mutant else ""
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTS + apply + doing, str(path)], env=Shell(folder).env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    process.stdout.readline()
    ours = LockFile(str(path))
    ours.acquire_mutex(30)
    try:
        process.stdin.write("go\n")
        process.stdin.flush()
        eventually(lambda: process.poll() is not None or is_waiting(ours.path))
        return process.poll() is None
    finally:
        ours.close()
        process.communicate(timeout=60)
        assert process.returncode == 0


def is_waiting(path: str) -> bool:
    """Whether some process waits for a lock on this file: a line with an arrow in proc(5) locks."""
    inode = f":{Path(path).stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


@needs_proc
def test_a_checkpoint_waits_for_whoever_writes(folder: Path) -> None:
    assert waits_for_the_mutex(folder, CHECKPOINT)


@needs_proc
@pytest.mark.parametrize("mutant", mutants.OF_CHECKPOINTS)
def test_it_is_seen_when_it_does_not(mutant: str, tmp_path: Path) -> None:
    assert not waits_for_the_mutex(tmp_path, CHECKPOINT, mutant)
    record_caught("S7")


# --- real runs ---------------------------------------------------------------------------------------------------------


@needs_flock
def test_eight_runs_share_the_work_and_one_that_was_stopped_goes_on_where_it_was(batchq: Shell) -> None:
    jobs = sizes.CONTENDED_JOBS
    idle = timed_adds(batchq, sizes.LOCK_WAITS)
    with Fleet(batchq, "-j", "2") as fleet:
        # The one that will be stopped starts alone, and has work in its hands that is not over before.
        batchq("add", "-q", "-", stdin=f"{EFFECT}\n" * 2 + f"{EFFECT}; until [ -e go ]; do sleep 0.01; done\n" * 8)
        stopped = fleet.start()
        eventually(lambda: len(served_by(batchq, stopped)) == 2)
        stop_outside_of_a_transaction(batchq, stopped)
        (batchq.folder / "go").touch()
        batchq("add", "-q", "-", stdin=f"{EFFECT}\n" * jobs)
        others = [fleet.start() for _ in range(7)]
        eventually(lambda: len(fleet.registered()) == 8 or any(member.has_ended() for member in others), 60)
        beside = Beside(batchq)
        busy = timed_adds(batchq, sizes.LOCK_WAITS)
        eventually(lambda: any(member.has_ended() for member in others), 600)
        asked = beside.finish()
        for member in others:
            assert member.process.wait(timeout=600) == 0
        batchq("run")  # looks for dead runners at once
        false_rescues = rows(batchq, "SELECT count(*) FROM runners WHERE state = 'dead'")[0][0]
        stopped.signal_runner(signal.SIGCONT)
        assert fleet.wait_for_all() == [0] * 8

    ran = effects(batchq.folder)
    served = [sum(1 for _ in served_by(batchq, member)) for member in others]
    unfair = min(served) / max(served)
    wrong = len(ran) - len({job for job, _ in ran}) + sum(times - 1 for times in ran.values()) + false_rescues
    record("S7 eight runs", len(ran), "jobs", wrong, false_rescues=false_rescues, least_to_most=f"{unfair:.2f}",
           adds_and_reports_beside=asked, add_when_idle=milliseconds(idle), add_when_busy=milliseconds(busy))  # fmt: skip
    assert false_rescues == 0
    assert set(ran.values()) == {1}
    assert sorted(job for job, _ in ran) == sorted(
        job for (job,) in rows(batchq, "SELECT id FROM jobs WHERE state = 'succeeded'")
    )
    assert rows(batchq, "SELECT state, count(*) FROM jobs WHERE state NOT IN ('succeeded', 'held') GROUP BY 1") == []
    assert not (batchq.folder / "overlaps").exists()


def timed_adds(shell: Shell, number: int) -> list[float]:
    """How long so many adds of one (held) job take, the wait for the mutex included."""
    times = []
    with open_at(str(shell.db())) as store:
        for _ in range(number):
            began = time.perf_counter()
            add_held(store)
            times.append(time.perf_counter() - began)
    return times


def add_held(store: Store) -> None:
    intake.add(store, [job_spec({"command": "true", "hold": True}, "test", "/", "/bin")])


def served_by(shell: Shell, member: Member) -> list[object]:
    return rows(shell, "SELECT a.job FROM attempts AS a JOIN runners AS r ON r.id = a.runner"
                       f" WHERE r.pid = {member.runner or 0}")  # fmt: skip


def stop_outside_of_a_transaction(shell: Shell, member: Member) -> None:
    """SIGSTOP a runner; one that is just writing would stop everybody, so it is let go and stopped again."""
    lock = LockFile(str(shell.db()))
    try:
        while True:
            member.signal_runner(signal.SIGSTOP)
            eventually(lambda: is_stopped(member.runner))
            if not lock.is_held(MUTEX_BYTE):
                return
            member.signal_runner(signal.SIGCONT)
    finally:
        lock.close()


def is_stopped(pid: int | None) -> bool:
    assert not proc.is_zombie(pid or 0)
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"


class Beside:
    """A user who adds and looks while the store is busy."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._over = threading.Event()
        self._asked = 0
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        while not self._over.is_set():
            done = self._shell("add", "--", "sh", "-c", EFFECT)
            assert done.out.strip().isdigit()
            self._shell("report")
            self._asked += 2

    def finish(self) -> int:
        self._over.set()
        self._thread.join()
        return self._asked
