"""A real scheduler of Dask and real workers, as processes over TCP on 127.0.0.1."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import eventually

DASK = str(Path(sys.executable).parent / "dask")
HERE = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard"]


class Cluster:
    """``workers`` maps names to processes; ``address`` is that of the scheduler."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.scheduler = self._start(
            "scheduler", "scheduler", "--port", "0", "--no-jupyter", "--scheduler-file", str(self.file)
        )
        eventually(self._has_address, 60)
        self.address = str(json.loads(self.file.read_text())["address"])

    def _has_address(self) -> bool:
        try:
            return bool(json.loads(self.file.read_text())["address"])
        except (OSError, ValueError):
            return False

    def add_worker(self, threads: int = 1) -> str:
        """Start a worker and wait until it is registered; return its name."""
        name = f"w{len(self.workers) + 1}"
        words = ["--nthreads", str(threads), "--nworkers", "1", "--name", name, "--no-nanny"]
        folder = ["--local-directory", str(self.folder)]
        self.workers[name] = self._start(name, "worker", self.address, *words, *folder)
        eventually(lambda: "Registered to" in self.log(name), 60)
        return name

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        os.kill(self.workers[name].pid, number)

    def close(self) -> None:
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.wait()

    def _start(self, name: str, *words: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("ab") as log:
            kind, *rest = words
            return subprocess.Popen(
                [DASK, kind, *rest, *HERE], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )


@contextmanager
def cluster(folder: Path, workers: int = 2, threads: int = 1) -> Iterator[Cluster]:
    """A cluster that is killed afterwards."""
    made = Cluster(folder)
    try:
        for _ in range(workers):
            made.add_worker(threads)
        yield made
    finally:
        made.close()
