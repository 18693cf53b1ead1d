"""What is over can go, by hand or by the store's own rule; what is not over, its parents and all keys stay."""

from pathlib import Path

import pytest
from history import FAILED, NOW, SUCCEEDED, a_past, add, claim, out, play

from batchq.jobs.attempt import Outcome
from batchq.store import states
from batchq.store.file import checkpoints
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.keeping import pruning, retention
from batchq.store.keeping.pruning import Policy

DAY = 86_400_000
MONTH = Policy(30 * DAY)
LATER = NOW + 31 * DAY
CANCELLED = Outcome("cancelled", seconds=1.0)


def ids(store: Store) -> list[int]:
    return [id for (id,) in store.fetch("SELECT id FROM jobs ORDER BY id")]


def count(store: Store, table: str) -> int:
    return int(store.fetch(f"SELECT count(*) FROM {table}")[0][0])


def test_only_what_has_been_over_for_long_enough_goes_with_all_that_belongs_to_it(store: Store) -> None:
    add(store, "a", "b", "c")
    play(store, SUCCEEDED._replace(stdout=out(b"hello")), FAILED._replace(stderr=out(b"no")), CANCELLED)
    add(store, "recent", "waits")
    play(store, SUCCEEDED._replace(stdout=out(b"still here")), now=NOW + 10 * DAY)
    running = add(store, "runs", priority=9)
    claim(store)

    done = pruning.prune(store, MONTH, LATER)

    assert (done.jobs, ids(store)) == (3, [4, 5, *running])
    assert (count(store, "attempts"), count(store, "outputs")) == (1, 1)


def test_the_last_moment_counts(store: Store) -> None:
    add(store, "a")
    play(store, SUCCEEDED, now=NOW)
    finished = NOW + 1000

    assert pruning.prunable(store, MONTH, finished + 30 * DAY) == {}
    assert pruning.prune(store, MONTH, finished + 30 * DAY).jobs == 0
    assert pruning.prunable(store, MONTH, finished + 30 * DAY + 1) == {"succeeded": 1}
    assert pruning.prune(store, MONTH, finished + 30 * DAY + 1).jobs == 1


def test_states_can_be_chosen_and_the_newest_kept(store: Store) -> None:
    add(store, *"abcdef")
    play(store, SUCCEEDED, FAILED, SUCCEEDED, SUCCEEDED, FAILED, SUCCEEDED)

    assert pruning.prunable(store, MONTH, LATER) == {"failed": 2, "succeeded": 4}
    assert pruning.prune(store, MONTH._replace(states=("succeeded",), keep=2), LATER).jobs == 2
    assert ids(store) == [2, 4, 5, 6]
    assert pruning.prune(store, MONTH._replace(keep=9), LATER).jobs == 0
    assert pruning.prune(store, MONTH._replace(keep=1), LATER).jobs == 3


def depend(store: Store, child: int, parent: int) -> None:
    with store.writing() as db:
        db.execute("INSERT INTO dependencies VALUES (?, ?, 'after_any')", (child, parent))


def test_parents_of_what_is_not_over_stay_until_it_is(store: Store) -> None:
    parent, other = add(store, "parent", "other parent")
    play(store, SUCCEEDED, SUCCEEDED)
    child, ended = add(store, "child", "ended child")
    depend(store, child, parent)
    depend(store, ended, other)
    play(store, SUCCEEDED)
    with store.writing() as db:
        states.move(db, "queued", "held", "id = :id", {"id": ended})

    pruning.prune(store, MONTH, LATER)
    assert ids(store) == [other, ended], "the child that is over went with its parent"

    with store.writing() as db:
        states.move(db, "held", "queued", "id = :id", {"id": ended})
    play(store, SUCCEEDED)
    pruning.prune(store, MONTH, LATER)
    assert (ids(store), count(store, "dependencies")) == ([], 0)


def test_keys_and_the_numbers_of_jobs_outlive_their_jobs(store: Store) -> None:
    assert add(store, "a", key="nightly") == [1]
    play(store, SUCCEEDED)
    pruning.prune(store, MONTH, LATER)

    assert add(store, "a", key="nightly") == [1]
    assert add(store, "b") == [2]


def test_runners_and_contexts_go_when_nothing_refers_to_them(store: Store) -> None:
    add(store, "old", cwd="/only/once")
    add(store, "kept", cwd="/kept")
    play(store, SUCCEEDED)
    play(store, SUCCEEDED, now=NOW + 20 * DAY)
    add(store, "new", cwd="/new", priority=1)
    claim(store, now=NOW)

    done = pruning.prune(store, MONTH, LATER)

    assert done.runners == 1
    assert store.fetch("SELECT cwd FROM contexts ORDER BY id") == [(b"/kept",), (b"/new",)]
    assert store.fetch("SELECT count(*) FROM runners JOIN jobs ON jobs.runner = runners.id") == [(1,)]
    assert store.fetch("PRAGMA foreign_keys") == [(1,)]


