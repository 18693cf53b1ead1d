"""Which room a place has, and what it may have again."""

import pytest

from batchq.executors.afar.dask.workers import Workers
from batchq.executors.afar.room import ANY, Room


def come(workers: Workers, address: str, threads: int) -> None:
    workers.find({name: {"nthreads": threads, "name": name} for name in (*workers.fit, address)})
    workers.admit(address, address)


def test_the_widest_job_is_that_of_the_largest_worker_that_is_there() -> None:
    workers = Workers()
    come(workers, "small", 2)
    come(workers, "large", 8)
    assert (workers.slots, workers.widest) == (10, 8)

    workers.lose(workers.fit["large"])
    assert (workers.slots, workers.widest) == (2, 2)


@pytest.mark.parametrize(("patience", "hoped"), [(60.0, 8), (0.0, 2)])
def test_a_large_worker_has_a_while_to_come_back(patience: float, hoped: int) -> None:
    room = Room(ANY, patience, is_of_many=True)
    assert room.hoped() == ANY, "nobody knows yet"
    room.change(10, 0, 8)
    assert room.hoped() == 8
    room.change(2, 0, 2)
    assert (room.widest, room.hoped()) == (2, hoped)
    room.change(1, 0, 1)
    assert room.hoped() == max(1, hoped if patience else 1), "the largest of those that have gone"
    room.change(0, 0, 1)
    assert room.hoped() == ANY, "any worker may come to an empty cluster"


def test_a_host_that_is_away_may_have_again_what_it_had_and_one_that_is_back_has_what_it_says() -> None:
    room = Room(4, 60.0, is_of_many=False)
    assert room.hoped() == 4
    room.change(2, 0, 2)
    room.change(0, 0, 0)
    assert (room.widest, room.hoped()) == (0, 2)
    room.change(1, 0, 1)
    assert room.hoped() == 1
