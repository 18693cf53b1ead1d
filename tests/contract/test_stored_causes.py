"""The cause of a failure is stored with its attempt, by whoever records it, and only there."""

import json

import pytest
from conftest import Shell
from history import FAILED, NOW, SUCCEEDED, a_runner, add, claim, end, out, play

import batchq
from batchq.jobs.attempt import Claim, Ended, Failure, Outcome
from batchq.jobs.causes import recent, signature
from batchq.jobs.causes.recent import REMEMBERED, explained
from batchq.jobs.selection import parse
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.looking import queries, tallies
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
        None,
        "separate",
        None,
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


# --- choosing by cause -----------------------------------------------------------------------------------------------


def a_bad_night(store: Store) -> tuple[str, str]:
    """Jobs 1 and 2 fail for one reason, 3 for another one, 4 succeeds; the ids of the two causes."""
    add(store, "a", "b", "c", "d")
    lease, disk = (FAILED._replace(stderr=out(text)) for text in (b"error: no lease on 17\n", b"error: disk full\n"))
    play(store, lease, lease, disk, SUCCEEDED)
    found = causes(store)
    return str(found[0])[:8], str(found[2])[:8]


def chosen(store: Store, *ids: str) -> list[int]:
    return [job.id for job in queries.jobs(store, parse([], causes=ids), -1)]


def test_jobs_are_chosen_by_the_cause_of_their_last_attempt(store: Store) -> None:
    lease, disk = a_bad_night(store)

    assert chosen(store, lease) == [1, 2]
    assert chosen(store, disk) == [3]
    assert chosen(store, f"{lease},{disk}") == [1, 2, 3]
    assert chosen(store, "00000000") == []
    assert tallies.counts(store, parse([], causes=[lease])) == {"failed": 2}
    assert tallies.counts(store, parse(["2-4"], causes=[lease], states=["failed"])) == {"failed": 1}


def test_a_retry_by_cause_takes_exactly_these_jobs(store: Store) -> None:
    lease, _ = a_bad_night(store)

    assert control.retry(store, parse(["1-4"], causes=[lease]), list_ids=True).ids == [1, 2]

    assert tallies.counts(store, parse(["1-2"])) == {"queued": 2}
    assert tallies.counts(store, parse(["3-4"])) == {"succeeded": 1, "failed": 1}


def test_a_job_that_has_got_over_its_cause_is_not_chosen_by_it(store: Store) -> None:
    lease, disk = a_bad_night(store)
    control.retry(store, parse([], causes=[lease, disk]))

    play(store, SUCCEEDED, FAILED._replace(stderr=out(b"error: disk full\n")))
    claim(store)

    assert chosen(store, lease) == []
    assert chosen(store, disk) == [2]


def test_a_job_that_will_be_tried_again_is_chosen_by_the_cause_of_its_last_attempt(store: Store) -> None:
    add(store, "a", max_attempts=2)
    play(store, FAILED._replace(stderr=out(b"error: no lease\n")))
    cause = str(causes(store)[0])[:8]

    assert chosen(store, cause) == [1]
    assert control.cancel(store, parse([], causes=[cause])).jobs == 1


def test_python_chooses_by_cause(store: Store) -> None:
    lease, disk = a_bad_night(store)

    with batchq.open(store.path) as opened:
        assert opened.retry(cause=lease).ids == [1, 2]
        assert opened.retry(cause=[lease, disk]).ids == [3]
        with pytest.raises(batchq.BatchqError, match="is not the id of a cause"):
            opened.retry(cause="exit 3")


def test_the_commands_that_take_jobs_take_a_cause(batchq: Shell) -> None:
    for shard in (17, 4711):
        batchq("add", "-q", "-c", f'echo "error: no lease on {shard}" >&2; exit 3')
    batchq("add", "-q", "--", "false")
    batchq("run", "-q", code=1)
    with open_at(str(batchq.db())) as store:
        lease = str(causes(store)[0])[:8]

    def listed(*words: str) -> list[int]:
        return [job["id"] for job in json.loads(batchq("list", "--json", *words).out)["jobs"]]

    assert listed("--cause", lease) == [1, 2]
    assert listed("--cause", "00000000") == []
    assert batchq("retry", "2-3", "--cause", lease).err == "batchq: retry: 1 job queued again\n"
    assert json.loads(batchq("report", "--json", "--failed", f"--cause={lease}").out)["jobs"] == 1
    batchq("cancel", "--cause", f"00000000,{lease}")
    assert listed("--state", "cancelled") == [2]
    for wrong in ("", "exit 3", f"{lease},"):
        assert "is not the id of a cause" in batchq("retry", "--cause", wrong, code=2).err


def test_show_and_json_have_the_cause_of_each_failed_attempt(batchq: Shell) -> None:
    batchq("add", "-q", "--max-attempts", "2", "--backoff", "0", "-c", 'echo "error: no lease on $$" >&2; exit 3')
    batchq("run", "-q", code=1)

    job = json.loads(batchq("show", "1", "--json").out)["job"]

    causes = {job["cause"], *(attempt["cause"] for attempt in job["attempts"])}
    (cause,) = causes
    assert cause[9:].startswith("exit 3 | error: no lease on")
    assert f"cause     {cause}\n" in batchq("show", "1").out
    assert json.loads(batchq("list", "--json").out)["jobs"][0]["cause"] == cause
