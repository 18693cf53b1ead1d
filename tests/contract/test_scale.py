"""Many jobs, many edges, many queues: what grows with their number grows no faster than it, and holds no store for long.

The bounds on time are generous: what they tell apart differs by a factor of ten and more.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from history import FAILED, NOW, a_runner, add, play

from batchq.errors import InputError
from batchq.jobs.model import JobSpec, job_spec
from batchq.jobs.selection import of_ids
from batchq.store.adding import intake
from batchq.store.changing import control, queues
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.looking import reasons
from batchq.store.running import exchange, forecast, runners
from batchq.store.running.runners import Runner
from batchq.store.running.wanted import RunSelection


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where the block takes more time of a core; what others take of it does not count."""
    began = time.process_time()
    yield
    took = time.process_time() - began
    assert took < seconds, f"it took {took:.1f} s"


def chain(number: int, **first: object) -> list[JobSpec]:
    """Jobs each of which runs after the one before; ``first`` are fields of the first one."""
    pattern = job_spec({"command": "true", "if_exists": "replace"}, "test", "/", "/bin")
    specs = []
    for position in range(number):
        spec = pattern.like("shell", '["true"]')
        spec.name = spec.key = f"j{position}"
        spec.after = (f"j{position - 1}",) if position else ()
        specs.append(spec)
    for name, value in first.items():
        setattr(specs[0], name, value)
    return specs


def test_a_circle_of_many_jobs_is_found_soon(store: Store) -> None:
    with within(6), pytest.raises(InputError, match=r"closes a circle, .*: j0 → j19999 → "):
        intake.add(store, chain(20_000, after=("j19999",)))
    assert store.fetch("SELECT count(*) FROM jobs") == [(0,)]


def test_a_long_chain_is_replaced_as_soon_as_it_was_added(store: Store) -> None:
    first = intake.add(store, chain(3_000)).ids
    with within(4):
        again = intake.add(store, chain(3_000))
    assert again.ids == first
    assert {again.fate(position) for position in range(3_000)} == {"replaced"}
    assert store.fetch("SELECT count(*) FROM dependencies") == [(2_999,)]

    with (
        within(4),
        pytest.raises(InputError, match="closes a circle, in which no job could ever run: j0 → job 3000 → "),
    ):
        intake.add(store, [*chain(1, after=(str(first[-1]),))])


def test_jobs_that_come_first_are_counted_among_their_kind(store: Store) -> None:
    works: list[dict[str, object]] = [
        {"payload": 1},
        {"payload": 2},
        {"command": "true"},
        {"payload": 3},
        {"command": "y"},
    ]
    ids = intake.add(store, [job_spec(one, "test", "/", "/bin") for one in works]).ids
    a_runner(store)

    assert [reasons.gather(store, id).before for id in ids] == [0, 1, 0, 2, 1]


def steps(store: Store, ask: Callable[[], object]) -> int:
    """How many steps SQLite takes for it, in hundreds."""
    counted: list[None] = []
    store.db.set_progress_handler(lambda: counted.append(None), 100)
    try:
        ask()
    finally:
        store.db.set_progress_handler(None, 100)
    return len(counted)


def add_queued(store: Store, queues: int, jobs: int = 4_000) -> None:
    patterns = [job_spec({"command": "true", "queue": f"q{number}"}, "test", "/", "/bin") for number in range(queues)]
    specs = [patterns[number % queues].like("shell", '["true"]') for number in range(jobs)]
    intake.add(store, specs)


