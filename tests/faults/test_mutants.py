"""Planted faults: every suite must notice the broken variants that concern it."""

import sqlite3
import time
from collections.abc import Callable, Iterator

import mutants
import pytest
import sizes
from figures import record_caught
from history import SUCCEEDED, play
from hypothesis import Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from ledger_machine import LedgerMachine
from order_machine import OrderMachine
from soaking import SEED

from batchq.errors import BatchqError
from batchq.jobs.reading import jobfile
from batchq.jobs.selection import of_ids
from batchq.store.adding import intake
from batchq.store.changing import control
from batchq.store.file.connection import Store

pytest_plugins = ("figures",)

AT_ONCE = 500  #: walks of one seed


@pytest.fixture
def broken() -> Iterator[Callable[[str], None]]:
    """Apply a mutant until the test is over."""
    before: list[tuple[object, str, object]] = []
    yield lambda name: before.extend(mutants.apply(name))
    mutants.undo(before)


@pytest.mark.parametrize(
    ("name", "walk", "suite"),
    [(name, LedgerMachine, "S1") for name in mutants.OF_THE_LEDGER]
    + [(name, OrderMachine, "S22") for name in mutants.OF_THE_ORDER],
)
def test_a_walk_catches(
    name: str, walk: type[RuleBasedStateMachine], suite: str, broken: Callable[[str], None]
) -> None:
    broken(name)
    began = time.monotonic()
    with pytest.raises((AssertionError, BatchqError, sqlite3.Error, TypeError)):
        for part in range(0, sizes.MUTANT_EXAMPLES, AT_ONCE):
            run_state_machine_as_test(
                seed(SEED + part)(walk),
                settings=settings(
                    max_examples=AT_ONCE, stateful_step_count=40, database=None, phases=[Phase.generate],
                ),
            )  # fmt: skip
    print(f"caught after {time.monotonic() - began:.1f} s")
    record_caught(suite)


def is_unneeded_brought_back(store: Store) -> bool:
    """Whether a retry of the last of three parents that succeeded lets the job after their failure wait again."""
    lines = b"".join(b'{"name": "%s", "command": "true"}\n' % name for name in (b"a", b"b", b"c"))
    lines += b'{"name": "d", "command": "true", "after_failed": ["a", "b", "c"]}\n'
    intake.add(store, jobfile.read(lines, "jsonl", "test", {}, "/", "/bin"))
    play(store, SUCCEEDED, SUCCEEDED, SUCCEEDED)
    control.retry(store, of_ids([3]))
    return store.fetch("SELECT state FROM jobs WHERE name = 'd'") == [("blocked",)]


@pytest.mark.parametrize("name", [None, *mutants.RARE])
def test_an_unneeded_job_is_brought_back_by_each_parent(
    store: Store, name: str | None, broken: Callable[[str], None]
) -> None:
    if name is not None:
        broken(name)
    assert is_unneeded_brought_back(store) == (name is None)


def test_a_mutant_leaves_no_trace(broken: Callable[[str], None]) -> None:
    for name in mutants.ALL:
        before = mutants.apply(name)
        assert all(getattr(owner, attribute) != value for owner, attribute, value in before)
        mutants.undo(before)
        assert all(getattr(owner, attribute) == value for owner, attribute, value in before)


def test_the_schema_itself_ties_the_token_to_the_state(store: Store) -> None:
    """Why a finish that checks the token but not the state is no mutant: there is no token on what does not run."""
    store.db.execute("INSERT INTO contexts VALUES (1, x'', x'')")
    columns = (
        "id, add_id, state, batch, queue, kind, work, context, priority, max_attempts, backoff, max_crashes, on_crash"
    )
    with pytest.raises(sqlite3.IntegrityError):
        store.db.execute(
            f"INSERT INTO jobs ({columns}, created_at, token)"
            " VALUES (1, 1, 'queued', 'b', 'q', 'argv', '[]', 1, 0, 1, 0, 1, 'retry', 1, 'a token')"
        )
