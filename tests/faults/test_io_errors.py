"""S3: one system call fails with EIO or ENOSPC. What was acknowledged stays, and the command ends with a sentence."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import invariants
import pytest
import sizes
import tracing
from conftest import Shell
from figures import record

from batchq.store.file.opening import open_at

pytest_plugins = ("figures",)


class Case(NamedTuple):
    """A command, and what it turns the states of all jobs into; before it they are ``before``."""

    words: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


WAITING = ("succeeded", "failed", "queued", "queued")
CASES = {
    "add that makes the store": Case(("add", "--db", "batchq.db", "--", "true"), (), ("queued",)),
    "add": Case(("add", "--db", "batchq.db", "--", "true"), WAITING, (*WAITING, "queued")),
    "run": Case(("run", "-j", "1"), WAITING, ("succeeded", "failed", "succeeded", "succeeded")),
    "retry": Case(("retry", "2"), WAITING, ("succeeded", "queued", "queued", "queued")),
    "report": Case(("report",), WAITING, WAITING),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in which jobs have succeeded, failed, and wait."""
    folder = tmp_path_factory.mktemp("prepared")
    shell = Shell(folder)
    shell.make_store()
    shell("add", "-q", "-", stdin="echo hello\nexit 3\n")
    shell("run", code=1)
    shell("add", "-q", "-", stdin="echo one\necho two\n")
    return folder


def argv(case: Case) -> list[str]:
    return [sys.executable, "-m", "batchq", *case.words]


def environment(folder: Path) -> dict[str, str]:
    return Shell(folder).env | {"PYTHONDONTWRITEBYTECODE": "1"}


def lay_out(case: Case, prepared: Path, folder: Path) -> None:
    shutil.copytree(prepared, folder) if case.before else folder.mkdir()


def verdict(case: Case, folder: Path, done: "subprocess.CompletedProcess[str]") -> str:
    """What is wrong after a command met its error; empty if nothing is."""
    told = done.stderr.splitlines()
    if done.returncode not in (0, 73, 74):
        return f"exit {done.returncode}: {done.stderr}"
    if done.returncode and not told:
        return f"exit {done.returncode} without a word"
    if any(not line.startswith("batchq: ") for line in told) or (len(told) > 1 and "run" not in case.words):
        return f"exit {done.returncode}, not one sentence: {done.stderr}"
    try:
        with open_at(str(folder / "batchq.db"), create=not case.before) as store:
            found = tuple(state for (state,) in store.db.execute("SELECT state FROM jobs ORDER BY id"))
        allowed = [case.after] if done.returncode == 0 else [case.before, case.after]
        if found not in allowed:
            return f"exit {done.returncode}, and the jobs are {found}; it said: {done.stderr}"
        invariants.check(folder / "batchq.db")
    except Exception as error:
        return f"exit {done.returncode}, then {type(error).__name__}: {error}"
    return ""


def try_all(
    name: str, error: str, kinds: Sequence[str], prepared: Path, tmp_path: Path, then: str = ""
) -> tuple[int, list[str], int]:
    """Let the command meet the error at each of its calls: trials, what was wrong, how many ended well.

    With ``then`` = "+" all further calls of the kind fail, too.
    """
    case = CASES[name]
    lay_out(case, prepared, tmp_path / "count")
    points = tracing.calls(argv(case), tmp_path / "count", environment(tmp_path), kinds, about="batchq.db")
    chosen = sizes.spread(points, sizes.ERROR_POINTS, f"S3 {error} in {name}")

    def trial(point: tuple[str, int]) -> tuple[str, bool]:
        folder = tmp_path / "{}-{}".format(*point)
        lay_out(case, prepared, folder)
        call, nth = point
        done = tracing.inject(argv(case), folder, environment(folder), call, f"{nth}{then}", f"error={error}")
        is_ours = "error while loading shared libraries" not in done.stderr
        wrong = verdict(case, folder, done) if is_ours else ""
        shutil.rmtree(folder)
        return wrong and f"{error} at {point}: {wrong}", done.returncode == 0

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(trial, chosen))
    return len(results), [wrong for wrong, _ in results if wrong], sum(well for _, well in results)


@tracing.needs_strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("name", [name for name in CASES if name != "report"])
def test_a_call_that_fails_once_loses_nothing_acknowledged(
    name: str, error: str, prepared: Path, tmp_path: Path
) -> None:
    trials, bad, well = try_all(name, error, tracing.WRITING, prepared, tmp_path)

    record(f"S3 {error} in {name}", trials, "system calls", len(bad), ended_well=well)
    assert not bad


@tracing.needs_strace
@pytest.mark.parametrize("name", ["add that makes the store", "add", "retry"])
def test_calls_that_fail_from_some_moment_on_lose_nothing_acknowledged(
    name: str, prepared: Path, tmp_path: Path
) -> None:
    kinds = [kind for kind in tracing.WRITING if "unlink" not in kind]  # what cannot be removed at all is left behind
    trials, bad, well = try_all(name, "ENOSPC", kinds, prepared, tmp_path, then="+")

    record(f"S3 ENOSPC for good in {name}", trials, "system calls", len(bad), ended_well=well)
    assert not bad


@tracing.needs_strace
@pytest.mark.parametrize("name", CASES)
def test_a_read_that_fails_once_ends_with_a_sentence(name: str, prepared: Path, tmp_path: Path) -> None:
    trials, bad, well = try_all(name, "EIO", tracing.READING, prepared, tmp_path)

    record(f"S3 EIO on reading in {name}", trials, "system calls", len(bad), ended_well=well)
    assert not bad
