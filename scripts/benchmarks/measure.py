"""Timing: variants side by side in rounds, whole processes, and the memory of a process with all that is below it."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

LOOK = 0.01  #: seconds between two looks at the memory of a process tree
BATCHQ = str(Path(sys.executable).with_name("batchq"))
LOOPS = str(Path(__file__).with_name("loops.py"))
_ENV = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("BATCHQ_") and name != "PYTHONDONTWRITEBYTECODE"  # an installed package is compiled
}


def nothing() -> None:
    """The preparation of what needs none."""


class Work(NamedTuple):
    """What is timed, and what must be done before each time without being timed."""

    run: Callable[[], object]
    prepare: Callable[[], object] = nothing


class Process(NamedTuple):
    """A whole process that must exit with 0; ``stdin`` is the file that it reads, ``env`` is added to the environment."""

    argv: list[str]
    prepare: Callable[[], object] = nothing
    stdin: Path | None = None
    env: Mapping[str, str] = {}

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it; what it prints is dropped, but for its complaints."""
        with (self.stdin or Path(os.devnull)).open("rb") as stdin:
            return subprocess.Popen(self.argv, stdin=stdin, stdout=subprocess.DEVNULL, env=_ENV | dict(self.env))

    def run(self) -> None:
        """Run it to its end."""
        if code := self.start().wait():
            raise SystemExit(f"{' '.join(self.argv)}: exit code {code}")


def rounds(variants: Mapping[str, Work | Process], count: int) -> dict[str, list[float]]:
    """The seconds that each variant took in each of ``count`` rounds, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(count + 1):
        for name in random.sample(list(variants), len(variants)):
            variants[name].prepare()
            began = time.perf_counter()
            variants[name].run()
            if number:
                taken[name].append(time.perf_counter() - began)
    return taken


def peak_memory(process: Process) -> float | None:
    """The peak memory, in MiB, of a process and all below it, in a run of its own; None where /proc does not tell.

    Proportional set sizes, so that what several processes share counts once; looked at every 10 ms.
    """
    process.prepare()
    running = process.start()
    peak = 0
    while running.poll() is None:
        peak = max(peak, sum(_kibibytes(pid) for pid in _tree(running.pid)))
        time.sleep(LOOK)
    return peak / 1024 if peak else None


def _tree(pid: int) -> list[int]:
    try:
        tasks = [Path(f"/proc/{pid}/task/{task}/children").read_text() for task in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []
    return [pid, *(below for children in tasks for child in children.split() for below in _tree(int(child)))]


def _kibibytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