@pytest.mark.parametrize("bound", [None, "limit", "pause"])
@pytest.mark.parametrize("payloads", [False, True])
def test_a_claim_takes_as_long_with_a_thousand_queues_as_with_one(
    folder: Path, bound: str | None, payloads: bool
) -> None:
    took = {}
    for number in (1, 1_000):
        with open_at(str(folder / f"{number}.db"), create=True) as store:
            add_queued(store, number)
            if bound == "limit":
                queues.set_limit(store, "q0", 1)
            if bound == "pause":
                queues.pause(store, "q999")
            runner = a_runner(store)._replace(wanted=RunSelection(payloads=payloads))
            took[number] = steps(store, partial(exchange.exchange, store, runner, [], 2))
            is_short = bound == "limit" and number == 1
            assert store.fetch("SELECT count(*) FROM jobs WHERE state = 'running'") == [(1 if is_short else 2,)]
    few, many = took.values()
    assert many < 3 * few + 200, took


def test_a_run_that_waits_reads_neither_what_is_over_nor_what_a_paused_queue_has(store: Store) -> None:
    add_queued(store, 1)
    with store.writing() as db:
        db.execute("UPDATE jobs SET state = 'cancelled', finished_at = 1 WHERE id <= 2000")
        db.execute("UPDATE counters SET jobs = 2000")
        db.execute("INSERT INTO counters SELECT 'cancelled', queue, batch, jobs FROM counters")
    queues.pause(store, "q0")
    intake.add(store, [job_spec({"payload": 1, "queue": "other"}, "test", "/", "/bin")])
    queues.set_limit(store, "other", 0)
    runner = a_runner(store)

    assert forecast.look(store, runner) == (False, None, False)
    assert steps(store, lambda: forecast.look(store, runner)) < 20
    assert forecast.left_alone(store, runner) == {"paused": 2_001}


def test_a_run_next_to_a_fan_out_of_another_one_reads_only_the_first_job_that_waits(store: Store) -> None:
    specs = chain(1)
    pattern = job_spec({"command": "true"}, "test", "/", "/bin")
    for number in range(4_000):
        spec = pattern.like("shell", '["true"]')
        spec.after, spec.name = ("j0",), f"child{number}"
        specs.append(spec)
    intake.add(store, specs)
    other = a_runner(store)
    assert len(exchange.exchange(store, other, [], 1).claims) == 1

    me = a_runner(store)
    assert forecast.look(store, me).running_elsewhere
    assert steps(store, lambda: forecast.look(store, me)) < 20


def test_a_run_of_thousands_of_scattered_jobs_does_not_read_its_list_for_each_of_them(store: Store) -> None:
    intake.add(store, [job_spec({"command": "true"}, "test", "/", "/bin") for _ in range(4_000)])

    def register(ids: tuple[tuple[int, int], ...]) -> Runner:
        return runners.register(
            store, RunSelection(ids=ids), 1, pid=1, host="h", boot_id="b", slots=2, executor="local", now=1
        )

    whole, scattered = register(((1, 4_000),)), register(tuple((id, id) for id in range(2, 4_000, 2)))
    plain = steps(store, lambda: exchange.exchange(store, whole, [], 2))
    took = steps(store, lambda: exchange.exchange(store, scattered, [], 2))
    assert took < plain + 20
    claimed = store.fetch("SELECT id FROM jobs WHERE runner = ?", (scattered.id,))
    assert sorted(claimed) == [(4,), (6,)] or sorted(claimed) == [(2,), (4,)]
    assert steps(store, lambda: forecast.look(store, scattered)) < 20


def test_what_failed_before_a_run_is_known_without_a_clock(store: Store) -> None:
    first, second, third = add(store, "a", "b", "c", queue="q", max_attempts=1)
    play(store, FAILED, FAILED, now=NOW + 3_600_000)
    me = runners.register(
        store, RunSelection(queue="q"), 1, pid=1, host="h", boot_id="b", slots=1, executor="local", now=NOW
    )
    assert forecast.failed_since(store, me.wanted) == []
    control.retry(store, of_ids([first]))
    play(store, FAILED, FAILED, now=NOW - 3_600_000)
    assert forecast.failed_since(store, me.wanted) == [first, third]
    assert second not in forecast.failed_since(store, me.wanted)
