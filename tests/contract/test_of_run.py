"""``--run``: the jobs whose last attempt was in a run; ``last`` is the newest run, and is looked up once."""

import json

import pytest
from conftest import Shell
from history import FAILED, NOW, SUCCEEDED, a_runner, add, claim, end, play

import batchq
from batchq.errors import MissingError
from batchq.jobs.selection import NO_JOB, parse
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.looking import queries, tallies
from batchq.store.looking.change import change
from batchq.store.selecting import resolved


def ids(store: Store, *words: str, run: str | None = None, failed: bool = False) -> list[int]:
    """The jobs of a selection, the same with and without looking the run up first."""
    selection = parse(words, run=run, failed=failed)
    found = [job.id for job in queries.newest(store, resolved(store, selection), 99)]
    assert found == [job.id for job in queries.newest(store, selection, 99)]
    assert len(found) == sum(tallies.counts(store, selection).values())
    return found


def test_a_run_has_the_jobs_whose_last_attempt_it_made(store: Store) -> None:
    add(store, "a", "b", "c")
    play(store, FAILED, SUCCEEDED)  # runs 1 and 2: ``play`` makes one for each attempt
    control.retry(store, parse(["1"]))
    assert ids(store, run="1") == [1]

    play(store, SUCCEEDED, FAILED)  # runs 3 and 4

    assert [ids(store, run=run) for run in "1234"] == [[], [2], [1], [3]]
    assert ids(store, run="last") == [3]
    assert ids(store, run="4", failed=True) == [3]
    assert ids(store, "1-2", run="4") == []


def test_a_job_that_runs_belongs_to_its_run(store: Store) -> None:
    add(store, "a")
    play(store, FAILED)
    control.retry(store, parse(["1"]))
    claimed = claim(store)

    assert ids(store, run="last") == [1]
    assert ids(store, run="1") == []
    end(store, claimed, SUCCEEDED)


def test_many_jobs_of_one_run_are_found_in_any_order(store: Store) -> None:
    add(store, *(f"job {number}" for number in range(9)))
    play(store, *[SUCCEEDED] * 9)
    store.db.execute("UPDATE attempts SET runner = 5 WHERE job % 3 <> 0")

    assert ids(store, run="5") == [1, 2, 4, 5, 7, 8]
    assert ids(store, "2-4,8-9", run="5") == [2, 4, 8]
    assert resolved(store, parse([], run="5")).ran == ((1, 2), (4, 5), (7, 8))


def test_the_newest_run_is_looked_up_once(store: Store) -> None:
    add(store, "a", "b")
    play(store, SUCCEEDED)
    found = resolved(store, parse([], run="last"))
    play(store, FAILED)

    assert (found.run, found.ran) == (1, ((1, 1),))
    assert tallies.counts(store, found) == {"succeeded": 1}
    assert resolved(store, found) == found


def test_a_store_without_a_run_has_no_newest_one(store: Store) -> None:
    add(store, "a")

    assert resolved(store, parse([], run="last")).ran == NO_JOB
    assert ids(store, run="last") == []
    with pytest.raises(MissingError, match="there is no run 17 in "):
        resolved(store, parse([], run="17"))


def test_a_run_of_nothing_has_no_jobs(store: Store) -> None:
    add(store, "a")
    play(store, SUCCEEDED)
    a_runner(store)

    assert ids(store, run="last") == []


def test_a_run_is_compared_with_last_time(store: Store) -> None:
    for outcome in (SUCCEEDED, FAILED):
        add(store, "a", batch="night")
        play(store, outcome, now=NOW)

    found = change(store, parse([], run="last"))

    assert found is not None
    assert (found.now, found.then, found.new, found.is_part) == (((2, 2),), ((1, 1),), [2], False)


def test_the_commands_that_take_jobs_take_a_run(batchq: Shell) -> None:
    assert batchq("list", "--run", "last").err == (
        f"batchq: list: there has been no run\nbatchq: list: no such jobs in {batchq.db()}\n"
    )
    batchq("add", "-q", "--", "false")
    batchq("add", "-q", "--", "true")
    batchq("run", "-q", "--queue", "default", code=1)
    batchq("retry", "1")
    batchq("run", "-q", code=1)

    listed = json.loads(batchq("list", "--json", "--run", "1").out)["jobs"]
    assert [job["id"] for job in listed] == [2]
    report = json.loads(batchq("report", "--json", "--run=last").out)
    assert (report["jobs"], report["retry"]) == (1, batchq.full("batchq retry 1"))
    assert "there is no run 3 in" in batchq("report", "--run", "3", code=66).err
    assert "'nightly' is not a run" in batchq("report", "--run", "nightly", code=2).err
    assert batchq("retry", "--run", "last").err == "batchq: retry: 1 job queued again\n"
    batchq("run", "-q", "--queue", "other")
    assert "run 3 ran no job, or its jobs have run again since" in batchq("list", "--run", "last").err


def test_python_chooses_by_run(store: Store) -> None:
    add(store, "a", "b")
    play(store, FAILED, FAILED)

    with batchq.open(store.path) as opened:
        assert opened.retry(run=1).ids == [1]
        assert opened.retry(run="last").ids == [2]
        with pytest.raises(batchq.BatchqError, match="is not a run"):
            opened.retry(run="nightly")
