"""Named semaphores of killed jobs: the resource tracker of Python removes them, so it is not killed with the others."""

import shlex
from pathlib import Path

import pytest
from conftest import eventually
from scene import Scene, children_of, end, ended, is_gone, python

pytest_plugins = ("scene",)

#: Makes a semaphore, whose name is in /dev/shm, notes it and rests.
MAKER = """\
import multiprocessing, time
one = multiprocessing.get_context("spawn").Semaphore()
open("name", "w").write(one._semlock.name[1:])
open("begun", "w")
time.sleep(600)
"""
POSER = "[ -e again ] || sleep 600; : resource_tracker import main"  #: looks like a tracker and does not end


@pytest.mark.parametrize("killed", ["the runner", "runner and guardian"])
def test_none_is_left_of_a_killed_run(scene: Scene, killed: str) -> None:
    (scene.folder / "mine.py").write_text(MAKER)
    scene.add({"command": shlex.join(python("mine.py"))}, {"command": POSER})
    run = scene.start("-q", "-j", "2")
    eventually(lambda: scene.begun.exists() and any("import main" in one for one in scene.survivors()))
    name = Path("/dev/shm", f"sem.{(scene.folder / 'name').read_text()}")
    assert name.exists()
    (runner,) = children_of(run.pid)
    end(*[runner, run.pid] if killed == "runner and guardian" else [runner])
    ended(run)
    eventually(lambda: is_gone(runner))
    (scene.folder / "mine.py").write_text("")
    (scene.folder / "again").touch()
    scene.run("-q", code=None)

    assert not name.exists()
    assert scene.survivors() == []
