"""What stalls or dies at a real Dask cluster in the worst moment; and the same with planted faults, which must be caught.

A scenario returns what went wrong, judged from what the jobs wrote and from /proc.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence

import planted
import ports
import pytest
from conftest import eventually
from daskcluster import DASK, Cluster, without_batchq
from elsewhere import NOT_AT_ONCE, add_waiting, let_end, process_of, starts, wrong_starts
from scene import Scene, children_of, end, ended, is_gone, stop
from soaking import SOAK

pytest_plugins = ("scene", "daskcluster", "openports")

Scenario = Callable[[Scene, Cluster], set[str]]


def bridge_of(runner: int) -> int:
    """The process with the client of Dask, below the guardian that the runner started."""
    (guardian,) = children_of(runner)
    (bridge,) = children_of(guardian)
    return bridge


def unfetched(scene: Scene, dask: Cluster) -> set[str]:
    """A worker dies after the end of a job, before the run has fetched the result: Dask would compute it again."""
    add_waiting(scene, 1)
    run = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 1)
    bridge, victim = bridge_of(scene.runner()), dask.above(process_of(scene, 1))
    stop(bridge)
    let_end(scene)
    eventually(lambda: set(dask.tasks().values()) == {"memory"})
    dask.kill(victim)
    eventually(lambda: victim not in dask.registered())
    eventually(lambda: set(dask.tasks().values()) in ({"memory"}, {"no-worker"}))
    os.kill(bridge, signal.SIGCONT)

    wrong = wrong_starts(scene) if ended(run) == 0 else {"the run failed"}
    if scene.attempts() != [("crashed",), ("succeeded",)]:
        wrong.add("the attempt of the dead worker counts")
    return wrong


def many(scene: Scene, dask: Cluster) -> set[str]:
    """Short jobs at both workers: each begins where it was sent, because another process refuses it."""
    scene.add(*[{"command": "true"}] * 30)
    run = scene.start("-q", "--grace", "0", "--executor", f"dask:{dask.address}")
    eventually(lambda: run.poll() is not None or ("crashed",) in scene.attempts(), 60)
    refused = {"a worker refused an attempt"} if ("crashed",) in scene.attempts() else set()
    run.terminate()
    ended(run)
    return refused


def reborn(scene: Scene, dask: Cluster) -> set[str]:
    """The same, and the worker has come back to its address, as under a nanny, before the run hears that it died."""
    with ports.kept(1) as (port,):
        return reborn_at(port, scene, dask)


def reborn_at(port: int, scene: Scene, dask: Cluster) -> set[str]:
    fixed = ["--worker-port", str(port)]
    victim = dask.start_worker(1, DASK, None, *fixed)
    eventually(lambda: victim in dask.registered())
    add_waiting(scene, 3)
    run = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 3)
    bridge = bridge_of(scene.runner())
    stop(bridge)
    let_end(scene)
    eventually(lambda: [*dask.tasks().values()] == ["memory"] * 3)
    dask.kill(victim)
    eventually(lambda: victim not in dask.registered())
    dask.start_worker(1, DASK, None, *fixed)
    eventually(lambda: [*dask.tasks().values()] == ["memory"] * 3, 60)  # of that worker again
    os.kill(bridge, signal.SIGCONT)

    wrong = wrong_starts(scene) if ended(run) == 0 else {"the run failed"}
    if sorted(scene.attempts()) != [("crashed",), *[("succeeded",)] * 3]:
        wrong.add("the attempt of the dead worker counts")
    return wrong


def one_stalls(scene: Scene, dask: Cluster) -> set[str]:
    """One of two workers stalls: the lease of its site ends, and that of the other does not."""
    add_waiting(scene, 2)
    run = scene.start("-q", "--executor", f"dask:{dask.address}", "--lease", "2s")
    eventually(lambda: len(starts(scene)) == 2)
    stalled, other = process_of(scene, 1), process_of(scene, 2)
    victim = dask.above(stalled)
    dask.stop(victim)
    eventually(lambda: is_gone(stalled))
    since = time.monotonic()
    eventually(lambda: is_gone(other) or time.monotonic() - since > 1.5)
    wrong = {"the other worker has lost its lease"} if is_gone(other) else set()
    dask.kill(victim)
    let_end(scene)

    return wrong | (wrong_starts(scene) if ended(run) == 0 else {"the run failed"})


def stalled_and_removed(scene: Scene, dask: Cluster) -> set[str]:
    """The scheduler gives a stalled worker up before the lease of its site has passed."""
    add_waiting(scene, 1)
    run = scene.start("-q", "--executor", f"dask:{dask.address}", "--lease", "7s")
    eventually(lambda: len(starts(scene)) == 1)
    stalled = process_of(scene, 1)
    victim = dask.above(stalled)
    dask.stop(victim)
    since = time.monotonic()
    eventually(lambda: time.monotonic() - since > 5)  # the shortest worker-ttl of Dask
    assert not is_gone(stalled)
    dask.remove(victim)
    eventually(lambda: len(starts(scene)) == 2)
    let_end(scene)
    code = ended(run)
    dask.kill(victim)

    return wrong_starts(scene) if code == 0 else {"the run failed"}


def rescued(scene: Scene, dask: Cluster) -> set[str]:
    """A run and then its worker's way to its site die: the site works on until its lease ends, and the next run waits."""
    add_waiting(scene, 1)
    run = scene.start("-q", "--executor", f"dask:{dask.address}", "--lease", "10s")
    eventually(lambda: len(starts(scene)) == 1)
    victim = dask.above(process_of(scene, 1))
    dask.stop(victim)
    end(scene.runner(), run.pid)
    ended(run)
    again = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2)
    let_end(scene)
    code = ended(again)
    dask.kill(victim)

    return wrong_starts(scene) if code == 0 else {"the run failed"}


