"""Random kill -9 of workers, sites, runs and pairs on a real Dask cluster while jobs run, and what came of the jobs.

The judges read what the jobs wrote, the store by ``sqlite3``, and /proc.
"""

import os
import random
import shlex
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from typing import NamedTuple

from conftest import eventually
from daskcluster import Cluster
from scene import Scene, children_of, ended

WORKERS, THREADS = 3, 2
SLOTS = WORKERS * THREADS

#: Notes its start, whether another attempt of the job is at work, and its end.
JOB = """\
exec 9>>{folder}/lock-$BATCHQ_JOB_ID
flock -n 9 || echo $BATCHQ_JOB_ID >> {folder}/overlaps
echo $BATCHQ_JOB_ID.$BATCHQ_ATTEMPT >> {folder}/starts
sleep 0.05
echo $BATCHQ_JOB_ID.$BATCHQ_ATTEMPT >> {folder}/ends
"""


class Toll(NamedTuple):
    """What a soak did and what came of it; ``bound`` is how many extra starts the kills explain."""

    jobs: int
    kills: Counter[str]
    seconds: float
    unfinished: int
    accepted_not_once: int
    begun_twice: int
    overlaps: int
    extra_starts: int
    crashes: int
    bound: int
    left: int

    def wrongs(self) -> dict[str, int]:
        """What must be 0."""
        return {
            "jobs unfinished": self.unfinished,
            "jobs not accepted exactly once": self.accepted_not_once,
            "attempts begun twice": self.begun_twice,
            "overlaps": self.overlaps,
            "extra starts beyond the bound": max(0, self.extra_starts - self.bound),
            "processes left": self.left,
        }


def soak(scene: Scene, dask: Cluster, jobs: int, chance: random.Random, most: float) -> Toll:
    """Run ``jobs`` jobs of 50 ms, with a kill every 0.4 to 1.6 seconds for at most ``most`` seconds."""
    script = JOB.format(folder=shlex.quote(str(scene.folder)))
    scene.add(*[{"command": script, "max_crashes": 1000, "backoff": "50ms"}] * jobs)
    kills: Counter[str] = Counter()
    bound = 0
    began = time.monotonic()
    run = _start(scene, dask)
    while time.monotonic() - began < most:
        time.sleep(chance.uniform(0.4, 1.6))
        if run.poll() is not None:
            if not _unfinished(scene):
                break
            run = _start(scene, dask)
            continue
        kind = chance.choice(["worker", "worker", "worker", "site", "run", "pair"])
        lost = _kill(kind, scene, dask, run, chance)
        if lost:
            kills[kind] += 1
            bound += lost
    while _unfinished(scene):
        if run.poll() is not None:
            run = _start(scene, dask)
        ended(run, 600)
    ended(run, 600)
    return _judge(scene, dask, jobs, kills, bound, time.monotonic() - began)


def _start(scene: Scene, dask: Cluster) -> "subprocess.Popen[bytes]":
    return scene.start("-q", "--executor", f"dask:{dask.address}")


def _kill(kind: str, scene: Scene, dask: Cluster, run: "subprocess.Popen[bytes]", chance: random.Random) -> int:
    """Kill one process or two; return how many attempts may have to begin again: those begun or undelivered there."""
    if kind == "worker":
        name = chance.choice(dask.alive())
        lost = _undelivered(scene, THREADS)
        dask.kill(name)
        dask.workers.pop(name).wait()
        dask.start_worker(THREADS)
        return lost
    if kind == "site":
        guardians = [pid for pids in dask.sites().values() for pid in pids]
        sites = [one for pid in guardians for one in (pid, *_children(pid))]
        lost = _undelivered(scene, THREADS)
        return lost if sites and _end(chance.choice(sites)) else 0
    runners = _children(run.pid)
    if not runners:
        return 0
    lost = _undelivered(scene, SLOTS)
    if kind == "pair":
        os.kill(run.pid, signal.SIGKILL)
    is_ended = _end(runners[0])
    run.wait()
    return lost if is_ended or kind == "pair" else 0


def _undelivered(scene: Scene, slots: int) -> int:
    """Bound the attempts that begun or have ended where something is killed, and that the store has as running."""
    running = int(str(_rows(scene, "SELECT count(*) FROM jobs WHERE state = 'running'")[0][0]))
    return max(slots, running)


def _children(pid: int) -> list[int]:
    try:
        return children_of(pid)
    except OSError:
        return []


def _end(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _unfinished(scene: Scene) -> int:
    return int(str(_rows(scene, "SELECT count(*) FROM jobs WHERE finished_at IS NULL")[0][0]))


def _rows(scene: Scene, sql: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(f"file:{scene.shell.db()}?mode=ro", uri=True, timeout=30)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def _judge(scene: Scene, dask: Cluster, jobs: int, kills: Counter[str], bound: int, seconds: float) -> Toll:
    eventually(lambda: not any(dask.sites().values()))
    starts = (scene.folder / "starts").read_text().split()
    overlaps = scene.folder / "overlaps"
    accepted = Counter(job for (job,) in _rows(scene, "SELECT job FROM attempts WHERE outcome = 'succeeded'"))
    return Toll(
        jobs,
        kills,
        seconds,
        _unfinished(scene),
        sum(accepted[job] != 1 for job in range(1, jobs + 1)),
        len(starts) - len(set(starts)),
        len(overlaps.read_text().split()) if overlaps.exists() else 0,
        len(starts) - jobs,
        int(str(_rows(scene, "SELECT count(*) FROM attempts WHERE outcome = 'crashed'")[0][0])),
        bound,
        len(scene.survivors()),
    )
