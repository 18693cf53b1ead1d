"""When jobs ran and how long it took: exact for few jobs, and close to it for many, of which a sample is read."""

import json
import re

import pytest
from conftest import Shell
from history import FAILED, NOW, SUCCEEDED, add, claim, play
from nights import a_large_night

from batchq.jobs.selection import Selection
from batchq.report.summary import Summary
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.looking import tallies, times
from batchq.store.looking.rows import Spread, Timing
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
    of_three = dict.fromkeys((2, 3, 4), (NOW + 60_000, NOW + 61_000))
    assert found.runs == {1: (NOW, NOW + 4000)} | of_three


def test_a_job_that_runs_counts_for_the_first_start_alone(store: Store) -> None:
    add(store, "true")
    claim(store)
    store.db.execute("UPDATE jobs SET started_at = ?", (NOW,))
    ((run,),) = store.fetch("SELECT runner FROM jobs")

    found = times.times(store, Selection(), tallies.counts(store, Selection()))

    assert found == Times(tallies.timing(store, Selection()), None, None, 0, runs={run: (NOW, None)})
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


def worked(*runs: tuple[int, int | None], at: int = 100, running: int = 0) -> int | None:
    """How long these runs worked, if they are the whole past of a store."""
    last = max((last for _, last in runs if last is not None), default=None)
    timing = Timing(min((first for first, _ in runs), default=None), last, len(runs), 0, 0.0, 0.0)
    counts = {"succeeded": len(runs)} | ({"running": running} if running else {})
    return Summary(at, "", counts, timing, [], "", None, None, [], [], None, runs=dict(enumerate(runs, 1))).worked


def test_the_time_between_runs_does_not_count() -> None:
    assert worked() is None
    assert worked((10, 20)) == 10
    assert worked((10, 20), (60, 65)) == 15
    assert worked((10, 20), (15, 30), (12, 13), (60, 65)) == 25, "runs at the same time count once"
    assert worked((10, 20), (60, None), at=100, running=1) == 50, "a run that works does so until now"
    assert worked((10, 20), (60, None), at=100) == 10, "one that died did so nobody knows how long"


def test_the_rate_of_a_report_is_that_of_the_time_in_which_runs_worked(batchq: Shell) -> None:
    for _ in range(2):
        batchq("add", "-q", "--", "sleep", "0.06")  # a start and an end are each rounded to milliseconds
        batchq("run", "-q")
    with open_at(str(batchq.db())) as store, store.writing() as db:  # a day passed between the two
        db.execute(
            "UPDATE attempts SET started_at = started_at + 86400000, finished_at = finished_at + 86400000 WHERE job = 2"
        )

    told = json.loads(batchq("report", "--json").out)
    assert told["seconds"] > 86_000 and told["runs"] == 2
    assert 0.1 <= told["worked_seconds"] < 60
    assert told["jobs_per_second"] == pytest.approx(2 / told["worked_seconds"], rel=0.01)
    assert re.match(
        r"2 jobs: 2 succeeded, in 2 runs that took [\d.]+ m?s \([\d.]+ jobs/(s|min)\)\n", batchq("report").out
    )


def test_the_runs_of_many_jobs_are_those_of_a_sample_and_of_both_ends(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "MOST", 1_000)
    monkeypatch.setattr(times, "SAMPLE", 1_000)
    a_large_night(store, 3_000)
    counts = tallies.counts(store, Selection())

    estimated = times.times(store, Selection(), counts)
    monkeypatch.setattr(times, "MOST", 10_000)
    exact = times.times(store, Selection(), counts)

    assert estimated.sample and not exact.sample
    assert estimated.runs.keys() == exact.runs.keys()
    for run, (first, last) in exact.runs.items():
        assert last is not None
        length = last - first
        assert estimated.runs[run][0] == pytest.approx(first, abs=length * 0.02 + 50)
        assert estimated.runs[run][1] == pytest.approx(last, abs=length * 0.02 + 50)
