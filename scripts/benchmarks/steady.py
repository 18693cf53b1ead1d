"""The rate of a batch once it is going, so that neither the start of the programs nor the first connection counts."""

import sqlite3
from contextlib import closing
from pathlib import Path

STEADY_FROM = 0.25  #: the part of a batch that does not count


def rate(path: Path) -> float:
    """How many jobs of a store ended a second, after the first quarter. All must have succeeded."""
    with closing(sqlite3.connect(path)) as db:
        ends = [
            float(at) for (at,) in db.execute("SELECT finished_at FROM attempts WHERE outcome = 'succeeded' ORDER BY 1")
        ]
        ((jobs,),) = db.execute("SELECT count(*) FROM jobs")
    if len(ends) != jobs:
        raise SystemExit(f"{path}: only {len(ends)} of {jobs} jobs have succeeded")
    first = int(jobs * STEADY_FROM)
    took = max(0.001, (ends[-1] - ends[first - 1]) / 1000)
    return float(jobs - first) / took
