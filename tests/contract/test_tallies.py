"""Counting and timing on a real store."""

import pytest
from history import FAILED, NOW, SUCCEEDED, add, claim, end, play

from batchq.jobs.selection import Selection, parse
from batchq.store.file.connection import Store
from batchq.store.looking import queries, tallies


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"batch": "night"},
        {"batch": "default"},
        {"batch": "night", "queue": "etl"},
        {"failed": True},
        {"states": ["queued", "failed"], "queue": "etl"},
        {"everything": True},
    ],
)
def test_counts_from_the_counters_equal_a_full_count(store: Store, words: dict[str, object]) -> None:
    add(store, "a", "b", batch="night", queue="etl")
    add(store, "c", "d", batch="night")
    add(store, "e", hold=True)
    play(store, FAILED, SUCCEEDED)
    selection = parse([], **words)  # type: ignore[arg-type]

    counted = tallies.counts(store, selection)
    assert counted == tallies.counts(store, selection._replace(ids=((1, 10**9),)))
    assert sum(counted.values()) == len(queries.jobs(store, selection, 100))


def test_timing_adds_up_attempts(store: Store) -> None:
    add(store, "a", max_attempts=2)
    play(store, FAILED._replace(cpu=0.5))
    play(store, SUCCEEDED._replace(cpu=0.25), now=NOW + 86_400_000)
    add(store, "b", batch="other")

    assert tallies.timing(store, Selection()) == (NOW, NOW + 86_401_000, 2, 1, 3.0, 0.75)
    assert tallies.timing(store, Selection(since=NOW + 5000)) == (NOW + 86_400_000, NOW + 86_401_000, 1, 1, 1.0, 0.25)
    assert tallies.timing(store, Selection(batch="other")) == (None, None, 0, 0, 0.0, 0.0)


def test_what_runs_now_counts_as_started(store: Store) -> None:
    add(store, "a")
    claimed = claim(store, now=NOW)

    assert tallies.timing(store, Selection()).first_started == NOW
    end(store, claimed, SUCCEEDED)


def test_the_slowest_come_first(store: Store) -> None:
    add(store, "a", "b", "c")
    play(store, *(SUCCEEDED._replace(seconds=seconds) for seconds in (1.0, 9.0, 5.0)))

    assert [job.id for job in tallies.slowest(store, Selection(), 2)] == [2, 3]
    assert [job.id for job in tallies.slowest(store, parse(["1"]), 2)] == [1]


def test_next_due_is_the_nearest_time(store: Store) -> None:
    add(store, "a", run_at="2100-01-02T00:00Z")
    add(store, "b", run_at="2100-01-01T00:00Z")

    assert tallies.next_due(store, Selection()) == 4_102_444_800_000
    assert tallies.next_due(store, parse(["1"])) == 4_102_531_200_000
    assert tallies.next_due(store, Selection(batch="none")) is None
