"""When a site leaves; the times are made up."""

import signal

import pytest

from batchq.executors.afar.lifetime import TERM_TO_KILL, Lifetime
from batchq.processes.signals import SAME


def is_over(life: Lifetime, now: float, *, is_idle: bool = False, has_parent: bool = True) -> bool:
    life.check(now, is_idle=is_idle, has_parent=has_parent)
    return life.is_over


def test_it_works_for_the_lease_after_each_sign_of_life() -> None:
    life = Lifetime(60.0, 100.0)

    assert not is_over(life, 160.0, is_idle=True)
    life.hear(150.0)
    assert not is_over(life, 210.0)
    assert is_over(life, 210.1)


def test_a_suspended_run_may_be_silent_and_so_may_one_without_a_lease() -> None:
    life = Lifetime(60.0, 100.0)
    life.is_suspended = True

    assert not is_over(life, 1000.0)
    assert not is_over(Lifetime(None, 100.0), 1e9)


def test_without_its_parent_or_when_told_it_is_over_and_stays_so() -> None:
    orphan, told = Lifetime(60.0, 0.0), Lifetime(60.0, 0.0)
    told.is_over = True

    assert is_over(orphan, 1.0, has_parent=False)
    assert is_over(orphan, 2.0)
    assert is_over(told, 1.0)


def test_one_that_was_stopped_leaves_a_moment_after_its_last_job() -> None:
    life = Lifetime(60.0, 0.0)

    assert life.strike(signal.SIGCHLD, 1.0) is None
    assert not life.is_stopped
    assert life.strike(signal.SIGTERM, 1.0) == TERM_TO_KILL
    assert life.is_stopped
    assert life.strike(signal.SIGTERM, 2.0) == 0
    assert not is_over(life, 30.0)
    assert is_over(life, 31.0, is_idle=True)


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_claims_that_are_under_way_when_it_was_stopped_are_waited_for(number: int) -> None:
    life = Lifetime(60.0, 0.0)
    life.strike(number, 1.0)

    assert not is_over(life, 1.0 + SAME, is_idle=True)
    assert is_over(life, 1.01 + SAME, is_idle=True)