def test_a_context_that_is_used_again_in_the_last_moment_stays(store: Store) -> None:
    add(store, "old", cwd="/srv/again")
    play(store, SUCCEEDED)
    begun: list[str] = []

    def meanwhile(statement: str) -> None:
        """Between the look for unused contexts and their removal, somebody adds a job."""
        if "EXCEPT" in statement:
            begun.append(statement)
        elif begun and statement == "PRAGMA foreign_keys = OFF":
            begun.clear()
            with open_at(store.path) as other:
                add(other, "new", cwd="/srv/again")

    store.db.set_trace_callback(meanwhile)
    pruning.prune(store, MONTH, LATER)
    store.db.set_trace_callback(None)

    assert store.fetch("SELECT jobs.id, cwd FROM jobs JOIN contexts ON contexts.id = context") == [(2, b"/srv/again")]


def test_the_file_becomes_small_again(store: Store) -> None:
    a_past(store, 5000)
    checkpoints.checkpoint(store, truncate=True)
    large = Path(store.path).stat().st_size

    done = pruning.prune(store, MONTH, LATER)

    assert done.jobs == 5000
    assert Path(store.path).stat().st_size == large - done.bytes < 300_000
    assert Path(f"{store.path}-wal").stat().st_size == 0
    assert store.fetch("PRAGMA freelist_count") == [(0,)]


def test_no_transaction_removes_more_than_a_few_hundred_jobs(store: Store) -> None:
    a_past(store, 1200)
    log: list[str] = []
    store.db.set_trace_callback(log.append)
    pruning.prune(store, MONTH, LATER)
    store.db.set_trace_callback(None)

    parts = "\n".join(log).split("BEGIN IMMEDIATE")[1:]
    assert len([part for part in parts if "DELETE FROM jobs" in part]) == 3
    assert all(part.count("COMMIT") == 1 for part in parts)


# --- the store's own rule ----------------------------------------------------------------------------------------------


def test_without_a_rule_nothing_is_tidied_away(store: Store) -> None:
    a_past(store, 10)

    assert retention.retention(store) is None
    assert retention.tidy(store, LATER) == 0
    assert count(store, "jobs") == 10


def test_a_rule_is_applied_in_small_steps_until_nothing_is_left_to_do(store: Store) -> None:
    a_past(store, 1200)
    retention.set_retention(store, MONTH._replace(keep=100))

    steps = [retention.tidy(store, LATER) for _ in range(4)]

    assert steps == [500, 500, 100, 0]
    assert count(store, "jobs") == 100


def test_under_a_steady_load_the_file_stops_growing(store: Store) -> None:
    retention.set_retention(store, Policy(3 * DAY))
    sizes = []
    for day in range(30):
        now = NOW + day * DAY
        add(store, *("true",) * 40)
        play(store, *(SUCCEEDED._replace(stdout=out(b"x" * 1000)),) * 40, now=now)
        retention.tidy(store, now)
        sizes.append(store.fetch("PRAGMA page_count")[0][0])

    assert count(store, "jobs") <= 5 * 40
    assert count(store, "runners") <= 5 * 40
    assert sizes[29] <= sizes[19], sizes


def test_jobs_that_may_not_go_do_not_hide_those_behind_them_for_ever(store: Store) -> None:
    a_past(store, 8000)
    with store.writing() as db:
        states.move(db, "succeeded", "failed", "id <= 6000", {})
        db.execute("UPDATE attempts SET outcome = 'failed' WHERE job <= 6000")
    retention.set_retention(store, MONTH._replace(states=("succeeded",)))

    for _ in range(200):
        retention.tidy(store, LATER)

    assert count(store, "jobs") == 6000


def test_a_context_that_a_replaced_job_takes_while_it_is_found_unused_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "later", key="k")
    with store.writing() as db:
        db.execute("INSERT INTO contexts (cwd, path) VALUES (?, ?)", (b"/srv/old", b"/usr/bin"))
    unchecked = pruning._unchecked

    def replaced_first(opened: Store) -> object:
        add(opened, "later", key="k", if_exists="replace", cwd="/srv/old")
        return unchecked(opened)

    monkeypatch.setattr(pruning, "_unchecked", replaced_first)
    pruning.remove_contexts(store)

    assert store.fetch("SELECT cwd FROM jobs JOIN contexts ON contexts.id = jobs.context") == [(b"/srv/old",)]
