"""S2: kill -9 at every write, sync, truncation and removal of a short life of a store. Each step is wholly there or not."""

import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import invariants
import mutants
import pytest
import sizes
import steps
import tracing
from conftest import Shell
from figures import record, record_caught
from fleet import effects
from steps import Dump

from batchq.store.file.opening import open_at
from batchq.store.running import rescue, runners
from batchq.store.running.wanted import RunSelection

pytest_plugins = ("figures",)

LOOK = [sys.executable, "-m", "batchq", "list", "--db"]


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> list[Dump]:
    return steps.history(tmp_path_factory.mktemp("history"))


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[tracing.Nursery]:
    with closing(tracing.Nursery(environment(tmp_path), steps.__file__)) as nursery:
        yield nursery


def environment(folder: Path) -> dict[str, str]:
    return Shell(folder).env | {"PYTHONDONTWRITEBYTECODE": "1"}


def verdict(path: Path, acknowledged: int, dumps: list[Dump]) -> str:
    """What is wrong with a store whose process was killed after so many acknowledged steps; empty if nothing is."""
    try:
        with open_at(str(path), create=True) as store:
            found = steps.dump(store.db)
            allowed = dumps[max(acknowledged, 1) : acknowledged + 2]
            if found not in allowed:
                return f"after {acknowledged} steps it holds {found}"
            me = runners.register(
                store, RunSelection(), 1, pid=1, host="h", boot_id="b", slots=1, executor="local", now=steps.NOW
            )
            ((running,),) = store.db.execute("SELECT count(*) FROM jobs WHERE state = 'running'").fetchall()
            rescued = sum(len(rescue.rescue(store, lost, steps.NOW)) for lost in rescue.lost_runners(store, me))
            if rescued != running:
                return f"{running} jobs ran, {rescued} were rescued"
            runners.leave(store, me, steps.NOW)
        invariants.check(path)
    except Exception as error:
        return f"after {acknowledged} steps: {type(error).__name__}: {error}"
    return ""


def killed_at(nursery: tracing.Nursery, folder: Path, call: str, nth: int) -> int:
    """Kill the process at one call; how many steps it had acknowledged by then."""
    folder.mkdir()
    assert nursery.kill(folder, call, nth), f"it was not killed at {call} number {nth}"
    return acknowledged_in(folder)


def acknowledged_in(folder: Path) -> int:
    told = folder / "acknowledged"
    return len(told.read_text().splitlines()) if told.exists() else 0


def all_points(nursery: tracing.Nursery, folder: Path) -> list[tuple[str, int]]:
    folder.mkdir()
    points = nursery.points(folder)
    assert acknowledged_in(folder) == len(steps.STEPS)
    return points


def kill_at_each(
    nursery: tracing.Nursery, points: list[tuple[str, int]], tmp_path: Path, dumps: list[Dump]
) -> tuple[list[str], set[int]]:
    """What was wrong after a kill at each point, and after how many steps the kills came."""

    def trial(point: tuple[str, int]) -> tuple[int, str]:
        folder = tmp_path / "{}-{}".format(*point)
        acknowledged = killed_at(nursery, folder, *point)
        wrong = verdict(folder / "life.db", acknowledged, dumps)
        shutil.rmtree(folder)
        return acknowledged, wrong and f"{point}: {wrong}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(trial, points))
    return [wrong for _, wrong in results if wrong], {acknowledged for acknowledged, _ in results}


@tracing.needs_strace
def test_a_kill_at_any_system_call_leaves_each_step_wholly_done_or_wholly_undone(
    nursery: tracing.Nursery, tmp_path: Path, dumps: list[Dump]
) -> None:
    points = all_points(nursery, tmp_path / "all")
    chosen = sizes.spread(points, sizes.KILL_POINTS, "S2 kill points")
    bad, cut = kill_at_each(nursery, chosen, tmp_path, dumps)

    record(
        "S2 kill -9", len(chosen), "system calls", len(bad), of=len(points), steps_cut=f"{len(cut)}/{len(steps.STEPS)}"
    )
    assert not bad
    assert len(cut) == len(steps.STEPS), "each step is cut somewhere"


