"""Every failpoint of the program: a real process is killed there, and nothing that was acknowledged is lost."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Done, Shell
from figures import record

import batchq as package
from batchq import failpoints

pytest_plugins = ("figures",)

KILLED = (-9, 137)  #: the command itself, or its runner, whose status the guardian hands on
TRACE = "echo $BATCHQ_JOB_ID >> ran"


class Scenario(NamedTuple):
    """``prepare`` what the point needs, ``pass_by`` it with the environment given, and see that all is well ``after``."""

    prepare: Callable[[Shell], Any]
    pass_by: Callable[[Shell, dict[str, str]], Done]
    after: Callable[[Shell], Any]


def ran(shell: Shell) -> list[str]:
    path = shell.folder / "ran"
    return path.read_text().split() if path.exists() else []


def outcomes(shell: Shell) -> list[str]:
    return [outcome for (outcome,) in shell.rows("SELECT outcome FROM attempts ORDER BY job, number")]  # type: ignore[misc]


def one_job(shell: Shell) -> None:
    assert shell("add", "--backoff", "1ms", "-c", TRACE).out == "1\n"


def run(shell: Shell, env: dict[str, str]) -> Done:
    return shell("run", "-j", "1", env=env, code=None)


def died_with_a_job(shell: Shell) -> None:
    """A store whose runner died when it had just claimed its job."""
    one_job(shell)
    run(shell, {"BATCHQ_FAIL": "after_claim:kill"})


def nothing_was_added(shell: Shell) -> None:
    assert shell.rows("SELECT count(*) FROM jobs") == [(0,)]
    one_job(shell)


def claimed_but_not_begun(shell: Shell) -> None:
    assert ran(shell) == []
    shell("run")
    assert ran(shell) == ["1"]
    assert outcomes(shell) == ["crashed", "succeeded"]


def ended_but_not_recorded(shell: Shell) -> None:
    assert ran(shell) == ["1"]
    shell("run")
    assert ran(shell) == ["1", "1"]
    assert outcomes(shell) == ["crashed", "succeeded"]


def recorded(shell: Shell) -> None:
    shell("run")
    assert ran(shell) == ["1"]
    assert outcomes(shell) == ["succeeded"]


def rescued_once(shell: Shell) -> None:
    assert outcomes(shell) == [], "the rescue that was killed left nothing"
    shell("run")
    assert ran(shell) == ["1"]
    assert outcomes(shell) == ["crashed", "succeeded"]


def much_output(shell: Shell) -> None:
    """Enough for a log that a runner shortens."""
    shell("add", "-q", "-", stdin=f"{TRACE}; head -c 100000 /dev/zero\n" * 120)


def all_of_it_is_there(shell: Shell) -> None:
    done = {str(job) for (job,) in shell.rows("SELECT id FROM jobs WHERE state = 'succeeded'")}
    assert done
    shell("run")
    times = {job: ran(shell).count(job) for job in ran(shell)}
    assert len(times) == 120
    assert all(times[job] == 1 for job in done), "what was recorded does not run again"
    assert shell.rows("SELECT count(*), min(total) FROM outputs") == [(120, 100_000)]


def no_store(shell: Shell) -> None:
    for path in shell.folder.glob("batchq.db*"):
        path.unlink()


def a_store_can_be_made(shell: Shell) -> None:
    shell("add", "--db", str(shell.db()), "--", "true")
    assert [path.name for path in sorted(shell.folder.glob("batchq.db*"))] == ["batchq.db", "batchq.db-lock"]


def a_backup(shell: Shell) -> None:
    one_job(shell)
    shell("backup", "copy.sqlite")
    shell("add", "--", "true")


def the_old_backup_is_whole(shell: Shell) -> None:
    assert jobs_in(shell.folder / "copy.sqlite") == 1
    shell("backup", "copy.sqlite")
    assert jobs_in(shell.folder / "copy.sqlite") == 2
    assert [path.name for path in shell.folder.glob("copy.sqlite*")] == ["copy.sqlite"]


def jobs_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(db.execute("SELECT count(*) FROM jobs").fetchone()[0])


def old_jobs(shell: Shell) -> None:
    shell("add", "-q", "-", stdin=f"{TRACE}\n" * 3)
    shell("run")


def nothing_was_pruned(shell: Shell) -> None:
    assert shell.rows("SELECT count(*) FROM jobs") == [(3,)]
    shell("prune", "--older-than", "0s")
    assert shell.rows("SELECT count(*) FROM jobs") == [(0,)]
    assert shell.rows("SELECT count(*) FROM attempts") == [(0,)]


def the_store_is_as_it_was(shell: Shell) -> None:
    assert jobs_in(shell.db()) == 2
    shell("restore", "copy.sqlite")
    assert jobs_in(shell.db()) == 1
    assert [path.name for path in shell.folder.glob("batchq.db-restored*")] == []


def there_is_no_store_but_all_is_kept(shell: Shell) -> None:
    assert "there is no store" in shell("list", "--db", "batchq.db", code=66).err
    assert jobs_in(Path(f"{shell.db()}.old")) == 2
    shell("restore", "--db", "batchq.db", "copy.sqlite")
    assert jobs_in(shell.db()) == 1
    assert jobs_in(Path(f"{shell.db()}.old")) == 2


def a_report(shell: Shell) -> None:
    one_job(shell)
    shell("report", "-o", "report.json")
    shell("add", "--", "true")


def the_old_report_is_whole(shell: Shell) -> None:
    for jobs in (1, 2):
        assert json.loads((shell.folder / "report.json").read_text())["jobs"] == jobs
        shell("report", "-o", "report.json")
    assert [path.name for path in shell.folder.glob("*report*")] == ["report.json"]


def restore(shell: Shell, env: dict[str, str]) -> Done:
    return shell("restore", "copy.sqlite", env=env, code=None)


SCENARIOS = {
    "add_before_commit": Scenario(
        lambda shell: None, lambda shell, env: shell("add", "--", "true", env=env, code=None), nothing_was_added
    ),
    "after_claim": Scenario(one_job, run, claimed_but_not_begun),
    "before_finish": Scenario(one_job, run, ended_but_not_recorded),
    "after_finish": Scenario(one_job, run, recorded),
    "rescue_before_commit": Scenario(died_with_a_job, run, rescued_once),
    "in_checkpoint": Scenario(much_output, run, all_of_it_is_there),
    "migration_before_commit": Scenario(
        no_store, lambda shell, env: shell("init", env=env, code=None), a_store_can_be_made
    ),
    "backup_before_rename": Scenario(
        a_backup, lambda shell, env: shell("backup", "copy.sqlite", env=env, code=None), the_old_backup_is_whole
    ),
    "restore_before_rename": Scenario(a_backup, restore, the_store_is_as_it_was),
    "restore_between_renames": Scenario(a_backup, restore, there_is_no_store_but_all_is_kept),
    "prune_before_commit": Scenario(
        old_jobs, lambda shell, env: shell("prune", "--older-than", "0s", env=env, code=None), nothing_was_pruned
    ),
    "report_before_rename": Scenario(
        a_report, lambda shell, env: shell("report", "-o", "report.json", env=env, code=None), the_old_report_is_whole
    ),
}
_hit: set[str] = set()


@pytest.fixture(scope="module", autouse=True)
def coverage() -> Iterator[None]:
    """Tell how many of the points were hit."""
    yield
    record("S2 failpoints", len(_hit), f"of {len(failpoints.POINTS)} points", 0)


@pytest.mark.parametrize("point", failpoints.POINTS)
def test_a_kill_at(point: str, batchq: Shell) -> None:
    scenario = SCENARIOS[point]
    scenario.prepare(batchq)
    log = batchq.folder / "passed"
    done = scenario.pass_by(batchq, {"BATCHQ_FAIL": f"{point}:kill", "BATCHQ_FAIL_LOG": str(log)})

    assert log.exists() and point in log.read_text().split(), f"the scenario does not pass {point}: {done}"
    assert done.code in KILLED, done
    _hit.add(point)
    scenario.after(batchq)


def test_every_point_is_in_the_program_once_and_has_a_scenario() -> None:
    source = "".join(path.read_text() for path in Path(package.__file__).parent.rglob("*.py"))

    assert sorted(re.findall(r'failpoints\.hit\("(\w+)"\)', source)) == sorted(failpoints.POINTS)
    assert sorted(SCENARIOS) == sorted(failpoints.POINTS)
