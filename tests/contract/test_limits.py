"""Limits, rates, pauses and slots: what one claim takes, in one process and with a clock of its own."""

import threading

import pytest
from conftest import Shell
from history import NOW, SUCCEEDED, add

from batchq import clock
from batchq.errors import LedgerError
from batchq.jobs.attempt import Claim, Ended, Outcome
from batchq.store.changing import queues
from batchq.store.file.connection import Store
from batchq.store.file.locks import LockFile
from batchq.store.running import claiming, exchange, forecast, limits, runners
from batchq.store.running.runners import Runner
from batchq.store.running.wanted import RunSelection


def a_runner(store: Store, slots: int = 4) -> Runner:
    return runners.register(
        store, RunSelection(), 1, pid=1, host="h", boot_id="b", slots=slots, executor="local", now=NOW
    )


def take(store: Store, runner: Runner, free: int = 4, *, now: int = NOW, ahead: int = 0) -> list[Claim]:
    return exchange.exchange(store, runner, [], free, now, ahead=ahead).claims


def end(store: Store, runner: Runner, claim: Claim, outcome: Outcome = SUCCEEDED, *, now: int = NOW) -> None:
    assert exchange.exchange(store, runner, [Ended(claim, outcome._replace(started_at=now))], 0, now).settled


def test_a_limit_counts_what_all_runners_run_and_holds_for_the_next_claim(store: Store) -> None:
    add(store, *["true"] * 9, queue="net")
    queues.set_limit(store, "net", 3)
    first, second = a_runner(store), a_runner(store)

    mine = take(store, first, 2)
    assert (len(mine), len(take(store, second, 4)), len(take(store, first, 4))) == (2, 1, 0)

    end(store, first, mine[0])
    assert len(take(store, second)) == 1
    queues.set_limit(store, "net", 5)
    assert len(take(store, second)) == 2
    queues.set_limit(store, "net", None)
    assert len(take(store, second)) == 3


def test_a_queue_at_its_limit_does_not_stand_in_the_way_of_others(store: Store) -> None:
    add(store, *["true"] * 3, queue="net", priority=9)
    add(store, *["true"] * 3)
    queues.set_limit(store, "net", 1)

    assert [claim.queue for claim in take(store, a_runner(store), 3)] == ["net", "default", "default"]


def test_a_paused_queue_gives_nothing_and_goes_on_where_it_stood(store: Store) -> None:
    add(store, *["true"] * 2, queue="net")
    queues.pause(store, "net")
    runner = a_runner(store)

    assert take(store, runner) == []
    left = forecast.look(store, runner)
    assert not left.is_work_left
    assert forecast.left_alone(store, runner) == {"paused": 2}

    queues.resume(store, "net")
    assert [claim.id for claim in take(store, runner)] == [1, 2]
    assert queues.queues(store)[0] == ("net", False, None, None, {"lost": 2}), "nobody holds the lock of this runner"


def test_a_rate_lets_jobs_through_one_by_one_and_says_when_the_next_may_start(store: Store) -> None:
    add(store, *["true"] * 5, queue="api")
    queues.set_rate(store, "api", 2.0)
    runner = a_runner(store)

    done = exchange.exchange(store, runner, [], 4, NOW)
    assert (len(done.claims), done.again_at) == (1, NOW + 501)
    assert take(store, runner, now=NOW + 499) == []
    assert len(take(store, runner, now=NOW + 501)) == 1
    assert len(take(store, runner, now=NOW + 3_600_000)) == 1, "nothing is saved up"


def test_a_clock_that_is_set_back_makes_nobody_wait_until_it_is_as_late_again(store: Store) -> None:
    add(store, *["true"] * 5, queue="api")
    queues.set_rate(store, "api", 2.0)
    runner = a_runner(store)
    hour = 3_600_000

    assert len(take(store, runner, now=NOW + hour)) == 1
    assert limits.next_start(claiming.limits_of(store, "api"), NOW) is None, "explain says what the claim does"
    done = exchange.exchange(store, runner, [], 4, NOW)
    assert (len(done.claims), done.again_at) == (1, NOW + 501)
    assert take(store, runner, now=NOW + 499) == []
    assert len(take(store, runner, now=NOW + 501)) == 1


@pytest.mark.parametrize("allowance", ["NULL", "0", "-1e300"])
def test_a_rate_that_no_command_accepts_any_more_ends_no_run(store: Store, allowance: str) -> None:
    add(store, "true", "true", queue="slow")
    add(store, "true")
    with store.writing() as db:
        db.execute(f"INSERT INTO queues VALUES ('slow', 0, NULL, 1e-310, {allowance}, {NOW})")
    runner = a_runner(store)

    done = exchange.exchange(store, runner, [], 4, NOW)
    assert "default" in [claim.queue for claim in done.claims]
    assert NOW < (done.again_at or 0) <= NOW + 400 * 86_400_000
    assert forecast.look(store, runner).queued


