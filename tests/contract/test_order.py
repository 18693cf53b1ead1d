"""The order of jobs: what an add binds, what the end of a parent does, what a retry brings back."""

from typing import Any

import pytest
from history import FAILED, NOW, SUCCEEDED, a_runner, add, claim, end, play

from batchq import clock
from batchq.errors import InputError
from batchq.jobs.attempt import Ended, Outcome
from batchq.jobs.model import job_spec
from batchq.jobs.selection import Selection, of_ids, parse
from batchq.store import reopening
from batchq.store.adding import intake
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.keeping import pruning
from batchq.store.keeping.pruning import Policy
from batchq.store.running import exchange

CANCELLED = Outcome("cancelled", seconds=0.5)


def jobs(store: Store, *described: dict[str, Any]) -> list[int]:
    """Add these jobs at once; their command is their name."""
    specs = [
        job_spec({"command": one.get("name", "x")} | one, f"jobs.toml, job {number}", "/", "/bin")
        for number, one in enumerate(described, 1)
    ]
    return intake.add(store, specs).ids


def states(store: Store) -> dict[str, str]:
    return dict(store.db.execute("SELECT coalesce(name, id), state FROM jobs ORDER BY id").fetchall())


def chain(store: Store, **end: Any) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after": ["a"]}, {"name": "c", "after": ["b"]}, {"name": "end"} | end)


def test_a_job_waits_until_its_parents_have_succeeded(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "a"}, {"name": "b", "after": ["a"]})
    assert states(store) == {"a": "queued", "b": "blocked"}

    play(store, SUCCEEDED)
    assert states(store)["b"] == "blocked"
    play(store, SUCCEEDED)
    assert states(store)["b"] == "queued"


def test_a_failed_parent_cancels_all_below_it_and_says_so(store: Store) -> None:
    chain(store, after_any=["c"])

    play(store, FAILED)

    assert states(store) == {"a": "failed", "b": "cancelled", "c": "cancelled", "end": "queued"}
    assert [why for (why,) in store.db.execute("SELECT why FROM jobs WHERE state = 'cancelled'")] == [
        "job 1 (a), after which it was to run, failed",
        "job 2 (b), after which it was to run, was cancelled",
    ]


def test_a_retry_of_the_parent_brings_back_what_was_cancelled_because_of_it(store: Store) -> None:
    chain(store)
    play(store, FAILED)

    assert control.retry(store, parse(["1"]))[0::3] == (1, 2)

    assert states(store) == {"a": "queued", "b": "blocked", "c": "blocked", "end": "queued"}
    play(store, SUCCEEDED, SUCCEEDED)
    assert states(store)["b"] == "succeeded" or states(store)["end"] == "succeeded"


def test_what_was_cancelled_by_hand_is_not_brought_back(store: Store) -> None:
    chain(store)
    control.cancel(store, of_ids([2]))
    assert states(store) == {"a": "queued", "b": "cancelled", "c": "cancelled", "end": "queued"}
    play(store, FAILED)

    control.retry(store, of_ids([1]))
    assert states(store) == {"a": "queued", "b": "cancelled", "c": "cancelled", "end": "queued"}
    assert control.retry(store, of_ids([2]))[0::3] == (1, 1)
    assert states(store) == {"a": "queued", "b": "blocked", "c": "blocked", "end": "queued"}


