"""S38: no state without a way out, whatever befell the store; see ``wayout_machine``."""

from collections.abc import Callable, Iterator

import mutants
import pytest
import sizes
from figures import record, record_caught
from wayout_machine import VERBS, WayOut, taken

from batchq.errors import BatchqError

pytest_plugins = ("figures",)

STEPS = {"add", "register", "exchange", "stop", "crash", "rescue", "prune", "run", "clock jumps", *VERBS}


def walk(number: int) -> None:
    seed = sizes.chance(f"S38/{number}").randrange(1 << 30)
    try:
        WayOut(seed).walk()
    except BaseException as error:
        error.add_note(f"WayOut({seed}).walk() repeats it, but for what the clock decides")
        raise


def test_a_few_runs_end_every_job_whatever_befell_the_store() -> None:
    taken.clear()
    for number in range(sizes.WAYS_OUT):
        walk(number)

    steps = sum(taken[name] for name in STEPS)
    record("S38 ways out", sizes.WAYS_OUT, "walks", 0, steps=steps, kills=taken["killed"],
           stopped_by_trouble=taken["stopped by trouble"])  # fmt: skip
    assert set(taken) == STEPS | {"killed", "stopped by trouble"}


@pytest.fixture
def broken() -> Iterator[Callable[[str], None]]:
    """Apply a mutant until the test is over."""
    before: list[tuple[object, str, object]] = []
    yield lambda name: before.extend(mutants.apply(name))
    mutants.undo(before)


@pytest.mark.parametrize("name", mutants.OF_THE_WAY_OUT)
def test_a_state_without_a_way_out_is_found(name: str, broken: Callable[[str], None]) -> None:
    broken(name)
    with pytest.raises((AssertionError, BatchqError)):
        for number in range(sizes.MUTANT_EXAMPLES):
            walk(number)
    record_caught("S38")
