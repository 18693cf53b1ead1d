"""A report on very many jobs: it reads the failed ones and a sample, not all. At soak size a million jobs, and in time."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from nights import a_large_night
from soaking import SOAK

from batchq.jobs.selection import Selection
from batchq.report import reasons, summary
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.looking import queries, tallies, times

FEW, MANY = (1_000, 1_000_000) if SOAK else (8_000, 32_000)


def steps(store: Store, ask: Callable[[], object]) -> int:
    """How many steps SQLite takes for it, in hundreds."""
    counted: list[None] = []
    store.db.set_progress_handler(lambda: counted.append(None), 100)
    try:
        ask()
    finally:
        store.db.set_progress_handler(None, 100)
    return len(counted)


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "MOST", 2_000)
    monkeypatch.setattr(times, "SAMPLE", 1_000)


SELECTIONS = [Selection(), Selection(batch="night"), Selection(((1, MANY),))]


@pytest.mark.parametrize("selection", SELECTIONS, ids=["all", "batch", "ids"])
@pytest.mark.usefixtures("sampled")
def test_what_does_not_concern_failures_takes_as_long_for_many_jobs_as_for_few(
    folder: Path, selection: Selection
) -> None:
    took = []
    for jobs in (8_000, 32_000):
        with open_at(str(folder / f"{jobs}.db"), create=True) as store:
            a_large_night(store, jobs, every=100_000)
            took.append(steps(store, lambda: summary.build(store, selection, at=1, failures=0, estimated=True)))
            assert summary.build(store, selection, at=1, failures=0, estimated=True).is_estimated

    few, many = took
    assert many < 1.3 * few, took


@pytest.mark.usefixtures("sampled")
def test_the_check_would_notice_a_report_that_reads_all_jobs(folder: Path) -> None:
    took = []
    for jobs in (8_000, 32_000):
        with open_at(str(folder / f"{jobs}.db"), create=True) as store:
            a_large_night(store, jobs, every=100_000)
            took.append(steps(store, lambda: tallies.slowest(store, Selection(), 5)))

    few, many = took
    assert many > 3 * few, took


@pytest.mark.skipif(not SOAK, reason="a million jobs: scripts/soak")
def test_a_report_on_a_million_jobs_takes_less_than_a_second(folder: Path) -> None:
    used = {}
    for jobs in (FEW, MANY):
        path = folder / f"{jobs}.db"
        with open_at(str(path), create=True) as store:
            a_large_night(store, jobs)
        used[jobs] = min(_seconds(path, "report", "--state", "succeeded") for _ in range(5))
    with open_at(str(path)) as store:
        began = time.process_time()
        assert len(reasons.find(store, Selection())) == 5
        causes = time.process_time() - began

    assert used[MANY] < 3 * used[FEW], used
    assert causes < 0.5
    assert min(_seconds(path, "report") for _ in range(3)) < 1.0


def _seconds(path: Path, *words: str) -> float:
    """The processor time of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "batchq", "--db", str(path), *words],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("batch", [None, "night"])
def test_the_last_page_of_a_range_is_read_as_soon_as_the_first(store: Store, batch: str | None) -> None:
    a_large_night(store, 8_000)
    selection = Selection(((1, 8_000),), batch=batch)
    first, last = (steps(store, partial(queries.jobs, store, selection, 100, after)) for after in (0, 7_800))

    assert last < 1.5 * first + 5
    assert [job.id for page in queries.pages(store, Selection(((3, 5), (900, 2_100)))) for job in page] == [
        *range(3, 6),
        *range(900, 2_101),
    ]
