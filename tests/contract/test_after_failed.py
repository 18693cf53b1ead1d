"""``after_failed``: what a failure starts, what no failure makes unneeded, and what a retry of either changes."""

from typing import Any

import pytest
from conftest import Shell
from history import FAILED, NOW, SUCCEEDED, play
from test_order import CANCELLED, jobs, states

from batchq import clock
from batchq.errors import InputError
from batchq.jobs.selection import of_ids
from batchq.store import order
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.keeping import pruning, repair
from batchq.store.keeping.pruning import Policy
from batchq.store.looking import tallies


def why(store: Store, name: str) -> tuple[Any, ...]:
    found: tuple[Any, ...] = store.db.execute("SELECT why, unneeded FROM jobs WHERE name = ?", (name,)).fetchone()
    return found


@pytest.mark.parametrize("outcome", [FAILED, CANCELLED])
def test_a_job_after_a_failure_runs_if_its_parent_failed_or_was_cancelled(store: Store, outcome: Any) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after_failed": ["a"]})
    assert states(store) == {"a": "queued", "b": "blocked"}

    play(store, outcome)
    assert states(store)["b"] == "queued"


def test_after_a_success_it_is_cancelled_and_so_are_those_after_it_but_not_as_a_failure(store: Store) -> None:
    jobs(
        store, {"name": "try"}, {"name": "again", "after_failed": ["try"]}, {"name": "more", "after_failed": ["again"]},
        {"name": "then", "after": ["again"]}, {"name": "over", "after_any": ["again"]},
    )  # fmt: skip

    play(store, SUCCEEDED)

    assert states(store) == {
        "try": "succeeded", "again": "cancelled", "more": "cancelled", "then": "cancelled", "over": "queued",
    }  # fmt: skip
    assert why(store, "again") == ("it was to run only if job 1 (try) failed", 1)
    assert why(store, "more") == ("it was to run only if job 2 (again) failed", 1)
    assert why(store, "then") == ("job 2 (again), after which it was to run, was not needed", 1)
    assert tallies.unneeded(store, of_ids([1, 2, 3, 4, 5])) == 3


