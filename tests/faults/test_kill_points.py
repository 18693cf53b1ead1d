"""S2: kill -9 at every write, sync, truncation and removal of a short life of a store. Each step is wholly there or not."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import invariants
import pytest
import sizes
import steps
import tracing
from conftest import Shell
from figures import record
from steps import Dump

from batchq.store import ledger
from batchq.store.connection import open_at
from batchq.store.ledger import Wanted

pytest_plugins = ("figures",)

LIFE = [sys.executable, steps.__file__]
LOOK = [sys.executable, "-m", "batchq", "list", "--db"]


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> list[Dump]:
    return steps.history(str(tmp_path_factory.mktemp("history")))


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
            me = ledger.register(
                store, Wanted(), 1, pid=1, host="h", boot_id="b", slots=1, executor="local", now=steps.NOW
            )
            running = found[4] and sum(jobs for state, _, _, jobs in found[4] if state == "running")
            rescued = sum(len(ledger.rescue(store, lost, steps.NOW)) for lost in ledger.lost_runners(store, me))
            if rescued != running:
                return f"{running} jobs ran, {rescued} were rescued"
            ledger.leave(store, me, steps.NOW)
        invariants.check(path)
    except Exception as error:
        return f"after {acknowledged} steps: {type(error).__name__}: {error}"
    return ""


def killed_at(folder: Path, call: str, nth: int) -> int:
    """Kill the script at one call; how many steps it had acknowledged by then."""
    folder.mkdir()
    done = tracing.inject([*LIFE, "life.db"], folder, environment(folder), call, nth, "signal=KILL")
    assert done.returncode in (0, -9, 137), done
    return done.stdout.count("\n")


@tracing.needs_strace
def test_a_kill_at_any_system_call_leaves_each_step_wholly_done_or_wholly_undone(
    tmp_path: Path, dumps: list[Dump]
) -> None:
    (tmp_path / "count").mkdir()
    points = tracing.calls([*LIFE, "life.db"], tmp_path / "count", environment(tmp_path))
    chosen = sizes.spread(points, sizes.KILL_POINTS, "S2 kill points")

    def trial(point: tuple[str, int]) -> tuple[int, str]:
        folder = tmp_path / "{}-{}".format(*point)
        acknowledged = killed_at(folder, *point)
        return acknowledged, f"{point}: {wrong}" if (wrong := verdict(folder / "life.db", acknowledged, dumps)) else ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(trial, chosen))

    bad = [wrong for _, wrong in results if wrong]
    steps_cut = len({acknowledged for acknowledged, _ in results})
    record("S2 kill -9", len(results), "system calls", len(bad), of=len(points), steps_cut=f"{steps_cut}/{len(dumps) - 1}")
    assert not bad


@tracing.needs_strace
def test_a_second_kill_during_recovery_changes_nothing(tmp_path: Path, dumps: list[Dump]) -> None:
    (tmp_path / "count").mkdir()
    points = tracing.calls([*LIFE, "life.db"], tmp_path / "count", environment(tmp_path))
    chance = sizes.chance("S2 second kills")
    bad, trials = [], 0

    for number, (call, nth) in enumerate(chance.sample(points, min(len(points), sizes.SECOND_KILLS))):
        first = tmp_path / f"first-{number}"
        acknowledged = killed_at(first, call, nth)
        if acknowledged == 0:
            continue
        shutil.copytree(first, copy := tmp_path / f"copy-{number}")
        recovery = tracing.calls([*LOOK, "life.db"], copy, environment(copy), [*tracing.WRITING, "pread64"])
        for again in chance.sample(recovery, min(3, len(recovery))):
            shutil.rmtree(copy)
            shutil.copytree(first, copy)
            tracing.inject([*LOOK, "life.db"], copy, environment(copy), *again, "signal=KILL")
            trials += 1
            if wrong := verdict(copy / "life.db", acknowledged, dumps):
                bad.append(f"{call} {nth}, then {again}: {wrong}")

    record("S2 second kill", trials, "recoveries", len(bad))
    assert not bad


def test_the_check_would_notice_a_lost_step(tmp_path: Path, dumps: list[Dump]) -> None:
    path = tmp_path / "life.db"
    done = subprocess.run([*LIFE, str(path)], env=environment(tmp_path), capture_output=True, text=True, check=True)

    assert done.stdout.split("\n")[:-1] == [name for name, _ in steps.STEPS]
    assert verdict(path, len(steps.STEPS) - 4, dumps).startswith("after")
    assert verdict(path, len(steps.STEPS), dumps) == ""
