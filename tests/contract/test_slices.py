"""What follows from an end is done in slices where it is much: each leaves a sound store, and any run goes on with it."""

import random
import time
from typing import Any

import invariants
import pytest
from conftest import Shell, eventually, finish
from history import FAILED, NOW, SUCCEEDED, a_runner, add
from test_scale import chain

from batchq.jobs.attempt import Ended, Outcome
from batchq.jobs.model import JobSpec, job_spec
from batchq.jobs.selection import Selection, of_ids
from batchq.store import order, reopening
from batchq.store.adding import intake
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.running import exchange
from batchq.store.running.runners import Runner

DEAD = Outcome("failed", exit_code=3, started_at=NOW)


def fan_out(number: int, kind: str) -> list[JobSpec]:
    first, *rest = chain(number + 1)
    for spec in rest:
        spec.after, spec.after_any = (("j0",), ()) if kind == "after" else ((), ("j0",))
    return [first, *rest]


def end_first(store: Store, outcome: Outcome) -> tuple[Runner, bool]:
    runner = a_runner(store)
    (claim,) = exchange.exchange(store, runner, [], 1).claims
    done = exchange.exchange(store, runner, [Ended(claim, outcome)], 0)
    assert done.settled
    return runner, done.is_unfinished


def counted(store: Store) -> dict[str, int]:
    return dict(store.fetch("SELECT state, count(*) FROM jobs GROUP BY state"))


def check(store: Store) -> None:
    problems = {name: rows for name, sql in invariants.CHECKS.items() if (rows := store.fetch(sql)[:3])}
    assert not problems


def test_a_long_chain_below_a_failure_is_cancelled_in_short_transactions(store: Store) -> None:
    intake.add(store, chain(6_000))
    runner, is_unfinished = end_first(store, DEAD)
    assert is_unfinished

    slices, longest = 0, 0.0
    while is_unfinished:
        check(store)
        began = time.thread_time()  # which does not pass while others have the processor
        is_unfinished = exchange.exchange(store, runner, [], 0).is_unfinished
        longest = max(longest, time.thread_time() - began)
        slices += 1

    assert counted(store) == {"failed": 1, "cancelled": 5_999}
    assert slices > 3
    assert longest < 1
    assert control.retry(store, of_ids([1])) == (1, {}, [], 5_999)
    assert counted(store) == {"queued": 1, "blocked": 5_999}


@pytest.mark.parametrize(("kind", "outcome", "state"), [
    ("after", DEAD, "cancelled"), ("after", SUCCEEDED._replace(started_at=NOW), "queued"), ("after_any", DEAD, "queued"),
])  # fmt: skip
def test_a_parent_of_very_many_jobs_notifies_some_at_a_time(
    store: Store, kind: str, outcome: Outcome, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "SLICE", 0.004)  # a fast machine tells all of them within the usual one
    intake.add(store, fan_out(9_000, kind))
    runner, is_unfinished = end_first(store, outcome)
    assert is_unfinished
    while is_unfinished:
        check(store)
        is_unfinished = exchange.exchange(store, runner, [], 0).is_unfinished
    assert counted(store)[state] == 9_000


def test_another_run_goes_on_where_one_was_killed_between_two_slices(batchq: Shell) -> None:
    with open_at(str(batchq.db())) as store:
        specs = chain(4_000)
        specs[0].work = '["exit 3"]'
        intake.add(store, specs)
        assert end_first(store, DEAD)[1]
        before = counted(store)
    assert before["blocked"] > 0
    assert not batchq("doctor", code=None).code

    batchq("run", "-q")

    assert batchq.rows("SELECT state, count(*) FROM jobs GROUP BY 1") == [("cancelled", 3_999), ("failed", 1)]
    assert batchq.rows("SELECT * FROM endings") == []


def test_a_run_whose_slots_are_all_taken_goes_on_with_it(batchq: Shell) -> None:
    with open_at(str(batchq.db())) as store:
        specs = chain(4_000)
        specs[0].work = '["exit 3"]'
        intake.add(store, specs)
    batchq("add", "-q", "-c", "while [ ! -e go ]; do sleep 0.05; done")
    run = batchq.start("run", "-q", "-j", "1")
    eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE state = 'running' AND id = 4001"))
    eventually(lambda: batchq.rows("SELECT count(*) FROM jobs WHERE state = 'cancelled'") == [(3_999,)])
    (batchq.folder / "go").touch()
    assert finish(run).code == 1


def test_cancel_and_add_are_done_when_they_return(store: Store) -> None:
    intake.add(store, chain(3_000))
    assert control.cancel(store, of_ids([1])) == (1, {}, [], 2_999)
    assert counted(store) == {"cancelled": 3_000}

    (dead,) = add(store, "false")
    end_first(store, DEAD)
    specs = chain(3_000, after=(str(dead),))
    for spec in specs:
        spec.key = None
    intake.add(store, specs)
    assert counted(store) == {"failed": 1, "cancelled": 6_000}


def test_a_half_notified_level_can_be_retried_and_cancelled(store: Store) -> None:
    intake.add(store, chain(3_000))
    _, is_unfinished = end_first(store, DEAD)
    assert is_unfinished
    control.retry(store, of_ids([1]))
    check(store)
    assert set(counted(store)) <= {"queued", "blocked", "cancelled"}
    while order.is_unfinished(store.db):
        with store.writing() as db:
            order.proceed(db, NOW)
        check(store)
    control.cancel(store, Selection(everything=True))
    assert counted(store) == {"cancelled": 3_000}


