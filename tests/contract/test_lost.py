"""Whatever runs under a runner that is gone is taken back by whoever comes next, however that runner went."""

import pytest
from history import NOW, SUCCEEDED, a_runner, add, claim
from invariants import CHECKS

from batchq.jobs.attempt import Ended
from batchq.store.file.connection import Store
from batchq.store.running import exchange, rescue, runners
from batchq.store.running.runners import Runner


def disturb(store: Store, sql: str) -> None:
    """Bring the store into a state that batchq itself never leaves."""
    store.check_references(on=False)
    store.db.execute(sql)
    store.check_references(on=True)


def rescued(store: Store, me: Runner | None = None) -> list[tuple[int, str]]:
    """Rescue everything; the jobs and what became of them."""
    return [
        (one.claim.id, one.settlement.state)
        for gone in rescue.lost_runners(store, me)
        for one in rescue.rescue(store, gone, NOW)
    ]


@pytest.mark.parametrize("state", ["ended", "dead"])
def test_a_job_that_is_said_to_run_under_a_runner_that_has_ended_is_taken_back(store: Store, state: str) -> None:
    add(store, "true")
    claim(store)
    disturb(store, f"UPDATE runners SET state = '{state}', ended_at = {NOW}")

    assert rescued(store) == [(1, "scheduled")]
    assert not [row for sql in CHECKS.values() for row in store.fetch(sql)]


def test_a_job_that_is_said_to_run_under_a_runner_that_is_not_in_the_store_is_taken_back(store: Store) -> None:
    add(store, "true")
    claim(store)
    disturb(store, "DELETE FROM runners")

    assert rescued(store) == [(1, "scheduled")]
    assert not store.fetch("PRAGMA foreign_key_check")


def test_a_runner_does_not_enter_its_end_while_a_job_of_it_is_said_to_run(store: Store) -> None:
    add(store, "true")
    me = a_runner(store)
    (claimed,) = exchange.exchange(store, me, [], 1, NOW).claims

    assert not runners.leave(store, me, NOW)
    assert store.fetch("SELECT state FROM runners") == [("running",)]

    exchange.exchange(store, me, [Ended(claimed, SUCCEEDED)], 0, NOW)
    assert runners.leave(store, me, NOW)


def test_the_row_of_a_runner_is_not_pruned_under_its_jobs(store: Store) -> None:
    from batchq.store.keeping import pruning

    add(store, "true")
    claim(store)
    disturb(store, f"UPDATE runners SET state = 'ended', ended_at = {NOW}")

    assert pruning.remove_runners(store, [1]) == 0
    rescued(store)
