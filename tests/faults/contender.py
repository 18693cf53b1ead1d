"""One of several processes that take jobs from each other through the bare ledger, without running any.

``python contender.py STORE [MUTANT]`` prints the id of each job that it was given a claim for, and ends when nothing
is left. What goes wrong ends it with a traceback.
"""

import os
import sys

import mutants

from batchq import clock
from batchq.jobs.attempt import SUCCEEDED, Ended, Outcome
from batchq.store.file.locks import LockFile
from batchq.store.file.opening import open_at
from batchq.store.running import exchange, runners
from batchq.store.running.wanted import RunSelection


def main(path: str, mutant: str | None = None) -> None:
    if mutant is not None:
        mutants.apply(mutant)
    with open_at(path) as store:
        if mutant is not None:
            store.patience = 1.0  # it will get stuck, and need not wait long
        life = LockFile(path)
        me = runners.register(
            store, RunSelection(), life.hold_liveness(), pid=os.getpid(), host="h", boot_id="b", slots=2, executor="local",
            now=clock.now(),
        )  # fmt: skip
        print("ready", flush=True)
        sys.stdin.readline()
        ended: list[Ended] = []
        while True:
            done = exchange.exchange(store, me, ended, 2, clock.now())
            assert not done.refused, done.refused
            if not done.claims:
                break
            for claim in done.claims:
                print(claim.id)
            ended = [Ended(claim, Outcome(SUCCEEDED, exit_code=0)) for claim in done.claims]
        runners.leave(store, me, clock.now())


if __name__ == "__main__":
    main(*sys.argv[1:])
