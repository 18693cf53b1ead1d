"""A Dask cluster on this machine to measure on: a scheduler and workers of one thread each, over TCP on 127.0.0.1."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DASK = str(Path(sys.executable).with_name("dask"))
_HERE = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard"]
PATIENCE = 60.0  #: seconds that it may take to come up


@contextmanager
def cluster(folder: Path, workers: int, imports: str) -> Iterator[str]:
    """The address of a scheduler with that many workers, which can import from ``imports``; all are killed afterwards."""
    folder.mkdir()
    file = folder / "scheduler.json"
    env = os.environ | {"PYTHONPATH": imports}
    started = [_start(folder, env, "scheduler", "--port", "0", "--no-jupyter", "--scheduler-file", str(file))]
    try:
        until = time.monotonic() + PATIENCE
        address = ""
        while not address:
            address = _address(file, until)
        words = ["worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]
        started += [_start(folder, env, *words, "--name", f"w{number}") for number in range(workers)]
        yield address
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def _start(folder: Path, env: dict[str, str], *words: str) -> "subprocess.Popen[bytes]":
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([DASK, *words, *_HERE], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)


def _address(file: Path, until: float) -> str:
    try:
        return str(json.loads(file.read_text())["address"])
    except (OSError, ValueError):
        if time.monotonic() > until:
            raise SystemExit(f"the scheduler of Dask has not come up: see {file.with_name('log')}") from None
        time.sleep(0.05)
        return ""
