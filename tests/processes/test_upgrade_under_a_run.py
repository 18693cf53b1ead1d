"""The files of batchq and of what it needs are taken away while a run is at work."""

import shutil
import sys
from pathlib import Path

import sqlite_utils
import tenacity
from conftest import eventually
from scene import Scene, ended

import batchq

pytest_plugins = ("scene",)


def test_a_run_whose_installation_is_moved_away_retries_and_tells_its_end(scene: Scene) -> None:
    site = scene.folder / "site"
    site.mkdir()
    for package in (batchq, tenacity, sqlite_utils):
        here = Path(str(package.__file__)).parent
        shutil.copytree(here, site / here.name)
    begin = "echo x >> begun; until [ -e go ]; do sleep 0.01; done; "
    scene.add(
        {"command": begin + "[ $BATCHQ_ATTEMPT = 2 ]", "max_attempts": 2, "backoff": "10ms"},
        {"command": begin + "echo evidence; exit 3", "max_attempts": 1},
        {"command": "true"},
    )
    scene.shell.env["PYTHONPATH"] = str(site)
    run = scene.start_program(sys.executable, "-S", "-m", "batchq", "run", "-j", "2")
    eventually(lambda: scene.begun.exists() and scene.begun.read_text() == "x\nx\n")
    site.rename(scene.folder / "site.old")
    (scene.folder / "go").touch()

    assert ended(run) == 1, scene.said()
    assert "Traceback" not in scene.said()
    assert "evidence" in scene.said()
    assert scene.jobs() == [("succeeded",), ("failed",), ("succeeded",)]
