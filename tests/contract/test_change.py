"""What changed since last time, on stores with real adds: who failed newly, failed again, recovered, is gone or slower."""

import re
from typing import Any

import pytest
from history import FAILED, SUCCEEDED, add, play

from batchq import clock
from batchq.jobs.attempt import Outcome
from batchq.jobs.model import job_spec
from batchq.jobs.selection import Selection, parse
from batchq.store import selecting
from batchq.store.adding import intake
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.looking import adds, twins
from batchq.store.looking.change import Change, change
from batchq.store.selecting import resolved

NIGHT = 86_400_000


def night(store: Store, *jobs: dict[str, Any], files: tuple[str, ...] = (), **fields: Any) -> list[int]:
    """Add the jobs together and run them: each fails if it has ``bad``. Their ids."""
    works = [{key: value for key, value in job.items() if key != "bad"} | fields for job in jobs]
    ids = intake.add(store, [job_spec(work, "test", "/srv/shop", "/usr/bin") for work in works], files).ids
    play(store, *[FAILED if job.get("bad") else SUCCEEDED for job in jobs])
    return ids


def job(command: str, bad: bool = False, **fields: Any) -> dict[str, Any]:
    return {"command": command, "bad": bad} | fields


def seen(store: Store, selection: Selection | None = None) -> Change:
    found = change(store, resolved(store, selection or parse(["last"])))
    assert found is not None
    return found


def test_failures_of_now_and_then_are_told_apart(store: Store) -> None:
    night(store, job("a"), job("b", bad=True), job("c", bad=True), job("d", bad=True), batch="night")
    night(store, job("a", bad=True), job("b", bad=True), job("c"), job("e", bad=True), batch="night")

    found = seen(store)

    assert (found.now, found.then) == (((5, 8),), ((1, 4),))
    assert (found.new, found.again, found.unknown) == ([5], [6], [8])
    assert (found.recovered, found.gone) == ([7], [4])
    assert found.work == (7.0, 7.0)
    assert not found.is_part


def test_without_an_earlier_add_of_the_same_jobs_there_is_no_last_time(store: Store) -> None:
    night(store, job("a", bad=True), batch="night")
    assert change(store, parse(["1"])) is None

    night(store, job("b", bad=True), batch="night")
    assert change(store, parse(["2"])) is None

    night(store, job("a", bad=True), batch="day")
    assert change(store, parse(["3"])) is None


def test_one_job_in_front_changes_no_twin(store: Store) -> None:
    night(store, job("a"), job("b", bad=True), job("c"))
    night(store, job("new"), job("a", bad=True), job("b"), job("c"))

    found = seen(store)

    assert (found.new, found.recovered, found.gone, found.unknown) == ([5], [6], [], [])


def test_equal_jobs_are_paired_by_place_only_while_the_list_is_the_same(store: Store) -> None:
    night(store, job("a"), job("d"), job("d", bad=True))
    night(store, job("a"), job("d", bad=True), job("d"))
    found = seen(store)
    assert (found.new, found.recovered) == ([5], [6])

    night(store, job("new"), job("a"), job("d"), job("d", bad=True))
    found = seen(store)
    assert (found.new, found.recovered) == ([10], [9])

    night(store, job("new"), job("a"), job("between"), job("d"), job("d", bad=True))
    found = seen(store)
    assert (found.new, found.again, found.recovered, found.gone, found.unknown) == ([], [], [], [], [15])


def test_a_name_that_two_jobs_have_is_no_twin_by_itself(store: Store) -> None:
    night(store, job("a", name="load"), job("b", name="load", bad=True), job("c", name="one", bad=True))
    night(store, job("b", name="load", bad=True), job("other", name="load", bad=True), job("c2", name="one"))

    found = seen(store)

    assert (found.again, found.unknown, found.recovered) == ([4], [5], [6])


def test_a_key_is_known_in_other_words(store: Store) -> None:
    with_key: dict[str, Any] = {"unique": "active"}
    night(store, job("a", key="k1", **with_key), job("b", key="k2", bad=True, **with_key), job("x"))
    night(store, job("x"), job("b 2", key="k2", **with_key), job("a 2", key="k1", bad=True, **with_key))

    found = seen(store)

    assert (found.new, found.recovered, found.gone) == ([6], [5], [])


def test_last_time_of_a_file_is_the_same_file(store: Store) -> None:
    night(store, job("a"), files=("/srv/a.toml",))
    night(store, job("a", bad=True), files=("/srv/b.toml",))
    night(store, job("a", bad=True), files=("/srv/a.toml",))

    assert seen(store).then == ((1, 1),)
    assert seen(store).new == [3]


def test_last_time_of_a_single_job_is_the_one_of_its_name_or_work(store: Store) -> None:
    night(store, job("pg_dump", name="backup", bad=True))
    night(store, job("rsync"))
    for number in range(60):
        night(store, job(f"other {number}"))
    night(store, job("pg_dump --all", name="backup"))
    assert seen(store).recovered == [63]
    night(store, job("rsync", bad=True))
    assert seen(store).new == [64]


