"""S16: a run of very many short jobs holds no more descriptors, threads, zombies and memory at its end than early on.

BATCHQ_SOAK=1 runs a quarter of a million.
"""

import math
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from scene import Scene, children_of, ended, is_gone, status_of, tell
from soaking import SOAK

pytest_plugins = ("scene",)

JOBS = 250_000 if SOAK else 5_500  # at 100,000 the page cache of SQLite is still filling
COMMANDS = JOBS // 11
SLOTS = 2
EVERY = 0.005  #: seconds between samples
GROWTH = {"guardian": 4, "worker": 20} | ({"runner": 4} if SOAK else {})  #: KiB per 1,000 jobs; a short run warms up
BELL = 1  #: descriptor with which a run listens to its store, once it is a moment old


class Sample(NamedTuple):
    """One look at a process."""

    at: float
    descriptors: int
    threads: int
    resident: int  # KiB
    zombies: int


def look(pid: int) -> Sample | None:
    """Look at a process; None when it is gone."""
    status = status_of(pid)
    try:
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        zombies = sum(is_gone(child) and Path(f"/proc/{child}").exists() for child in children_of(pid))
    except OSError:
        return None
    if "VmRSS" not in status:
        return None
    return Sample(time.monotonic(), descriptors, int(status["Threads"]), int(status["VmRSS"].split()[0]), zombies)


def sampled(run: "subprocess.Popen[bytes]", scene: Scene) -> dict[str, list[Sample]]:
    """Samples of the guardian, the runner and its first worker until the run is over."""
    samples: dict[str, list[Sample]] = {"guardian": [], "runner": [], "worker": []}
    runner = scene.runner()
    pids = {"guardian": run.pid, "runner": runner}
    while run.poll() is None:
        if not pids.get("worker"):
            pids |= dict.fromkeys(["worker"], next(filter(is_worker, children_of_living(runner)), 0))
        for name, pid in pids.items():
            if (sample := look(pid)) is not None:
                samples[name].append(sample)
        time.sleep(EVERY)
    return samples


def children_of_living(pid: int) -> list[int]:
    try:
        return children_of(pid)
    except OSError:
        return []


def is_worker(pid: int) -> bool:
    try:
        return b"processes.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def slope(samples: list[Sample], of: Callable[[Sample], float]) -> float:
    """How much a figure grows from the first sample to the last, by least squares."""
    times = [sample.at - samples[0].at for sample in samples]
    values = [of(sample) for sample in samples]
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in times) or 1.0
    steep = sum((at - middle) * (value - mean) for at, value in zip(times, values, strict=True)) / spread
    return steep * times[-1]


def growth(samples: list[Sample]) -> dict[str, float]:
    """What every thousand jobs add after the first quarter, in which a run warms up."""
    warm = samples[len(samples) // 4 :]
    thousands = 0.75 * 11 * COMMANDS / 1000
    return {
        "descriptors": slope(warm, lambda sample: sample.descriptors) / thousands,
        "threads": slope(warm, lambda sample: sample.threads) / thousands,
        "KiB": slope(warm, lambda sample: sample.resident) / thousands,
        "zombies": slope(warm, lambda sample: sample.zombies) / thousands,
    }


def held(samples: list[Sample], of: Callable[[Sample], int]) -> tuple[int, int]:
    """The largest figure of the first quarter, and the smallest of the last: what is held for a moment counts for neither,
    what is never let go raises the second above the first."""
    quarter = max(1, len(samples) // 4)
    return max(map(of, samples[:quarter])), min(map(of, samples[-quarter:]))


def test_a_run_of_very_many_jobs_leaks_nothing(scene: Scene) -> None:
    callable_: dict[str, object] = {"call": "os:getpid"}
    scene.add(*([callable_] * 10 + [{"command": ["true"]}]) * COMMANDS)
    samples = sampled(run := scene.start("-j", str(SLOTS)), scene)

    assert ended(run) == 0
    assert scene.rows("SELECT count(*) FROM jobs WHERE state = 'succeeded'") == [(11 * COMMANDS,)]
    assert scene.survivors() == []
    for name, looks in samples.items():
        assert len(looks) > 20, name
        told = ", ".join(f"{grown:+.2f} {what}" for what, grown in growth(looks).items())
        peak = max(sample.resident for sample in looks) / 1024
        tell(f"S16 {name}: per 1,000 jobs {told}, peak {peak:.1f} MiB ({len(looks)} samples, {11 * COMMANDS:,} jobs)")
    up = samples["worker"][0].at  # until then a run holds less than it needs, however long that takes
    for name, all_looks in samples.items():
        looks = [look for look in all_looks if look.at >= up]
        early, late = held(looks, lambda sample: sample.descriptors)
        assert late <= early + BELL, f"{name}: {early} descriptors at first, {late} at last"
        early, late = held(looks, lambda sample: sample.threads)
        assert late <= early, f"{name}: {early} threads at first, {late} at last"
        assert max(sample.zombies for sample in looks) <= SLOTS, name
        assert growth(looks)["KiB"] <= GROWTH.get(name, math.inf), name


@pytest.mark.parametrize("kind", ["commands that leave something", "workers that crash", "workers that are replaced"])
def test_jobs_that_misbehave_leak_nothing_either(scene: Scene, kind: str) -> None:
    jobs: dict[str, list[dict[str, object]]] = {
        "commands that leave something": [{"command": "setsid sleep 60 & sleep 60 & exit 3"}] * 150,
        "workers that crash": [{"call": "os:_exit", "args": {"status": 3}, "max_crashes": 1}] * 60,
        "workers that are replaced": [{"call": "os:getpid"}] * 60,
    }
    scene.add(*jobs[kind])
    samples = sampled(run := scene.start("-j", str(SLOTS), "-q", "--worker-jobs", "1"), scene)

    assert ended(run) == (0 if "replaced" in kind else 1)
    assert scene.survivors() == []
    for name in ("guardian", "runner"):
        early, late = held(samples[name][2:], lambda sample: sample.descriptors)
        tell(
            f"S16 {kind}: {name} up to {early} descriptors at first, from {late} at last ({len(samples[name])} samples)"
        )
        assert late <= early + BELL, name
        assert max(sample.threads for sample in samples[name]) == 1
