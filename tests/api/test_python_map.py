"""`batchq.map`: one job for each item, and their results in order."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import decorated
import pytest

import batchq

TESTS = Path(__file__).parent.parent


@pytest.fixture
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[batchq.Store]:
    shutil.copy(TESTS / "decorated.py", folder)
    monkeypatch.chdir(folder)
    with batchq.open(folder / "batchq.db") as opened:
        yield opened


def test_results_come_in_the_order_of_the_items(store: batchq.Store) -> None:
    halves = batchq.map(decorated.half, range(20, 0, -2), batch="halves")
    with pytest.raises(batchq.errors.ResultError, match=r"job 1: queued, and 9 more have no result"):
        halves.results()
    batchq.run(store, slots=2)

    assert halves.wait() == batchq.Waited(10, 0, 0, 0)
    assert halves.results() == [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    assert halves.failures() == []
    assert {job.batch for job in halves.jobs()} == {"halves"}
    assert halves.jobs()[0].stdout == "half of 20\n"


def test_failures_are_reported_and_never_taken_for_results(store: batchq.Store) -> None:
    halves = batchq.map(decorated.half, iter([2, 3, 4, 5]))
    batchq.run(store, quiet=True)

    with pytest.raises(
        batchq.errors.ResultError, match="job 2: failed: ValueError: 3 is odd, and 1 more have no result"
    ):
        halves.results()
    assert [(job.id, job.error) for job in halves.failures()] == [
        (2, "ValueError: 3 is odd"),
        (4, "ValueError: 5 is odd"),
    ]
    store.cancel(2)
    assert (len(halves), halves.wait(timeout=1)) == (4, batchq.Waited(2, 2, 0, 0))


def test_a_decorated_function_keeps_its_options(store: batchq.Store) -> None:
    names = batchq.map(decorated.resize, ["a.png", "b.png"], priority=3)

    assert [job.queue for job in names.jobs()] == ["images", "images"]
    assert [job.command for job in names.jobs()] == [f'decorated:resize(path="{name}.png")' for name in "ab"]


def test_the_handle_outlives_the_with_block(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(TESTS / "decorated.py", folder)
    monkeypatch.chdir(folder)
    with batchq.open("elsewhere.db"):
        halves = batchq.map(decorated.half, [4])
    batchq.run("elsewhere.db")

    assert halves.results() == [2.0]
    with batchq.open("elsewhere.db") as store:
        store.add({"command": ["true"]})
    assert len(halves.jobs()) == 1


def test_no_items_are_no_jobs(store: batchq.Store) -> None:
    nothing = batchq.map(decorated.half, [])

    assert (nothing.ids, nothing.results(), nothing.failures(), nothing.wait()) == (
        (),
        [],
        [],
        batchq.Waited(0, 0, 0, 0),
    )


def test_of_items_of_which_one_is_wrong_none_is_stored(store: batchq.Store) -> None:
    with pytest.raises(
        batchq.errors.InputError, match=r"job 2: field 'args' cannot be stored: args\.number: set is not JSON"
    ):
        batchq.map(decorated.half, [2, {3}])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="lambda"):
        batchq.map(lambda number: number, [2])
    with pytest.raises(batchq.errors.InputError, match="unknown option"):
        batchq.map(decorated.half, [2], priorty=1)  # type: ignore[call-arg]
    assert list(store.jobs()) == []


def test_a_job_waits_for_the_jobs_that_it_has_added(store: batchq.Store) -> None:
    store.add({"call": "decorated:fan_out", "args": {"store": store.path, "parts": 3}})
    batchq.run(store, slots=2, quiet=True)

    assert store.job(1).result == [0.0, 1.0, 2.0]


def test_a_wait_that_could_never_end_is_an_error(store: batchq.Store) -> None:
    store.add({"call": "decorated:fan_out", "args": {"store": store.path, "parts": 1}})
    batchq.run(store, slots=1, quiet=True)

    assert "no run has a free slot" in (store.job(1).error or "")
    assert store.job(2).result == 0.0
