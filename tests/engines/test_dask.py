"""Jobs at the workers of a real Dask cluster: workers, the scheduler and the run are killed."""

import os
from pathlib import Path

import pytest
from conftest import eventually
from daskcluster import Cluster
from elsewhere import add_waiting, assert_none_overlapped, let_end, process_of, starts
from scene import Scene, end, ended, is_gone

from batchq.executors.afar.engines import address_in

pytest_plugins = ("scene", "openports", "daskcluster")


def test_jobs_run_at_the_workers_and_nothing_is_left_there(scene: Scene, dask: Cluster) -> None:
    scene.add(
        *[{"command": f"echo {n}; exit {n % 2}"} for n in range(4)],
        *[{"call": "os.path:join", "args": {"a": str(n)}} for n in range(20)],
        {"command": "sleep 60", "timeout": "500ms"},
    )
    scene.run("-q", "--executor", f"dask:{dask.file}", code=1)

    assert scene.attempts() == [("succeeded",), ("failed",)] * 2 + [("succeeded",)] * 20 + [("timed_out",)]
    assert [scene.output(job) for job in (1, 4)] == [b"0\n", b"3\n"]
    assert scene.survivors() == []


def test_what_a_job_leaves_running_on_purpose_outlives_the_run(scene: Scene, dask: Cluster) -> None:
    service = "(until test -e gate; do sleep 0.02; done; touch served) & echo $! > service"
    scene.add({"command": service, "leftovers": "keep"}, {"command": "sleep 60 & echo $! > other"})
    scene.run("-q", "--executor", f"dask:{dask.file}")
    assert is_gone(int((scene.folder / "other").read_text()))
    (scene.folder / "gate").touch()

    eventually((scene.folder / "served").exists)
    eventually(lambda: is_gone(int((scene.folder / "service").read_text())))


def test_a_job_of_a_killed_worker_has_crashed_and_runs_again_elsewhere(scene: Scene, dask: Cluster) -> None:
    add_waiting(scene, 2)
    run = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2)
    victim = dask.above(process_of(scene, 1))
    dask.kill(victim)
    eventually(lambda: scene.rows("SELECT 1 FROM attempts WHERE outcome = 'crashed'"), 60)
    let_end(scene)

    assert ended(run) == 0
    assert scene.attempts() == [("crashed",), ("succeeded",), ("succeeded",)]
    machine = os.uname().nodename
    assert scene.rows("SELECT host FROM attempts WHERE outcome = 'crashed'") == [(f"{machine}/{victim}",)]
    assert {host for (host,) in scene.attempts("host")} == {f"{machine}/{name}" for name in dask.workers}
    assert_none_overlapped(scene)


@pytest.mark.parametrize("victims", ["runner", "both"])
def test_nothing_is_left_at_the_workers_of_a_killed_run(scene: Scene, dask: Cluster, victims: str) -> None:
    add_waiting(scene, 2)
    run = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2)
    runner = scene.runner()
    end(*[runner] if victims == "runner" else [runner, run.pid])
    ended(run)
    eventually(lambda: scene.survivors() == [], 60)
    let_end(scene)
    scene.run("-q", "--executor", f"dask:{dask.address}")

    assert scene.attempts() == [("crashed",), ("succeeded",)] * 2
    assert_none_overlapped(scene)


def test_a_rescue_asks_the_scheduler_that_the_dead_run_had_whatever_its_file_says_now(
    scene: Scene, dask: Cluster
) -> None:
    file = scene.folder / "here.json"
    add_waiting(scene, 1)
    run = scene.start("-q", "--executor", "dask:here.json", "--lease", "1h")
    file.write_bytes(dask.file.read_bytes())
    eventually(lambda: len(starts(scene)) == 1)
    assert scene.rows("SELECT executor FROM runners") == [(f"dask:{dask.address}",)]
    end(scene.runner(), run.pid)
    ended(run)
    file.write_text('{"address": "tcp://127.0.0.1:1"}')
    let_end(scene)
    scene.run("-q", "--executor", f"dask:{dask.address}")

    assert scene.attempts() == [("crashed",), ("succeeded",)]


def test_a_run_whose_scheduler_is_killed_ends_and_says_so(scene: Scene, dask: Cluster) -> None:
    add_waiting(scene, 2)
    run = scene.start("--executor", f"dask:{dask.address}", "--reconnect", "1s", "--lease", "10m")
    eventually(lambda: len(starts(scene)) == 2)
    first = [process_of(scene, job) for job in (1, 2)]
    dask.kill_scheduler()
    eventually(lambda: all(is_gone(pid) for pid in first))  # long before their lease

    assert ended(run) == 74
    assert "the scheduler of Dask is gone" in scene.said()
    assert set(scene.attempts()) <= {("crashed",), ("interrupted",)}  # their sites end them, and may still say so
    assert set(scene.jobs()) <= {("queued",), ("scheduled",)}
    assert_none_overlapped(scene)
    eventually(lambda: scene.survivors() == [], 60)


