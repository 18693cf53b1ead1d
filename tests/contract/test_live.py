"""What a command that follows jobs learns of them, look by look, compared with a model."""

import random

import pytest
from history import SUCCEEDED, add, claim, end
from hypothesis import given
from hypothesis import strategies as st

from batchq.jobs.selection import NO_JOB, Range, Selection, merged, of_ids
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.looking import live

SOME = st.sets(st.integers(1, 30))


def ranges(ids: set[int]) -> list[Range]:
    return list(merged((id, id) for id in ids))


def ids(ranges: tuple[Range, ...]) -> set[int]:
    return {id for low, high in ranges for id in range(low, high + 1)}


@given(SOME, SOME)
def test_ranges_without_others_are_the_ids_without_those(some: set[int], others: set[int]) -> None:
    left = tuple(live._without(ranges(some), ranges(others)))

    assert ids(left) == some - others
    assert left == tuple(sorted(left))


@given(SOME)
def test_ids_in_order_become_ranges(some: set[int]) -> None:
    assert list(live._spans(iter(sorted(some)))) == ranges(some)


@pytest.mark.parametrize("seed", range(8))
def test_each_job_is_seen_while_it_runs_or_when_it_has_finished(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    followed = Selection(batch="night")
    open_ones: list[int] = []
    has_finished: set[int] = set()
    unseen: set[int] = set()  # that have finished since the last look
    now = live.look(store, followed)
    for _ in range(40):
        match chance.choice(("add", "add elsewhere", "finish", "finish", "cancel", "look")):
            case "add":
                open_ones += add(store, *["true"] * chance.randint(1, 3), batch="night")
            case "add elsewhere":
                for id in add(store, "true", batch="day"):
                    control.cancel(store, of_ids([id]))
            case "finish" if open_ones:
                job = claim(store)
                end(store, job, SUCCEEDED)
                open_ones.remove(job.id)
                unseen.add(job.id)
            case "cancel" if open_ones:
                id = open_ones.pop(chance.randrange(len(open_ones)))
                control.cancel(store, of_ids([id]))
                unseen.add(id)
            case "look":
                now = live.look(store, followed, now)
                assert ids(now.unfinished) == set(open_ones)
                assert ids(now.finished) == unseen
                has_finished |= unseen
                unseen = set()
    now = live.look(store, followed, now)
    assert has_finished | ids(now.finished) | set(open_ones) == {
        id for (id,) in store.fetch("SELECT id FROM jobs WHERE batch = 'night'")
    }


def test_a_job_that_has_begun_is_shown_with_its_attempt(store: Store) -> None:
    add(store, "a", "b")
    claimed = claim(store)

    assert live.look(store, Selection()).begun == {claimed.id: 1}
    assert live.look(store, live.of(())).unfinished == ()
    assert live.of(()).ids == NO_JOB