def test_a_job_stays_cancelled_while_another_parent_is_failed(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b"}, {"name": "c", "after": ["a", "b"]})
    play(store, FAILED, FAILED)

    control.retry(store, of_ids([1]))
    assert states(store)["c"] == "cancelled"
    assert control.retry(store, of_ids([3])).left_alone == {"cancelled": 1}
    control.retry(store, parse([], everything=True))
    assert states(store) == {"a": "queued", "b": "queued", "c": "blocked"}


def test_after_any_runs_however_the_parent_ended(store: Store) -> None:
    for outcome in (SUCCEEDED, FAILED, CANCELLED):
        (_, child) = jobs(store, {"name": "a"}, {"after_any": ["a"]})
        play(store, outcome)
        assert store.db.execute("SELECT state FROM jobs WHERE id = ?", (child,)).fetchone() == ("queued",)
        play(store, SUCCEEDED)


def test_a_time_to_wait_for_begins_to_count_when_the_parents_are_over(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after": ["a"], "run_at": "2100-01-01T00:00Z"})

    play(store, SUCCEEDED)
    assert store.db.execute("SELECT state, why FROM jobs WHERE id = 2").fetchone() == ("scheduled", "delay")


def test_a_held_job_goes_on_waiting_for_its_parents_when_it_is_released(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after": ["a"], "hold": True})
    control.release(store, of_ids([2]))
    assert states(store)["b"] == "blocked"

    control.hold(store, of_ids([2]))
    play(store, SUCCEEDED)
    assert states(store)["b"] == "held"
    control.release(store, of_ids([2]))
    assert states(store)["b"] == "queued"


def test_parents_are_found_by_name_in_the_add_then_in_the_batch_by_id_and_by_batch(store: Store) -> None:
    jobs(store, {"name": "old", "batch": "n"}, {"name": "x", "batch": "m"}, {"name": "x", "batch": "m"})
    jobs(store, {"name": "old", "batch": "n"}, {"name": "b", "batch": "n", "after": ["old"]})
    jobs(store, {"name": "c", "batch": "n", "after": ["old"]}, {"name": "d", "after": [2, "3"]})
    jobs(store, {"name": "e", "after_any": ["batch:m"]})

    edges = store.db.execute("SELECT child, parent, kind FROM dependencies ORDER BY child, parent").fetchall()
    assert edges == [
        (5, 4, "after"), (6, 1, "after"), (6, 4, "after"), (7, 2, "after"), (7, 3, "after"), (8, 2, "after_any"),
        (8, 3, "after_any"),
    ]  # fmt: skip


def test_a_succeeded_parent_is_not_waited_for_and_a_failed_one_cancels(store: Store) -> None:
    add(store, "a", name="a")
    add(store, "b", name="b")
    play(store, SUCCEEDED, FAILED)

    jobs(store, {"name": "c", "after": ["a"]}, {"name": "d", "after": ["b"]}, {"name": "e", "after": ["d"]})
    assert states(store) == {"a": "succeeded", "b": "failed", "c": "queued", "d": "cancelled", "e": "cancelled"}


@pytest.mark.parametrize(
    ("described", "complaint"),
    [
        (
            [{"after": ["a"]}],
            "job 2: field 'after' names 'a', but neither this add nor batch 'default' has such a job$",
        ),
        ([{"name": "load"}, {"after": ["laod"]}], r"has such a job \(did you mean 'load'\?\)$"),
        ([{"name": "a", "after": ["a"]}], "names 'a', but neither"),
        ([{"after": [99]}], "job 2: field 'after' names job 99, which does not exist$"),
        ([{"after": [1]}], "names the job itself"),
        ([{"after_any": ["batch:nigth"]}], "names the batch 'nigth', which has no jobs"),
        ([{"after": ["99999999999999999999"]}], "names '99999999999999999999', but neither"),
        ([{"batch": "n", "after": ["batch:n"]}], "names its own batch 'n': name the jobs instead"),
        ([{"name": "a", "after": ["b"]}, {"name": "b", "after_any": ["a"]}], "closes a circle, .*: a → b → a$"),
    ],
)
def test_what_can_never_run_is_refused_and_nothing_is_stored(
    store: Store, described: list[dict[str, Any]], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        jobs(store, {"name": "fine", "batch": "other"}, *described) if "itself" not in complaint else jobs(
            store, *described
        )
    assert store.db.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_a_replaced_job_cannot_close_a_circle_through_older_jobs(store: Store) -> None:
    jobs(store, {"name": "a", "key": "k"}, {"name": "b", "after": ["a"]})

    with pytest.raises(InputError, match="closes a circle"):
        jobs(
            store, {"name": "new", "after": ["b"]}, {"name": "a", "key": "k", "if_exists": "replace", "after": ["new"]}
        )
    assert states(store) == {"a": "queued", "b": "blocked"}


def test_a_child_of_a_known_key_is_bound_to_the_job_that_is_there(store: Store) -> None:
    jobs(store, {"name": "a", "key": "k"})

    assert jobs(store, {"name": "a", "key": "k"}, {"name": "b", "after": ["a"]}) == [1, 2]
    assert store.db.execute("SELECT * FROM dependencies").fetchall() == [(2, 1, "after")]


def test_a_retry_of_a_parent_blocks_the_jobs_below_it_and_a_hold_does_not_hide_that(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after": ["a"]})
    play(store, SUCCEEDED)
    control.retry(store, of_ids([1]))
    assert states(store) == {"a": "queued", "b": "blocked"}

    control.hold(store, of_ids([2]))
    play(store, SUCCEEDED)
    control.release(store, of_ids([2]))

    assert states(store) == {"a": "succeeded", "b": "queued"}


@pytest.mark.parametrize(("parent", "state"), [(SUCCEEDED, "queued"), (FAILED, "cancelled")])
def test_a_requeued_job_waits_for_its_parent_that_runs_again(store: Store, parent: Outcome, state: str) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after": ["a"], "priority": -1})
    play(store, SUCCEEDED)
    running = claim(store)
    control.retry(store, of_ids([1]))
    end(store, running, Outcome("interrupted"))
    assert states(store) == {"a": "queued", "b": "blocked"}

    play(store, parent)

    assert states(store)["b"] == state


def test_a_job_that_failed_with_the_last_parent_that_ran_again_keeps_the_time_of_its_retry(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after": ["a"], "max_attempts": 2, "backoff": "1h"})
    play(store, SUCCEEDED)
    me = a_runner(store)
    (child,) = exchange.exchange(store, me, [], 1, NOW).claims
    control.retry(store, of_ids([1]))
    (parent,) = exchange.exchange(store, me, [], 1, NOW).claims

    exchange.exchange(store, me, [Ended(child, FAILED), Ended(parent, SUCCEEDED)], 0, NOW)

    ((state, why, due_at),) = store.db.execute("SELECT state, why, due_at FROM jobs WHERE name = 'b'")
    assert (state, why) == ("scheduled", "retry")
    assert due_at > NOW


def test_a_job_forgets_parents_that_were_removed(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after": ["a"]})
    control.cancel(store, of_ids([1, 2]))
    pruning.prune(store, Policy(-1000, keep=1), clock.now())

    control.retry(store, of_ids([2]))
    control.hold(store, of_ids([2]))
    control.release(store, of_ids([2]))

    assert states(store) == {"b": "queued"}


def test_a_job_whose_failed_parent_was_pruned_runs_without_it_only_where_it_is_named(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "b", "after": ["a"]}, {"name": "c", "after": ["b"]})
    play(store, FAILED)
    assert pruning.prune(store, Policy(0, ("failed",)), clock.now() + 1000).jobs == 1

    assert control.retry(store, Selection(states=("cancelled",))).jobs == 0
    assert control.retry(store, Selection(everything=True)).jobs == 0
    assert states(store) == {"b": "cancelled", "c": "cancelled"}
    assert control.retry(store, of_ids([2])) == (1, {}, [], 1)
    assert states(store) == {"b": "queued", "c": "blocked"}


def test_of_several_failed_parents_none_is_forgotten_when_it_is_pruned(store: Store) -> None:
    """Neither the one that is called the cause, nor another."""
    jobs(
        store,
        {"name": "a"},
        {"name": "b", "priority": 1},
        {"name": "c", "after": ["a", "b"]},
        {"after": ["c"], "name": "d"},
    )
    play(store, FAILED, FAILED)  # b, which is the cause, and then a
    assert store.fetch("SELECT cause FROM jobs WHERE name = 'c'") == [(2,)]
    assert pruning.prune(store, Policy(0, ("failed",), keep=1), clock.now() + 1000).jobs == 1

    assert control.retry(store, of_ids([2])) == (1, {}, [], 0)
    play(store, SUCCEEDED)
    assert control.retry(store, Selection(states=("cancelled",))).jobs == 0
    assert states(store) == {"b": "succeeded", "c": "cancelled", "d": "cancelled"}
    assert control.retry(store, of_ids([3])) == (1, {}, [], 1)
    assert states(store) == {"b": "succeeded", "c": "queued", "d": "blocked"}


def test_a_retry_of_one_job_does_not_read_the_dependencies_of_all(store: Store) -> None:
    store.db.execute("CREATE TEMP TABLE reopened (id INTEGER PRIMARY KEY, chosen INTEGER)")

    for statement in (reopening._REVIVE, reopening._STAY_DEAD):
        plan = [row[3] for row in store.db.execute(f"EXPLAIN QUERY PLAN {statement.replace(':most', '-1')}")]
        assert not [line for line in plan if line.startswith(("SCAN d", "SCAN jobs", "SCAN p"))], plan


# --- words of after ----------------------------------------------------------------------------------------------------


def parents_of(store: Store, job: int) -> list[int]:
    return [id for (id,) in store.fetch("SELECT parent FROM dependencies WHERE child = ? ORDER BY parent", (job,))]


def test_a_name_comes_before_an_id_and_id_means_the_id_alone(store: Store) -> None:
    add(store, "one", "two")
    add(store, "the second day", name="2")

    (by_name,) = add(store, "x", after=["2"])
    (by_id,) = add(store, "x", after=["id:2"])
    (by_number,) = add(store, "x", after=[2])
    (elsewhere,) = add(store, "x", after=["2"], batch="other")
    found = [parents_of(store, job) for job in (by_name, by_id, by_number, elsewhere)]
    assert found == [[3], [2], [2], [2]]


def test_last_is_the_add_before(store: Store) -> None:
    add(store, "a", "b")
    (child,) = add(store, "c", after=["last"])
    assert parents_of(store, child) == [1, 2]
    intake.add(store, [])
    (free,) = add(store, "d", after=["last"])
    assert parents_of(store, free) == []
    assert store.fetch("SELECT state FROM jobs WHERE id = ?", (free,)) == [("queued",)]


def test_a_job_of_the_same_add_may_be_called_last(store: Store) -> None:
    add(store, "before")
    ids = intake.add(store, [
        job_spec({"command": "a", "name": "last"}, "test", "/", "/bin"),
        job_spec({"command": "b", "after": ["last"]}, "test", "/", "/bin"),
    ]).ids  # fmt: skip
    assert parents_of(store, ids[1]) == [ids[0]]


@pytest.mark.parametrize("word", ["id:", "id:x", "id:0", "id:-1", "id:1234567890123456789"])
def test_what_is_not_an_id_is_refused(store: Store, word: str) -> None:
    with pytest.raises(InputError, match="which is not an id: write a number"):
        add(store, "x", after=[word])