def rescued_by_another_scheduler(scene: Scene, dask: Cluster) -> set[str]:
    """The same, and the scheduler is replaced by one that does not know the stalled worker."""
    add_waiting(scene, 1)
    run = scene.start("-q", "--executor", f"dask:{dask.address}", "--lease", "10s")
    eventually(lambda: len(starts(scene)) == 1)
    victim = dask.above(process_of(scene, 1))
    dask.stop(victim)
    end(scene.runner(), run.pid)
    ended(run)
    dask.kill_scheduler()
    dask.start_scheduler()
    dask.add_worker()
    again = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2)
    let_end(scene)
    code = ended(again)
    dask.kill(victim)

    return wrong_starts(scene) if code == 0 else {"the run failed"}


def bridged_anew(scene: Scene, dask: Cluster) -> set[str]:
    """A worker stalls and the bridge dies: the next bridge of the same run does not hear of the job that goes on there."""
    add_waiting(scene, 1)
    run = scene.start("-q", "--executor", f"dask:{dask.address}", "--lease", "10s")
    eventually(lambda: len(starts(scene)) == 1)
    victim = dask.above(process_of(scene, 1))
    dask.stop(victim)
    end(bridge_of(scene.runner()))
    eventually(lambda: len(starts(scene)) == 2)
    let_end(scene)
    code = ended(run)
    dask.kill(victim)

    return wrong_starts(scene) if code == 0 else {"the run failed"}


def with_a_stranger(scene: Scene, dask: Cluster) -> set[str]:
    """A worker without batchq is in the cluster."""
    packages = dask.folder / "packages"
    packages.mkdir(exist_ok=True)
    stranger = dask.add_worker(1, *without_batchq(packages))
    process = dask.workers[stranger]
    add_waiting(scene, 3)
    run = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2 or run.poll() is not None or process.poll() is not None)
    let_end(scene)
    wrong = wrong_starts(scene) if ended(run) == 0 else {"the run failed"}
    if process.poll() is not None or stranger not in dask.registered():
        wrong.add("the worker without batchq died")
    return wrong


