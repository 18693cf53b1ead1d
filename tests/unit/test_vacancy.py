"""What is claimed for the slots that are free finds room: who counts it and who gives claims to workers agree."""

from collections import deque
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from batchq.executors.afar.dask.workers import Workers
from batchq.executors.afar.room import ANY, Room
from batchq.jobs.attempt import Claim
from batchq.jobs.vacancy import Vacancy

NUMBERS = count()
JOBS = st.lists(st.sampled_from([1, 1, 1, 2, 3, 4]), max_size=12)


def claims_of(*slots: int) -> list[Claim]:
    blank = Claim._make([None] * len(Claim._fields))
    return [blank._replace(token=str(next(NUMBERS)), slots=wide, started_at=1) for wide in slots]


def cluster(*threads: int) -> Workers:
    workers = Workers()
    workers.find({str(number): {"nthreads": each, "name": str(number)} for number, each in enumerate(threads)})
    for address in [*workers.strangers]:
        workers.admit(address, address)
    return workers


def in_line(vacancy: Vacancy, jobs: list[int]) -> list[int]:
    """Those that may begin, in their order: nobody passes one that may not."""
    begun = []
    for slots in jobs:
        if not vacancy.take(slots):
            break
        begun.append(slots)
    return begun


def test_a_job_begins_only_if_its_slots_are_free_at_one_place_and_none_passes_it() -> None:
    assert in_line(Vacancy(4, lambda: [1, 2, 1]), [2, 1, 2, 1]) == [2, 1]
    assert in_line(Vacancy(2, lambda: [1, 1]), [2, 1]) == []
    assert in_line(Vacancy(4), [2, 1, 2, 1]) == [2, 1], "at one place they must fit together"
    assert in_line(Vacancy(3, lambda: [2, 1]), [1, 2]) == [1, 2], "wide ones are given their places first"


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), JOBS, JOBS)
def test_what_may_begin_begins(threads: list[int], before: list[int], jobs: list[int]) -> None:
    workers = cluster(*threads)
    for wanted in (before, jobs):
        begun = in_line(Vacancy(workers.slots - workers.used(), workers.rooms), wanted)
        flights = workers.place(backlog := deque(claims_of(*begun)))

        assert not backlog
        assert sum(map(len, flights.values())) == len(begun)
        assert all(worker.used() <= worker.threads for worker in workers.fit.values())


def test_claims_on_their_way_to_a_bridge_take_room_until_it_has_told_of_it() -> None:
    room = Room(ANY, 0.0, is_of_many=True)
    room.change(8, 0, 4, [4, 4], 0)
    assert room.vacant(0) == [4, 4]
    room.give(claims_of(3, 2, 1))
    assert room.vacant(6) == [1, 1]
    room.change(8, 0, 4, [2], 2)
    assert room.vacant(6) == [1], "the third has not been received"
    room.change(8, 0, 4, [2], 3)
    assert room.vacant(6) == [2]
    room.restart()
    room.change(8, 0, 4, [4, 4], 0)
    assert room.vacant(0) == [4, 4]


def test_a_host_has_free_what_its_claims_leave() -> None:
    room = Room(4, 0.0, is_of_many=False)
    room.change(4, 0, 4)
    room.give(claims_of(3))
    assert room.vacant(3) == [1]
