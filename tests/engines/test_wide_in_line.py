"""A job of several slots begins when one host, or one worker, has them free: until then it is queued, first in line."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import eventually
from daskcluster import Cluster, cluster, left_as_found
from desk import Desk, opened
from desk import afar as place_of
from elsewhere import add_waiting, assert_none_overlapped, let_end, parents_of, process_of, starts
from places import carriers
from scene import Scene, end, ended

from batchq.executors.seam import Lost
from batchq.jobs.attempt import Ended

pytest_plugins = ("scene", "places", "openports", "daskcluster", "desk")


class Pair(NamedTuple):
    """Two hosts, or workers, of two slots each: how a run reaches them, and which of them a process is below."""

    scene: Scene
    options: tuple[str, ...]
    above: Callable[[int], object]


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers of two threads, for all tests here."""
    with cluster(tmp_path_factory.mktemp("dask"), threads=2) as made:
        yield made


@pytest.fixture(params=["ssh", "dask"])
def pair(request: pytest.FixtureRequest, scene: Scene) -> Iterator[Pair]:
    if request.param == "ssh":
        request.getfixturevalue("afar")
        options = ("-q", "-j", "2", "--executor", "ssh:h1,h2")
        yield Pair(scene, options, lambda pid: {*parents_of(pid)}.intersection(carriers(scene)).pop())
    else:
        dask: Cluster = request.getfixturevalue("workers")
        with left_as_found(dask, scene.folder):
            yield Pair(scene, ("-q", "--executor", f"dask:{dask.address}"), dask.above)


def begin(pair: Pair) -> tuple["subprocess.Popen[bytes]", list[int]]:
    """Start a run whose four first jobs fill all slots; then end one on each host.

    The fifth, which is wide, and the sixth wait. Returns the run, and the two jobs that still run.
    """
    scene = pair.scene
    add_waiting(scene, 4)
    add_waiting(scene, 1, slots=2, on_crash="hold")
    add_waiting(scene, 1)
    run = scene.start(*pair.options)
    eventually(lambda: len(starts(scene)) == 4, 60)
    hosts = {job: pair.above(process_of(scene, job)) for job in (1, 2, 3, 4)}
    other = next(job for job in hosts if hosts[job] != hosts[1])
    let_end(scene, 1, other)
    eventually(lambda: scene.rows("SELECT count(*) FROM jobs WHERE state = 'succeeded'") == [(2,)])
    return run, [job for job in hosts if job not in (1, other)]


def test_a_wide_job_for_which_no_host_has_room_is_queued_and_a_kill_of_the_run_does_not_charge_it(pair: Pair) -> None:
    run, _ = begin(pair)
    assert pair.scene.jobs("state, attempt")[4:] == [("queued", 0)] * 2  # as of the claim that each end brings
    end(pair.scene.runner(), run.pid)
    let_end(pair.scene)
    pair.scene.run(*pair.options)

    assert pair.scene.rows("SELECT job, number, outcome FROM attempts WHERE job > 4") == [
        (5, 1, "succeeded"),
        (6, 1, "succeeded"),
    ]
    assert_none_overlapped(pair.scene)


def test_it_begins_when_one_host_has_room_and_no_narrow_job_behind_it_does_before(pair: Pair) -> None:
    run, at_work = begin(pair)
    let_end(pair.scene, at_work[0])
    eventually(lambda: {*starts(pair.scene)[4:]} == {"5 1", "6 1"})
    claimed = "SELECT started_at FROM jobs WHERE id ="  # perhaps together
    assert pair.scene.rows(f"SELECT ({claimed} 5) <= ({claimed} 6)") == [(1,)]
    let_end(pair.scene)

    assert ended(run) == 0
    assert pair.scene.attempts() == [("succeeded",)] * 6
    assert_none_overlapped(pair.scene)


@pytest.mark.parametrize("slots", [2, 4], ids=["site", "dask"])
def test_a_wide_claim_whose_room_has_gone_comes_back_and_others_go_on(
    tmp_path: Path, request: pytest.FixtureRequest, slots: int
) -> None:
    """As if a worker had gone, or a host had become smaller, while the claim was on its way."""
    engine = None if slots == 2 else f"dask:{request.getfixturevalue('workers').address}"
    with opened(place_of(engine), tmp_path) as executor:
        desk = Desk(executor, tmp_path)
        desk.wait(lambda: executor.free() == slots)
        narrow = [desk.shell(f"until test -e {tmp_path}/end; do sleep 0.02; done") for _ in range(slots // 2)]
        wide, last = desk.shell("true")._replace(slots=2), desk.shell("true")
        executor.start(narrow)
        executor.start([wide, last])
        desk.ends([last])

        assert [(type(one), one.claim) for one in desk.reports if isinstance(one, Lost | Ended)] == [
            (Lost, wide),
            (Ended, last),
        ]
        (tmp_path / "end").touch()
        desk.ends(narrow)
