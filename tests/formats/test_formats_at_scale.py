"""Reports on two nights of very many jobs: size, memory and, in soak with a million each, time are bounded."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nights import a_large_night
from soaking import SOAK

from batchq.jobs.model import job_spec
from batchq.jobs.selection import Selection
from batchq.store.adding import intake
from batchq.store.file.opening import open_at
from batchq.store.looking import change

JOBS = 1_000_000 if SOAK else 3_000
#: Runs a command from a small process: a child's peak of memory begins with that of the process that forks it.
WATCHED = """
import os, sys
null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)
_, status, used = os.wait4(pid, 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, os.waitstatus_to_exitcode(status))
"""
PAGE, MEMORY = 2_000_000, 200_000  #: bytes of a page, KiB of a process
MEMORY_OF_LOGS = 40_000  #: KiB, half of it for Python and SQLite


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nights") / "batchq.db"
    with open_at(str(path), create=True) as store:
        for _ in range(2):
            low, high = a_large_night(store, JOBS)
            assert high - low + 1 == JOBS
    return path


def spent(path: Path, *words: str) -> tuple[float, int]:
    """The processor time of a command, in seconds, and the largest memory that it had, in KiB."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-m", "batchq", "--db", str(path), *words]
    printed = subprocess.run(
        [sys.executable, "-S", "-c", WATCHED, *argv], env=environment, capture_output=True, text=True, check=True
    ).stdout
    seconds, memory, code = printed.split()
    assert code == "0"
    return float(seconds), int(memory)


@pytest.mark.parametrize("name", ["csv", "jsonl", "joblog", "junit", "md"])
def test_a_report_of_many_jobs_is_streamed(nights: Path, name: str) -> None:
    _, memory = spent(nights, "report", "last", "--format", name)

    assert memory < MEMORY


@pytest.mark.parametrize("words", [(), ("--prefix",), ("--grep", "."), ("-n", "1")], ids=" ".join)
def test_what_many_jobs_printed_is_printed_page_by_page(nights: Path, words: tuple[str, ...]) -> None:
    _, memory = spent(nights, "logs", "--all", *words)

    assert memory < MEMORY_OF_LOGS


def test_a_page_of_many_jobs_stays_small(nights: Path) -> None:
    page = nights.with_name("page.html")
    seconds, memory = spent(nights, "report", "last", "-o", str(page))

    assert page.stat().st_size < PAGE
    assert memory < MEMORY
    assert seconds < 8 or not SOAK


def test_what_changed_between_two_nights_is_known_soon(nights: Path) -> None:
    with open_at(str(nights)) as store:
        began = time.process_time()
        found = change.change(store, Selection(((JOBS + 1, 2 * JOBS),)))
        seconds = time.process_time() - began

    assert found is not None
    assert len(found.again) == len(range(7, JOBS, 33))
    assert found.new == found.recovered == found.gone == found.unknown == []
    assert seconds < 1.5 or not SOAK


@contextmanager
def a_report_in_a_loop(path: Path) -> Iterator[None]:
    loop = 'while :; do "$0" -m batchq --db "$1" report last >/dev/null || exit; done'
    with subprocess.Popen(
        ["/bin/sh", "-c", loop, sys.executable, str(path)], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield
        finally:
            os.killpg(process.pid, 9)


@pytest.mark.skipif(not SOAK, reason="it measures time: scripts/soak")
def test_writers_are_as_fast_next_to_reports(nights: Path) -> None:
    def slowest(adds: int = 500) -> float:
        took = []
        for _ in range(adds):
            began = time.perf_counter()
            with open_at(str(nights)) as opened:
                intake.add(opened, [job_spec({"command": "true"}, "test", "/", "/bin")])
            took.append(time.perf_counter() - began)
        return sorted(took)[adds * 99 // 100]

    rounds = []
    for _ in range(3):
        alone = slowest()
        with a_report_in_a_loop(nights):
            rounds.append(slowest() / alone)
    assert min(rounds) < 2, rounds
