"""Stores to measure on: made once as a template, copied before each round."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from batchq.jobs.reading.jobfile import read
from batchq.store.adding import intake
from batchq.store.file.opening import open_at


def make(path: Path, jobs: Iterable[Mapping[str, object]] = (), cwd: str = "/") -> Path:
    """A new store with these jobs."""
    lines = "\n".join(json.dumps(job) for job in jobs)
    with open_at(str(path), create=True) as store:
        intake.add(store, read(lines.encode(), "jsonl", "benchmark", {}, cwd, os.environ.get("PATH", os.defpath)))
    return path


def copier(template: Path, path: Path) -> Callable[[], None]:
    """What puts a fresh copy of ``template`` at ``path``; a store at rest is one file."""

    def copy() -> None:
        for old in path.parent.glob(path.name + "*"):
            old.unlink()
        shutil.copyfile(template, path)

    return copy
