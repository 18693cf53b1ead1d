"""S38: from any store that kills, locks, full disks and stops can leave behind, a few runs end every job.

A random walk on a real store, without a model: after each step the invariants must hold, and at the end runs, some of
which meet trouble themselves, must bring each job to its end that no person holds.
"""

import contextlib
import random
from collections import Counter
from typing import Any

import invariants
import wayout_steps as steps
from troubles import Step, Trouble, killed, ready
from walk import Ground, Life

from batchq.errors import BatchqError, BusyError, LedgerError
from batchq.jobs.attempt import INTERRUPTED, Claim
from batchq.store.file.locks import LockFile

HOUR = 3_600_000
VERBS = ("retry", "retry", "cancel", "hold", "release")
RUNS = 8  #: that may be needed: for what was due in an hour, what crashed, and what batchq puts on hold at the end
STEPS = 25  #: of one walk
_NUMBERS = 162  #: of all troubles, and of all moments of a kill
_LEFT = "SELECT id, state, why, runner, due_at FROM jobs WHERE finished_at IS NULL"
DIAMOND: list[dict[str, Any]] = [
    {"name": "x", "max_attempts": 2}, *({"name": "y", "after": ["x"]} for _ in range(5)), {"name": "z", "after": ["y"]},
    {"after": ["z"]}, {"after_any": ["z"]}, {"on_crash": "hold"},
]  # fmt: skip
taken: Counter[str] = Counter()  #: how often each step was taken, over all walks


class WayOut(Ground):
    """One walk; ``work`` are the claims of each runner as it knows them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.work: dict[int, list[Claim]] = {}
        self.small = steps.Small()

    def walk(self) -> None:
        """All of it; AssertionError where something does not hold."""
        self.small.start()
        try:
            self.open_stores()
            for store in self.stores:
                ready(store)
            steps.add(self.store(), DIAMOND)
            self.register()
            for _ in range(STEPS):
                self.step()
                self.check()
            self.find_the_way_out()
        finally:
            try:
                self.teardown()
            finally:  # a mutant fails in the teardown, too, and the next suite must not find things small
                self.small.stop()

    def step(self) -> None:
        """One of those that can be taken."""
        choices = [self.add, self.change, self.change, self.rescue, self.prune, self.run, self.clock_jumps]
        choices += [self.exchange] * 4 + [self.stop, self.crash] if self.living() else []
        choices += [self.register] if len(self.living()) < 3 else []
        self.chance.choice(choices)()

    def living(self) -> list[Life]:
        return [life for life in self.population if life.alive]

    # --- steps, each in peace, in trouble, or killed -------------------------------------------------------------------

    def take(self, name: str, step: Step, *given: Any, life: Life | None = None) -> Any:
        """What the step returns; None where it did not come to its end. A kill takes the runner with it."""
        how = self.chance.choice(["in peace", "in peace", "in trouble", "in trouble", "killed"])
        trouble = Trouble(self.path, self.chance.randrange(_NUMBERS))
        taken[name] += 1
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

    def add(self) -> None:
        self.take("add", steps.add, [self._job() for _ in range(self.chance.randint(1, 5))])

    def _job(self) -> dict[str, Any]:
        choice = self.chance.choice
        job: dict[str, Any] = {
            "max_attempts": choice([1, 2]), "on_crash": choice(["retry", "retry", "hold"]), "name": choice("xyz"),
        }  # fmt: skip
        job |= {"key": choice("kl"), "if_exists": choice(["replace", "rerun-failed"])} if choice(range(4)) == 0 else {}
        job |= {"delay": "1m"} if choice(range(6)) == 0 else {}
        job |= {choice(["after", "after_any"]): [choice("xyz")]} if choice(range(2)) else {}
        return job

    def register(self) -> None:
        taken["register"] += 1
        lock = LockFile(str(self.path))
        life = Life(steps.register(self.store(), lock, self.now), 0, lock)
        self.population.append(life)
        self.work[life.runner.id] = steps.exchange(self.store(), life.runner, [], 2, 1, self.now)

    def exchange(self) -> None:
        life, mine = self._one()
        statuses = [self.chance.choice([*steps.STATUSES, None, None]) for _ in mine]
        ended = [(claim, status) for claim, status in zip(mine, statuses, strict=True) if status is not None]
        free, ahead = self.chance.randrange(3), self.chance.randrange(2)
        claims = self.take("exchange", steps.exchange, life.runner, ended, free, ahead, self.now, life=life)
        if claims is not None:
            gone = [claim for claim, _ in ended]
            self.work[life.runner.id] = [claim for claim in mine if claim not in gone] + claims

    def stop(self) -> None:
        """With or without giving back what runs, and whatever comes of it: the runner is gone then."""
        life, mine = self._one()
        ended = [(claim, INTERRUPTED) for claim in mine] if self.chance.randrange(2) else []
        self.take("exchange", steps.exchange, life.runner, ended, 0, 0, self.now)
        self.take("stop", steps.leave, life.runner, self.now)
        self._die(life)

    def crash(self) -> None:
        taken["crash"] += 1
        self._die(self._one()[0])

    def rescue(self) -> None:
        self.take("rescue", steps.rescue, None, self.now)

    def change(self) -> None:
        ((last,),) = self.store().fetch("SELECT value FROM settings WHERE name = 'last_job'")
        low, high = sorted(self.chance.randint(1, last) for _ in range(2))
        verb = self.chance.choice(VERBS)
        self.take(verb, steps.change, verb, low, high, self.now)

    def prune(self) -> None:
        self.take("prune", steps.prune, self.now)

    def run(self) -> None:
        self.take("run", steps.run, self.chance.randrange(1 << 30), self.now)

    def clock_jumps(self) -> None:
        taken["clock jumps"] += 1
        self.now += self.chance.choice([-400, -1, 1, 400]) * HOUR

    def _one(self) -> tuple[Life, list[Claim]]:
        life = self.chance.choice(self.living())
        return life, self.work[life.runner.id]

    def _die(self, life: Life) -> None:
        life.alive = False
        life.lock.close()

    # --- what holds ----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every transaction has left a sound store."""
        found = {name: rows for name, sql in invariants.CHECKS.items() if (rows := self.store().fetch(sql))}
        assert not found

    def find_the_way_out(self) -> None:
        """Runs of which some meet trouble, then runs that do not; a person lets go what is on hold."""
        for life in self.living():
            self._die(life)
        for _ in range(self.chance.randrange(4)):
            self._run_in_trouble()
        runs = 0
        while left := self.store().fetch(_LEFT):
            assert runs < RUNS, f"a state without a way out: {left}"
            steps.run(self.store(), 0, self.now, all_succeed=True)
            steps.change(self.store(), "release", 1, 1 << 40, self.now)
            self.now += 3 * HOUR
            runs += 1

    def _run_in_trouble(self) -> None:
        number, seed = self.chance.randrange(_NUMBERS), self.chance.randrange(1 << 30)
        if self.chance.randrange(3) == 0:
            killed(self.path, self.now, number, steps.run, seed, self.now)
            return
        with Trouble(self.path, number), contextlib.suppress(BusyError, LedgerError):
            steps.run(self.store(), seed, self.now)
