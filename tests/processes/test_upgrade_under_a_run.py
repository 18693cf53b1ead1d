"""The files of batchq and its dependencies are removed while a run is at work."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlite_utils
import tenacity
from conftest import eventually
from others import someone_waits_for
from pinged import serving
from scene import Scene, ended

import batchq
from batchq.errors import ScarceError
from batchq.processes import package
from batchq.store.file.locks import LockFile

pytest_plugins = ("scene",)


@pytest.fixture(name="site")
def _site(scene: Scene) -> Path:
    """An installation of its own, from which ``run_there`` starts."""
    site = scene.folder / "site"
    site.mkdir()
    for needed in (batchq, tenacity, sqlite_utils):
        here = Path(str(needed.__file__)).parent
        # Without what a Python that compiles one of these files at this moment has not finished.
        shutil.copytree(here, site / here.name, ignore=shutil.ignore_patterns("*.pyc.*"))
    scene.shell.env["PYTHONPATH"] = str(site)
    return site


RUN = (sys.executable, "-S", "-m", "batchq", "run", "-j", "1")
ASK = """\
def before():
    return 1
def ask():
    from batchq import current_job
    return current_job().attempt
"""


def wait_until_all_is_kept(scene: Scene, job: int) -> None:
    """Wait for the output of a running job: before a run first reports that, it has read all files that it needs."""
    eventually(lambda: scene.output(job) == b"begun\n")


def _take_away(site: Path) -> None:
    site.rename(site.with_name("site.old"))


def _replace(site: Path) -> None:
    for file in (site / "batchq").rglob("*.py"):
        file.unlink()
        file.write_text("raise SystemExit('another version')\n")


@pytest.mark.parametrize("blow", [_take_away, _replace])
@pytest.mark.parametrize("first", [{"call": "mine:before"}, {"command": "sleep 1"}, {"command": "true"}])
@pytest.mark.parametrize("fresh", [False, True])
def test_callables_find_the_batchq_of_their_run(
    scene: Scene, site: Path, blow: Callable[[Path], None], first: dict[str, str], fresh: bool
) -> None:
    (scene.folder / "mine.py").write_text(ASK)
    ask = {"call": "mine:ask", "max_attempts": 1, "fresh": fresh}
    scene.add(first, {"command": "echo begun; until [ -e go ]; do sleep 0.01; done"}, ask, ask)
    run = scene.start_program(*RUN)
    wait_until_all_is_kept(scene, 2)
    blow(site)
    (scene.folder / "go").touch()

    assert ended(run) == 0, scene.said()
    assert scene.attempts("outcome, result")[2:] == [("succeeded", "1")] * 2
    assert scene.said().count("Traceback") == 0


@pytest.mark.parametrize("blow", [_take_away, _replace])
def test_a_run_that_waits_for_its_turn_at_the_store_has_what_it_needs(
    scene: Scene, site: Path, blow: Callable[[Path], None]
) -> None:
    (scene.folder / "mine.py").write_text(ASK)
    scene.add({"call": "mine:ask", "max_attempts": 1}, {"command": "exit 3"})
    mutex = LockFile(str(scene.shell.db()))
    mutex.acquire_mutex(10)
    run = scene.start_program(*RUN)
    eventually(lambda: someone_waits_for(scene.shell.db()))
    blow(site)
    mutex.close()

    assert ended(run) == 1
    assert scene.attempts("outcome, result") == [("succeeded", "1"), ("failed", None)]
    assert "Traceback" not in scene.said()


@pytest.mark.parametrize("blow", [_take_away, _replace])
def test_a_run_explains_its_failures_if_batchq_was_replaced_after_the_first_one(
    scene: Scene, site: Path, blow: Callable[[Path], None]
) -> None:
    fails = [{"command": f"echo 'fatal: {word}' >&2; exit 3", "max_attempts": 1} for word in ("no disk", "no host")]
    waits = {"command": "echo begun; until [ -e go ]; do sleep 0.01; done"}
    scene.add(fails[0], waits, fails[1], fails[1])
    run = scene.start_program(*RUN)
    wait_until_all_is_kept(scene, 2)
    blow(site)
    (scene.folder / "go").touch()

    assert ended(run) == 1
    first, _, rest = scene.said().partition("\n")
    assert first == "batchq: 3 jobs failed for 2 reasons"
    assert rest.partition("\n")[2].startswith("\n2 jobs: exit 3: fatal: no host\n")
    assert "Traceback" not in scene.said()


def test_a_run_whose_installation_is_replaced_while_it_begins_says_so(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "_ROOT", str(site))
    begun = package.Package()
    _replace(site)

    with pytest.raises(ScarceError, match="replaced while this run began"):
        begun.begin()


def test_a_worker_that_finds_nothing_to_start_from_costs_its_job_nothing(scene: Scene, site: Path) -> None:
    """The files go between the check and the start."""
    (scene.folder / "mine.py").write_text(ASK)
    slow = scene.folder / "slow"
    slow.write_text(f'#!/bin/sh\n: > starting; until [ -e go ]; do sleep 0.01; done; exec {sys.executable} "$@"\n')
    slow.chmod(0o755)
    ask = {"call": "mine:ask", "max_attempts": 1, "python": str(slow)}
    scene.add(ask, {"command": "echo begun; until [ -e go ]; do sleep 0.01; done"})
    run = scene.start_program(*RUN[:-1], "2")
    eventually((scene.folder / "starting").exists)
    wait_until_all_is_kept(scene, 2)
    _take_away(site)
    (scene.folder / "go").touch()

    assert ended(run) == 0, scene.said()
    assert scene.attempts("outcome, result") == [("succeeded", "1"), ("succeeded", None)]
    assert scene.jobs("crashes, failures") == [(0, 0)] * 2


@pytest.mark.parametrize("named", [False, True])
def test_a_python_that_is_taken_away_is_waited_for(scene: Scene, site: Path, named: bool) -> None:
    assert site.exists()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(scene.folder / "venv")], check=True)
    python = scene.folder / "venv" / "bin" / "python"
    work = {"call": "mine:before", "python": str(python)} if named else {"payload": {"a": 1}}
    (scene.folder / "mine.py").write_text(ASK + "def perform(job):\n    return 1\n")
    scene.add({"command": ": > begun; until [ -e go ]; do sleep 0.01; done"}, {**work, "max_attempts": 1})
    run = scene.start_program(str(python), *RUN[1:], "--perform", "mine:perform")
    eventually(scene.begun.exists)
    python.rename(python.with_name("away"))
    (scene.folder / "go").touch()
    eventually(lambda: "trying again" in scene.said())
    python.with_name("away").rename(python)

    assert ended(run) == 0, scene.said()
    assert scene.attempts("outcome, result")[-1] == ("succeeded", "1")
    assert scene.jobs("failures, crashes") == [(0, 0), (0, 0)]
    assert scene.said().count("cannot start the Python of this run") == 1


def test_a_run_whose_installation_is_moved_away_retries_and_tells_its_end(scene: Scene, site: Path) -> None:
    begin = "echo begun; until [ -e go ]; do sleep 0.01; done; "
    scene.add(
        {"command": begin + "[ $BATCHQ_ATTEMPT = 2 ]", "max_attempts": 2, "backoff": "10ms"},
        {"command": begin + "echo evidence; exit 3", "max_attempts": 1},
        {"command": "true"},
    )
    run = scene.start_program(*RUN[:-1], "2")
    wait_until_all_is_kept(scene, 1)
    wait_until_all_is_kept(scene, 2)
    site.rename(scene.folder / "site.old")
    (scene.folder / "go").touch()

    assert ended(run) == 1, scene.said()
    assert "Traceback" not in scene.said()
    assert "evidence" in scene.said()
    assert scene.jobs() == [("succeeded",), ("failed",), ("succeeded",)]


@pytest.mark.parametrize("blow", [_take_away, _replace])
def test_a_run_still_notifies_its_url(scene: Scene, site: Path, blow: Callable[[Path], None]) -> None:
    with serving(scene.shell.db()) as server:
        scene.add({"command": "echo begun; until [ -e go ]; do sleep 0.01; done; exit 3", "max_attempts": 1})
        run = scene.start_program(*RUN, "--notify", server.url)
        wait_until_all_is_kept(scene, 1)
        blow(site)
        (scene.folder / "go").touch()

        assert ended(run) == 1, scene.said()
        assert server.paths() == ["/start", "/fail"]
        assert "1 failed; exit code 1" in server.pings[1].text