def test_jobs_that_are_open_now_or_then_are_neither_new_nor_recovered(store: Store) -> None:
    add(store, "a", "b", "c", "d")
    play(store, FAILED, SUCCEEDED, FAILED)
    add(store, "a", "b", "c", "d")
    play(store, SUCCEEDED)  # job 4, which was left
    control.retry(store, parse(["3"]))
    play(store, SUCCEEDED, FAILED, FAILED)  # 3, 5, 6
    control.retry(store, parse(["1"]))

    found = seen(store)

    assert (found.new, found.again, found.unknown, found.recovered) == ([6], [], [5], [])


def test_nights_in_a_row_are_counted_as_far_as_adds_go_back(store: Store) -> None:
    for bad in ((1, 1), (0, 1), (1, 1), (1, 1)):
        night(store, job("a", bad=bool(bad[0])), job("b", bad=bool(bad[1])), batch="night")

    found = seen(store)

    assert found.again == [7, 8]
    assert found.nights == {7: 2, 8: 4}


def test_slower_jobs_are_twice_and_a_second_over_their_twin(store: Store) -> None:
    def ended(*seconds: float) -> list[Outcome]:
        return [SUCCEEDED._replace(seconds=one) for one in seconds]

    add(store, "a", "b", "c", "d", batch="night")
    play(store, *ended(2, 10, 0.1, 3))
    add(store, "a", "b", "c", "d", batch="night")
    play(store, *ended(4, 19, 0.9, 9))

    assert seen(store).slower == [(8, 9.0, 3.0), (5, 4.0, 2.0)]


def test_a_selection_narrows_both_times(store: Store) -> None:
    night(store, job("a", queue="x", bad=True), job("b", queue="y", bad=True), job("c", queue="y", bad=True))
    night(store, job("a", queue="x"), job("b", queue="y", bad=True))

    found = seen(store, parse(["last"], queue="y"))

    assert (found.again, found.recovered, found.gone) == ([5], [], [3])
    assert seen(store, parse(["4"])).recovered == [4]
    assert seen(store, parse(["5"], failed=True)).gone == []


def test_of_several_nights_the_newest_is_compared(store: Store) -> None:
    for number in range(3):
        night(store, job("a", bad=number == 1), job("b"), batch="night")

    found = seen(store, parse([], batch="night"))

    assert (found.now, found.then, found.recovered, found.is_part) == (((5, 6),), ((3, 4),), [5], True)


def test_adds_of_different_jobs_are_compared_each_with_its_own_last_time(store: Store) -> None:
    for number in range(2):
        night(store, job("a", bad=number == 1), job("b"), batch="night")
        night(store, job("c", bad=number == 0), job("d"), batch="day")

    found = seen(store, parse(["5-8"]))

    assert (found.now, found.then) == (((5, 8),), ((1, 4),))
    assert (found.new, found.recovered, found.is_part) == ([5], [7], False)


def test_a_job_that_an_add_requeued_by_its_key_is_compared_with_its_attempt_before(store: Store) -> None:
    def add_keyed(*commands: str) -> None:
        keyed = [job(one, key=one, if_exists="rerun-failed", max_attempts=1) for one in commands]
        for one in keyed:
            del one["bad"]
        intake.add(store, [job_spec(one, "test", "/srv/shop", "/usr/bin") for one in keyed], ("/srv/a.toml",))

    def run(*outcomes: Outcome) -> None:
        play(store, *(one._replace(seconds=0.0) for one in outcomes), now=clock.now())

    add_keyed("a", "b", "c", "d")
    run(SUCCEEDED, FAILED, FAILED, FAILED)
    add_keyed("a", "b", "c", "d")
    run(SUCCEEDED, FAILED, FAILED)

    found = seen(store)

    assert (found.recovered, found.again, found.nights, found.new) == ([2], [3, 4], {3: 2, 4: 2}, [])
    assert (found.now, found.then, found.past) == (((2, 4),), (), None)
    assert seen(store, parse(["3-4"])).again == [3, 4]

    add_keyed("b", "c", "e")
    run(FAILED, FAILED)  # job 3 again, and the new job 5

    found = seen(store)
    assert (found.again, found.unknown, found.gone, found.now) == ([3], [], [], ((3, 3),))


NUMBERS = {"low": 1, "high": 9, "from": 1, "to": 9, "offset": 1, "id": 1, "first": 9, "near": 1, "ids": "[1]"}


@pytest.mark.parametrize(
    ("statement", "reads"),
    [
        (twins._BY_PLACE, {"t USING INTEGER PRIMARY KEY", "j USING INTEGER PRIMARY KEY"}),
        (twins._BY_NAME, {"o USING COVERING INDEX jobs_name", "t USING INTEGER PRIMARY KEY"}),
        (twins._NAMELESS, {"o USING COVERING INDEX jobs_name"}),
        (adds._NAMESAKE, {"t USING INDEX jobs_name"}),
        (adds._SAME_WORK, {"t USING INTEGER PRIMARY KEY"}),
        (selecting._OF_RUN, {"made USING COVERING INDEX attempts_runner", "its USING INDEX jobs_running"}),
    ],
)
def test_the_same_job_and_the_jobs_of_a_run_are_found_by_an_index(
    store: Store, statement: str, reads: set[str]
) -> None:
    steps = [step for *_, step in store.fetch(f"EXPLAIN QUERY PLAN {statement}", NUMBERS | {"run": 1})]

    assert not [step for step in steps if re.match(r"SCAN (?!wanted|CONSTANT|\(subquery)", step)]
    for read in reads:
        assert any(read in step for step in steps), steps
