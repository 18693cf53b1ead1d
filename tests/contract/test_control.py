"""Retry, hold and release on a real store; the invariants are checked after each test."""

import pytest
from history import FAILED, NOW, SUCCEEDED, add, claim, end, play

from batchq.errors import MissingError
from batchq.jobs.attempt import Failure, Outcome
from batchq.jobs.selection import parse
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.looking import queries

CANCELLED = Outcome("cancelled", seconds=1.0)
INTERRUPTED = Outcome("interrupted", seconds=0.0)


def states(store: Store) -> dict[int, str]:
    return {job.id: job.state for job in queries.jobs(store, parse([]), 1000)}


def test_a_failed_job_is_queued_afresh_and_its_attempts_go_on(store: Store) -> None:
    add(store, "false", max_attempts=2)
    for day in range(2):
        play(store, FAILED, now=NOW + day * 86_400_000)

    done = control.retry(store, parse(["1"]))

    assert done[:3] == (1, {}, [])
    columns = "state, attempt, failures, crashes, interruptions, finished_at, why, cancel_asked"
    assert store.db.execute(f"SELECT {columns} FROM jobs").fetchall() == [("queued", 2, 0, 0, 0, None, None, 0)]
    later = claim(store, now=NOW + 9 * 86_400_000)
    assert later.attempt == 3
    end(store, later, SUCCEEDED, now=NOW + 9 * 86_400_000)


def test_a_given_up_crash_starts_with_a_new_budget(store: Store) -> None:
    add(store, "x", max_crashes=1)
    play(store, Outcome("crashed", failure=Failure("RunnerDied", "it died")))

    control.retry(store, parse([], failed=True))

    (job,) = queries.jobs(store, parse([]), 1)
    assert (job.state, job.crashes, job.why) == ("queued", 0, None)


def test_a_batch_retries_what_failed_or_was_cancelled_and_no_success(store: Store) -> None:
    add(store, "a", "b", "c", "d", batch="night")
    play(store, FAILED, CANCELLED, SUCCEEDED)

    done = control.retry(store, parse([], batch="night"), list_ids=True)

    assert done[:3] == (2, {"succeeded": 1, "queued": 1}, [1, 2])
    assert states(store) == {1: "queued", 2: "queued", 3: "succeeded", 4: "queued"}


@pytest.mark.parametrize(
    ("words", "again"),
    [
        ({"words": ["last"]}, False),
        ({"words": [], "everything": True}, False),
        ({"words": [], "name": "x"}, False),
        ({"words": ["1"]}, True),
        ({"words": ["1-9"]}, True),
        ({"words": ["1,last"]}, True),
        ({"words": ["last"], "states": ["succeeded"]}, True),
        ({"words": ["1"], "failed": True}, False),
    ],
)
def test_a_succeeded_job_is_retried_only_when_it_is_named(store: Store, words: dict[str, object], again: bool) -> None:
    add(store, "true", name="x")
    play(store, SUCCEEDED)

    done = control.retry(store, parse(**words))  # type: ignore[arg-type]

    assert done.jobs == int(again)
    assert states(store) == {1: "queued" if again else "succeeded"}


def test_what_waits_or_runs_is_left_alone_and_counted(store: Store) -> None:
    add(store, "runs", "fails", "waits")
    add(store, "later", delay="1h")
    add(store, "held", hold=True)
    running = claim(store)
    play(store, FAILED)

    done = control.retry(store, parse([], everything=True))

    assert done[:3] == (1, {"running": 1, "queued": 1, "scheduled": 1, "held": 1}, [])
    end(store, running, SUCCEEDED)


def test_an_unknown_id_changes_nothing(store: Store) -> None:
    add(store, "false")
    play(store, FAILED)

    for verb in (control.retry, control.hold, control.release):
        with pytest.raises(MissingError, match="there is no job 7 in"):
            verb(store, parse(["1,7"]))

    assert states(store) == {1: "failed"}


def test_hold_keeps_waiting_jobs_from_being_claimed_until_release(store: Store) -> None:
    add(store, "a", "a")
    add(store, "b", run_at="2100-01-01T00:00Z")

    assert control.hold(store, parse([], everything=True))[:3] == (3, {}, [])
    held = queries.jobs(store, parse([]), 9)
    assert {(job.state, job.why) for job in held} == {("held", "held by hand")}

    assert control.release(store, parse(["2"]), list_ids=True)[:3] == (1, {}, [2])
    assert states(store) == {1: "held", 2: "queued", 3: "held"}
    assert control.release(store, parse([], batch="default"))[:3] == (2, {"queued": 1}, [])
    assert states(store) == {1: "queued", 2: "queued", 3: "scheduled"}, "a time to wait for outlives the hold"
    play(store, SUCCEEDED, SUCCEEDED)


def test_what_batchq_has_put_on_hold_is_held_by_the_person_who_says_hold(store: Store) -> None:
    add(store, "a")
    play(store, *[INTERRUPTED] * 10)
    add(store, "b", hold=True)

    assert control.hold(store, parse([], everything=True), list_ids=True)[:3] == (1, {"held": 1}, [1])
    assert [job.why for job in queries.jobs(store, parse([]), 9)] == ["held by hand", "added with hold"]
    assert control.hold(store, parse(["1"]))[:3] == (0, {"held": 1}, [])


def test_hold_leaves_what_runs_or_is_over(store: Store) -> None:
    add(store, "a", "b")
    play(store, SUCCEEDED)
    running = claim(store)

    assert control.hold(store, parse([], everything=True))[:3] == (0, {"running": 1, "succeeded": 1}, [])
    end(store, running, SUCCEEDED)


def test_a_released_job_is_not_held_again_by_its_next_interruption(store: Store) -> None:
    add(store, "a")
    play(store, *[INTERRUPTED] * 10)
    assert states(store) == {1: "held"}

    control.release(store, parse(["1"]))
    play(store, INTERRUPTED)

    assert states(store) == {1: "queued"}


def test_a_thousand_scattered_jobs_change_at_once(store: Store) -> None:
    add(store, *["true"] * 2000)
    odd = parse([",".join(map(str, range(1, 2001, 2)))])

    assert control.hold(store, odd).jobs == 1000
    assert control.release(store, odd).jobs == 1000