def test_a_run_goes_on_when_its_scheduler_comes_back(scene: Scene, dask: Cluster) -> None:
    add_waiting(scene, 3)
    run = scene.start("--executor", f"dask:{dask.address}", "--reconnect", "60s")
    eventually(lambda: len(starts(scene)) == 2)
    first = [process_of(scene, job) for job in (1, 2)]
    dask.kill_scheduler()
    eventually(lambda: all(is_gone(pid) for pid in first))
    dask.heal()
    eventually(lambda: len(starts(scene)) == 4, 60)
    let_end(scene)

    assert ended(run) == 0
    assert "the scheduler of Dask does not answer; waiting for it" in scene.said()
    assert set(scene.jobs()) == {("succeeded",)}
    assert_none_overlapped(scene)


def test_a_scheduler_that_is_not_there_is_one_sentence(scene: Scene) -> None:
    scene.add({"command": "true"})
    done = scene.run("--executor", "dask:tcp://127.0.0.1:1", code=78)

    assert "cannot connect to the scheduler at tcp://127.0.0.1:1" in done.err
    assert scene.jobs() == [("queued",)]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "write dask:tcp://HOST:PORT, FILE or MODULE:FUNCTION"),
        ("alpha:8786", "write dask:tcp://alpha:8786"),
        ("127.0.0.1:8786", "write dask:tcp://127.0.0.1:8786"),
        ("my cluster:make", "write dask:tcp://HOST:PORT, FILE or MODULE:FUNCTION"),
    ],
)
def test_a_wrong_address_says_what_to_write(scene: Scene, address: str, said: str) -> None:
    done = scene.run("--executor", f"dask:{address}", code=2)

    assert done.err == f"batchq: --executor 'dask:{address}' names no scheduler: {said}\n"


def test_the_file_of_a_scheduler_may_still_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a script that starts the scheduler in the background, and then the run."""
    file = tmp_path / "scheduler.json"
    texts = iter(["", '{"address": "tc', '{"address": "tcp://alpha:1"}'])
    monkeypatch.setattr("batchq.executors.afar.engines.time.sleep", lambda _: file.write_text(next(texts)))

    assert address_in(str(file)) == "tcp://alpha:1"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no\\nqueue')", "the function that makes the cluster failed: ValueError: no queue"),
        ("raise SystemExit('no queue')", "the function that makes the cluster failed: SystemExit: no queue"),
        ("pass", "the function returned NoneType, which is not a cluster of Dask"),
        ("import os; os._exit(5)", "its code ended the process of the client by os._exit(5)"),
    ],
)
def test_a_function_that_cannot_make_a_cluster_is_one_sentence(scene: Scene, body: str, said: str) -> None:
    (scene.folder / "mycluster.py").write_text(f"def make():\n    {body}\n")
    scene.add({"command": "true"})
    done = scene.run("--executor", "dask:mycluster:make", code=78)

    assert done.err.startswith("batchq: --executor dask:mycluster:make: ")
    assert done.err.endswith(f"{said}\n")
    assert done.err.count("\n") == 1
    assert scene.attempts() == []


def test_a_function_that_is_not_there_is_named_as_it_was_written(scene: Scene) -> None:
    (scene.folder / "mycluster.py").touch()
    scene.add({"command": "true"})
    done = scene.run("-q", "--executor", "dask:mycluster:missing", code=78)

    assert done.err.startswith("batchq: --executor dask:mycluster:missing: AttributeError")


def test_short_jobs_behind_a_long_one_run_at_an_idle_worker(scene: Scene, dask: Cluster) -> None:
    """The long job waits for all short ones, of which some were claimed ahead, for the worker where it runs."""
    ends = "echo >> ended"
    waits = "until test $(wc -l < ended) = 199; do sleep 0.2; done"
    scene.add(*[{"command": ends}] * 100, {"command": waits}, *[{"command": ends}] * 99)
    run = scene.start("-q", "--executor", f"dask:{dask.address}")

    assert ended(run) == 0
    assert scene.rows("SELECT count(*) FROM attempts WHERE outcome = 'succeeded'") == [(200,)]
    assert len((scene.folder / "ended").read_text().splitlines()) == 199, "each began once"
