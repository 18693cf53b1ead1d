"""Which room a place has, and what it may have again."""

from collections import deque

import pytest

from batchq.executors.afar.dask.workers import Workers
from batchq.executors.afar.room import ANY, Room
from batchq.jobs.attempt import Claim


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


def short(number: int) -> deque[Claim]:
    """Claims ahead of jobs of one slot."""
    bare = Claim(*[None] * len(Claim._fields))  # type: ignore[arg-type]
    return deque(bare._replace(token=f"token{one}", slots=1) for one in range(number))


def test_where_claims_have_waited_behind_a_long_job_none_wait_again_until_it_ends() -> None:
    workers = Workers()
    for address in ("busy", "idle"):
        come(workers, address, 1)
    workers.learn(0.01)
    sent = workers.place(short(6))
    assert [len(sent[address]) for address in ("busy", "idle")] == [3, 3]
    long, *waiting = sent["busy"]
    long.has_begun = True
    for flight in sent["idle"]:
        workers.forget(flight)
    assert workers.late() == {}, "they have not waited long"
    assert workers.late() == {"busy": [flight.claim.token for flight in waiting]}

    wanted = workers.ahead(0)
    for flight in waiting:
        workers.forget(flight)
    again = workers.place(short(6))
    assert {address: len(flights) for address, flights in again.items()} == {"idle": 6}
    for flight in (*again["idle"], long):
        workers.forget(flight)
    assert {address: len(flights) for address, flights in workers.place(short(6)).items()} == {"busy": 3, "idle": 3}
    assert workers.ahead(0) == 2 * wanted
