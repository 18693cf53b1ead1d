"""Dask without batchq's ledger, as a program: ``python bare.py map|submit|abs ADDRESS STORE WORKERS WINDOW``.

Runs the jobs of a store by the same task as ``batchq run`` does, and writes nothing back. ``abs`` runs a function that does
nothing in the place of each job. Prints how many jobs a second were done after the first quarter.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice

from distributed import Client, as_completed
from steady import STEADY_FROM

from batchq.executors.afar import perform, protocol
from batchq.executors.afar.dask import task
from batchq.processes import machine
from batchq.store.file.opening import open_at
from batchq.store.running import claiming


def invocations(path: str, run: str) -> list[tuple[str, str]]:
    """The token and the invocation of each job, as the executor would make them."""
    setup = {
        "run": run, "slots": 0, "db": path, "host": machine.host(), "boot_id": machine.boot_id(), "cookie": run,
        "perform": None, "home": "/", "grace": 1.0, "worker_jobs": 0, "keep_output": 131072, "folder": None,
        "reconnect": 0.0, "cwd_map": [], "mark": "", "limit_processes": None,
        "lease": 60.0, "listens": False, "engine": None, "end": [run],
    }  # fmt: skip
    with open_at(path) as store:
        claims = claiming.claims_of(store, store.fetch(f"SELECT {claiming.COLUMNS} FROM jobs ORDER BY id"))
    claims = [one._replace(token=f"{run}.{one.id}", attempt=1, started_at=None) for one in claims]
    head = json.dumps(setup)
    return [(one.token, f"[{head},{json.dumps(protocol.packed(one))}]") for one in claims]


def perform_anywhere(invocation: str) -> str:
    """As the task of batchq, in whichever process of a worker gets it: batchq names the one that it means."""
    return task.perform(f"{invocation[:-1]},{json.dumps(perform.ME)}]")


def by_map(client: Client, function: object, work: list[tuple[str, object]]) -> Iterator[int]:
    """All jobs in one ``map``."""
    keys = [("bare", token) for token, _ in work]
    futures = client.map(function, [what for _, what in work], key=keys, pure=False, retries=0)
    completed = as_completed(futures, with_results=True)
    del futures
    while not completed.is_empty():
        yield len(completed.next_batch())


def by_submit(client: Client, function: object, work: list[tuple[str, object]], window: int) -> Iterator[int]:
    """One ``submit`` for each job, that many on their way at once."""
    waiting = iter(work)
    completed = as_completed(with_results=True)

    def submit(most: int) -> None:
        for token, what in islice(waiting, most):
            completed.add(client.submit(function, what, key=("bare", token), pure=False, retries=0))

    submit(window)
    while not completed.is_empty():
        done = len(completed.next_batch())
        yield done
        submit(done)


def main(how: str, address: str, path: str, workers: str, window: str) -> None:
    run = f"bare.{os.getpid()}"
    work = invocations(path, run)
    function: Callable[..., object] = perform_anywhere
    given: list[tuple[str, object]] = [*work]
    if how == "abs":
        function, given = abs, [(token, 1) for token, _ in work]
    with Client(address) as client:
        client.wait_for_workers(int(workers))
        batches = (
            by_submit(client, function, given, int(window)) if how == "submit" else by_map(client, function, given)
        )
        done, began, first = 0, 0.0, 0
        for count in batches:
            done += count
            if not began and done >= len(given) * STEADY_FROM:
                began, first = time.perf_counter(), done
        print((done - first) / (time.perf_counter() - began))
        client.run(perform.order, run, '["close"]')


if __name__ == "__main__":
    main(*sys.argv[1:])
