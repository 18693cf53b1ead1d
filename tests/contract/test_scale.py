"""Many jobs, many edges, many queues: what grows with their number grows no faster than it, and holds no store for long.

The bounds on time are generous: what they tell apart differs by a factor of ten and more.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from history import a_runner

from batchq.errors import InputError
from batchq.jobs.model import JobSpec, job_spec
from batchq.store import intake, reasons
from batchq.store.connection import Store


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where the block takes longer."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"it took {took:.1f} s"


def chain(number: int, **first: object) -> list[JobSpec]:
    """Jobs each of which runs after the one before; ``first`` are fields of the first one."""
    pattern = job_spec({"command": "true"}, "test", "/", "/bin")
    specs = []
    for position in range(number):
        spec = pattern.like("shell", '["true"]')
        spec.name = spec.key = f"j{position}"
        spec.after = (f"j{position - 1}",) if position else ()
        spec.if_exists = "replace"
        specs.append(spec)
    for name, value in first.items():
        setattr(specs[0], name, value)
    return specs


def test_a_circle_of_many_jobs_is_found_soon(store: Store) -> None:
    with within(6), pytest.raises(InputError, match=r"closes a circle, .*: j0 → j19999 → "):
        intake.add(store, chain(20_000, after=("j19999",)))
    assert store.fetch("SELECT count(*) FROM jobs") == [(0,)]


def test_a_long_chain_is_replaced_as_soon_as_it_was_added(store: Store) -> None:
    first = intake.add(store, chain(3_000)).ids
    with within(4):
        again = intake.add(store, chain(3_000))
    assert again.ids == first
    assert {again.fate(position) for position in range(3_000)} == {"replaced"}
    assert store.fetch("SELECT count(*) FROM dependencies") == [(2_999,)]

    with (
        within(4),
        pytest.raises(InputError, match="closes a circle, in which no job could ever run: j0 → job 3000 → "),
    ):
        intake.add(store, [*chain(1, after=(str(first[-1]),))])


def test_jobs_that_come_first_are_counted_among_their_kind(store: Store) -> None:
    works: list[dict[str, object]] = [
        {"payload": 1},
        {"payload": 2},
        {"command": "true"},
        {"payload": 3},
        {"command": "y"},
    ]
    ids = intake.add(store, [job_spec(one, "test", "/", "/bin") for one in works]).ids
    a_runner(store)

    assert [reasons.gather(store, id).before for id in ids] == [0, 1, 0, 2, 1]
