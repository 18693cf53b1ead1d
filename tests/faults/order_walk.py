"""S22: a random walk over order, keys, limits and control on a real store, beside the model of ``order_model``.

Two connections take turns. After every step the file must say what the model says: states, parents, causes, keys,
counters; and every claim was the right one, in the right order.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis.stateful import invariant
from ledger_machine import Held, living
from order_model import Model
from queues_model import Queues
from walk import Life, Walk

from batchq.jobs.attempt import Claim, Ended, Outcome
from batchq.store.running import exchange, forecast

taken: Counter[str] = Counter()  #: how often each rule was taken, over all walks


class OrderWalk(Walk):
    """``model`` is what must be; ``population`` are the runners, ``held`` the claims that they were given."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.queues = Queues(self.model.jobs)
        self.held: list[Held] = []

    def is_current(self, claim: Claim) -> bool:
        row = self.model.jobs.get(claim.id)
        return row is not None and row["token"] == claim.token

    # --- the model -----------------------------------------------------------------------------------------------------

    def exchange(
        self, life: Life, ended: list[tuple[Claim, str]], free: int, ahead: int = 0, started: Sequence[Claim] = ()
    ) -> None:
        outcomes = [Ended(claim, Outcome(status, started_at=self.now)) for claim, status in ended]
        done = exchange.exchange(
            self.stores[life.store], life.runner, outcomes, free, self.now, ahead=ahead, started=started
        )
        assert [one.claim for one in done.settled] == [claim for claim, _ in ended]
        self.settle([(one.claim.id, one.outcome.status, one.settlement.due_at) for one in done.settled])
        if free:
            self.model.promote(self.now)
        wanted = life.runner.wanted

        def takes(row: dict[str, Any]) -> bool:
            return (
                wanted.queue in (None, row["queue"]) and wanted.batch in (None, row["batch"])
                and (wanted.payloads or row["kind"] != "payload")
                and (wanted.ids is None or any(low <= row["id"] <= high for low, high in wanted.ids))
            )  # fmt: skip

        first, later = self.queues.claimable(takes, life.runner.slots, free, ahead, self.now)
        assert [claim.id for claim in done.claims] == first + later, "the first of the line are claimed, in order"
        for claim in done.claims:
            row = self.model.jobs[claim.id]
            assert not self.model.waits_for(claim.id) and not self.model.killers(claim.id)
            row |= {"state": "running", "attempt": row["attempt"] + 1, "token": claim.token, "runner": life.runner.id}
            row["begun"] = claim.id in first
            if row["begun"]:
                self.queues.start(row["queue"], self.now)
            self.held.append(Held(claim, life))
        taken["claimed ahead"] += bool(later)

    def settle(self, ended: list[tuple[int, str, int | None]]) -> None:
        for job, status, due in ended:
            self.model.settle(job, status, due, self.now)
        self.model.follow(self.now)

    # --- what the file says --------------------------------------------------------------------------------------------

    @invariant()
    def the_file_says_what_the_model_says(self) -> None:
        if not self.stores:
            return
        jobs, db = self.model.jobs, self.store().db
        columns = (
            "state", "batch", "queue", "attempt", "failures", "crashes", "interruptions", "token", "runner", "due_at",
            "asked", "cause", "finished_at", "unneeded",
        )  # fmt: skip
        names = ", ".join(columns).replace("asked", "cancel_asked")
        found = {row[0]: row[1:] for row in db.execute(f"SELECT id, {names} FROM jobs")}
        assert found == {job: tuple(row[column] for column in columns) for job, row in jobs.items()}
        waits = dict(db.execute("SELECT id, open_parents FROM jobs WHERE finished_at IS NULL").fetchall())
        must_wait = {job: self.model.waits_for(job) for job in jobs if self.model.is_open(job)}
        assert waits == must_wait, waits.items() ^ must_wait.items()
        cells = db.execute("SELECT state, queue, batch, jobs FROM counters").fetchall()
        assert {tuple(cell[:3]): cell[3] for cell in cells} == Counter(
            (row["state"], row["queue"], row["batch"]) for row in jobs.values()
        )
        keys = db.execute("SELECT key, job, added_at, seen_at, state FROM keys").fetchall()
        assert {row[0]: list(row[1:]) for row in keys} == self.model.keys
        ties = db.execute("SELECT child, parent, kind FROM dependencies").fetchall()
        assert {(child, parent): kind for child, parent, kind in ties} == {
            (child, parent): kind for child, above in self.model.parents.items() for parent, kind in above.items()
        }

    @invariant()
    def a_runner_knows_what_is_left_for_it(self) -> None:
        for life in living(self)[:1]:
            wanted = life.runner.wanted
            left = forecast.look(self.stores[life.store], life.runner)  # which has its spans
            open_lanes = {
                queue for queue in "ab"
                if not (chosen := self.queues.set.get(queue)) or not (chosen["paused"] or chosen["limit"] == 0)
            }  # fmt: skip
            mine = [
                row for job, row in self.model.jobs.items()
                if row["queue"] in open_lanes and row["slots"] <= life.runner.slots
                and wanted.queue in (None, row["queue"]) and (wanted.payloads or row["kind"] != "payload")
            ]  # fmt: skip
            if wanted.batch is None and wanted.ids is None:
                assert left.queued == any(row["state"] == "queued" for row in mine)
                assert left.next_due == min(
                    (row["due_at"] for row in mine if row["state"] == "scheduled" and row["is_retry"]), default=None
                )
