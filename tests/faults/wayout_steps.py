"""The steps of the walk that looks for states without a way out: each on an open store, here or in a process that dies."""

import random
from typing import Any
from unittest import mock

from batchq.jobs.attempt import CANCELLED, CRASHED, FAILED, INTERRUPTED, SUCCEEDED, TIMED_OUT, Claim, Ended, Outcome
from batchq.jobs.model import job_spec
from batchq.jobs.selection import Selection
from batchq.store import order, reopening
from batchq.store.adding import intake
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.file.locks import LockFile
from batchq.store.keeping import pruning
from batchq.store.keeping.pruning import Policy
from batchq.store.running import exchange as ledger
from batchq.store.running import rescue as dead
from batchq.store.running import runners
from batchq.store.running.runners import Runner
from batchq.store.running.wanted import RunSelection

STATUSES = (SUCCEEDED, SUCCEEDED, FAILED, FAILED, TIMED_OUT, CRASHED, INTERRUPTED, CANCELLED)
Fields = dict[str, Any]


class Small:
    """Between ``start`` and ``stop`` little is much, so that the walk comes between the slices, too."""

    def __init__(self) -> None:
        few: dict[str, Any] = {"DEEP": 1, "WIDE": 3, "CHUNK": 2, "SLICE": 0.0005}
        self._changes = [mock.patch.object(reopening, "SLICE", 3), mock.patch.multiple(order, **few)]

    def start(self) -> None:
        for change in self._changes:
            change.start()

    def stop(self) -> None:
        for change in self._changes:
            change.stop()


def add(store: Store, jobs: list[Fields]) -> None:
    intake.add(store, [job_spec({"command": "true", "backoff": "1m"} | fields, "walk", "/", "/bin") for fields in jobs])


def register(store: Store, lock: LockFile, now: int) -> Runner:
    return runners.register(
        store, RunSelection(), lock.hold_liveness(), pid=1, host="h", boot_id="b", slots=2, executor="local", now=now
    )


def exchange(
    store: Store, runner: Runner, ended: list[tuple[Claim, str]], free: int, ahead: int, now: int
) -> list[Claim]:
    outcomes = [Ended(claim, Outcome(status, started_at=now)) for claim, status in ended]
    return ledger.exchange(store, runner, outcomes, free, now, ahead=ahead).claims


def leave(store: Store, runner: Runner, now: int) -> None:
    runners.leave(store, runner, now)


def rescue(store: Store, runner: Runner | None, now: int) -> None:
    for one in dead.lost_runners(store, runner):
        dead.rescue(store, one, now)


def change(store: Store, verb: str, low: int, high: int, now: int) -> None:
    chosen = Selection(((low, high),))
    if verb in ("cancel", "release"):
        (control.cancel if verb == "cancel" else control.release)(store, chosen, now=now)
    else:
        (control.retry if verb == "retry" else control.hold)(store, chosen)


def prune(store: Store, now: int) -> None:
    pruning.prune(store, Policy(0), now)


def run(store: Store, seed: int, now: int, *, all_succeed: bool = False) -> None:
    """What ``batchq run`` does from its start to its end; chance decides how its jobs end."""
    chance, lock = random.Random(seed), LockFile(store.path)
    try:
        me = register(store, lock, now)
        rescue(store, me, now)
        at_work: list[Claim] = []
        while True:
            ended = [(claim, SUCCEEDED if all_succeed else chance.choice(STATUSES)) for claim in at_work]
            outcomes = [Ended(claim, Outcome(status, started_at=now)) for claim, status in ended]
            done = ledger.exchange(store, me, outcomes, 2, now, ahead=chance.randrange(2))
            at_work = done.claims
            if not at_work and not done.is_unfinished:
                break
        runners.leave(store, me, now)
    finally:
        lock.close()