@tracing.needs_strace
@pytest.mark.parametrize("mutant", mutants.OF_COMMIT)
def test_the_suite_catches(mutant: str, tmp_path: Path, dumps: list[Dump]) -> None:
    with closing(tracing.Nursery(environment(tmp_path), steps.__file__, mutant)) as broken:
        points = all_points(broken, tmp_path / "all")
        bad, _ = kill_at_each(broken, sizes.spread(points, 40, "S2 mutant"), tmp_path, dumps)

    assert bad
    record_caught("S2")


@tracing.needs_strace
def test_a_second_kill_during_recovery_changes_nothing(
    nursery: tracing.Nursery, tmp_path: Path, dumps: list[Dump]
) -> None:
    points = all_points(nursery, tmp_path / "all")
    chance = sizes.chance("S2 second kills")
    bad, trials = [], 0

    for call, nth in chance.sample(points, min(len(points), sizes.SECOND_KILLS)):
        first = tmp_path / f"{call}-{nth}"
        acknowledged = killed_at(nursery, first, call, nth)
        if acknowledged == 0:
            continue
        copy = tmp_path / "copy"
        shutil.copytree(first, copy, ignore=shutil.ignore_patterns("go"))
        recovery = tracing.calls([*LOOK, "life.db"], copy, environment(copy))
        for again in chance.sample(recovery, min(3, len(recovery))):
            shutil.rmtree(copy)
            shutil.copytree(first, copy, ignore=shutil.ignore_patterns("go"))
            done = tracing.inject([*LOOK, "life.db"], copy, environment(copy), *again, "signal=KILL")
            assert done.returncode == -signal.SIGKILL, done
            trials += 1
            if wrong := verdict(copy / "life.db", acknowledged, dumps):
                bad.append(f"{call} {nth}, then {again}: {wrong}")
        shutil.rmtree(copy)
        shutil.rmtree(first)

    record("S2 second kill", trials, "recoveries", len(bad))
    assert not bad


