"""Stores with a past, made by hand: jobs are added and claimed for real, only the outcomes are written by the test."""

from typing import Any

from batchq.jobs.attempt import Claim, Ended, Outcome, Stream
from batchq.jobs.model import job_spec
from batchq.store import states
from batchq.store.adding import intake
from batchq.store.file.connection import Store
from batchq.store.running import exchange, runners
from batchq.store.running.runners import Runner
from batchq.store.running.wanted import RunSelection

NOW = 1_700_000_000_000
SUCCEEDED = Outcome("succeeded", exit_code=0, seconds=1.0)
FAILED = Outcome("failed", exit_code=3, seconds=2.0)
HOSTILE = b"\x1b]0;pwned\x07\x1b[2J\x9b31m\xe2\x80\xae gone \xff\n"  #: what a job prints that means harm


def add(store: Store, *commands: str, **fields: Any) -> list[int]:
    """Add one job for each shell command (or one of ``call`` or ``payload``), in one add; their ids."""
    works: list[dict[str, Any]] = [{"command": command} for command in commands] or [{}]
    return intake.add(store, [job_spec(work | fields, "test", "/srv/shop", "/usr/bin") for work in works]).ids


def a_runner(store: Store) -> Runner:
    """A runner that takes anything."""
    return runners.register(
        store, RunSelection(payloads=True), 1, pid=1, host="here", boot_id="b", slots=9, executor="local", now=NOW
    )


def claim(store: Store, *, now: int = NOW) -> Claim:
    """Start the next job; it runs until ``end``."""
    (claimed,) = exchange.exchange(store, a_runner(store), [], 1, now).claims
    return claimed


def end(store: Store, claimed: Claim, outcome: Outcome, *, now: int = NOW) -> None:
    """End a job that was claimed; it took the seconds of its outcome."""
    (row,) = store.db.execute("SELECT runner FROM jobs WHERE id = ?", (claimed.id,)).fetchall()
    ended = Ended(claimed, outcome._replace(started_at=now, finished_at=now + round(outcome.seconds * 1000)))
    runner = Runner(row[0], 1, RunSelection())
    assert exchange.exchange(store, runner, [ended], 0, now + round(outcome.seconds * 1000)).settled
    runners.leave(store, runner, now)


def play(store: Store, *outcomes: Outcome, now: int = NOW) -> None:
    """Run one job after the other, each to the outcome given for it, all at ``now``."""
    for outcome in outcomes:
        end(store, claim(store, now=now), outcome, now=now)


def play_together(store: Store, *outcomes: Outcome) -> None:
    """Run as many jobs, all at the same time, each to the outcome given for it."""
    runner = a_runner(store)
    claims = exchange.exchange(store, runner, [], len(outcomes), NOW).claims
    ended = [
        Ended(one, outcome._replace(started_at=NOW, finished_at=NOW + round(outcome.seconds * 1000)))
        for one, outcome in zip(claims, outcomes, strict=True)
    ]
    exchange.exchange(store, runner, ended, 0, NOW)
    runners.leave(store, runner, NOW)


def out(data: bytes) -> Stream:
    """A stream that was kept whole."""
    return Stream(data, b"", len(data))


def a_night(store: Store) -> None:
    """Three jobs: one succeeded, one failed after three attempts, one waits."""
    add(store, "extract", name="extract", batch="night")
    add(store, "psql -f load.sql", name="load", batch="night", max_attempts=3)
    play(store, SUCCEEDED._replace(stdout=out(b"ok\n")))
    for day in range(3):
        play(store, FAILED._replace(stderr=out(b"refused\n")), now=NOW + 5000 + day * 86_400_000)
    add(store, "waits", batch="night", queue="etl")


def a_past(store: Store, jobs: int) -> None:
    """So many succeeded jobs with output, written by SQL: a run of them would take minutes."""
    add(store, *(f"job {number}" for number in range(jobs)))
    play(store, SUCCEEDED)
    with store.writing() as db:
        states.move(db, "queued", "succeeded", "1", {}, also=f"finished_at = {NOW}, attempt = 1")
        db.execute(
            "INSERT INTO attempts (job, number, token, runner, outcome, started_at, finished_at, seconds)"
            f" SELECT id, 1, id, 1, 'succeeded', {NOW}, {NOW}, 1.0 FROM jobs WHERE id > 1"
        )
        db.execute("INSERT INTO outputs SELECT id, 1, 'stdout', zeroblob(500), x'', 500, NULL FROM jobs WHERE id > 1")
