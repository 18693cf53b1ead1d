"""Which room the workers of a Dask cluster have, as they come and go."""

from batchq.executors.afar.dask.workers import ANY, WIDE, Workers


def come(workers: Workers, address: str, threads: int) -> None:
    workers.find({name: {"nthreads": threads, "name": name} for name in (*workers.fit, address)})
    workers.admit(address, address)


def test_the_widest_job_is_that_of_the_largest_worker_which_has_a_while_to_come_back() -> None:
    workers = Workers()
    assert workers.widest == ANY, "nobody knows yet"
    come(workers, "small", 2)
    come(workers, "large", 8)
    assert (workers.slots, workers.widest) == (10, 8)

    workers.lose(workers.fit["large"], 100.0)
    workers.narrow(100.0 + WIDE - 1)
    assert (workers.slots, workers.widest) == (2, 8)
    workers.narrow(100.0 + WIDE)
    assert workers.widest == 2


def test_a_cluster_that_has_lost_all_workers_is_as_wide_as_it_was() -> None:
    workers = Workers()
    come(workers, "only", 4)
    workers.lose(workers.fit["only"], 100.0)
    workers.narrow(100.0 + 2 * WIDE)

    assert (workers.slots, workers.widest) == (0, 4)
