"""What ends jobs at a real Dask cluster from outside: people, another run, a network that passes nothing any more."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import ports
import pytest
from conftest import eventually
from daskcluster import Cluster, cluster, without_batchq
from elsewhere import add_waiting, assert_none_overlapped, let_end, process_of, starts
from scene import Scene, end, ended, is_gone

pytest_plugins = ("scene", "openports", "daskcluster")

#: Passes everything on between its own port and that of a scheduler
NETWORK = """\
import asyncio, sys

async def pass_on(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()

async def join(reader, writer):
    there = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

async def main():
    async with await asyncio.start_server(join, "127.0.0.1", int(sys.argv[1])) as server:
        print(flush=True)
        await server.serve_forever()

asyncio.run(main())
"""


def test_a_cancel_and_a_stop_reach_the_workers(scene: Scene, dask: Cluster) -> None:
    add_waiting(scene, 2)
    run = scene.start("-q", "--grace", "0", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2)
    scene.shell("cancel", "1")
    eventually(lambda: scene.rows("SELECT 1 FROM attempts WHERE outcome = 'cancelled'"))
    os.kill(run.pid, signal.SIGTERM)

    assert ended(run) == 143
    assert scene.attempts() == [("cancelled",), ("interrupted",)]
    assert scene.jobs() == [("cancelled",), ("queued",)]


def test_a_run_at_work_takes_the_jobs_of_a_killed_one(scene: Scene, dask: Cluster) -> None:
    add_waiting(scene, 2)
    first = scene.start("-q", "--executor", f"dask:{dask.address}")
    eventually(lambda: len(starts(scene)) == 2)
    runner = scene.runner()
    second = scene.start("-q", "--executor", f"dask:{dask.address}", "--watch")
    eventually(lambda: scene.rows("SELECT count(*) FROM runners WHERE state = 'running'") == [(2,)])
    end(runner, first.pid)
    ended(first)
    eventually(lambda: len(starts(scene)) == 4)
    let_end(scene)
    eventually(lambda: scene.jobs() == [("succeeded",)] * 2)
    os.kill(second.pid, signal.SIGTERM)

    assert ended(second) == 143
    assert scene.attempts() == [("crashed",), ("succeeded",)] * 2
    assert_none_overlapped(scene)


def test_the_next_run_makes_no_cluster_to_ask_about_the_last_one(scene: Scene, dask: Cluster) -> None:
    """It waits for the lease: the cluster that the function made then may be another one than it makes now."""
    made = scene.folder / "made"
    script = f"def make():\n    open({str(made)!r}, 'a').write('made\\n')\n    return {dask.address!r}\n"
    (scene.folder / "mycluster.py").write_text(script)
    scene.shell.env["PYTHONPATH"] += f"{os.pathsep}{scene.folder}"
    add_waiting(scene, 1)
    run = scene.start("-q", "--executor", "dask:mycluster:make", "--lease", "3s")
    eventually(lambda: len(starts(scene)) == 1)
    end(scene.runner(), run.pid)
    ended(run)
    let_end(scene)
    scene.run("-q")

    assert scene.attempts() == [("crashed",), ("succeeded",)]
    assert made.read_text() == "made\n"
    assert_none_overlapped(scene)


@pytest.fixture
def network(dask: Cluster) -> Iterator["tuple[int, subprocess.Popen[bytes]]"]:
    """The port of a network that leads to the scheduler, and its process."""
    with ports.kept(1) as (port,):
        words = [sys.executable, "-c", NETWORK, str(port), dask.address.rpartition(":")[2]]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n", "it listens"
            yield port, process
            process.kill()


def test_a_network_that_passes_nothing_ends_jobs_before_they_run_again(
    scene: Scene, dask: Cluster, network: "tuple[int, subprocess.Popen[bytes]]"
) -> None:
    """Its connections stay open: only the lease tells both sides."""
    port, process = network
    add_waiting(scene, 2)
    run = scene.start("-q", "--executor", f"dask:tcp://127.0.0.1:{port}", "--lease", "3s")
    eventually(lambda: len(starts(scene)) == 2)
    jobs = [process_of(scene, job) for job in (1, 2)]
    process.send_signal(signal.SIGSTOP)
    eventually(lambda: all(map(is_gone, jobs)))
    process.send_signal(signal.SIGCONT)
    eventually(lambda: len(starts(scene)) == 4)
    let_end(scene)

    assert ended(run) == 0
    assert scene.jobs() == [("succeeded",)] * 2
    assert_none_overlapped(scene)


def test_a_run_waits_for_the_first_worker_however_wide_its_jobs_are(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with cluster(tmp_path_factory.mktemp("dask"), workers=0) as dask:
        scene.add({"command": "true", "slots": 2}, {"command": "true"})
        run = scene.start("-q", "--executor", f"dask:{dask.address}")
        eventually(lambda: "the cluster has no worker that can take a job; waiting for one" in scene.said(), 60)
        dask.start_worker(2)

        assert ended(run) == 0
        assert scene.attempts() == [("succeeded",)] * 2


def test_a_scheduler_without_batchq_is_refused_and_left_alone(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words, env = without_batchq(tmp_path_factory.mktemp("packages"))
    with cluster(tmp_path_factory.mktemp("dask"), workers=0, env=env, words=words) as dask:
        scene.add({"command": "true"})
        done = scene.run("--executor", f"dask:{dask.address}", code=78)

        assert done.err.count("\n") == 1
        assert "batchq is not installed where the scheduler runs" in done.err
        assert scene.attempts() == []
        assert dask.scheduler.poll() is None


MADE = """\
from pathlib import Path
from distributed import LocalCluster


class Noting(LocalCluster):
    def close(self, timeout=None):
        Path("closed").touch()
        return super().close(timeout)


def make():
    here = dict(protocol="tcp://", dashboard_address="127.0.0.1:0")
    return Noting(n_workers=1, threads_per_worker=1, processes=False, **here)


def make_a_broken_one():
    cluster = make()
    cluster.scheduler.handlers.clear()
    return cluster
"""


@pytest.mark.parametrize(("function", "code"), [("make", 0), ("make_a_broken_one", 78)])
def test_a_cluster_that_was_made_for_a_run_ends_with_it(scene: Scene, function: str, code: int) -> None:
    """Its queue would start the workers that it was asked for, and nobody would need them."""
    (scene.folder / "mycluster.py").write_text(MADE)
    scene.add({"command": "true"})
    scene.run("-q", "--executor", f"dask:mycluster:{function}", code=code)

    assert (scene.folder / "closed").exists()
