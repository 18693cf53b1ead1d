"""Jobs on pools of ``concurrent.futures``: their workers, the bridge and the run are killed."""

import os
import shlex
import signal
import time

import alone
import pytest
from conftest import eventually
from elsewhere import add_waiting, assert_none_overlapped, let_end, starts
from poolscene import bridge_above, worker_of_a_job
from scene import Scene, end, ended, is_gone, stop
from soaking import SOAK

pytest_plugins = ("scene", "poolscene", "openports")
needs_a_network_of_its_own = pytest.mark.skipif(not alone.is_possible(), reason="executorlib listens on all addresses")
ALL = ["threads", "forkserver", "fork", "loky", "executorlib"]
POOLS = ALL if SOAK else ["threads", "loky"]
BREAKING = ALL[1:] if SOAK else ["forkserver"]


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


@pytest.mark.parametrize("pool", BREAKING)
def test_jobs_of_killed_workers_crash_and_run_again_on_a_new_pool(pools: Scene, pool: str) -> None:
    add_waiting(pools, 2)
    run = pools.start("-q", "-j", "2", "--executor", f"pools:{pool}")
    eventually(lambda: len(starts(pools)) == 2)
    for worker in {worker_of_a_job(pools, job) for job in (1, 2)}:
        end(worker)
    eventually(lambda: len(starts(pools)) == 4, 60)
    let_end(pools)

    assert ended(run) == 0
    # The old pool may be given a claim, before it is known to be broken; it costs nothing.
    begun = pools.rows(
        "SELECT outcome, finished_at > started_at FROM attempts WHERE outcome <> 'interrupted' ORDER BY job"
    )
    assert [outcome for outcome, _ in begun] == ["crashed", "succeeded"] * 2
    assert [lasted for outcome, lasted in begun if outcome == "crashed"] == [1, 1]
    assert_none_overlapped(pools)


def unfetched(pools: Scene, factory: str) -> list[str]:
    """The starts of a job whose worker is killed when it has ended and the bridge has not read that."""
    add_waiting(pools, 1)
    run = pools.start("-q", "-j", "2", "--executor", f"pools:{factory}")
    eventually(lambda: starts(pools))
    job, worker = int((pools.folder / "pid-1").read_text()), worker_of_a_job(pools)
    bridge = bridge_above(worker)
    stop(bridge)
    let_end(pools)
    eventually(lambda: is_gone(job))
    end(worker)
    eventually(lambda: is_gone(worker))  # with all threads: only then the pool can see it, and drops the result
    os.kill(bridge, signal.SIGCONT)

    assert ended(run) == 0
    assert pools.jobs() == [("succeeded",)]
    return starts(pools)


@needs_a_network_of_its_own
def test_an_attempt_whose_result_was_not_read_is_never_begun_again(pools: Scene) -> None:
    """The pool itself runs it again, on another worker: the fence prevents that."""
    assert unfetched(pools, "executorlib") == ["1 1", "1 2"]
    assert [outcome for (outcome,) in pools.attempts() if outcome != "interrupted"] == ["crashed", "succeeded"]


@pytest.mark.parametrize("pool", BREAKING)
def test_the_same_at_a_pool_that_breaks_as_a_whole(pools: Scene, pool: str) -> None:
    """Whether it still reads the result depends on the pool."""
    begun = unfetched(pools, pool)
    outcomes = [outcome for (outcome,) in pools.attempts() if outcome != "interrupted"]

    assert len(set(begun)) == len(begun) == len(outcomes)
    assert outcomes in (["succeeded"], ["crashed", "succeeded"])


@needs_a_network_of_its_own
def test_workers_without_a_fence_are_caught(pools: Scene) -> None:
    assert unfetched(pools, "unfenced") == ["1 1", "1 1"]


def test_a_stop_and_a_cancel_reach_jobs_on_a_pool(pools: Scene) -> None:
    add_waiting(pools, 2)
    run = pools.start("-q", "-j", "2", "--grace", "0", "--executor", "pools:forkserver")
    eventually(lambda: len(starts(pools)) == 2)
    pools.shell("cancel", "1")
    eventually(lambda: pools.rows("SELECT 1 FROM attempts WHERE outcome = 'cancelled'"))
    os.kill(run.pid, signal.SIGTERM)

    assert ended(run) == 143
    assert pools.attempts() == [("cancelled",), ("interrupted",)]


def test_a_pool_that_runs_each_task_twice_begins_no_attempt_twice(pools: Scene) -> None:
    """It cannot cancel a task or shut down either."""
    add_waiting(pools, 1, max_crashes=100)
    run = pools.start("-q", "-j", "2", "--executor", "pools:odd")
    eventually(lambda: starts(pools))
    let_end(pools)

    assert ended(run) == 0
    assert_none_overlapped(pools)


def test_a_pool_that_repeats_a_task_after_its_result_was_read_begins_no_attempt_again(pools: Scene) -> None:
    script = f"echo $BATCHQ_JOB_ID $BATCHQ_ATTEMPT >> {shlex.quote(str(pools.folder / 'starts'))}"
    temporary = pools.folder / "tmp"
    temporary.mkdir()
    pools.shell.env["TMPDIR"] = str(temporary)
    pools.add(*[{"command": script}] * 2, {"command": f"{script}; ls {shlex.quote(str(temporary))}/* > listing"})
    pools.run("-q", "-j", "1", "--executor", "pools:late")
    listed = (pools.folder / "listing").read_text()

    assert (listed.count("begun-"), listed.count("may-")) == (1, 0), "nothing is kept of those that have ended"
    assert starts(pools) == ["1 1", "2 1", "3 1"]
    assert pools.attempts() == [("succeeded",)] * 3


def test_a_pool_that_runs_a_task_in_submit_keeps_its_bridge_alive(pools: Scene) -> None:
    """The job runs longer than the lease: a bridge that waits for the pool gives no sign of life meanwhile."""
    add_waiting(pools, 1)
    run = pools.start("-q", "-j", "2", "--grace", "0", "--lease", "3s", "--executor", "pools:at_once")
    eventually(lambda: starts(pools))
    begun_at = time.monotonic()
    eventually(lambda: time.monotonic() > begun_at + 4)
    os.kill(run.pid, signal.SIGTERM)

    assert ended(run) == 143
    assert pools.attempts() == [("interrupted",)]
    assert starts(pools) == ["1 1"]


def test_a_run_whose_factory_never_returns_can_be_stopped(pools: Scene) -> None:
    pools.add({"command": "true"})
    run = pools.start("--executor", "pools:never")
    eventually(lambda: pools.rows("SELECT 1 FROM runners"))
    os.kill(run.pid, signal.SIGINT)

    assert ended(run) == 130
    assert pools.jobs() == [("queued",)]


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("nowhere:pool", "no package offers 'nowhere', and no module has that name"),
        ("pools:nothing", "has no attribute 'nothing'"),
        ("pools:number", "the factory returned int, which is not a concurrent.futures.Executor"),
        ("pools:wants", "missing 1 required positional argument: 'an_argument'"),
        ("pools:leaves", "the factory of the pool failed: SystemExit: goodbye"),
        ("pools:exits", "batchq: --executor pools:exits: its code ended the process of the client by os._exit(5)"),
    ],
)
def test_a_wrong_factory_is_one_sentence_and_costs_no_job_anything(pools: Scene, factory: str, said: str) -> None:
    pools.add({"command": "true"})
    done = pools.run("--executor", factory, code=78)

    assert said in done.err
    assert done.err.count("\n") == 1
    assert pools.jobs() == [("queued",)]
    assert pools.attempts() == []
