"""S22: a random walk over order, keys, limits and control on a real store, beside the model of ``order_model``.

Two connections take turns. After every step the file must say what the model says: states, parents, causes, keys,
counters; and every claim was the right one, in the right order.
"""

import copy
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import initialize, rule
from ledger_machine import HOUR, current, living, one_of, when
from order_jobs import ANY_WORD, DIAMOND, JOB, PLAIN, STATUSES, WAITING, WANTED, fields_of
from order_model import DAY, DEAD, OVER, Refused
from order_walk import OrderWalk, taken
from walk import Life

from batchq.errors import InputError
from batchq.jobs.attempt import CRASHED, INTERRUPTED
from batchq.jobs.model import JobSpec, job_spec
from batchq.jobs.selection import Selection, of_ids
from batchq.store.adding import intake
from batchq.store.changing import control, queues
from batchq.store.file.locks import LockFile
from batchq.store.keeping import pruning
from batchq.store.keeping.pruning import Policy
from batchq.store.running import rescue, runners
from batchq.store.running.wanted import RunSelection


class OrderMachine(OrderWalk):
    """The steps of the walk."""

    @initialize()
    def begin(self) -> None:
        self.open_stores()
        self._add(copy.deepcopy(DIAMOND))
        self.register(0, RunSelection(payloads=True), 3)
        self.register(1, RunSelection("a"), 1)

    # --- adding and removing -------------------------------------------------------------------------------------------

    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        taken["add"] += 1
        specs = data.draw(st.lists(JOB, min_size=1, max_size=5))
        for spec in specs:
            known = st.sampled_from(self.parents_for(spec, specs) or [*ANY_WORD])
            for kind in ("after", "after_any", "after_failed"):
                if data.draw(st.booleans()):
                    spec[kind] = data.draw(st.lists(known, min_size=1, max_size=3, unique=True))
        self._add(specs)

    def _add(self, specs: list[dict[str, Any]]) -> None:
        before = pickle.dumps(self.model)
        stored = [job_spec(fields_of(spec), "model", "/", "/bin") for spec in specs]
        try:
            ids, fates = self.model.add(specs, self.now)
        except Refused:
            taken["refused add"] += 1
            self.model = pickle.loads(before)
            self.queues.jobs = self.model.jobs
            assert self.is_refused(stored)
            return
        done = intake.add(self.store(), stored)
        assert done.ids == ids
        assert [done.fate(position) for position in range(len(ids))] == fates
        taken.update({f"key {fate}": 1 for fate in fates if fate != "added"})

    def is_refused(self, specs: list[JobSpec]) -> bool:
        try:
            intake.add(self.store(), specs)
        except InputError:
            return True
        return False

    def parents_for(self, spec: dict[str, Any], specs: list[dict[str, Any]]) -> list[str]:
        """What a job of this add may name as its parents; once in a while also what it may not."""
        jobs = self.model.jobs
        others = {row["batch"] for row in jobs.values()} - {spec["batch"]}
        earlier = specs[: next(place for place, one in enumerate(specs) if one is spec)]
        known = [str(job) for job in sorted(jobs)[-6:]] + [f"batch:{batch}" for batch in sorted(others)] + ["last"]
        known += sorted({one["name"] for one in earlier if one.get("name")})
        return [*ANY_WORD] if len(jobs) % 7 == 6 else known

    def prune(self, data: st.DataObject) -> None:
        taken["prune"] += 1
        older, keep = data.draw(st.sampled_from([0, 0, HOUR])), data.draw(st.sampled_from([0, 0, 1]))
        states = data.draw(st.sampled_from([OVER, ("succeeded",), DEAD]))
        self._prune(older, states, keep, data.draw(st.sampled_from([None, 0, 2 * DAY])))

    def _prune(self, older: int, states: tuple[str, ...], keep: int, forget: int | None) -> None:
        done = pruning.prune(self.store(), Policy(older, states, keep, forget), self.now)
        assert done.jobs == self.model.prune(older, states, keep, forget, self.now)

    @when(lambda self: self.model.begun_keys())
    @rule(data=st.data())
    def add_again(self, data: st.DataObject) -> None:
        """What failed or runs is added once more under its key, which chance alone would seldom do."""
        key = data.draw(st.sampled_from(self.model.begun_keys()))
        how = data.draw(st.sampled_from(["rerun-failed", "rerun-failed", "replace", "skip"]))
        self._add([PLAIN | {"key": key, "if_exists": how}])

    @when(living)
    @rule(life=one_of(living), how=st.sampled_from(["rerun-failed", "replace", "skip"]))
    def add_again_what_runs(self, life: Life, how: str) -> None:
        """The same for one that has just been claimed, unless its queue or the slots of the runner are in the way."""
        spec = PLAIN | {"key": "r", "queue": life.runner.wanted.queue or "a", "priority": 1}
        self._add([spec | {"if_exists": "replace"}])
        self.claim(life, 3, 0, False)
        self._add([spec | {"if_exists": how}])

    @rule(days=st.integers(0, 2))
    def a_crontab_names_its_key(self, days: int) -> None:
        """A key that is named each day is not forgotten, although its job is long gone."""
        taken["add"] += 1
        spec = PLAIN | {"key": "m"}
        self._add([spec])
        job = self.model.keys["m"][0]
        if job in self.model.jobs and self.model.jobs[job]["state"] == "queued":
            control.cancel(self.store(), of_ids([job]))
            self.model.cancel([job], self.now)
        for _ in range(days):
            self.now += DAY + 1
            self._add([spec])
        self._prune(0, OVER, 0, HOUR)

    # --- by hand -------------------------------------------------------------------------------------------------------

    @when(lambda self: self.model.jobs)
    @rule(
        data=st.data(), verb=st.sampled_from(["retry", "retry", "cancel", "hold", "release"]),
        how=st.sampled_from(["ids", "ids", "batch", "state"]),
    )  # fmt: skip
    def change(self, data: st.DataObject, verb: str, how: str) -> None:
        taken[verb] += 1
        jobs = self.model.jobs
        if how == "ids":
            words = data.draw(st.lists(st.sampled_from(sorted(jobs)), min_size=1, max_size=3, unique=True))
            selection, chosen = of_ids(words), set(words)
        elif how == "batch":
            batch = data.draw(st.sampled_from(["one", "two", "default"]))
            selection, chosen = Selection(batch=batch), {job for job, row in jobs.items() if row["batch"] == batch}
        else:
            states = data.draw(st.sampled_from([DEAD, ("failed",), ("succeeded",), WAITING, ("running",)]))
            selection, chosen = Selection(states=states), {job for job, row in jobs.items() if row["state"] in states}
        sources: dict[str, tuple[str, ...]] = {
            "retry": DEAD if how == "batch" else OVER, "cancel": (*WAITING, "running"),
            "hold": ("queued", "scheduled", "blocked"), "release": ("held",),
        }  # fmt: skip
        given_up = {
            job for job in chosen if verb == "hold" and jobs[job]["state"] == "held" and jobs[job]["is_given_up"]
        }
        chosen = {job for job in chosen if jobs[job]["state"] in sources[verb]} | given_up
        change: dict[str, Callable[..., control.Changed]] = vars(control)
        done = change[verb](self.store(), selection, list_ids=data.draw(st.booleans()))
        number, also = len(chosen), 0
        if verb == "retry":
            number, also = self.model.reopen(chosen, self.now, orphans=how == "ids")
        elif verb == "cancel":
            also = self.model.cancel(chosen, self.now)
        elif verb == "hold":
            self.model.hold(chosen)
        else:
            self.model.release(chosen, self.now)
        taken["followed"] += bool(also)
        assert (done.jobs, done.also) == (number, also)

    def set_queue(self, data: st.DataObject) -> None:
        queue, what = data.draw(st.sampled_from("ab")), data.draw(st.sampled_from(["limit", "limit", "rate", "paused"]))
        taken[f"set {what}"] += 1
        store = self.store()
        choices: dict[str, Sequence[Any]] = {
            "limit": [None, 0, 1, 2],
            "rate": [None, 0.5, 64.0],
            "paused": [True, False],
        }
        value = data.draw(st.sampled_from(choices[what]))
        if what == "paused":
            (queues.pause if value else queues.resume)(store, queue)
        else:
            (queues.set_limit if what == "limit" else queues.set_rate)(store, queue, value)
        self.queues.change(queue, what, value)

    @rule(
        data=st.data(), milliseconds=st.sampled_from([1, 20, -300, -HOUR, 500, 2_000, 61_000, 2 * HOUR, 3 * DAY]),
        what=st.sampled_from(["nothing", "nothing", "prune", "set a queue", "set a queue", "register"]),
    )  # fmt: skip
    def time_passes(self, data: st.DataObject, milliseconds: int, what: str) -> None:
        self.now += milliseconds
        if what == "prune":
            self.prune(data)
        elif what == "set a queue":
            self.set_queue(data)
        elif what == "register" and len(living(self)) < 3:
            self.register(data.draw(st.integers(0, 1)), data.draw(WANTED), data.draw(st.integers(1, 3)))

    # --- running -------------------------------------------------------------------------------------------------------

    def register(self, which: int, wanted: RunSelection, slots: int) -> None:
        taken["register"] += 1
        lock = LockFile(str(self.path))
        runner = runners.register(
            self.stores[which], wanted, lock.hold_liveness(), pid=1, host="h", boot_id="b", slots=slots,
            executor="local", now=self.now,
        )  # fmt: skip
        self.population.append(Life(runner, which, lock))

    @when(living)
    @rule(life=one_of(living), free=st.integers(1, 3), ahead=st.sampled_from([0, 2]), is_begun=st.booleans())
    def claim(self, life: Life, free: int, ahead: int, is_begun: bool) -> None:
        """Perhaps what was claimed ahead has a slot soon; from then on the death of its runner is a crash."""
        taken["claim"] += 1
        self.exchange(life, [], min(free, life.runner.slots), ahead)
        waiting = [held.claim for held in current(self) if held.life is life and held.claim.started_at is None]
        begun = [one for one in waiting if not self.model.jobs[one.id]["begun"]]
        if begun and is_begun:
            taken["begin"] += 1
            self.exchange(life, [], 0, started=[one._replace(started_at=self.now) for one in begun])
            for one in begun:
                self.model.jobs[one.id]["begun"] = True

    @when(current)
    @rule(data=st.data(), free=st.integers(0, 2))
    def finish(self, data: st.DataObject, free: int) -> None:
        """One or two claims of a runner end in one exchange."""
        taken["finish"] += 1
        ended = data.draw(st.lists(st.sampled_from(current(self)), min_size=1, max_size=3, unique=True))
        life = ended[0].life
        statuses = [(held.claim, data.draw(st.sampled_from(STATUSES))) for held in ended if held.life is life]
        self.exchange(life, statuses, free if life.alive else 0)

    @when(living)
    @rule(life=one_of(living), free=st.integers(1, 3), data=st.data())
    def work(self, life: Life, free: int, data: st.DataObject) -> None:
        """Claim and end, or a walk would seldom come far."""
        taken["work"] += 1
        self.exchange(life, [], min(free, life.runner.slots), 0)
        mine = [held.claim for held in current(self) if held.life is life]
        self.exchange(life, [(claim, data.draw(st.sampled_from(STATUSES))) for claim in mine], 0)

    @when(living)
    @rule(life=one_of(living), free=st.integers(1, 3), data=st.data())
    def work_on(self, life: Life, free: int, data: st.DataObject) -> None:
        self.work(life, free, data)

    @when(living)
    @rule(life=one_of(living), status=st.sampled_from(STATUSES), data=st.data())
    def cancel_what_runs(self, life: Life, status: str, data: st.DataObject) -> None:
        """The whole story at once: claimed, cancelled, ended somehow, and perhaps tried once more."""
        self.claim(life, 3, 0, False)
        mine = [held.claim for held in current(self) if held.life is life]
        if mine:
            taken["cancel"] += 1
            chosen = {claim.id for claim in mine[:2]}
            assert control.cancel(self.store(), of_ids(chosen)).also == self.model.cancel(chosen, self.now)
            self.exchange(life, [(claim, status) for claim in mine], 0)
            if data.draw(st.booleans()):
                opened = {job for job in chosen if not self.model.is_open(job)}
                assert control.retry(self.store(), of_ids(opened)).jobs == self.model.reopen(opened, self.now)[0]
                self.work(life, 3, data)

    @when(living)
    @rule(life=one_of(living), data=st.data())
    def press(self, life: Life, data: st.DataObject) -> None:
        """More jobs of one queue than it may let through."""
        slots = data.draw(st.sampled_from([(1, 1, 1), (1, 2, 1)]))
        self._add([PLAIN | {"queue": life.runner.wanted.queue or "b", "slots": number} for number in slots])
        self.set_queue(data)
        self.claim(life, 3, 0, False)
        self.claim(life, 3, 2, False)

    @when(lambda self: len(living(self)) > 1)
    @rule(data=st.data())
    def crash_and_be_rescued(self, data: st.DataObject) -> None:
        taken["crash"] += 1
        life, other = data.draw(st.permutations(living(self)))[:2]
        life.alive = False
        life.lock.close()
        for lost in rescue.lost_runners(self.stores[other.store], other.runner):
            settled = rescue.rescue(self.store(), lost, self.now)
            assert {one.claim.id for one in settled} == {
                job for job, row in self.model.jobs.items() if row["runner"] == lost.runner
            }
            self.settle([
                (one.claim.id, CRASHED if self.model.jobs[one.claim.id]["begun"] else INTERRUPTED, one.settlement.due_at)
                for one in settled
            ])  # fmt: skip
