"""Pools that cannot run what they are given: how long a run tries, what that costs, and how it ends."""

import signal

from conftest import eventually
from elsewhere import add_waiting, assert_none_overlapped, let_end, starts
from poolscene import worker_of_a_job
from scene import Scene, end, ended

from batchq.executors.afar.futures.flights import Flight
from batchq.executors.afar.futures.silence import SILENT, Silence
from batchq.jobs import lifecycle
from batchq.jobs.attempt import Claim

pytest_plugins = ("scene", "poolscene", "openports")


def noted(pools: Scene) -> list[str]:
    return (pools.folder / "noted").read_text().splitlines()


def test_a_pool_that_always_breaks_is_made_anew_three_times_and_costs_no_job_anything(pools: Scene) -> None:
    pools.add({"command": "true", "max_attempts": 1, "max_crashes": 1})
    done = pools.run("-j", "1", "--executor", "pools:breaking", code=74)

    assert "the pool breaks again and again: BrokenProcessPool" in done.err
    assert noted(pools) == ["made"] * 4
    assert pools.jobs("state, failures, crashes") == [("queued", 0, 0)]
    assert [outcome for (outcome,) in pools.attempts() if outcome != "interrupted"] == []


def test_nothing_is_claimed_while_a_broken_pool_is_made_anew(pools: Scene) -> None:
    """Nodes may take long: jobs are queued meanwhile, and a kill of the run costs them nothing."""
    add_waiting(pools, 2)
    run = pools.start("-q", "-j", "1", "--executor", "pools:renewed")
    eventually(lambda: starts(pools) == ["1 1"])
    end(worker_of_a_job(pools))
    eventually(lambda: noted(pools) == ["asked"] * 2 and pools.attempts("job, outcome") == [(1, "crashed")])
    assert pools.jobs("state, attempt")[1:] == [("queued", 0)]
    end(pools.runner(), run.pid)
    (pools.folder / "ready").touch()
    let_end(pools)
    pools.run("-q", "-j", "1", "--executor", "pools:renewed")

    assert pools.attempts("job, outcome") == [(1, "crashed"), (1, "succeeded"), (2, "succeeded")]
    assert_none_overlapped(pools)


def test_a_pool_that_fails_more_than_thirty_claims_in_a_row_ends_the_run_and_costs_no_job_anything(
    pools: Scene,
) -> None:
    pools.add(*[{"command": "true", "max_attempts": 1, "max_crashes": 1}] * 31)
    done = pools.run("-j", "31", "--executor", "pools:failing", code=74)

    assert "the pool fails again and again: NotImplementedError: not here" in done.err
    assert len(noted(pools)) == 31
    assert set(pools.jobs("state, failures, crashes")) == {("queued", 0, 0)}


def test_a_pool_that_fails_thirty_claims_and_then_works_runs_them_all(pools: Scene) -> None:
    pools.add(*[{"command": "true", "max_attempts": 1, "max_crashes": 1}] * 31)
    pools.run("-j", "31", "--executor", "pools:failing_at_first")

    assert len(noted(pools)) == 30
    assert set(pools.jobs("state, failures, crashes")) == {("succeeded", 0, 0)}


def test_a_pool_that_raises_what_is_no_exception_costs_no_job_anything_and_goes_on(pools: Scene) -> None:
    pools.add(*[{"command": "true", "max_attempts": 1, "max_crashes": 1}] * 3)

    assert ended(pools.start("-q", "-j", "1", "--executor", "pools:leaving")) == 0
    assert len(noted(pools)) == 5, "two of them have failed"
    assert set(pools.jobs("state, failures, crashes")) == {("succeeded", 0, 0)}


def test_many_runs_whose_workers_cannot_run_jobs_hold_no_job(pools: Scene) -> None:
    pools.add({"command": "true", "max_attempts": 1, "max_crashes": 1})
    for _ in range(lifecycle.INTERRUPTION_LIMIT + 1):
        done = pools.run("-j", "1", "--executor", "pools:strange", code=78)

    assert "the workers of the pool cannot run jobs: ImportError: cannot import name 'perform'" in done.err
    assert pools.jobs("state, failures, crashes, interruptions") == [("queued", 0, 0, 0)]


def test_workers_that_do_not_see_the_folder_work_without_it_and_the_run_notes_that(pools: Scene) -> None:
    (pools.folder / "shared").mkdir()
    add_waiting(pools, 4)
    let_end(pools)
    done = pools.run("-j", "2", "--executor", "pools:roaming", "--executor-folder", "/proc/self/cwd/shared")

    assert done.err.count("name a folder that all see with --executor-folder") == 1
    assert sorted(starts(pools)) == ["1 1", "2 1", "3 1", "4 1"]
    assert pools.attempts() == [("succeeded",)] * 4
    assert_none_overlapped(pools)
    assert [*(pools.folder / "shared").iterdir()] == []


def test_a_job_that_kills_its_site_has_crashed_each_time(pools: Scene) -> None:
    pools.add({"command": "echo >> began; kill -9 $PPID; sleep 60", "on_crash": "hold"})
    assert ended(pools.start("-q", "-j", "2", "--executor", "pools:threads")) == 1

    assert pools.attempts() == [("crashed",)]
    assert pools.jobs() == [("held",)]
    assert (pools.folder / "began").read_text() == "\n"


def test_a_pool_that_begins_nothing_more_is_said_once_and_a_stop_costs_its_jobs_nothing(pools: Scene) -> None:
    """Nobody can know whether it has died or waits in a queue."""
    pools.add(*[{"command": "true", "max_attempts": 1, "max_crashes": 1}] * 3)
    run = pools.start("-j", "1", "--grace", "100ms", "--executor", "pools:dying")
    said = "the pool has not begun 1 job that it got"
    eventually(lambda: said in pools.said())
    run.send_signal(signal.SIGTERM)

    assert ended(run) == 143
    assert pools.said().count(said) == 1
    assert pools.jobs("state, failures, crashes") == [("succeeded", 0, 0)] + [("queued", 0, 0)] * 2


def test_that_a_pool_begins_nothing_is_said_once_for_each_time_and_the_next_time_later() -> None:
    flight = Flight(Claim(*[None] * len(Claim._fields)))  # type: ignore[arg-type]
    busy = Flight(flight.claim)
    busy.is_at_work = True
    quiet = Silence()

    assert quiet.last([], 0) == quiet.last([flight], 100) == quiet.last([flight], 99 + SILENT) == []
    assert len(quiet.last([flight], 100 + SILENT)) == 1
    assert quiet.last([flight], 1000) == []
    quiet.end()
    assert quiet.last([flight], 2000) == quiet.last([flight], 1999 + 2 * SILENT) == []
    assert len(quiet.last([flight], 2000 + 2 * SILENT)) == 1
    assert quiet.last([flight, busy], 3000) == quiet.last([flight, busy], 9000) == [], "it waits for its turn"
    assert quiet.last([flight], 9001) == []