def _walk(store: Store, seed: int) -> dict[Any, Any]:
    """A random graph whose jobs end by chance, with retries and cancellations; each step is followed to its end."""
    chance = random.Random(seed)
    specs = []
    for number in range(40):
        fields: dict[str, Any] = {"command": "true", "name": f"j{number}"}
        for kind in ("after", "after_any"):
            above = chance.sample(range(number), min(number, chance.choice([0, 0, 1, 2])))
            fields[kind] = [f"j{parent}" for parent in above]
        specs.append(job_spec(fields, "test", "/", "/bin"))
    intake.add(store, specs)
    runner = a_runner(store)
    for _ in range(60):
        claims = exchange.exchange(store, runner, [], chance.choice([1, 3]), NOW).claims
        ended = [Ended(one, chance.choice([FAILED, SUCCEEDED])) for one in claims]
        exchange.exchange(store, runner, ended, 0, NOW)
        if chance.random() < 0.5:
            control.retry(store, of_ids([chance.randrange(1, 41)]))
        elif chance.random() < 0.2:
            control.cancel(store, of_ids([chance.randrange(1, 41)]), now=NOW)
        order.finish(store, NOW)
        check(store)
    return dict(store.fetch("SELECT id, state || ' ' || attempt FROM jobs"))


@pytest.mark.parametrize("seed", range(8))
def test_what_was_put_off_ends_like_what_was_done_at_once(
    store: Store, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    at_once = _walk(store, seed)
    monkeypatch.setattr(order, "WIDE", -1)
    monkeypatch.setattr(order, "CHUNK", 2)
    with open_at(str(tmp_path_factory.mktemp("other") / "batchq.db"), create=True) as other:
        assert _walk(other, seed) == at_once


# --- changes of many ---------------------------------------------------------------------------------------------------


class Stopped(Exception):
    pass


def stop_after(monkeypatch: pytest.MonkeyPatch, slices: int) -> list[int]:
    """From now on so many transactions are let through, and the next one ends what wants it; how many there were."""
    seen = [0]
    writing = Store.writing

    def counting(store: Store) -> Any:
        if seen[0] == slices:
            raise Stopped
        seen[0] += 1
        return writing(store)

    monkeypatch.setattr(Store, "writing", counting)
    return seen


def apart(number: int) -> list[JobSpec]:
    specs = chain(number)
    for spec in specs:
        spec.after = ()
    return specs


ROUND = (("hold", "held"), ("release", "queued"), ("cancel", "cancelled"), ("retry", "queued"))
EVERY = Selection(everything=True)


def test_a_change_of_many_is_made_in_slices_and_goes_on_where_it_was_stopped(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.add(store, apart(7_000))
    for verb, state in ROUND:
        change = getattr(control, verb)
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            stop_after(patch, 3)
            change(store, EVERY)
        check(store)
        assert 0 < counted(store)[state] < 7_000
        left = 7_000 - counted(store)[state]
        assert change(store, EVERY).jobs == left
        assert counted(store) == {state: 7_000}
        check(store)


def test_a_long_chain_is_opened_again_in_slices_parents_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = chain(5_000)
    intake.add(store, specs[::-1])  # so that each parent has a higher id than its child
    assert control.cancel(store, of_ids([5_000])).also == 4_999
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_after(patch, 2)
        control.retry(store, of_ids([5_000]))
    check(store)
    assert counted(store) == {"queued": 1, "blocked": 1_999, "cancelled": 3_000}

    assert control.retry(store, Selection(states=("cancelled",))).jobs == 3_000
    check(store)
    assert counted(store) == {"queued": 1, "blocked": 4_999}
    with monkeypatch.context() as patch:
        seen = stop_after(patch, 100)
        done = control.cancel(store, EVERY)
        assert (done.jobs + done.also, done.left_alone) == (5_000, {})
        assert seen[0] > 4
    assert control.retry(store, EVERY) == (5_000, {}, [], 0)
    check(store)
    assert counted(store) == {"queued": 1, "blocked": 4_999}


def test_few_jobs_are_changed_in_one_transaction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    intake.add(store, chain(200))
    for verb, _ in ROUND:
        with monkeypatch.context() as patch:
            seen = stop_after(patch, 100)
            assert getattr(control, verb)(store, EVERY).jobs == 200
            assert seen[0] == 1 or verb == "cancel"
    check(store)


@pytest.mark.parametrize("if_exists", ["rerun-failed", "replace"])
def test_what_an_add_brings_back_below_a_job_comes_in_slices(store: Store, if_exists: str) -> None:
    first, *rest = chain(4_000)
    first.key = "k"
    intake.add(store, [first, *rest])
    runner, is_unfinished = end_first(store, DEAD)
    while is_unfinished:
        is_unfinished = exchange.exchange(store, runner, [], 0).is_unfinished
    slices: list[int] = []
    opened = reopening.open_planned

    def counting(db: Any, planned: Any) -> Any:
        slices.append(len(planned))
        return opened(db, planned)

    again = job_spec({"command": "true", "name": "j0", "key": "k", "if_exists": if_exists}, "test", "/", "/bin")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reopening, "open_planned", counting)
        assert intake.add(store, [again]).ids == [1]

    assert counted(store) == {"queued": 1, "blocked": 3_999}
    assert len(slices) > 3
    assert max(slices) <= reopening.SLICE
    check(store)


def test_few_that_an_add_brings_back_come_with_it_at_once(store: Store) -> None:
    first, *rest = chain(10)
    first.key = "k"
    intake.add(store, [first, *rest])
    end_first(store, DEAD)
    again = job_spec({"command": "true", "name": "j0", "key": "k", "if_exists": "rerun-failed"}, "test", "/", "/bin")

    assert intake.add(store, [again]).above == []
    assert counted(store) == {"queued": 1, "blocked": 9}
