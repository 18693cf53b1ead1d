"""What changing and looking costs on a store of a million jobs, beside the same on a thousand."""

from collections.abc import Sequence
from pathlib import Path

import stores
import tables
from measure import BATCHQ, Process, rounds

from batchq.store.file.opening import open_at

SMALL, LARGE = 1_000, 1_000_000
STEP = 50_000  #: jobs of one add, so that making the store does not take the memory of a million

#: What is asked, and the words that ask it. The first half of the jobs has failed, the second is queued, in two batches.
QUESTIONS = {
    "retry --failed": ("retry", "--failed"),
    "retry of one job": ("retry", "1"),
    "cancel --batch (half of all)": ("cancel", "--batch", "waits"),
    "cancel of one job": ("cancel", "{last}"),
    "hold --all": ("hold", "--all"),
    "release --all": ("release", "--all"),
    "queue pause": ("queue", "pause", "default"),
    "queue": ("queue",),
    "explain of one job": ("explain", "{last}"),
    "list": ("list",),
    "report": ("report",),
}


def control(scratch: Path, count: int) -> None:
    """Each command as a whole process, on a fresh copy; once with jobs alone, once with each after another."""
    for is_tied in (False, True):
        plans = {jobs: _programs(scratch, jobs, is_tied=is_tied) for jobs in (SMALL, LARGE)}
        times = {jobs: rounds(programs, count) for jobs, programs in plans.items()}
        rows = [
            (
                name,
                tables.milliseconds(times[SMALL][name]),
                tables.milliseconds(times[LARGE][name]),
                tables.ratio(times[LARGE][name], times[SMALL][name]),
            )
            for name in QUESTIONS
        ]
        also = ", every second one after the one before it" if is_tied else ""
        tables.show(f"CONTROL: {LARGE:,} jobs{also}", ("", f"{SMALL:,}: ms", f"{LARGE:,}: ms", "ratio"), rows)


def _programs(scratch: Path, jobs: int, *, is_tied: bool) -> dict[str, Process]:
    template = _store(scratch / f"control-{jobs}-{is_tied}.db", jobs, is_tied=is_tied)
    path = scratch / "control.db"
    held = scratch / f"held-{jobs}-{is_tied}.db"
    stores.copier(template, held)()
    Process([BATCHQ, "hold", "--all", "--db", str(held)]).run()
    programs = {}
    for name, words in QUESTIONS.items():
        source = held if name.startswith("release") else template
        argv = [BATCHQ, *(word.format(last=jobs) for word in words), "--db", str(path)]
        programs[name] = Process(argv, stores.copier(source, path))
    return programs


def _store(path: Path, jobs: int, *, is_tied: bool) -> Path:
    for start in range(0, jobs, STEP):
        stores.make(path, [_job(number, jobs, is_tied=is_tied) for number in range(start, min(start + STEP, jobs))])
    # As if the first half had run and failed; a job after a failed one would be cancelled, so these wait for success.
    with open_at(str(path)) as store, store.writing() as db:
        half = (jobs // 2,)
        db.execute("UPDATE jobs SET state = 'failed', finished_at = created_at, attempt = 1 WHERE id <= ?", half)
        db.execute("DELETE FROM counters")
        db.execute("INSERT INTO counters SELECT state, queue, batch, count(*) FROM jobs GROUP BY state, queue, batch")
        db.execute(
            "INSERT INTO runners (id, state, pid, host, boot_id, namespace, liveness, slots, executor, started_at,"
            " ended_at)"
            " VALUES (1, 'ended', 1, 'h', 'b', '', 1, 1, 'local', 0, 0)"
        )
        db.execute(
            "INSERT INTO attempts (job, number, token, runner, outcome, started_at, finished_at, seconds)"
            " SELECT id, 1, 't', 1, 'failed', created_at, created_at, 0.5 FROM jobs WHERE id <= ?",
            half,
        )
    return path


def _job(number: int, jobs: int, *, is_tied: bool) -> dict[str, Sequence[str] | str]:
    has_run = number < jobs // 2
    fields: dict[str, Sequence[str] | str] = {"command": ["true"], "batch": "ran" if has_run else "waits"}
    return fields | ({"after": [str(number)]} if is_tied and number % 2 and not has_run else {})
