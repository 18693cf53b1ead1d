"""The cause of a failure is stored with its attempt, by whoever records it, and only there."""

import pytest
from history import FAILED, NOW, SUCCEEDED, a_runner, add, claim, end, out, play

from batchq.jobs.attempt import Claim, Ended, Failure, Outcome
from batchq.jobs.causes import recent, signature
from batchq.jobs.causes.recent import REMEMBERED, explained
from batchq.store.file.connection import Store
from batchq.store.running import exchange, rescue
from batchq.store.running.rescue import Lost

TRACEBACK = (
    'Traceback (most recent call last):\n  File "/srv/a.py", line {}, in total\n    return row[name]\nKeyError: {}\n'
)


def causes(store: Store) -> list[str | None]:
    return [cause for (cause,) in store.fetch("SELECT cause FROM attempts ORDER BY job, number")]


def a_key_error(line: int, name: str) -> Outcome:
    return Outcome("failed", failure=Failure("KeyError", name, TRACEBACK.format(line, name)))


def test_each_failed_attempt_has_a_cause_and_no_other_one(store: Store) -> None:
    for outcome, cause in (
        (SUCCEEDED._replace(stderr=out(b"error: none of this matters\n")), None),
        (SUCCEEDED._replace(leftovers=1), None),
        (FAILED._replace(stderr=out(b"reading\nerror: no lease\n")), "exit 3 | error: no lease"),
        (Outcome("timed_out", signal=15, stderr=out(b"error: slow\n")), "timed out | sh -c"),
        (
            Outcome("crashed", failure=Failure("RunnerDied", "its runner died")),
            "crashed | RunnerDied | its runner died",
        ),
        (a_key_error(3, "'price'"), "exception | KeyError | a.py(total): return row[name] | "),
        (Outcome("cancelled", stderr=out(b"error: stopped\n")), None),
        (Outcome("interrupted"), None),
    ):
        (job,) = add(store, "true", max_attempts=1)
        play(store, outcome)

        ((stored,),) = store.fetch("SELECT cause FROM attempts WHERE job = ?", (job,))
        assert (stored and stored[9:]) == cause
        store.db.execute("UPDATE jobs SET priority = -9")  # one that goes back to the queue waits for no other


def test_the_same_failure_has_the_same_cause_in_each_attempt_and_job(store: Store) -> None:
    add(store, call="shop:total", max_attempts=2)
    add(store, call="shop:total")
    play(store, a_key_error(3, "'price'"))
    store.db.execute("UPDATE jobs SET due_at = 1 WHERE state = 'scheduled'")
    play(store, a_key_error(3, "'price'"), a_key_error(77, "'tax'"))

    assert len(causes(store)) == 3
    assert len(set(causes(store))) == 1


def test_a_rescued_attempt_has_a_cause(store: Store) -> None:
    add(store, "make")
    started = claim(store)
    store.db.execute("UPDATE jobs SET started_at = 1")

    lost = Lost(1, 4711, "here", 0, "", [started._replace(started_at=NOW)], {})
    rescue.rescue(store, lost, NOW)

    assert [cause and cause[9:] for cause in causes(store)] == [
        "crashed | RunnerDied | its runner (pid …) died while it ran"
    ]


def test_a_job_that_cannot_be_run_as_it_is_stored_has_a_cause(store: Store) -> None:
    add(store, "make")
    store.db.execute("UPDATE jobs SET work = 'not JSON'")

    exchange.exchange(store, a_runner(store), [], 1)

    (cause,) = causes(store)
    assert cause is not None
    assert cause[9:].startswith("exception | Unreadable | ")


def test_a_failure_is_recorded_also_where_its_cause_cannot_be_computed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(evidence: object) -> None:
        raise ImportError("an upgrade has taken the file away")

    monkeypatch.setattr(signature, "signature", broken)
    add(store, "make")
    play(store, FAILED._replace(stderr=out(b"error: not seen before\n")))

    assert store.fetch("SELECT outcome, cause FROM attempts") == [("failed", None)]


def test_what_cannot_be_recorded_at_all_has_a_cause(store: Store) -> None:
    add(store, "make")
    end(store, claim(store), FAILED._replace(failure=Failure("Odd", "half a character: \udcff")))

    (cause,) = causes(store)
    assert cause is not None
    assert cause[9:].startswith("exception | Unrecordable | ")


def failures(count: int) -> list[Ended]:
    made = Claim(
        1,
        "t",
        1,
        "argv",
        '["a"]',
        None,
        "b",
        "q",
        None,
        None,
        None,
        None,
        None,
        "kill",
        1,
        "retry",
        None,
        False,
        1,
        "/",
        "",
    )
    words = ["".join(chr(ord("a") + int(digit)) for digit in str(number)) for number in range(count)]
    return [Ended(made, FAILED._replace(stderr=out(f"error: no {word}\n".encode()))) for word in words]


def test_a_storm_of_different_failures_is_explained_as_well_as_of_equal_ones() -> None:
    recent._causes.clear()
    ended = failures(3 * REMEMBERED)

    first = [one.outcome.cause for one in explained(ended)]
    again = [one.outcome.cause for one in explained(ended[::-1])][::-1]

    assert first == again
    assert len(set(first)) == len(ended)
    assert len(recent._causes) <= REMEMBERED


def test_successes_are_handed_on_as_they_are() -> None:
    ended = [one._replace(outcome=SUCCEEDED) for one in failures(3)]

    assert explained(ended) is ended
