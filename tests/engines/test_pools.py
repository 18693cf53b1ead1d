"""Jobs on pools of ``concurrent.futures``: their workers, the bridge and the run are killed."""

import os
import signal
from pathlib import Path

import pytest
from conftest import eventually
from elsewhere import add_waiting, assert_none_overlapped, let_end, starts
from scene import Scene, end, ended

pytest_plugins = ("scene", "openports")
POOLS = ["threads", "forkserver", "fork"]


@pytest.fixture
def pools(scene: Scene) -> Scene:
    """A scene with factories of pools in its folder, which jobs and runs import."""
    (scene.folder / "pools.py").write_text((Path(__file__).parent / "pools.py").read_text())
    return scene


@pytest.mark.parametrize("pool", POOLS)
def test_jobs_run_on_a_pool_with_output_results_and_timeouts(pools: Scene, pool: str) -> None:
    pools.add(
        *[{"command": f"echo {n}; exit {n % 2}"} for n in range(4)],
        {"call": "os.path:join", "args": {"a": "x"}},
        {"command": "sleep 60", "timeout": "300ms"},
    )
    pools.run("-q", "-j", "2", "--executor", f"pools:{pool}", code=1)

    assert pools.attempts() == [("succeeded",), ("failed",)] * 2 + [("succeeded",), ("timed_out",)]
    assert [pools.output(job) for job in (1, 4)] == [b"0\n", b"3\n"]


def semaphores() -> set[str]:
    return {entry.name for entry in Path("/dev/shm").glob("sem.mp-*")}


def test_a_run_on_a_pool_leaves_no_semaphores(pools: Scene) -> None:
    pools.add({"command": "true"})
    before = semaphores()
    pools.run("-q", "-j", "2", "--executor", "pools:forkserver")

    eventually(lambda: not semaphores() - before)  # those that other tests have made meanwhile go, too


@pytest.mark.parametrize("pool", ["forkserver", "fork"])
def test_jobs_of_a_killed_worker_crash_and_run_again_on_a_new_pool(pools: Scene, pool: str) -> None:
    add_waiting(pools, 2)
    run = pools.start("-q", "-j", "2", "--executor", f"pools:{pool}")
    eventually(lambda: len(starts(pools)) == 2)
    end(worker_of_a_job(pools))
    eventually(lambda: len(starts(pools)) == 4)
    let_end(pools)

    assert ended(run) == 0
    assert pools.attempts() == [("crashed",), ("succeeded",)] * 2
    assert_none_overlapped(pools)


def worker_of_a_job(scene: Scene) -> int:
    """The worker of the pool above a job: job, site, guardian, worker."""
    pid = int((scene.folder / "pid-1").read_text())
    for _ in range(3):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


@pytest.mark.parametrize("pool", POOLS)
def test_nothing_is_left_of_a_killed_run_and_the_next_run_goes_on(pools: Scene, pool: str) -> None:
    add_waiting(pools, 2)
    run = pools.start("-q", "-j", "2", "--executor", f"pools:{pool}", "--lease", "3s")
    eventually(lambda: len(starts(pools)) == 2)
    runner = pools.runner()
    end(runner)
    end(run.pid)
    ended(run)
    eventually(lambda: pools.survivors() == [])
    let_end(pools)
    pools.run("-q")

    assert pools.attempts() == [("crashed",), ("succeeded",)] * 2
    assert_none_overlapped(pools)


def test_a_stop_and_a_cancel_reach_jobs_on_a_pool(pools: Scene) -> None:
    add_waiting(pools, 2)
    run = pools.start("-q", "-j", "2", "--grace", "0", "--executor", "pools:forkserver")
    eventually(lambda: len(starts(pools)) == 2)
    pools.shell("cancel", "1")
    eventually(lambda: pools.rows("SELECT 1 FROM attempts WHERE outcome = 'cancelled'"))
    os.kill(run.pid, signal.SIGTERM)

    assert ended(run) == 143
    assert pools.attempts() == [("cancelled",), ("interrupted",)]


@pytest.mark.parametrize(
    ("factory", "said"),
    [("nowhere:pool", "No module named 'nowhere'"), ("pools:nothing", "has no attribute 'nothing'")],
)
def test_a_wrong_factory_is_one_sentence_and_costs_no_job_anything(pools: Scene, factory: str, said: str) -> None:
    pools.add({"command": "true"})
    done = pools.run("--executor", factory, code=78)

    assert said in done.err
    assert pools.jobs() == [("queued",)]
