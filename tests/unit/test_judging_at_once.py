"""A run that must end at once gives all expressions together little time, however many attempts they are for."""

import signal

import pytest
from history import FAILED, NOW, a_runner, add, out

from batchq.jobs.attempt import Ended
from batchq.runner import judging
from batchq.store.file.connection import Store
from batchq.store.running import exchange

JOBS = 120


def test_many_endless_expressions_get_less_than_a_second(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(store, *["false"] * JOBS, max_attempts=3, retry_on=["stderr:^(?:a|b|ab)*c$"])
    claims = exchange.exchange(store, a_runner(store), [], JOBS, NOW).claims
    ended = [Ended(one, FAILED._replace(stderr=out(b"ab" * 2000))) for one in claims]
    given: list[float] = []
    setitimer = signal.setitimer

    def noted(which: int, seconds: float) -> tuple[float, float]:
        given.append(seconds)
        return setitimer(which, seconds)

    monkeypatch.setattr(signal, "setitimer", noted)
    done = judging.Judge(store).judge_at_once(ended)

    assert [one.outcome.matched for one in done] == [()] * JOBS
    assert 0 < sum(given) < 1, "a tenth of a second for each of them would be 12"
    assert capsys.readouterr().err.count("take too long") == 1
