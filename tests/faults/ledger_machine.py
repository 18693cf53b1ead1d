"""S1: a random walk over the real ledger beside a model of it in plain dictionaries.

Two stores are open on one file. Runners live as long as the description that holds their liveness byte is open, so
they die as the real ones do, by the kernel's hand. After every step the file must say what the model says.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import hypothesis.strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from walk import Life, Walk

from batchq.jobs.attempt import CANCELLED, CRASHED, FAILED, INTERRUPTED, SUCCEEDED, TIMED_OUT, Claim, Ended, Outcome
from batchq.jobs.model import job_spec
from batchq.jobs.selection import Selection
from batchq.store.adding import intake
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.file.locks import LockFile
from batchq.store.running import exchange, rescue, runners
from batchq.store.running.rescue import Lost
from batchq.store.running.wanted import RunSelection

T = TypeVar("T")
Rule = TypeVar("Rule", bound=Callable[..., None])
HOUR = 3_600_000
_LEFT = "SELECT id, state, runner FROM jobs WHERE finished_at IS NULL AND state <> 'held'"
RUNS = 4  #: that may be needed: what was due in an hour, what crashed, and the hours by which the clock went back
_COUNTS = ("attempt", "failures", "crashes", "interruptions")
STATUSES = (SUCCEEDED, FAILED, TIMED_OUT, CRASHED, INTERRUPTED, CANCELLED)
taken: Counter[str] = Counter()  #: how often each rule was taken, over all walks


class Held(NamedTuple):
    """A claim and the runner that was given it; it may be out of date."""

    claim: Claim
    life: Life

    def __repr__(self) -> str:
        return f"attempt {self.claim.attempt} of job {self.claim.id} by {self.life}"


class Walker(Protocol):
    """A machine with runners, ``held`` being the claims that were given to them."""

    population: list[Life]
    held: list[Held]

    def is_current(self, claim: Claim) -> bool: ...


def one_of(choices: Callable[[Any], Sequence[T]]) -> st.SearchStrategy[T]:
    """One of what the machine offers at this moment; the rule needs a precondition that there is one."""
    return st.runner().flatmap(lambda machine: st.sampled_from(choices(machine)))


def living(machine: Walker) -> list[Life]:
    return [life for life in machine.population if life.alive]


def current(machine: Walker) -> list[Held]:
    return [held for held in machine.held if machine.is_current(held.claim)]


def outdated(machine: "LedgerMachine") -> list[Held]:
    """Rather of jobs that run again: that is where a late result does harm."""
    late = [held for held in machine.held if not machine.is_current(held.claim)]
    return [held for held in late if machine.jobs[held.claim.id]["token"]] or late


def unseen(machine: "LedgerMachine") -> list[Life]:
    return [life for life in machine.population if not life.alive and life.row == "running"]


def open_sightings(machine: "LedgerMachine") -> list[Lost]:
    return [lost for lost in machine.sightings if any(map(machine.is_current, lost.claims))]


def closed_sightings(machine: "LedgerMachine") -> list[Lost]:
    """Rather of jobs that run again, here too."""
    closed = [lost for lost in machine.sightings if lost not in open_sightings(machine)]
    return [lost for lost in closed if any(machine.jobs[claim.id]["token"] for claim in lost.claims)] or closed


def when(choices: Callable[[Any], object]) -> Callable[[Rule], Rule]:
    return precondition(lambda machine: bool(choices(machine)))


class LedgerMachine(Walk):
    """``jobs`` maps each id to what its row must say, ``attempts`` each (job, number) to its outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[int, dict[str, Any]] = {}
        self.keys: dict[str, int] = {}
        self.attempts: dict[tuple[int, int], str] = {}
        self.held: list[Held] = []
        self.sightings: list[Lost] = []

    @initialize()
    def open(self) -> None:
        self.open_stores()
        for queue in "ab":
            self.add(3, queue, 0, 2, 2, "retry", 1, None, None)
        for which in range(2):
            self.register(which, None)
            self.claim(self.population[which], 1, 1)

    # --- steps ---------------------------------------------------------------------------------------------------------

    @rule(
        number=st.integers(1, 3),
        queue=st.sampled_from("ab"),
        priority=st.integers(0, 1),
        budget=st.integers(1, 3),
        crashes=st.integers(1, 2),
        on_crash=st.sampled_from(["retry", "hold"]),
        backoff=st.sampled_from([1, 1000, 2 * HOUR]),
        start=st.sampled_from([None, None, None, "delay", "hold"]),
        key=st.sampled_from([None, None, None, "k", "l"]),
    )
    def add(
        self, number: int, queue: str, priority: int, budget: int, crashes: int, on_crash: str, backoff: int,
        start: str | None, key: str | None,
    ) -> None:  # fmt: skip
        taken["add"] += 1
        fields: dict[str, Any] = {
            "command": "true", "queue": queue, "priority": priority, "max_attempts": budget, "max_crashes": crashes,
            "on_crash": on_crash, "backoff": f"{backoff}ms",
        }  # fmt: skip
        more: dict[str, Any] = {"delay": "1m"} if start == "delay" else {"hold": True} if start == "hold" else {}
        more |= {} if key is None else {"key": key}
        ids = intake.add(self.store(), [job_spec(fields | more, "model", "/", "/bin") for _ in range(number)]).ids
        due = self.now + 60_000 if start == "delay" else None
        expected = []
        for _ in range(number):
            if key in self.keys:
                expected.append(self.keys[key])
                continue
            new = max(self.jobs, default=0) + 1
            expected.append(new)
            if key is not None:
                self.keys[key] = new
            self.jobs[new] = {
                "state": {"delay": "scheduled", "hold": "held"}.get(start or "", "queued"), "queue": queue,
                "priority": priority, "attempt": 0, "failures": 0, "crashes": 0, "interruptions": 0, "token": None,
                "runner": None, "begun": False, "due_at": due, "due_from": self.now, "budget": budget,
                "max_crashes": crashes, "on_crash": on_crash, "backoff": backoff, "is_delayed": start == "delay",
                "is_given_up": False,
            }  # fmt: skip
        assert ids == expected

    @precondition(lambda self: len(living(self)) < 4)
    @rule(which=st.integers(0, 1), queue=st.sampled_from([None, None, "a"]))
    def register(self, which: int, queue: str | None) -> None:
        taken["register"] += 1
        lock = LockFile(str(self.path))
        runner = runners.register(
            self.stores[which], RunSelection(queue), lock.hold_liveness(), pid=1, host="h", boot_id="b", slots=3,
            executor="local", now=self.now,
        )  # fmt: skip
        self.population.append(Life(runner, which, lock))

    @when(living)
    @rule(life=one_of(living), free=st.integers(0, 3), ahead=st.sampled_from([0, 0, 1, 2]))
    def claim(self, life: Life, free: int, ahead: int) -> None:
        taken["claim"] += 1
        self._exchange(life, [], free, ahead)

    @when(current)
    @rule(held=one_of(current))
    def begin(self, held: Held) -> None:
        """A job that was claimed ahead has started; from now on the death of its runner is a crash."""
        if not held.life.alive:
            return
        taken["begin"] += 1
        self._exchange(held.life, [], 0, started=[held.claim._replace(started_at=self.now)])
        self.jobs[held.claim.id]["begun"] = True

    @when(current)
    @rule(held=one_of(current), status=st.sampled_from(STATUSES), free=st.integers(0, 2))
    def finish(self, held: Held, status: str, free: int) -> None:
        taken["finish"] += 1
        self._exchange(held.life, [(held.claim, status)], free if held.life.alive else 0)

    @when(outdated)
    @rule(held=one_of(outdated), status=st.sampled_from(STATUSES), free=st.integers(0, 2))
    def finish_late(self, held: Held, status: str, free: int) -> None:
        """The job was rescued meanwhile, and perhaps runs again, or is over."""
        taken["finish late"] += 1
        self._exchange(held.life, [(held.claim, status)], free if held.life.alive else 0)

    @when(lambda self: self.held)
    @rule(one=one_of(lambda self: self.held), other=one_of(lambda self: self.held), status=st.sampled_from(STATUSES))
    def finish_two(self, one: Held, other: Held, status: str) -> None:
        """Some, all or none of the two may be late."""
        if one.life is not other.life or one.claim == other.claim:
            return
        taken["finish two"] += 1
        self._exchange(one.life, [(one.claim, SUCCEEDED), (other.claim, status)], 0)

    @when(living)
    @rule(life=one_of(living))
    def stop(self, life: Life) -> None:
        """An orderly end: what runs is given back."""
        taken["stop"] += 1
        mine = [held.claim for held in current(self) if held.life is life]
        self._exchange(life, [(claim, INTERRUPTED) for claim in mine], 0)
        runners.leave(self.stores[life.store], life.runner, self.now)
        life.row = "ended"
        self._die(life)

    @when(living)
    @rule(life=one_of(living))
    def give_up(self, life: Life) -> None:
        """It could not record how its jobs ended (a lock, a full disk): then it has not ended in order."""
        taken["give up"] += 1
        has_ended = not any(held.life is life for held in current(self))
        assert runners.leave(self.stores[life.store], life.runner, self.now) == has_ended
        life.row = "ended" if has_ended else life.row
        self._die(life)

    @when(living)
    @rule(life=one_of(living))
    def crash(self, life: Life) -> None:
        taken["crash"] += 1
        self._die(life)

    @precondition(lambda self: len(living(self)) > 1)
    @rule(data=st.data())
    def crash_in_sight(self, data: st.DataObject) -> None:
        life, other = data.draw(st.permutations(living(self)))[:2]
        self.crash(life)
        self.look_for_the_dead(other)

    @precondition(lambda self: len(living(self)) > 1)
    @rule(data=st.data())
    def crash_and_be_replaced(self, data: st.DataObject) -> None:
        """The whole story at once, or it would seldom come to a job that runs for the second time."""
        life, other = data.draw(st.permutations(living(self)))[:2]
        self.crash(life)
        self.look_for_the_dead(other)
        for lost in open_sightings(self):
            self.rescue(lost)
        self.time_passes(3)
        self.claim(other, 2, 1)

    @when(living)
    @rule(life=one_of(living))
    def look_for_the_dead(self, life: Life) -> None:
        taken["look for the dead"] += 1
        seen = rescue.lost_runners(self.stores[life.store], life.runner)
        assert [lost.runner for lost in seen] == [one.runner.id for one in unseen(self)], "the dead, and only they"
        self.sightings += seen

    @when(open_sightings)
    @rule(lost=one_of(open_sightings))
    def rescue(self, lost: Lost) -> None:
        """Perhaps long after it was seen, when some of the jobs have moved on."""
        taken["rescue"] += 1
        self._rescue(lost)

    @when(closed_sightings)
    @rule(lost=one_of(closed_sightings))
    def rescue_again(self, lost: Lost) -> None:
        taken["rescue again"] += 1
        self._rescue(lost)

    def _rescue(self, lost: Lost) -> None:
        still = [claim for claim in lost.claims if self.is_current(claim)]
        settled = rescue.rescue(self.store(), lost, self.now)
        assert [one.claim for one in settled] == still
        for one in settled:
            begun = one.claim.started_at is not None  # as it was when seen: a dead runner begins nothing
            assert begun == self.jobs[one.claim.id]["begun"]
            self._settle(one.claim, CRASHED if begun else INTERRUPTED, one.settlement.due_at, begun=begun)
        (life,) = [life for life in self.population if life.runner.id == lost.runner]
        life.row = "dead" if life.row == "running" else life.row

    @when(lambda self: self.jobs)
    @rule(data=st.data(), verb=st.sampled_from(["retry", "hold", "release"]))
    def change_by_hand(self, data: st.DataObject, verb: str) -> None:
        taken[verb] += 1
        low, high = sorted(data.draw(st.sampled_from(sorted(self.jobs))) for _ in range(2))
        sources = {"retry": ("failed", "cancelled", "succeeded"), "hold": ("queued", "scheduled"), "release": ("held",)}
        afresh = {"failures": 0, "crashes": 0, "interruptions": 0}
        also = {"retry": afresh, "hold": {}, "release": {"interruptions": 0}}
        now = self.now
        change: dict[str, Callable[[Store, Selection], control.Changed]] = {
            "retry": control.retry, "hold": control.hold,
            "release": lambda store, selection: control.release(store, selection, now=now),
        }  # fmt: skip
        named = [row for job, row in self.jobs.items() if low <= job <= high]
        chosen = [row for row in named if row["state"] in sources[verb]]
        taken_over = [row for row in named if verb == "hold" and row["state"] == "held" and row["is_given_up"]]
        assert change[verb](self.store(), Selection(((low, high),))).jobs == len(chosen) + len(taken_over)
        for row in chosen + taken_over:
            row["is_given_up"] = False
        for row in chosen:
            due = row["due_at"] if row["is_delayed"] else None  # a time to wait for outlives a hold, a retry does not
            due = due if verb == "hold" or (verb == "release" and due is not None and due > now) else None
            target = "held" if verb == "hold" else "queued" if due is None else "scheduled"
            row.update({"state": target, "due_at": due} | also[verb])

    @rule(hours=st.sampled_from([-1, 1]))
    def clock_jumps(self, hours: int) -> None:
        taken["clock jumps"] += 1
        self.now += hours * HOUR

    @rule(milliseconds=st.integers(1, 90_000))
    def time_passes(self, milliseconds: int) -> None:
        taken["time passes"] += 1
        self.now += milliseconds

    # --- the model -----------------------------------------------------------------------------------------------------

    def is_current(self, claim: Claim) -> bool:
        return bool(self.jobs[claim.id]["token"] == claim.token)

    def _die(self, life: Life) -> None:
        life.alive = False
        life.lock.close()

    def _exchange(
        self, life: Life, ended: list[tuple[Claim, str]], free: int, ahead: int = 0, started: Sequence[Claim] = ()
    ) -> None:
        accepted = [claim for claim, _ in ended if self.is_current(claim)]
        refused = [claim for claim, _ in ended if not self.is_current(claim)]
        outcomes = [Ended(claim, Outcome(status, started_at=self.now)) for claim, status in ended]
        done = exchange.exchange(
            self.stores[life.store], life.runner, outcomes, free, self.now, ahead=ahead, started=started
        )
        assert [one.claim for one in done.settled] == accepted, "a result is accepted with the current token only"
        assert [late.claim for late in done.refused] == refused
        for one in done.settled:
            self._settle(one.claim, one.outcome.status, one.settlement.due_at)
        if free:
            self._promote()
        queue = life.runner.wanted.queue
        waiting = [job for job, row in self.jobs.items() if row["state"] == "queued" and queue in (None, row["queue"])]
        waiting.sort(key=lambda job: (-self.jobs[job]["priority"], job))
        now, rest = waiting[:free], waiting[free:]
        later = [job for job in rest if self.jobs[job]["on_crash"] != "hold"][:ahead]
        assert [claim.id for claim in done.claims] == now + later, "the first of the queue are claimed, in order"
        for claim in done.claims:
            row = self.jobs[claim.id]
            row |= {"state": "running", "attempt": row["attempt"] + 1, "token": claim.token, "runner": life.runner.id}
            row["begun"] = claim.id in now
            assert claim.started_at == (self.now if row["begun"] else None)
            told = self.stores[life.store].fetch(f"SELECT {', '.join(_COUNTS)} FROM jobs WHERE id = ?", (claim.id,))
            assert claim.attempt == row["attempt"]
            assert told == [tuple(row[name] for name in _COUNTS)]
            self.held.append(Held(claim, life))

    def _promote(self) -> None:
        for row in self.jobs.values():
            if row["state"] == "scheduled" and row["due_from"] > self.now:  # the clock was set back
                row |= {"due_at": self.now + row["due_at"] - row["due_from"], "due_from": self.now}
            if row["state"] == "scheduled" and row["due_at"] <= self.now:
                row |= {"state": "queued", "due_at": None, "is_delayed": False}

    def _settle(self, claim: Claim, status: str, due: int | None, *, begun: bool = True) -> None:
        """The table of docs/semantics.md, written down once more and differently."""
        row = self.jobs[claim.id]
        self.attempts[claim.id, claim.attempt] = status
        row |= {"token": None, "runner": None, "due_at": None}
        spent, budget = {
            FAILED: ("failures", row["budget"]), TIMED_OUT: ("failures", row["budget"]),
            CRASHED: ("crashes", row["max_crashes"]), INTERRUPTED: ("interruptions", 10),
        }.get(status, ("", 0))  # fmt: skip
        if status != INTERRUPTED:
            row["interruptions"] = 0
        if spent:
            row[spent] += 1
        left = not spent or row[spent] < budget
        if row["on_crash"] == "hold" and (status == CRASHED or (status == INTERRUPTED and begun)):
            row["state"] = "held"
        elif status == INTERRUPTED:
            row["state"] = "queued" if left else "held"
        elif spent and left:
            longest = min(HOUR, row["backoff"] * 2 ** (row[spent] - 1))
            assert due is not None and self.now <= due <= self.now + longest
            row |= {"state": "scheduled", "due_at": due, "due_from": self.now}
        else:
            row["state"] = {SUCCEEDED: "succeeded", CANCELLED: "cancelled"}.get(status, "failed")
        row["is_given_up"] = row["state"] == "held"

    # --- the way out ---------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Wherever the walk has led: a few runs, one after the other, end every job that nobody holds."""
        try:
            if self.stores:
                for life in living(self):
                    self._die(life)
                runs = 0
                while left := self.store().fetch(_LEFT):
                    assert runs < RUNS, f"a state without a way out: {left}"
                    self._run()
                    self.now += 3 * HOUR
                    runs += 1
        finally:
            super().teardown()

    def _run(self) -> None:
        """What ``batchq run`` does with jobs that all succeed."""
        store, lock = self.store(), LockFile(str(self.path))
        me = runners.register(
            store,
            RunSelection(),
            lock.hold_liveness(),
            pid=1,
            host="h",
            boot_id="b",
            slots=3,
            executor="local",
            now=self.now,
        )
        for lost in rescue.lost_runners(store, me):
            rescue.rescue(store, lost, self.now)
        claims = exchange.exchange(store, me, [], 3, self.now).claims
        while claims:
            ended = [Ended(claim, Outcome(SUCCEEDED, started_at=self.now)) for claim in claims]
            claims = exchange.exchange(store, me, ended, 3, self.now).claims
        assert runners.leave(store, me, self.now)
        lock.close()

    # --- what the file says --------------------------------------------------------------------------------------------

    @invariant()
    def the_file_says_what_the_model_says(self) -> None:
        if not self.stores:
            return
        db = self.store().db
        columns = ("state", "queue", "attempt", "failures", "crashes", "interruptions", "token", "runner", "due_at")
        found = {row[0]: row[1:] for row in db.execute(f"SELECT id, {', '.join(columns)} FROM jobs")}
        assert found == {job: tuple(row[column] for column in columns) for job, row in self.jobs.items()}
        counted = Counter((row["state"], row["queue"]) for row in self.jobs.values())
        cells = db.execute("SELECT state, queue, jobs FROM counters WHERE jobs > 0").fetchall()
        assert {(state, queue): jobs for state, queue, jobs in cells} == counted
        outcomes = db.execute("SELECT job, number, outcome FROM attempts").fetchall()
        assert {(job, number): outcome for job, number, outcome in outcomes} == self.attempts
        rows = db.execute("SELECT id, state FROM runners").fetchall()
        assert dict(rows) == {life.runner.id: life.row for life in self.population}
