"""Jobs that Python code describes as job files do."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from batchq import folder
from batchq.api.options import plain
from batchq.jobs.reading import jobfile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchq.jobs.model import JobSpec


def described(jobs: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> "list[JobSpec]":
    """Return the jobs of one mapping or many, with the current folder and PATH. Raises InputError."""
    given = [jobs] if isinstance(jobs, Mapping) else jobs
    return jobfile.described(map(_plain, given), folder.current(), os.environ.get("PATH", os.defpath))


def missing(specs: "Sequence[JobSpec]") -> list[str]:
    """Look for the callables of jobs, and return a warning for each that is missing. Raises InputError."""
    calls = [spec for spec in specs if spec.kind == "call"]
    if not calls:
        return []
    from batchq.jobs.callables import Callables

    callables = Callables()
    for spec in calls:
        callables.look(spec)
    return list(callables.warnings)


def _plain(job: object) -> object:
    return plain(job) if isinstance(job, Mapping) else job
