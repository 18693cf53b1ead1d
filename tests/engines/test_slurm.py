"""Jobs at the nodes of a real Slurm: in an allocation, with all the ends that Slurm knows."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurmcluster
import survivors
from conftest import eventually
from elsewhere import add_waiting, assert_none_overlapped, let_end, starts
from openports import OpenPorts, watching
from scene import Scene, end, ended, signal_one, status_of
from slurmcluster import Slurm
from soaking import SOAK

pytest_plugins = ("scene",)
pytestmark = pytest.mark.skipif(slurmcluster.missing() is not None, reason=slurmcluster.missing() or "")


thorough = pytest.mark.skipif(not SOAK, reason="waits for Slurm: in scripts/soak")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    folder = tmp_path_factory.mktemp("slurm")
    ports = OpenPorts(folder)
    with slurmcluster.slurm(folder) as started, watching(ports):
        yield started
    assert ports.found == []


@pytest.fixture
def nodes(slurm: Slurm, scene: Scene) -> Scene:
    """A scene whose commands find the Slurm, which has no job before and after."""
    eventually(lambda: slurm.jobs() == [])
    scene.shell.env |= slurm.env
    return scene


def parent_of(pid: int) -> int:
    return int(status_of(pid)["PPid"])


def words(nodes: Scene, *options: str) -> list[str]:
    return [*map(os.fsdecode, nodes.shell.argv("run", "-q", "--executor", "srun:", *options))]


def allocate(nodes: Scene, *options: str) -> "subprocess.Popen[bytes]":
    """Start a run in an allocation of both nodes."""
    return nodes.start_program("salloc", "-Q", "-N2", "--exclusive", *words(nodes, *options))


def step_of(nodes: Scene) -> str:
    """Return the step of Slurm in which the first job runs."""
    pid = (nodes.folder / "pid-1").read_text().strip()
    variables = dict(one.split("=", 1) for one in Path(f"/proc/{pid}/environ").read_text().split("\0") if one)
    return f"{variables['SLURM_JOB_ID']}.{variables['SLURM_STEP_ID']}"


def sruns(nodes: Scene) -> list[int]:
    """The processes that lead to the sites: srun, of which each is two."""
    return [pid for pid, text in survivors.living(nodes.folder) if text.startswith("srun ")]


def test_jobs_run_at_all_nodes_of_the_allocation(nodes: Scene) -> None:
    (nodes.folder / "work.py").write_text("def double(n):\n    print('doubling')\n    return 2 * n\n")
    add_waiting(nodes, 4)
    nodes.add(
        {"command": "echo $SLURMD_NODENAME $SLURM_JOB_NUM_NODES; echo oops >&2; exit 7"},
        {"command": "srun --overlap -n1 -N1 -w $SLURMD_NODENAME sh -c 'echo $SLURMD_NODENAME $SLURM_STEP_ID; exit 8'"},
        {"call": "work:double", "args": {"n": 4}},
        {"command": "sleep 60", "timeout": "200ms"},
        {"command": "kill -KILL $$"},
    )
    run = allocate(nodes)
    eventually(lambda: len(starts(nodes)) == 4)  # both nodes: each has two cores
    let_end(nodes)

    assert ended(run) == 1, nodes.said()
    assert nodes.rows("SELECT executor FROM runners") == [("srun:n1,n2",)], "a later run may have another allocation"
    assert nodes.attempts("outcome, exit_code")[4:] == [
        ("failed", 7),
        ("failed", 8),
        ("succeeded", None),
        ("timed_out", None),
        ("failed", None),
    ]
    assert nodes.output(5, "stderr") == b"oops\n"
    node, count = nodes.output(5).decode().split()
    assert node in slurmcluster.NODES
    assert count == "2"
    assert nodes.output(6).split()[0].decode() in slurmcluster.NODES


def test_a_node_runs_as_many_jobs_at_once_as_the_allocation_has_cores_there(nodes: Scene) -> None:
    """This Slurm confines nothing, so the site sees more."""
    nodes.add(*[{"command": "exec 9>>lock; flock -n 9 || touch overlap; sleep 0.1"}] * 4)
    run = nodes.start_program("salloc", "-Q", "-N1", "-n1", *words(nodes))

    assert ended(run) == 0, nodes.said()
    assert not (nodes.folder / "overlap").exists()


def test_jobs_of_a_stopped_step_are_interrupted(nodes: Scene, slurm: Slurm) -> None:
    """Slurm signals all processes of the step: the site and its jobs."""
    add_waiting(nodes, 4)  # two at each node
    run = allocate(nodes)
    eventually(lambda: len(starts(nodes)) == 4)
    slurm("scancel", "--signal=TERM", step_of(nodes))
    eventually(lambda: len(starts(nodes)) == 6)
    let_end(nodes)

    assert ended(run) == 0, nodes.said()
    assert sorted(nodes.attempts()) == [("interrupted",)] * 2 + [("succeeded",)] * 4
    assert nodes.attempts()[0] == ("interrupted",)
    assert_none_overlapped(nodes)


@thorough
def test_jobs_of_a_killed_step_crash_and_run_again(nodes: Scene, slurm: Slurm) -> None:
    add_waiting(nodes, 4)
    run = allocate(nodes)
    eventually(lambda: len(starts(nodes)) == 4)
    slurm("scancel", "--signal=KILL", step_of(nodes))
    eventually(lambda: len(starts(nodes)) == 6)
    let_end(nodes)

    assert ended(run) == 0, nodes.said()
    assert sorted(nodes.attempts()) == [("crashed",)] * 2 + [("succeeded",)] * 4
    assert nodes.attempts()[0] == ("crashed",)
    assert_none_overlapped(nodes)


def test_a_cancelled_allocation_stops_the_run_and_costs_no_job_anything(nodes: Scene, slurm: Slurm) -> None:
    add_waiting(nodes, 4)
    script = nodes.folder / "script"
    script.write_text(f"#!/bin/sh\nexec {shlex.join(words(nodes))} >>said 2>&1\n")
    slurm("sbatch", "-N2", "--exclusive", "--no-requeue", f"--chdir={nodes.folder}", str(script), env=nodes.shell.env)
    eventually(lambda: len(starts(nodes)) == 4)
    slurm("scancel", *slurm.jobs())
    eventually(lambda: slurm.jobs() == [])
    let_end(nodes)

    assert nodes.attempts() == [("interrupted",)] * 4, nodes.said()
    assert nodes.jobs() == [("queued",)] * 4
    assert ended(allocate(nodes)) == 0
    assert_none_overlapped(nodes)


@thorough
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_hung_srun_costs_one_attempt_and_no_overlap(nodes: Scene, number: int) -> None:
    add_waiting(nodes, 2)
    run = allocate(nodes, "--lease", "2s")
    eventually(lambda: len(starts(nodes)) == 2)
    for pid in sruns(nodes):
        signal_one(pid, number)
    eventually(lambda: len(starts(nodes)) == 4)
    let_end(nodes)

    assert ended(run) == 0, nodes.said()
    assert nodes.attempts() == [("crashed",), ("succeeded",)] * 2
    assert_none_overlapped(nodes)


@thorough
def test_nothing_of_a_killed_run_is_left_at_the_nodes(nodes: Scene, slurm: Slurm) -> None:
    add_waiting(nodes, 4)
    run = allocate(nodes)
    eventually(lambda: len(starts(nodes)) == 4)
    runner = nodes.runner()
    end(runner, parent_of(runner))
    ended(run)
    eventually(lambda: nodes.survivors() == [])
    let_end(nodes)

    assert ended(allocate(nodes)) == 0, nodes.said()
    assert nodes.attempts() == [("crashed",), ("succeeded",)] * 4
    assert_none_overlapped(nodes)


def test_without_an_allocation_a_run_says_so(nodes: Scene) -> None:
    nodes.add({"command": "true"})
    done = nodes.run("--executor", "srun:", code=2)

    assert done.err.endswith("needs a Slurm allocation around it: use salloc or sbatch, or name the nodes\n")
    assert done.err.count("\n") == 1
