"""The sample of attempts that charts are drawn from: bounded, even, and of whole jobs."""

import pytest

from batchq.jobs.selection import Selection, parse
from batchq.store.file.connection import Store
from batchq.store.looking import sample

START = 1_764_000_000_000
EVERYTHING = Selection()
JOB = """INSERT INTO jobs (id, add_id, state, batch, queue, kind, work, context, priority, max_attempts, backoff,
    max_crashes, on_crash, created_at, finished_at, attempt, failures)
    VALUES (?, 1, 'succeeded', 'b', 'default', 'argv', '["true"]', 1, 0, 2, 0, 0, 'retry', 0, ?, 2, 1)"""


def fill(store: Store, ids: range) -> None:
    """Two attempts a job; the newest job started first."""
    store.db.execute("BEGIN")
    store.db.execute("INSERT OR IGNORE INTO contexts VALUES (1, x'2f', x'2f')")
    store.db.execute(
        "INSERT OR IGNORE INTO runners (id, state, pid, host, boot_id, namespace, liveness, slots, executor, started_at,"
        " ended_at) VALUES (1, 'ended', 1, 'h', 'b', 'n', 1, 4, 'local', 0, 1)"
    )
    store.db.executemany(JOB, [(id, START - id + 500) for id in ids])
    store.db.executemany(
        "INSERT INTO attempts (job, number, token, runner, outcome, started_at, finished_at, seconds)"
        " VALUES (?, ?, 't', 1, iif(? = 1, 'failed', 'succeeded'), ?, ?, 0.5)",
        [(id, number, number, START - id, START - id + 500) for id in ids for number in (1, 2)],
    )
    counters = "INSERT INTO counters VALUES ('succeeded', 'default', 'b', ?)"
    store.db.execute(f"{counters} ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs", (len(ids),))
    store.db.execute("COMMIT")


def test_few_attempts_are_all_read_in_the_order_of_their_starts(store: Store) -> None:
    fill(store, range(1, 51))

    found = sample.sample(store, EVERYTHING, 100)

    assert (found.step, len(found.attempts), found.slots) == (1, 100, {1: 4})
    assert found.attempts == sorted(found.attempts, key=lambda one: one.started_at)


@pytest.mark.parametrize("pattern", [1, 2, 3, 7, 64, 1000])
def test_of_many_an_even_share_is_read_whatever_the_step_between_the_ids(store: Store, pattern: int) -> None:
    fill(store, range(1, 1 + 2000 * pattern, pattern))

    found = sample.sample(store, EVERYTHING, 10 * sample.MOST)

    assert found.step == 10
    assert len(found.attempts) == pytest.approx(400, rel=0.05)
    times = [one.started_at for one in found.attempts]
    assert all(times.count(moment) == 2 for moment in times), "both attempts of a job, or none"


def test_only_the_selected_jobs_are_read_and_only_what_ended_in_the_window(store: Store) -> None:
    fill(store, range(1, 51))

    assert len(sample.sample(store, parse(["3-5,9"]), 8).attempts) == 8
    recent = EVERYTHING._replace(since=START - 10 + 500)
    assert {START - one.started_at for one in sample.sample(store, recent, 100).attempts} == {*range(1, 11)}
