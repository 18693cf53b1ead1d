"""What it costs that jobs run elsewhere: ``batchq run`` on a Dask cluster next to Dask by itself, and over a pipe.

All on this machine, with two workers of one thread. The goals: 0.95 × ``Client.submit`` of the same task with as many jobs
on their way, and 0.75 × one ``Client.map`` of it.
"""

import os
import random
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import stores
import tables
from cluster import cluster
from measure import BATCHQ, LOOPS, Process
from steady import rate

from batchq.executors.afar.dask.workers import AT_HAND, MOST_AHEAD

WORKERS = 2
BARE = str(Path(__file__).with_name("bare.py"))
SITE = str(Path(sys.executable).with_name("batchq-site"))
#: In the place of ssh, which is called with a host and a program
PIPE = f"sh -c {shlex.quote(f'exec {shlex.quote(SITE)}')}"

#: Of each kind: the job, how many, and the seconds that one takes
KINDS: Mapping[str, tuple[Mapping[str, object], int, float]] = {
    "a function that does nothing": ({"call": "loops:nothing", "args": {"number": 1}}, 600, 0.0),
    "a function that takes 10 ms": ({"call": "loops:nap", "args": {"number": 1}}, 800, 0.01),
    "true": ({"command": ["true"]}, 600, 0.002),
}
SUBMIT, MAP = "bare Client.submit, same window", "bare Client.map"


def elsewhere(scratch: Path, count: int) -> None:
    """Compare for each kind of job; the ratios of all rounds are printed, because the machine may be busy."""
    home = str(Path(LOOPS).parent)
    with cluster(scratch / "dask", WORKERS, home) as address:
        for what, (job, jobs, seconds) in KINDS.items():
            template = stores.make(scratch / f"{what}.db", [job] * jobs, cwd=home)
            _compare(f"ELSEWHERE: {jobs:,} × {what}", _variants(scratch, template, address, seconds), count)


def _compare(title: str, variants: Mapping[str, Callable[[], float]], count: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(count):
        for name in random.sample(list(variants), len(variants)):
            rates[name].append(variants[name]())
    tables.show(
        f"{title}, {WORKERS} workers, {count} rounds",
        ("how", "jobs/s", "× submit", "all rounds", "× map", "all rounds"),
        [
            (name, f"{tables.median(mine):,.0f}", *_ratios(mine, rates[SUBMIT]), *_ratios(mine, rates[MAP]))
            for name, mine in rates.items()
        ],
    )


def _ratios(mine: list[float], base: list[float]) -> tuple[str, str]:
    found = [one / other for one, other in zip(mine, base, strict=True)]
    return f"{tables.median(found):.2f}", " ".join(f"{one:.2f}" for one in found)


def _variants(scratch: Path, template: Path, address: str, seconds: float) -> dict[str, Callable[[], float]]:
    window = str(int(WORKERS * (1 + min(MOST_AHEAD, AT_HAND / max(seconds, 1e-6)))))
    bare = partial(_bare, address, str(template), window)
    return {
        "batchq run, Dask": partial(_run, scratch, template, "--executor", f"dask:{address}"),
        SUBMIT: partial(bare, "submit"),
        MAP: partial(bare, "map"),
        "bare Client.map of abs": partial(bare, "abs"),
        "batchq run, two sites over pipes": partial(_run, scratch, template, "--executor", "ssh:h1,h2", "-j", "1"),
        "batchq run, here": partial(_run, scratch, template, "-j", str(WORKERS)),
    }


def _run(scratch: Path, template: Path, *words: str) -> float:
    path = scratch / "elsewhere.db"
    stores.copier(template, path)()
    Process([BATCHQ, "run", "-q", "--db", str(path), *words], env={"BATCHQ_SSH": PIPE}).run()
    return rate(path)


def _bare(address: str, path: str, window: str, how: str) -> float:
    words = [sys.executable, BARE, how, address, path, str(WORKERS), window]
    return float(subprocess.run(words, stdout=subprocess.PIPE, env=os.environ, check=True).stdout)
