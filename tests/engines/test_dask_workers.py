"""Workers of a real Dask cluster that retire, stop, lose their site, or have no batchq: what becomes of their jobs."""

import signal

import pytest
from conftest import eventually
from daskcluster import Cluster, cluster, without_batchq
from elsewhere import add_waiting, assert_none_overlapped, let_end, process_of, starts
from scene import Scene, children_of, end, ended, is_gone

pytest_plugins = ("scene", "daskcluster", "openports")


def test_jobs_of_a_worker_that_retires_are_interrupted_and_free(scene: Scene, dask: Cluster) -> None:
    add_waiting(scene, 2, max_crashes=1)
    run = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2)
    dask.retire(dask.above(process_of(scene, 1)))
    eventually(lambda: scene.rows("SELECT 1 FROM attempts WHERE outcome IS NOT NULL"))
    let_end(scene)

    assert ended(run) == 0
    assert scene.attempts() == [("interrupted",), ("succeeded",), ("succeeded",)]
    assert_none_overlapped(scene)


def test_jobs_of_a_worker_that_is_terminated_run_again_elsewhere(scene: Scene, dask: Cluster) -> None:
    add_waiting(scene, 2)
    run = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2)
    victim = dask.above(process_of(scene, 1))
    dask.kill(victim, signal.SIGTERM)
    eventually(lambda: scene.rows("SELECT 1 FROM attempts WHERE outcome IS NOT NULL"))
    let_end(scene)

    assert ended(run) == 0
    assert scene.attempts() in [[(first,), ("succeeded",), ("succeeded",)] for first in ("crashed", "interrupted")]
    assert_none_overlapped(scene)
    dask.workers[victim].wait(60)


def test_a_wide_job_runs_as_soon_as_a_worker_has_so_many_threads(scene: Scene, dask: Cluster) -> None:
    add_waiting(scene, 1)
    add_waiting(scene, 1, slots=2)
    run = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 1)
    dask.add_worker(2)
    eventually(lambda: len(starts(scene)) == 2)
    let_end(scene)

    assert ended(run) == 0
    assert scene.rows("SELECT slots, widest FROM runners") == [(4, 2)]


@pytest.mark.parametrize("victim", ["site", "guardian", "both"])
def test_jobs_of_a_killed_site_run_again_and_the_worker_has_a_new_one(scene: Scene, dask: Cluster, victim: str) -> None:
    add_waiting(scene, 2)
    run = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2)
    (guardian,) = dask.sites()[dask.above(process_of(scene, 1))]
    for pid in {"site": children_of(guardian), "guardian": [guardian], "both": [guardian, *children_of(guardian)]}[
        victim
    ]:
        end(pid)
    eventually(lambda: len(starts(scene)) == 3)
    let_end(scene)

    assert ended(run) == 0
    assert scene.attempts() in [[(first,), ("succeeded",), ("succeeded",)] for first in ("crashed", "interrupted")]
    assert_none_overlapped(scene)
    assert len(dask.alive()) == 2


def test_a_job_that_kills_its_site_has_crashed_each_time(scene: Scene, dask: Cluster) -> None:
    killer = "echo >> began-{}; kill -9 $PPID; sleep 60"
    scene.add(
        {"command": killer.format(1), "on_crash": "hold"},
        {"command": killer.format(2), "max_crashes": 2},
    )
    assert ended(scene.start("-q", "--executor", f"dask:{dask.address}")) == 1

    assert scene.attempts() == [("crashed",)] * 3
    assert scene.jobs() == [("held",), ("failed",)]
    assert [len((scene.folder / f"began-{job}").read_text().splitlines()) for job in (1, 2)] == [1, 2]


def test_a_worker_without_batchq_is_refused_and_left_alone(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with cluster(tmp_path_factory.mktemp("dask"), workers=0) as dask:
        stranger = dask.add_worker(1, *without_batchq(tmp_path_factory.mktemp("packages")))
        add_waiting(scene, 2)
        done = scene.run("--executor", f"dask:{dask.address}", code=78)

        assert done.err.count("\n") == 1
        assert "no worker of the cluster has batchq" in done.err
        assert "has no batchq" in done.err
        assert (scene.attempts(), starts(scene)) == ([], [])
        assert dask.registered() == [stranger]
        assert not is_gone(dask.workers[stranger].pid)


def test_a_worker_with_another_batchq_is_refused_by_its_version(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with cluster(tmp_path_factory.mktemp("dask"), workers=0) as dask:
        stranger = dask.add_worker(1, *without_batchq(tmp_path_factory.mktemp("packages"), "0.0.7"))
        add_waiting(scene, 2)
        done = scene.run("--executor", f"dask:{dask.address}", code=78)

        assert done.err.count("\n") == 1
        assert "has batchq 0.0.7" in done.err
        assert scene.attempts() == []
        assert dask.registered() == [stranger]
