"""Workers of Dask that are only stalled when they leave the cluster: the rescue of a dead run waits for their jobs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import planted
import pytest
from conftest import eventually
from daskcluster import Cluster, cluster
from elsewhere import add_waiting, let_end, process_of, starts, wrong_starts
from scene import Scene, end, ended
from soaking import SOAK

pytest_plugins = ("scene", "daskcluster", "openports")

#: How often a scheduler takes workers away of which it does not hear
WORKER_TTL = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "3s"}


@contextmanager
def stalled(scene: Scene, dask: Cluster, lease: str) -> "Iterator[str]":
    """A worker that is stalled while a run has a job there; at the end that run is killed."""
    add_waiting(scene, 1)
    run = scene.start("-q", "--executor", f"dask:{dask.address}", "--lease", lease)
    eventually(lambda: len(starts(scene)) == 1)
    victim = dask.above(process_of(scene, 1))
    dask.stop(victim)
    yield victim
    end(scene.runner(), run.pid)
    ended(run)
    eventually(lambda: dask.tasks() == {})


def rescued(scene: Scene, dask: Cluster, victim: str) -> set[str]:
    """What goes wrong when the next run takes the job; then the worker that had it is killed."""
    again = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2, 60)
    let_end(scene)
    code = ended(again)
    dask.kill(victim)
    return wrong_starts(scene) if code == 0 else {"the run failed"}


def planted_only(scene: Scene, faults: Sequence[str]) -> None:
    """Plant faults in runs that cannot see processes of other machines: here all are on one."""
    planted.plant(scene, [planted.BLIND, *faults])


def test_a_worker_that_left_after_the_run_died_has_the_time_of_the_lease(scene: Scene, dask: Cluster) -> None:
    planted_only(scene, [])
    with stalled(scene, dask, "6s") as victim:
        pass
    dask.remove(victim)

    assert rescued(scene, dask, victim) == set()


@pytest.mark.skipif(not SOAK, reason="scripts/soak: a scheduler keeps a silent worker for five seconds at least")
@pytest.mark.parametrize(
    ("faults", "wrong"), [([], set()), ([planted.WITHOUT_EVENTS], {"two attempts of a job at once"})]
)
def test_a_worker_that_the_scheduler_gave_up_before_the_run_died_has_the_time_of_the_lease(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory, faults: Sequence[str], wrong: set[str]
) -> None:
    planted_only(scene, faults)
    with cluster(tmp_path_factory.mktemp("dask"), env=WORKER_TTL) as dask:
        with stalled(scene, dask, "20s") as victim:
            eventually(lambda: victim not in dask.registered(), 15)
        assert rescued(scene, dask, victim) == wrong


def test_a_rescue_does_not_wait_for_a_worker_that_left_without_its_jobs(scene: Scene, dask: Cluster) -> None:
    """One that was killed while the run worked on: what it had has been settled."""
    add_waiting(scene, 3)
    run = scene.start("-q", "--executor", f"dask:{dask.address}", "--lease", "10m")
    eventually(lambda: len(starts(scene)) == 2)
    victim = dask.above(process_of(scene, 1))
    dask.kill(victim)
    eventually(lambda: scene.attempts() == [("crashed",)])
    end(scene.runner(), run.pid)
    ended(run)
    eventually(lambda: dask.tasks() == {})
    let_end(scene)

    scene.run("-q", "--executor", f"dask:{dask.address}")  # which must end within a minute
    assert wrong_starts(scene) == set()