def kill_command_at_each(
    words: list[str],
    prepare: Callable[[Shell], object],
    after: Callable[[Shell], object],
    tmp_path: Path,
    *,
    about: str = ".db",
    kinds: Sequence[str] = tracing.WRITING,
) -> None:
    """Kill a command (each of its processes) at its system calls; ``after`` must find all well.

    The calls are those of these ``kinds`` that concern a file with ``about`` in its name.
    """
    argv = [sys.executable, "-m", "batchq", *words]

    def lay_out(name: str) -> Shell:
        (tmp_path / name).mkdir()
        shell = Shell(tmp_path / name)
        shell.make_store()
        prepare(shell)
        return shell

    def trial(point: tuple[str, int]) -> str:
        shell = lay_out("{}-{}".format(*point))
        tracing.inject(argv, shell.folder, environment(shell.folder), *point, "signal=KILL")
        try:
            after(shell)
            invariants.check(shell.db())
        except AssertionError as error:
            return f"{point}: {error}"
        shutil.rmtree(shell.folder)
        return ""

    shell = lay_out("all")
    points = tracing.calls(argv, shell.folder, environment(shell.folder), kinds, about)
    chosen = sizes.spread(points, sizes.KILLED_COMMANDS, f"S2 kill -9 of {words[0]}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        bad = [wrong for wrong in pool.map(trial, chosen) if wrong]

    record(f"S2 kill -9 of {words[0]}", len(chosen), "system calls", len(bad), of=len(points))
    assert not bad


@tracing.needs_strace
def test_what_a_killed_run_left_is_taken_up_by_the_next(tmp_path: Path) -> None:
    def all_have_run(shell: Shell) -> None:
        shell("run", "-j", "1")
        assert shell.rows("SELECT id, state FROM jobs") == [(job, "succeeded") for job in (1, 2, 3)]
        ran = effects(shell.folder)
        assert {job for job, _ in ran} == {1, 2, 3}
        assert set(ran.values()) == {1}, "no attempt runs twice"
        assert set(ran) <= set(shell.rows("SELECT job, number FROM attempts"))

    jobs = "echo $BATCHQ_JOB_ID $BATCHQ_ATTEMPT >> effects\n" * 3
    kill_command_at_each(
        ["run", "-j", "1"],
        lambda shell: shell("add", "-q", "--backoff", "1ms", "-", stdin=jobs),
        all_have_run,
        tmp_path,
    )


@tracing.needs_strace
def test_what_a_killed_prune_left_is_removed_by_the_next(tmp_path: Path) -> None:
    def some_old_and_some_new_jobs(shell: Shell) -> None:
        shell("add", "-q", "-", stdin="head -c 30000 /dev/zero\n" * 20)
        shell("run")
        shell("add", "-q", "-", stdin="true\n" * 5)

    def only_the_new_ones_stay(shell: Shell) -> None:
        assert shell.rows("SELECT count(*) FROM jobs WHERE state = 'queued'") == [(5,)]
        shell("prune", "-q", "--older-than", "0s")
        assert shell.rows("SELECT count(*) FROM jobs") == [(5,)]
        assert shell.rows("SELECT (SELECT count(*) FROM attempts), (SELECT count(*) FROM outputs)") == [(0, 0)]

    kill_command_at_each(
        ["prune", "-q", "--older-than", "0s"], some_old_and_some_new_jobs, only_the_new_ones_stay, tmp_path
    )


@tracing.needs_strace
def test_a_killed_backup_leaves_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    def a_backup_that_is_out_of_date(shell: Shell) -> None:
        shell("add", "-q", "-", stdin="true\n" * 5)
        shell("backup", "-q", "copy.db")
        shell("add", "-q", "-", stdin="true\n" * 5)

    def there_is_a_whole_backup(shell: Shell) -> None:
        assert jobs_in(shell.folder / "copy.db") in (5, 10)
        shell("backup", "-q", "copy.db")
        assert jobs_in(shell.folder / "copy.db") == 10
        assert [path.name for path in shell.folder.glob("copy.db*")] == ["copy.db"]

    kill_command_at_each(["backup", "-q", "copy.db"], a_backup_that_is_out_of_date, there_is_a_whole_backup, tmp_path)


@tracing.needs_strace
@pytest.mark.parametrize("name", ["night.jsonl", "night.csv"])
def test_a_killed_report_leaves_the_old_file_or_the_new_one(tmp_path: Path, name: str) -> None:
    def a_report_that_is_out_of_date(shell: Shell) -> None:
        shell("add", "-q", "-", stdin="true\n" * 5)
        shell("report", "-o", name)
        shell("add", "-q", "-", stdin="true\n" * 2095)

    def lines(shell: Shell) -> int:
        text = (shell.folder / name).read_text()
        rows = (
            [json.loads(line) for line in text.splitlines()]
            if name.endswith("l")
            else [*csv.DictReader(text.split("\n"))]
        )
        assert text.endswith("\n")
        assert [int(row["id"]) for row in rows] == [*range(1, len(rows) + 1)]
        return len(rows)

    def the_report_is_whole(shell: Shell) -> None:
        assert lines(shell) in (5, 2100)
        shell("report", "-o", name)
        assert lines(shell) == 2100
        assert [path.name for path in shell.folder.glob("*night*")] == [name]

    kill_command_at_each(
        ["report", "-o", name], a_report_that_is_out_of_date, the_report_is_whole, tmp_path,
        about="night", kinds=(*tracing.WRITING, "write"),
    )  # fmt: skip


def jobs_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(db.execute("SELECT count(*) FROM jobs").fetchone()[0])


def test_the_check_would_notice_a_lost_step(tmp_path: Path, dumps: list[Dump]) -> None:
    code = "import steps; steps.live()"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(tmp_path), check=True)
    done = acknowledged_in(tmp_path)

    assert done == len(steps.STEPS)
    assert verdict(tmp_path / "life.db", done - 4, dumps).startswith("after")
    assert verdict(tmp_path / "life.db", done, dumps) == ""
