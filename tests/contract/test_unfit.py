"""A job that cannot be claimed, timed, retried or recorded fails by itself: the run goes on, and so do all later ones."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Shell
from history import FAILED, NOW, SUCCEEDED, a_runner, add

from batchq import clock
from batchq.jobs.attempt import Claim, Ended, Failure, Outcome
from batchq.jobs.lifecycle import full_jitter
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.running import claiming, exchange


def disturb(shell: Shell, sql: str) -> None:
    """Break the store in a way that its constraints would forbid."""
    with open_at(str(shell.db())) as store:
        store.check_references(on=False)
        store.db.execute(sql)


@pytest.mark.parametrize("factor", [2, 100])
@pytest.mark.parametrize("failures", [154, 1023, 4998])
def test_a_timeout_that_grew_beyond_all_numbers_is_the_longest_there_is(
    store: Store, factor: int, failures: int
) -> None:
    add(store, "true", timeout="1s", retry_timeout_factor=factor, max_attempts=5000)
    with store.writing() as db:
        db.execute("UPDATE jobs SET failures = ?", (failures,))

    me = a_runner(store)
    (claimed,) = exchange.exchange(store, me, [], 1, NOW).claims
    assert claimed.timeout == clock.LONGEST
    exchange.exchange(store, me, [Ended(claimed, SUCCEEDED)], 0, NOW)
    with store.writing() as db:  # what was written above is not the history of this job
        db.execute("UPDATE jobs SET failures = 0")


def test_what_sqlite_finds_in_order_is_not_decoded_to_make_sure(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Claim] = []
    monkeypatch.setattr(claiming, "_is_json", looked_at.append)
    add(store, "true")
    add(store, "true", env={"A": "1"})

    claims = exchange.exchange(store, a_runner(store), [], 2, NOW).claims

    assert len(claims) == 2
    assert looked_at == []


def test_a_job_whose_timeout_grows_without_bound_comes_to_its_end(batchq: Shell) -> None:
    words = ("--timeout", "1s", "--retry-timeout-factor", "100", "--max-attempts", "300", "--backoff", "0s")
    batchq("add", *words, "--", "false")
    disturb(batchq, "UPDATE jobs SET failures = 290")

    batchq("run", code=1)

    assert batchq.rows("SELECT state, failures FROM jobs") == [("failed", 300)]
    assert batchq("run").err == ""


UNFIT = {
    "no folder": "DELETE FROM contexts WHERE id = (SELECT context FROM jobs WHERE id = 1)",
    "work that is not JSON": "UPDATE jobs SET work = '[\"true' WHERE id = 1",
    "an environment that is not JSON": "UPDATE jobs SET env = '{' WHERE id = 1",
    "work of another shape": "UPDATE jobs SET work = '{\"a\": 1}' WHERE id = 1",
    "work without a word": "UPDATE jobs SET work = '[]' WHERE id = 1",
    "words that are numbers": "UPDATE jobs SET work = '[1, 2]' WHERE id = 1",
    "work that is a number": "UPDATE jobs SET work = '17' WHERE id = 1",
    "rules that are no JSON": "UPDATE jobs SET no_retry_on = '[', max_attempts = 3, work = '[\"false\"]' WHERE id = 1",
}


@pytest.mark.parametrize("sql", UNFIT.values(), ids=UNFIT)
def test_a_command_that_cannot_be_run_as_it_is_stored_fails_alone(batchq: Shell, sql: str) -> None:
    (batchq.folder / "elsewhere").mkdir()
    batchq("add", "--cwd", "elsewhere", "--", "true")
    batchq("add", "--", "true")
    disturb(batchq, sql)

    done = batchq("run", code=1)

    assert "job 1" in done.err
    assert batchq.rows("SELECT id, state FROM jobs") == [(1, "failed"), (2, "succeeded")]
    batchq("run")
    disturb(batchq, "INSERT OR IGNORE INTO contexts SELECT context, x'2f', x'' FROM jobs")
    disturb(batchq, "UPDATE jobs SET work = '[\"true\"]', env = NULL, no_retry_on = NULL")


@pytest.mark.parametrize(
    "work", ["[1", "17", '{"a": 1}', '{"call": 3, "args": {}}', '{"call": "os:getpid", "args": 3}']
)
def test_a_callable_that_cannot_be_run_as_it_is_stored_fails_alone(batchq: Shell, work: str) -> None:
    for _ in range(3):
        batchq("add", "--call", "os:getcwd")
    disturb(batchq, f"UPDATE jobs SET work = '{work}' WHERE id = 2")

    batchq("run", "-j", "2", code=1)

    assert batchq.rows("SELECT id, state FROM jobs") == [(1, "succeeded"), (2, "failed"), (3, "succeeded")]
    assert batchq.rows("SELECT count(*) FROM attempts") == [(3,)], "and costs the others nothing"
    disturb(batchq, 'UPDATE jobs SET work = \'{"call": "os:getcwd", "args": {}}\'')


@pytest.mark.parametrize(
    "outcome",
    [
        FAILED._replace(failure=Failure("Odd", "half a character: \udc80")),
        SUCCEEDED._replace(result='"\ud800"'),
        SUCCEEDED._replace(exit_code=1 << 70),
        FAILED._replace(retry_after=1 << 62),
    ],
)
def test_an_outcome_that_cannot_be_written_down_takes_nobody_with_it(store: Store, outcome: Outcome) -> None:
    add(store, "true", "true", max_attempts=2)
    me = a_runner(store)
    odd, plain = exchange.exchange(store, me, [], 2, NOW).claims

    done = exchange.exchange(store, me, [Ended(odd, outcome), Ended(plain, SUCCEEDED)], 0, NOW)

    assert len(done.settled) == 2
    states: list[Any] = store.fetch("SELECT state FROM jobs")
    assert states == [("scheduled",), ("succeeded",)]


def test_without_backoff_there_is_no_delay_however_often_it_failed() -> None:
    assert full_jitter(0, 1) == full_jitter(0, 1025) == full_jitter(0, 100_000) == 0


def test_what_a_retry_needs_is_imported_before_the_store_is_locked(batchq: Shell) -> None:
    """Else nobody can write for 50 ms, with the first failure of each run."""
    script = (
        "import sys\n"
        "from history import FAILED, NOW, a_runner, add\n"
        "from batchq.jobs.attempt import Ended\n"
        "from batchq.store.running import exchange, recording\n"
        "from batchq.store.file.opening import open_at\n"
        "store = open_at(sys.argv[1])\n"
        "add(store, 'false', max_attempts=2)\n"
        "me = a_runner(store)\n"
        "(claimed,) = exchange.exchange(store, me, [], 1, NOW).claims\n"
        "inner, seen = recording.record, []\n"
        "recording.record = lambda *given: seen.append('tenacity' in sys.modules) or inner(*given)\n"
        "before = 'tenacity' in sys.modules\n"
        "exchange.exchange(store, me, [Ended(claimed, FAILED)], 0, NOW)\n"
        "print(before, seen)\n"
    )
    import os
    import subprocess
    import sys
    from pathlib import Path

    path = os.pathsep.join([str(Path(__file__).parent.parent), batchq.env["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-c", script, str(batchq.db())], cwd=batchq.folder, env=batchq.env | {"PYTHONPATH": path},
        text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == "False [True]\n"


def test_a_store_without_its_settings_is_reported_as_damaged(folder: Path) -> None:
    shell = Shell(folder)
    shell.make_store()
    shell("add", "--", "true")
    disturb(shell, "DELETE FROM settings")

    said = shell("run", code=74).err
    assert "is damaged (its settings are gone)" in said
    assert "Traceback" not in said
    for file in shell.db().parent.glob("batchq.db*"):
        file.unlink()
