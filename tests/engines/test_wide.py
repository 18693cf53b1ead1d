"""Jobs of several slots when the only place that is wide enough goes away: they are told of, and keep nobody waiting."""

import json
import shlex

import pytest
from conftest import eventually
from daskcluster import Cluster
from elsewhere import add_waiting, assert_none_overlapped, let_end, starts
from places import SITE, carrier_to
from scene import Scene, end, ended

pytest_plugins = ("scene", "places", "openports", "daskcluster")

#: h1 has as many slots as -j says, cannot be reached while ``away`` exists, and is of no use after ``gone``. h2 has one,
#: and comes up after the first job has begun at h1.
CARRIER = """\
#!/bin/sh
cd {folder}
echo $$ $1 >> carriers
test $1 = h1 || until test -e starts; do sleep 0.05; done
test $1 = h1 || exec sh -c 'sed -u "1s/\\"slots\\":2/\\"slots\\":1/" | {site} | cat'
test ! -e away || exit 255
test ! -e gone || {{ read setup; echo '["up",{{"protocol":"0","batchq":"0.0.7"}}]'; exec cat; }}
exec {site}
"""
RUN = ("-j", "2", "--executor", "ssh:h1,h2", "--lease", "3s")
FEWER = "more slots than any place has now (1)"


@pytest.fixture
def uneven(afar: Scene) -> Scene:
    """A scene in which h1 has two slots and h2 one."""
    (afar.folder / "carrier").write_text(CARRIER.format(folder=shlex.quote(str(afar.folder)), site=SITE))
    return afar


def lose(scene: Scene, how: str) -> None:
    (scene.folder / how).touch()
    end(carrier_to(scene, "h1"))  # and not its site as well: that one ends its jobs


def states(scene: Scene) -> list[object]:
    return [state for (state,) in scene.jobs()]


def test_a_wide_job_waits_for_its_place_and_others_go_on(uneven: Scene) -> None:
    add_waiting(uneven, 1, slots=2)
    run = uneven.start(*RUN)
    eventually(lambda: len(starts(uneven)) == 1)
    lose(uneven, "away")
    eventually(lambda: f"job 1 needs {FEWER}: waiting for one that may come back" in uneven.said())
    uneven.add({"command": "true"})
    eventually(lambda: states(uneven)[1] == "succeeded")
    assert uneven.rows("SELECT slots FROM runners") == [(1,)]
    (uneven.folder / "away").unlink()
    let_end(uneven)

    assert ended(run) == 0
    assert uneven.attempts() == [("crashed",), ("succeeded",), ("succeeded",)]
    assert uneven.said().count("more slots than any place") == 1
    assert_none_overlapped(uneven)


def test_a_wide_job_in_line_keeps_nobody_waiting_when_its_place_is_lost(uneven: Scene) -> None:
    """Each host has a slot for it, until one is lost; then the job behind it gets that of the other."""
    add_waiting(uneven, 1)
    add_waiting(uneven, 1, slots=2)
    add_waiting(uneven, 1)
    run = uneven.start(*RUN)
    eventually(lambda: uneven.rows("SELECT 1 FROM runners WHERE (slots, widest) = (3, 2)"))
    eventually(lambda: starts(uneven) == ["1 1"])
    assert states(uneven) == ["running", "queued", "queued"]
    lose(uneven, "away")
    eventually(lambda: "3 1" in starts(uneven) or "1 2" in starts(uneven))
    (uneven.folder / "away").unlink()
    let_end(uneven)

    assert ended(run) == 0
    assert uneven.attempts() == [("crashed",), ("succeeded",), ("succeeded",), ("succeeded",)]
    assert_none_overlapped(uneven)


def test_a_run_that_can_never_have_a_wide_job_ends_and_says_so(uneven: Scene) -> None:
    add_waiting(uneven, 1, slots=2)
    run = uneven.start(*RUN, "--json")
    eventually(lambda: len(starts(uneven)) == 1)
    lose(uneven, "gone")

    assert ended(run) == 3
    said = uneven.said().splitlines()
    assert "job 1 needs more slots than any place had at the end (1)" in uneven.said()
    (found,) = [json.loads(line) for line in said if line.startswith("{")]
    assert (found["status"], found["too_wide"]) == (3, [1])
    assert uneven.attempts() == [("crashed",)]


def test_a_run_that_never_had_such_a_place_says_so_at_once(afar: Scene) -> None:
    afar.add({"command": "true", "slots": 2}, {"command": "true"})
    done = afar.run("-j", "1", "--executor", "ssh:h1,h2", code=3)

    assert "job 1 needs more slots than any place had at the end (1); '" in done.err
    assert afar.jobs() == [("queued",), ("succeeded",)]


def test_a_wide_job_at_dask_waits_for_a_worker_that_may_come_back(scene: Scene, dask: Cluster) -> None:
    wide = dask.add_worker(2)
    add_waiting(scene, 1, slots=2)
    run = scene.start("--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 1)
    dask.kill(wide)
    eventually(lambda: f"job 1 needs {FEWER}: waiting for one that may come back" in scene.said(), 60)
    dask.add_worker(2)
    eventually(lambda: len(starts(scene)) == 2, 60)
    let_end(scene)

    assert ended(run) == 0
    assert scene.attempts() == [("crashed",), ("succeeded",)]
    assert_none_overlapped(scene)


def test_a_run_at_dask_waits_for_such_a_worker_as_long_as_for_a_scheduler(scene: Scene, dask: Cluster) -> None:
    wide = dask.add_worker(2)
    add_waiting(scene, 1, slots=2)
    run = scene.start("--executor", f"dask:{dask.address}", "--reconnect", "1s")
    eventually(lambda: len(starts(scene)) == 1)
    dask.kill(wide)

    assert ended(run) == 3
    assert "job 1 needs more slots than any place had at the end (1)" in scene.said()
    assert scene.attempts() == [("crashed",)]