def test_limit_and_rate_of_a_queue_are_set_in_one_step(batchq: Shell) -> None:
    batchq("queue", "set", "api", "--limit", "3", "--rate", "10/s")
    assert batchq.rows("SELECT running_limit, rate FROM queues") == [(3, 10.0)]
    refused = batchq("queue", "set", "api", "--limit", "4", "--rate", "1e-310/s", code=2)
    assert "at least one start a year" in refused.err
    assert batchq.rows("SELECT running_limit, rate FROM queues") == [(3, 10.0)]
    batchq("queue", "set", "api", "--limit", "none", "--rate", "none")
    assert batchq.rows("SELECT * FROM queues") == []


def test_what_is_limited_is_not_claimed_ahead(store: Store) -> None:
    add(store, *["true"] * 4, queue="net")
    add(store, *["true"] * 4)
    queues.set_limit(store, "net", 2)

    claims = take(store, a_runner(store), 1, ahead=9)
    assert [(claim.queue, claim.started_at is None) for claim in claims] == [("net", False)] + [("default", True)] * 4


def test_a_job_of_several_slots_waits_for_them_and_keeps_its_place(store: Store) -> None:
    add(store, "narrow")
    add(store, "wide", slots=3)
    add(store, "narrow", "narrow")
    runner = a_runner(store)

    claims = take(store, runner, 3)
    assert [claim.id for claim in claims] == [1], "the wide one is next, and does not fit beside the first"
    assert take(store, runner, 2, ahead=9) == []
    end(store, runner, claims[0])
    assert [(claim.id, claim.slots) for claim in take(store, runner, 4)] == [(2, 3), (3, 1)]


def test_a_job_of_more_slots_than_there_are_is_left_alone(store: Store) -> None:
    add(store, "wide", slots=5)
    add(store, "narrow")
    runner = a_runner(store)

    assert [claim.id for claim in take(store, runner)] == [2]
    assert forecast.left_alone(store, runner) == {"slots": 1}
    assert not forecast.look(store, runner).is_work_left
    assert [claim.id for claim in take(store, a_runner(store, slots=5), 5)] == [1]


def test_a_retry_may_take_longer_where_the_job_says_so(store: Store) -> None:
    add(store, "slow", timeout="10s", retry_timeout_factor=3, max_attempts=3, backoff="0s")
    runner = a_runner(store)
    seen = []
    for attempt in range(3):
        (claim,) = take(store, runner, now=NOW + attempt * 60_000)
        seen.append(claim.timeout)
        end(store, runner, claim, Outcome("timed_out", seconds=1.0), now=NOW + attempt * 60_000)

    assert seen == [10_000, 30_000, 90_000]


def test_a_claim_that_has_waited_for_the_store_does_not_count_the_same_time_again(store: Store) -> None:
    add(store, *["true"] * 9)
    queues.set_rate(store, "default", 40)
    runner = a_runner(store)

    assert len(take(store, runner, 1, now=NOW + 1000)) == 1
    assert len(take(store, runner, 1, now=NOW + 900)) == 1
    assert take(store, runner, now=NOW + 1000) == []
    assert len(take(store, runner, now=NOW + 1025)) == 1
    assert len(take(store, runner, now=NOW + 1050)) == 1


def test_a_runner_of_several_ranges_of_jobs_takes_them_and_no_others(store: Store) -> None:
    add(store, *["true"] * 9)
    runner = a_runner(store)._replace(wanted=RunSelection(ids=((2, 2), (4, 5))))

    assert forecast.look(store, runner).queued
    assert [claim.id for claim in take(store, runner)] == [2, 4, 5]
    assert not forecast.look(store, runner).queued


def test_a_run_takes_from_more_queues_than_sqlite_combines_in_one_statement(store: Store) -> None:
    for number in range(501):
        add(store, "true", queue=f"q{number}", priority=number)

    claims = take(store, a_runner(store, slots=600), 501)
    assert [claim.queue for claim in claims] == [f"q{number}" for number in reversed(range(501))]


def test_what_sqlite_refuses_while_a_runner_looks_is_an_error_that_it_can_outlast(store: Store) -> None:
    runner = a_runner(store)
    store.db.execute("BEGIN")
    store.db.execute("DROP TABLE counters")
    try:
        with pytest.raises(LedgerError, match="no such table"):
            forecast.look(store, runner)
    finally:
        store.db.execute("ROLLBACK")


def test_a_claim_that_waited_for_the_store_is_paid_for_when_it_has_it(store: Store) -> None:
    queues.set_rate(store, "default", 10.0)
    add(store, "true")
    runner = a_runner(store)
    released: list[int] = []

    def release() -> None:
        released.append(clock.now())
        other.release_mutex()

    other = LockFile(store.path)
    other.acquire_mutex(1)
    threading.Timer(0.2, release).start()
    (claimed,) = exchange.exchange(store, runner, [], 1).claims
    other.close()

    assert claimed.started_at is not None
    assert claimed.started_at >= released[0]
    assert store.fetch("SELECT allowance_at >= ? FROM queues", (released[0],)) == [(1,)]
