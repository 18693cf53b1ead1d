"""What is left of a pool when its run, its bridge or both are killed: no process, lock, semaphore or folder."""

import fcntl
import os
import struct
import time
from pathlib import Path

import pytest
from conftest import eventually
from elsewhere import add_waiting, assert_none_overlapped, let_end, process_of, starts
from planted import WITHOUT_A_BRIDGE, plant
from poolscene import bridge_above, parent_of, worker_of_a_job
from scene import Scene, end, is_gone, tell
from soaking import SOAK

pytest_plugins = ("scene", "poolscene", "openports")
FORKING = ["threads", "fork", "forkserver", "spawn", "loky", "executorlib"] if SOAK else ["fork"]
TRACKED = ["forkserver", "spawn", "loky"] if SOAK else ["forkserver"]  #: those with a resource tracker

#: In every Python of a run: folders are abandoned as soon as nobody holds their lock.
HASTY = """\
from batchq.executors.afar import fence
from batchq.processes import scratch
fence.NEW = scratch.NEW = 0.0
"""


def started(pools: Scene, pool: str, *options: str) -> "tuple[int, int, int]":
    """Start a run with two jobs at a pool; return its guardian, its runner and its bridge."""
    add_waiting(pools, 2)
    run = pools.start(
        "-q",
        "-j",
        "2",
        "--lease",
        "3s" if "--executor-folder" in options else "1h",
        "--executor",
        f"pools:{pool}",
        *options,
    )
    eventually(lambda: len(starts(pools)) == 2, 60)
    return run.pid, pools.runner(), bridge_above(worker_of_a_job(pools))


def end_all(*processes: int) -> None:
    end(*processes)
    eventually(lambda: all(map(is_gone, processes)))


def semaphores(pid: int) -> set[Path]:
    """The named semaphores and shared memory that a process has open."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    inodes = {int(line.split()[4]) for line in lines if "/dev/shm/" in line}
    with os.scandir("/dev/shm") as entries:  # their inodes are read with their names: those of others come and go
        return {Path(entry) for entry in entries if entry.inode() in inodes}


def is_held(pools: Scene) -> bool:
    """Whether any process holds the byte of the lock file that shows that a run is alive."""
    (byte,) = pools.rows("SELECT liveness FROM runners ORDER BY id DESC LIMIT 1")[0]
    wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    with pools.shell.db().with_name(f"{pools.shell.db().name}-lock").open("rb") as file:
        kind, *_ = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    return bool(kind != fcntl.F_UNLCK)


@pytest.mark.parametrize("pool", TRACKED)
def test_no_semaphores_are_left_at_the_end_of_a_run(pools: Scene, pool: str) -> None:
    guardian, _, bridge = started(pools, pool)
    names = semaphores(bridge)
    assert names
    let_end(pools)

    eventually(lambda: is_gone(guardian), 60)
    assert not any(name.exists() for name in names)


@pytest.mark.parametrize("pool", TRACKED)
def test_no_semaphores_are_left_of_a_killed_bridge(pools: Scene, pool: str) -> None:
    guardian, _, bridge = started(pools, pool)
    names = semaphores(bridge)
    assert names
    end(bridge)
    eventually(lambda: len(starts(pools)) == 4, 60)

    assert not any(name.exists() for name in names)
    let_end(pools)
    eventually(lambda: is_gone(guardian), 60)
    assert "tracker" not in pools.said()
    assert pools.attempts() == [("crashed",), ("succeeded",)] * 2


@pytest.mark.parametrize("pool", FORKING)
def test_nothing_is_left_of_a_killed_run_and_the_next_run_goes_on(pools: Scene, pool: str) -> None:
    guardian, runner, bridge = started(pools, pool)
    names = semaphores(bridge)
    assert is_held(pools)
    end_all(runner, guardian)
    killed_at = time.monotonic()

    assert not is_held(pools), "what a pool forks must not hold the lock that shows that the run is alive"
    eventually(lambda: pools.survivors() == [], 60)
    gone_at = time.monotonic()
    assert not any(name.exists() for name in names)
    let_end(pools)
    pools.run("-q")

    ((rescued,),) = pools.rows(
        "SELECT max(at) FROM (SELECT started_at AS at FROM attempts WHERE outcome = 'succeeded')"
    )
    ((begun,),) = pools.rows("SELECT max(started_at) FROM runners")
    assert isinstance(rescued, int) and isinstance(begun, int)
    tell(
        f"{pool}: all processes of a killed run gone after {gone_at - killed_at:.2f} s; the next run,"
        f" whose lease is an hour, has begun its jobs again after {(rescued - begun) / 1000:.2f} s"
    )
    assert pools.attempts() == [("crashed",), ("succeeded",)] * 2
    assert_none_overlapped(pools)


def test_a_pool_that_inherits_the_lock_of_its_run_is_caught(pools: Scene) -> None:
    """The planted fault for the test above: the runner itself forks the pool."""
    was_planted = plant(pools, [WITHOUT_A_BRIDGE])
    add_waiting(pools, 2)
    run = pools.start("-q", "-j", "2", "--lease", "3s", "--executor", "pools:fork")
    eventually(lambda: len(starts(pools)) == 2, 60)
    assert was_planted()
    end_all(pools.runner(), run.pid)

    assert is_held(pools)
    eventually(lambda: all(is_gone(process_of(pools, job)) for job in (1, 2)), 60)
    assert is_held(pools), "nothing of the run is rescued while its pool lives"
    pools.end_survivors()


@pytest.mark.parametrize("pool", TRACKED)
def test_workers_of_which_nobody_is_left_are_ended_by_the_next_run(pools: Scene, pool: str) -> None:
    """Those of some pools wait for ever if their bridge and its guardian are killed together with the run."""
    guardian, runner, bridge = started(pools, pool)
    end_all(bridge, parent_of(bridge), runner, guardian)
    let_end(pools)
    pools.run("-q")

    eventually(lambda: pools.survivors() == [])
    assert pools.attempts() == [("crashed",), ("succeeded",)] * 2


@pytest.mark.parametrize("options", [[], ["--executor-folder", "shared"]])
def test_the_folder_of_a_killed_bridge_is_removed_by_the_next_run(pools: Scene, options: list[str]) -> None:
    temporary, shared = pools.folder / "tmp", pools.folder / "shared"
    temporary.mkdir()
    shared.mkdir()
    pools.shell.env["TMPDIR"] = str(temporary)
    (pools.folder / "unfenced" / "sitecustomize.py").write_text(HASTY)
    guardian, runner, bridge = started(pools, "threads", *options)
    end_all(bridge, parent_of(bridge), runner, guardian)
    eventually(lambda: pools.survivors() == [], 60)
    left = [*temporary.iterdir(), *shared.iterdir()]
    assert left
    let_end(pools)
    pools.shell.env["PYTHONPATH"] = os.pathsep.join(("unfenced", pools.shell.env["PYTHONPATH"]))
    pools.run("-q", "-j", "2", "--executor", "pools:threads", *options)

    assert [*temporary.iterdir(), *shared.iterdir()] == []
    assert pools.attempts() == [("crashed",), ("succeeded",)] * 2
