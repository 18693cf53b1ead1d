"""S38: from any store that kills, locks, full disks and stops can leave behind, a few runs end every job.

A random walk on a real store, without a model: after each step the invariants must hold, and at the end runs, some of
which meet trouble themselves, must bring each job to its end that no person holds.
"""

import contextlib
import random
from collections import Counter
from typing import Any

import hypothesis.strategies as st
import invariants
import wayout_steps as steps
from hypothesis.stateful import initialize, invariant, precondition, rule
from ledger_machine import HOUR, one_of, when
from troubles import Step, Trouble, killed, ready
from walk import Life, Walk

from batchq.errors import BatchqError, BusyError, LedgerError
from batchq.jobs.attempt import Claim
from batchq.store.locks import LockFile

VERBS = ("retry", "retry", "cancel", "hold", "release")
RUNS = 8  #: that may be needed: for what was due in an hour, what crashed, and what batchq puts on hold at the end
_LEFT = "SELECT id, state, why, runner, due_at FROM jobs WHERE finished_at IS NULL"
NUMBER = st.integers(0, 161)  #: of all troubles, and of all moments of a kill
taken: Counter[str] = Counter()  #: how often each rule was taken, over all walks

JOB = st.fixed_dictionaries(
    {
        "max_attempts": st.integers(1, 2), "on_crash": st.sampled_from(["retry", "retry", "hold"]),
        "name": st.sampled_from("xyz"), "key": st.sampled_from([None] * 6 + ["k", "l"]),
    },
    optional={
        "delay": st.just("1m"), "if_exists": st.sampled_from(["replace", "rerun-failed"]),
        "after": st.lists(st.sampled_from("xyz"), min_size=1, max_size=2, unique=True),
        "after_any": st.lists(st.sampled_from("xyz"), min_size=1, max_size=2, unique=True),
    },
)  # fmt: skip
DIAMOND: list[dict[str, Any]] = [
    {"name": "x", "max_attempts": 2}, *({"name": "y", "after": ["x"]} for _ in range(5)), {"name": "z", "after": ["y"]},
    {"after": ["z"]}, {"after_any": ["z"]}, {"on_crash": "hold"},
]  # fmt: skip


def living(machine: "WayOutMachine") -> list[Life]:
    return [life for life in machine.population if life.alive]