#: A lease must be short for these, and a busy machine can let one of a few seconds pass
LONG = [
    (one_stalls, [], None),
    (one_stalls, [planted.BROADCAST], "the other worker has lost its lease"),
    (stalled_and_removed, [], None),
    (stalled_and_removed, [planted.WITHOUT_THE_LEASE], "two attempts of a job at once"),
    (rescued, [planted.BLIND], None),
    (rescued, [planted.BLIND, planted.WITHOUT_REACH], "two attempts of a job at once"),
] if SOAK else []  # fmt: skip


@pytest.mark.parametrize(
    ("scenario", "faults", "wrong"),
    [
        (unfetched, [], None),
        (many, [], None),
        (many, [planted.WITHOUT_WORKERS], "a worker refused an attempt"),
        (reborn, [], None),
        (rescued_by_another_scheduler, [planted.BLIND], None),
        (bridged_anew, [], None),
        (with_a_stranger, [], None),
        (with_a_stranger, [planted.WITHOUT_GREETING], "the worker without batchq died"),
        *LONG,
    ],
)
def test_nothing_goes_wrong_unless_a_fault_is_planted(
    scene: Scene, dask: Cluster, scenario: Scenario, faults: Sequence[str], wrong: str | None
) -> None:
    was_planted = planted.plant(scene, faults)
    found = scenario(scene, dask)

    assert was_planted() == bool(faults)
    assert wrong in found if wrong else not found, found


@pytest.mark.parametrize("stalls", ["bridge", "worker", *(["site"] if SOAK else [])])
def test_what_stalls_keeps_no_signal_from_the_run(scene: Scene, dask: Cluster, stalls: str) -> None:
    add_waiting(scene, 2)
    run = scene.start("--executor", f"dask:{dask.address}", "--lease", "3s", "--grace", "0")
    eventually(lambda: len(starts(scene)) == 2)
    worker = dask.above(process_of(scene, 1))
    (guardian,) = dask.sites()[worker]
    victims = {
        "bridge": bridge_of(scene.runner()), "worker": dask.workers[worker].pid, "site": children_of(guardian)[0]
    }  # fmt: skip
    stop(victims[stalls])
    os.kill(run.pid, signal.SIGINT)

    assert ended(run) == 130, scene.said()
    assert "left to the next run, which makes sure" in scene.said()
    let_end(scene)
    scene.run("-q", "--executor", f"dask:{dask.address}")
    end(victims[stalls])
    eventually(lambda: is_gone(victims[stalls]))
    assert set(scene.jobs()) == {("succeeded",)}
    assert wrong_starts(scene) == set()


def test_a_job_is_ended_in_time_while_the_bridge_stalls(scene: Scene, dask: Cluster) -> None:
    add_waiting(scene, 1, timeout=NOT_AT_ONCE)
    run = scene.start("--executor", f"dask:{dask.address}", "--lease", "10m", "--grace", "0")
    eventually(lambda: len(starts(scene)) == 1)
    bridge = bridge_of(scene.runner())
    stop(bridge)
    eventually(lambda: is_gone(process_of(scene, 1)))
    assert scene.jobs() == [("running",)]
    os.kill(bridge, signal.SIGCONT)

    assert ended(run) == 1
    assert scene.attempts() == [("timed_out",)]


def test_jobs_behind_a_bridge_that_stalls_for_longer_than_the_lease_end_before_they_run_again(
    scene: Scene, dask: Cluster
) -> None:
    add_waiting(scene, 1)
    run = scene.start("--executor", f"dask:{dask.address}", "--lease", "4s")
    eventually(lambda: len(starts(scene)) == 1)
    stop(bridge_of(scene.runner()))
    eventually(lambda: "it has not answered for 4 s" in scene.said())
    eventually(lambda: len(starts(scene)) == 2, 60)
    let_end(scene)

    assert ended(run) == 0
    assert scene.attempts() == [("crashed",), ("succeeded",)]
    assert wrong_starts(scene) == set()
