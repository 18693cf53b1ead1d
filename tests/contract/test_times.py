"""When jobs ran and how long it took: exact for few jobs, and close to it for many, of which a sample is read."""

import pytest
from history import FAILED, NOW, SUCCEEDED, add, claim, play
from nights import a_large_night

from batchq.jobs.selection import Selection
from batchq.store.file.connection import Store
from batchq.store.looking import tallies, times
from batchq.store.looking.rows import Spread
from batchq.store.looking.times import Times


def test_the_times_of_few_jobs_are_exact(store: Store) -> None:
    add(store, *["true"] * 3, max_attempts=2)
    play(store, FAILED._replace(seconds=4.0))
    store.db.execute("UPDATE jobs SET due_at = 1 WHERE state = 'scheduled'")
    play(store, *[SUCCEEDED] * 3, now=NOW + 60_000)
    store.db.execute("UPDATE jobs SET created_at = ?", (NOW - 5000,))

    found = times.times(store, Selection(), tallies.counts(store, Selection()))

    assert found.timing == tallies.timing(store, Selection())
    assert (found.took, found.waited) == (Spread(1.0, 4.0, 4.0, 4.0), Spread(65.0, 65.0, 65.0, 65.0))
    assert (found.flaky, found.sample) == (1, 0)


def test_a_job_that_runs_counts_for_the_first_start_alone(store: Store) -> None:
    add(store, "true")
    claim(store)
    store.db.execute("UPDATE jobs SET started_at = ?", (NOW,))

    found = times.times(store, Selection(), tallies.counts(store, Selection()))

    assert found == Times(tallies.timing(store, Selection()), None, None, 0)
    assert (found.timing.first_started, found.timing.attempts) == (NOW, 0)


@pytest.mark.parametrize("selection", [Selection(), Selection(batch="night"), Selection(queue="net")], ids=str)
def test_the_times_of_many_jobs_are_estimated_from_a_sample(
    store: Store, monkeypatch: pytest.MonkeyPatch, selection: Selection
) -> None:
    monkeypatch.setattr(times, "MOST", 1_000)
    monkeypatch.setattr(times, "SAMPLE", 2_000)
    add(store, "true", batch="other")
    play(store, SUCCEEDED)
    a_large_night(store, 6_000)
    counts = tallies.counts(store, selection)

    found, exact = times.times(store, selection, counts), tallies.timing(store, selection)

    assert 1_300 < found.sample < 2_600
    assert found.timing.attempts == pytest.approx(exact.attempts, rel=0.06)
    assert found.timing.busy_seconds == pytest.approx(exact.busy_seconds, rel=0.1)
    assert found.timing.retries == pytest.approx(exact.retries, abs=20)
    assert (found.timing.first_started, found.timing.last_finished) == (exact.first_started, exact.last_finished)
    assert found.took is not None
    assert found.took.p50 == pytest.approx(0.048, abs=0.01)
    assert found.flaky == pytest.approx(tallies.flaky(store, selection), abs=20)
