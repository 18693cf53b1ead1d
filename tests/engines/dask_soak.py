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
from itertools import chain
from typing import NamedTuple

from conftest import eventually
from daskcluster import Cluster
from scene import Scene, children_of, ended, is_gone, is_stopped, signal_one

WORKERS, THREADS = 3, 2
_ATTEMPTS = "SELECT job, number FROM attempts"

#: Notes whether another attempt of the job is at work, its start and worker, and its end.
JOB = """\
exec 9>>{folder}/lock-$BATCHQ_JOB_ID
flock -n 9 || echo $BATCHQ_JOB_ID >> {folder}/overlaps
echo $BATCHQ_JOB_ID.$BATCHQ_ATTEMPT $SOAK_WORKER >> {folder}/starts
sleep 0.05
echo $BATCHQ_JOB_ID.$BATCHQ_ATTEMPT >> {folder}/ends
"""


class Toll(NamedTuple):
    """What a soak did and what came of it. ``bound``: how many attempts the kills have taken, by the notes of the jobs.

    Of the ``crashes`` some are ``unnoted``: killed before they could note their start, of which each worker that was killed
    had at most so many as it has ``threads``.
    """

    jobs: int
    kills: Counter[str]
    seconds: float
    unfinished: int
    accepted_not_once: int
    begun_twice: int
    overlaps: int
    extra_starts: int
    crashes: int
    unnoted: int
    bound: int
    threads: int
    left: int

    def wrongs(self) -> dict[str, int]:
        """What must be 0."""
        return {
            "jobs unfinished": self.unfinished,
            "jobs not accepted exactly once": self.accepted_not_once,
            "attempts begun twice": self.begun_twice,
            "overlaps": self.overlaps,
            "extra starts beyond the bound": max(0, self.extra_starts - self.bound),
            "crashes charged beyond the bound": max(0, self.crashes - self.unnoted - self.bound),
            "more of them unnoted than were at work": max(0, self.unnoted - self.threads),
            "processes left": self.left,
        }


def soak(scene: Scene, dask: Cluster, jobs: int, chance: random.Random, most: float) -> Toll:
    """Run ``jobs`` jobs of 50 ms, with a kill within 0.3 s after one has begun, for at most ``most`` seconds.

    ``dask`` is without workers; those of a soak tell its jobs their names.
    """
    script = JOB.format(folder=shlex.quote(str(scene.folder)))
    scene.add(*[{"command": script, "max_crashes": 1000, "backoff": "50ms"}] * jobs)
    for _ in range(WORKERS):
        _start_worker(dask)
    kills: Counter[str] = Counter()
    taken: set[str] = set()
    threads = 0
    began = time.monotonic()
    run = _start(scene, dask)
    while time.monotonic() - began < most:
        begun = len(_starts(scene))
        while run.poll() is None and len(_starts(scene)) == begun:
            time.sleep(0.02)  # a kill that takes nothing shows nothing
        time.sleep(chance.uniform(0.0, 0.3))
        if run.poll() is not None:
            if not _unfinished(scene):
                break
            run = _start(scene, dask)
            continue
        kind = chance.choice(["worker", "worker", "worker", "site", "whole site", "run", "pair"])
        recorded = _recorded(scene)
        workers = _kill(kind, dask, run, chance)
        if workers:
            kills[kind] += 1
            threads += THREADS * len(workers)
            taken.update(attempt for attempt, worker in _starts(scene) if worker in workers and attempt not in recorded)
    while _unfinished(scene):
        if run.poll() is not None:
            run = _start(scene, dask)
        ended(run, 600)
    ended(run, 600)
    return _judge(scene, dask, jobs, kills, len(taken), threads, time.monotonic() - began)


def _start(scene: Scene, dask: Cluster) -> "subprocess.Popen[bytes]":
    return scene.start("-q", "--executor", f"dask:{dask.address}")


def _start_worker(dask: Cluster) -> None:
    dask.start_worker(THREADS, env={"SOAK_WORKER": dask.next_name()})


def _kill(kind: str, dask: Cluster, run: "subprocess.Popen[bytes]", chance: random.Random) -> set[str]:
    """Kill one process or two, and wait until their jobs have ended; return the workers that these ran at."""
    if kind == "worker":
        name = chance.choice(dask.alive())
        families = _families(dask, name)
        dask.kill(name)
        dask.workers.pop(name).wait()
        _start_worker(dask)
        eventually(lambda: all(map(is_gone, chain(*families))))
        return {name}
    if kind in ("site", "whole site"):
        name = chance.choice(dask.alive())
        if not (families := _families(dask, name)):
            return set()
        family = chance.choice(families)
        jobs = (
            _jobs_of_stopped(family) if kind == "whole site" else []
        )  # that nobody ends at once: one may note its start
        if not any([_end(pid) for pid in (family if kind == "whole site" else [chance.choice(family)])]):
            return set()
        eventually(lambda: all(map(is_gone, family + jobs)))
        return {name}
    runners = _children(run.pid)
    if not runners:
        return set()
    if kind == "pair":
        os.kill(run.pid, signal.SIGKILL)
    is_ended = _end(runners[0])
    run.wait()
    eventually(lambda: _is_idle(dask))
    return set(dask.workers) if is_ended or kind == "pair" else set()


def _jobs_of_stopped(family: list[int]) -> list[int]:
    """Stop a guardian and its site, so that the site starts no job any more; return those that it has started."""
    for pid in family:
        signal_one(pid, signal.SIGSTOP)
    eventually(lambda: all(is_stopped(pid) or is_gone(pid) for pid in family))
    return [job for site in family[1:] for job in _children(site)]


def _is_idle(dask: Cluster) -> bool:
    """Whether the scheduler and the workers have no task: sites that nobody asks for may stay until their lease ends."""
    state = dask.state()
    return not state.tasks and not any(one.startswith("task ") for one in state.at_workers)


def _families(dask: Cluster, name: str) -> list[list[int]]:
    """The guardian of each site at a worker, and the site itself. That of a dead run may stay until its lease ends."""
    return [[pid, *_children(pid)] for pid in dask.sites().get(name, ())]


def _recorded(scene: Scene) -> set[str]:
    """The attempts whose end is in the store: what a kill takes is not among these."""
    return {f"{job}.{number}" for job, number in _rows(scene, _ATTEMPTS)}


def _starts(scene: Scene) -> list[list[str]]:
    """Each attempt that has begun, with its worker."""
    file = scene.folder / "starts"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


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


def _judge(
    scene: Scene, dask: Cluster, jobs: int, kills: Counter[str], bound: int, threads: int, seconds: float
) -> Toll:
    eventually(lambda: not any(dask.sites().values()))
    starts = [attempt for attempt, _ in _starts(scene)]
    overlaps = scene.folder / "overlaps"
    crashed = {f"{job}.{number}" for job, number in _rows(scene, f"{_ATTEMPTS} WHERE outcome = 'crashed'")}
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
        len(crashed),
        len(crashed.difference(starts)),
        bound,
        threads,
        len(scene.survivors()),
    )