def test_a_job_that_was_cancelled_because_of_a_failure_counts_as_failed(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after": ["a"]}, {"name": "alarm", "after_failed": ["b"]})

    play(store, FAILED)

    assert states(store) == {"a": "failed", "b": "cancelled", "alarm": "queued"}


def test_of_several_parents_one_that_failed_is_enough_once_all_have_finished(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d", "after_failed": ["a", "b", "c"]})

    play(store, FAILED, SUCCEEDED)
    assert states(store)["d"] == "blocked"
    play(store, SUCCEEDED)
    assert states(store)["d"] == "queued"


def test_of_several_parents_none_failed(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d", "after_failed": ["a", "b", "c"]})

    play(store, SUCCEEDED, SUCCEEDED, SUCCEEDED)

    assert why(store, "d") == ("it was to run only if job 1 (a) or 2 others failed", 1)
    assert control.retry(store, of_ids([3]))[0::3] == (1, 1), "each of them brings it back, not only the one in its why"
    play(store, FAILED)
    assert states(store)["d"] == "queued"


def test_all_three_kinds_together(store: Store) -> None:
    mixed = {"name": "d", "after": ["a"], "after_any": ["b"], "after_failed": ["c"]}
    jobs(store, {"name": "a"}, {"name": "b"}, {"name": "c"}, mixed)
    play(store, SUCCEEDED, CANCELLED, FAILED)
    assert states(store)["d"] == "queued"

    play(store, SUCCEEDED)
    jobs(store, {"name": "e"}, {"name": "f"}, {"name": "g", "after": ["e"], "after_failed": ["f"]})
    play(store, FAILED)
    assert why(store, "g") == ("job 5 (e), after which it was to run, failed", 0)


def test_a_parent_that_is_retried_is_waited_for_again_and_its_success_cancels(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after_failed": ["a"]})
    play(store, FAILED)

    control.retry(store, of_ids([1]))
    assert states(store) == {"a": "queued", "b": "blocked"}
    play(store, SUCCEEDED)
    assert states(store) == {"a": "succeeded", "b": "cancelled"}

    assert control.retry(store, of_ids([2])).left_alone == {"cancelled": 1}, "nothing has failed, so it stays"
    assert control.retry(store, of_ids([1]))[0::3] == (1, 1)
    play(store, FAILED)
    assert states(store) == {"a": "failed", "b": "queued"}


def test_an_unneeded_job_stays_while_only_an_unneeded_one_comes_back(store: Store) -> None:
    jobs(store, {"name": "a"}, *({"name": f"f{n}", "after_failed": [f"f{n - 1}" if n else "a"]} for n in range(30)))
    play(store, SUCCEEDED)

    assert control.retry(store, of_ids(range(2, 32))).left_alone == {"cancelled": 30}
    assert control.retry(store, of_ids([1]))[0::3] == (1, 30)


def test_added_after_its_parents_have_finished_it_is_queued_or_cancelled_at_once(store: Store) -> None:
    jobs(store, {"name": "good"}, {"name": "bad"})
    play(store, SUCCEEDED, FAILED)

    jobs(store, {"name": "no", "after_failed": ["1"]}, {"name": "yes", "after_failed": ["2", "1"]})

    assert (states(store)["no"], states(store)["yes"]) == ("cancelled", "queued")


def test_what_could_never_run_is_refused(store: Store) -> None:
    jobs(store, {"name": "good", "key": "good"}, {"name": "bad", "key": "bad"})
    play(store, SUCCEEDED, FAILED)
    pruning.prune(store, Policy(0), clock.now() + 1000)
    never = "'after_failed' names no job that can still fail, so this one would never run"

    for one in ({"after_failed": ["id:1"]}, {"after_failed": ["id:1"], "after_any": ["id:2"]}):
        with pytest.raises(InputError, match=never):
            jobs(store, one)
    with pytest.raises(InputError, match=never):
        jobs(store, {"name": "a"}, {"after": ["a"], "after_failed": ["a"]})
    with pytest.raises(InputError, match="field 'after_failed' closes a circle"):
        jobs(store, {"name": "a", "after_failed": ["b"]}, {"name": "b", "after_failed": ["a"]})

    jobs(store, {"name": "a"}, {"name": "b", "after_failed": ["id:2", "a"]})
    play(store, SUCCEEDED)
    assert states(store)["b"] == "queued", "the pruned job had failed"


def test_a_failure_counts_after_its_job_was_pruned(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b"}, {"name": "c", "after_failed": ["a", "b"]})
    play(store, FAILED, SUCCEEDED, FAILED)
    pruning.prune(store, Policy(0, ("failed",), keep=1), clock.now() + 1000)
    assert states(store) == {"b": "succeeded", "c": "failed"}

    assert control.retry(store, of_ids([3])).jobs == 1


def test_doctor_cancels_what_waits_for_a_failure_that_cannot_come(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b"})
    play(store, SUCCEEDED)
    with store.writing() as db:
        db.execute("INSERT INTO dependencies VALUES (2, 1, 'after_failed')")

    mended = repair.mend(store, NOW)

    assert mended[0] == (
        "jobs wait for a failure, but the jobs before them have finished without one; they are cancelled: 2"
    )
    assert states(store)["b"] == "cancelled"


def test_more_levels_and_children_than_one_transaction_notifies(store: Store) -> None:
    links = [{"name": f"f{n}", "after_failed": [f"f{n - 1}" if n else "a"]} for n in range(60)]
    jobs(store, {"name": "a"}, *links, *({"after_failed": ["a"]} for _ in range(2_100)))

    play(store, SUCCEEDED)
    order.finish(store, NOW)

    counted = store.db.execute("SELECT state, unneeded, count(*) FROM jobs GROUP BY 1, 2 ORDER BY 1").fetchall()
    assert counted == [("cancelled", 1, 2_160), ("succeeded", 0, 1)]


NIGHT = """
[[job]]
name = "backup"
key = "backup"
command = "exit $(cat code)"

[[job]]
name = "alarm"
key = "alarm"
command = "echo alarm"
after_failed = ["backup"]
"""


def test_a_run_answers_for_an_unneeded_job_with_0_and_wait_too(batchq: Shell) -> None:
    (batchq.folder / "night.toml").write_text(NIGHT)
    (batchq.folder / "code").write_text("0")

    assert batchq("run", "night.toml").err == ""
    assert batchq("wait", "1-2").err == ""
    assert batchq("run", "night.toml").err == "", "known by its key, it did not fail before either"
    assert "it was cancelled at" in batchq("explain", "2").out
    assert "it was to run only if job 1 (backup) failed" in batchq("explain", "2").out

    (batchq.folder / "code").write_text("1")
    batchq("retry", "1")
    batchq("run", code=1)
    assert batchq("list", "--state", "succeeded", "--json").out.count('"name": "alarm"') == 1


def test_an_unneeded_job_of_which_only_the_key_is_left_did_not_fail(batchq: Shell) -> None:
    (batchq.folder / "night.toml").write_text(NIGHT)
    (batchq.folder / "code").write_text("0")
    batchq("run", "night.toml")
    batchq("prune", "--older-than", "0s", "--state", "cancelled")

    assert batchq("run", "night.toml").err == ""
    assert batchq("wait", "2").err == "batchq: wait: job 2 (key 'alarm') was pruned; its final state: unneeded\n"
    assert "names job 2, which was unneeded" in batchq("add", "--after", "2", "--", "true", code=65).err
    assert "names no job that can still fail" in batchq("add", "--after-failed", "2", "--", "true", code=65).err


def test_the_option_of_add(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "a", "--", "false")
    batchq("add", "-q", "--after-failed", "a", "--", "echo", "alarm")

    batchq("run", code=1)

    assert batchq("logs", "2").out == "alarm\n"
    assert batchq.rows("SELECT job, kind, parent FROM dependency_report") == [(2, "after_failed", 1)]
