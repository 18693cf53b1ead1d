"""Slots worked out from times: as many as the run has, the lowest free one first, and never two attempts in one."""

from hypothesis import given
from hypothesis import strategies as st

from batchq.report.slots import Slots

times = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 500), st.integers(0, 90)), max_size=80)
sizes = st.fixed_dictionaries({run: st.integers(1, 4) for run in (1, 2, 3)})


def test_attempts_at_the_same_time_take_the_lowest_free_slots() -> None:
    slots = Slots({1: 3})

    taken = [slots.take(1, start, end) for start, end in ((0, 10), (1, 5), (2, 9), (5, 6), (10, 12))]

    assert taken == [(0, 0), (1, 1), (2, 2), (1, 5), (0, 10)]


def test_an_attempt_that_finds_no_slot_free_begins_when_one_is() -> None:
    slots = Slots({1: 2})

    assert [slots.take(1, 0, 9), slots.take(1, 0, 7), slots.take(1, 6, 8)] == [(0, 0), (1, 0), (1, 7)]


def test_runs_have_slots_of_their_own() -> None:
    slots = Slots({1: 1, 2: 1})

    assert [slots.take(1, 0, 9), slots.take(2, 3, 5)] == [(0, 0), (0, 3)]


@given(times, sizes)
def test_no_run_has_more_slots_than_its_size_and_no_two_attempts_of_a_slot_overlap(
    attempts: list[tuple[int, int, int]], sizes: dict[int, int]
) -> None:
    slots = Slots(sizes)
    until: dict[tuple[int, int], float] = {}
    for run, start, length in sorted(attempts, key=lambda one: one[1]):
        slot, begin = slots.take(run, start, start + length)

        assert 0 <= slot < sizes[run]
        assert begin >= max(start, until.get((run, slot), 0))
        until[run, slot] = max(begin, start + length)