class WayOutMachine(Walk):
    """``work`` are the claims of each runner as it knows them."""

    def __init__(self) -> None:
        super().__init__()
        self.work: dict[int, list[Claim]] = {}
        self.seed = 0
        self.small = steps.Small()
        self.small.start()

    @initialize(seed=st.integers(0, 1 << 30))
    def begin(self, seed: int) -> None:
        self.open_stores()
        for store in self.stores:
            ready(store)
        self.seed = seed
        steps.add(self.store(), DIAMOND)
        self.register()

    # --- steps, each in peace, in trouble, or killed ---------------------------------------------------------------------

    def take(self, name: str, data: st.DataObject, step: Step, *given: Any, life: Life | None = None) -> Any:
        """What the step returns; None where it did not come to its end. A kill takes the runner with it."""
        how = data.draw(st.sampled_from(["in peace", "in peace", "in trouble", "in trouble", "killed"]))
        taken[name] += 1
        trouble = Trouble(self.path, data.draw(NUMBER))
        try:
            if how == "killed":
                taken["killed"] += killed(self.path, self.now, trouble.number, step, *given)
            elif how == "in trouble":
                with trouble:
                    return step(self.store(), *given)
            else:
                return step(self.store(), *given)
        except (BusyError, LedgerError):
            assert trouble.has_begun
            taken["stopped by trouble"] += 1
        except BatchqError:
            assert name in ("add", *VERBS), name  # there is no such job
        if life is not None and how == "killed":
            self._die(life)
        return None

    @rule(data=st.data(), jobs=st.lists(JOB, min_size=1, max_size=5))
    def add(self, data: st.DataObject, jobs: list[dict[str, Any]]) -> None:
        self.take("add", data, steps.add, jobs)

    @precondition(lambda self: len(living(self)) < 3)
    @rule()
    def register(self) -> None:
        taken["register"] += 1
        lock = LockFile(str(self.path))
        life = Life(steps.register(self.store(), lock, self.now), 0, lock)
        self.population.append(life)
        self.work[life.runner.id] = steps.exchange(self.store(), life.runner, [], 2, 1, self.now)

    @when(living)
    @rule(data=st.data(), life=one_of(living), free=st.integers(0, 2), ahead=st.integers(0, 1))
    def exchange(self, data: st.DataObject, life: Life, free: int, ahead: int) -> None:
        mine = self.work[life.runner.id]
        ended = [(claim, status) for claim in mine if (status := data.draw(st.sampled_from([*steps.STATUSES, None])))]
        claims = self.take("exchange", data, steps.exchange, life.runner, ended, free, ahead, self.now, life=life)
        if claims is not None:
            gone = [claim for claim, _ in ended]
            self.work[life.runner.id] = [claim for claim in mine if claim not in gone] + claims

    @when(living)
    @rule(data=st.data(), life=one_of(living), returns=st.booleans())
    def stop(self, data: st.DataObject, life: Life, returns: bool) -> None:
        """With or without giving back what runs, and whatever comes of it: the runner is gone then."""
        ended = [(claim, "interrupted") for claim in self.work[life.runner.id]] if returns else []
        self.take("exchange", data, steps.exchange, life.runner, ended, 0, 0, self.now)
        self.take("stop", data, steps.leave, life.runner, self.now)
        self._die(life)

    @when(living)
    @rule(life=one_of(living))
    def crash(self, life: Life) -> None:
        taken["crash"] += 1
        self._die(life)

    @rule(data=st.data())
    def rescue(self, data: st.DataObject) -> None:
        self.take("rescue", data, steps.rescue, None, self.now)

    @rule(data=st.data(), verb=st.sampled_from(VERBS))
    def change(self, data: st.DataObject, verb: str) -> None:
        ((last,),) = self.store().fetch("SELECT value FROM settings WHERE name = 'last_job'")
        low, high = sorted(data.draw(st.integers(1, last)) for _ in range(2))
        self.take(verb, data, steps.change, verb, low, high, self.now)

    @rule(data=st.data())
    def prune(self, data: st.DataObject) -> None:
        self.take("prune", data, steps.prune, self.now)

    @rule(data=st.data(), seed=st.integers(0, 1 << 30))
    def run(self, data: st.DataObject, seed: int) -> None:
        self.take("run", data, steps.run, seed, self.now)

    @rule(hours=st.sampled_from([-400, -1, 1, 400]))
    def clock_jumps(self, hours: int) -> None:
        taken["clock jumps"] += 1
        self.now += hours * HOUR

    def _die(self, life: Life) -> None:
        life.alive = False
        life.lock.close()

    # --- what holds ------------------------------------------------------------------------------------------------------

    @invariant()
    def every_transaction_left_a_sound_store(self) -> None:
        if self.stores:
            found = {name: rows for name, sql in invariants.CHECKS.items() if (rows := self.store().fetch(sql))}
            assert not found

    def teardown(self) -> None:
        """Runs of which some meet trouble, then runs that do not; a person lets go what is on hold."""
        try:
            if self.stores:
                for life in living(self):
                    self._die(life)
                chance = random.Random(self.seed)
                for _ in range(chance.randrange(4)):
                    self._run_in_trouble(chance)
                runs = 0
                while left := self.store().fetch(_LEFT):
                    assert runs < RUNS, f"a state without a way out: {left}"
                    steps.run(self.store(), 0, self.now, all_succeed=True)
                    steps.change(self.store(), "release", 1, 1 << 40, self.now)
                    self.now += 3 * HOUR
                    runs += 1
        finally:
            self.small.stop()
            super().teardown()

    def _run_in_trouble(self, chance: random.Random) -> None:
        number, seed = chance.randrange(162), chance.randrange(1 << 30)
        if chance.randrange(3) == 0:
            killed(self.path, self.now, number, steps.run, seed, self.now)
            return
        with Trouble(self.path, number), contextlib.suppress(BusyError, LedgerError):
            steps.run(self.store(), seed, self.now)
