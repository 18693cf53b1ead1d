"""What ``scripts/bench`` measures with still works, though nobody measures for weeks: each section with very few jobs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from daskcluster import Cluster
from scene import Scene
from soaking import SOAK

pytest_plugins = ("scene", "daskcluster")

HERE = Path(__file__).parents[2] / "scripts" / "benchmarks"
#: How each section is made small, and whether it is cheap
SECTIONS = {
    "add": ("add.LINES = 3", True),
    "bulk": ("add.ROWS = 3", True),
    "commands": ("commands.JOBS = 4", False),
    "callables": ("callables.JOBS = 8", False),
    "control": ("control.SMALL, control.LARGE = 4, 8", False),
    "elsewhere": ("elsewhere.KINDS = {what: (job, 8, s) for what, (job, _, s) in elsewhere.KINDS.items()}", False),
}


def program(*words: str, small: str = "") -> list[str]:
    code = (
        f"import runpy, sys; sys.path[0] = {str(HERE)!r}; import add, callables, commands, control, elsewhere; {small}\n"
        f"sys.argv[:] = ['scripts/bench', *{list(words)!r}]; runpy.run_path({str(HERE)!r}, run_name='__main__')"
    )
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_prints_its_tables(tmp_path: Path, section: str) -> None:
    small, is_cheap = SECTIONS[section]
    if not (is_cheap or SOAK):
        pytest.skip("it takes 5 to 50 s: scripts/soak")
    done = subprocess.run(
        program("--rounds", "1", section, small=small), env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{section.upper()}: .*\n\n\|.*\n\|[-:|]+\n\|", done.stdout, re.M), done.stdout
    assert not list(tmp_path.glob("batchq-bench-*"))


def test_there_is_no_other_section() -> None:
    help_of_it = subprocess.run(program("--help"), capture_output=True, text=True, check=True).stdout

    assert f"of {', '.join(SECTIONS)} (default" in " ".join(help_of_it.split())


@pytest.mark.parametrize("how", ["map", "submit", "abs"])
def test_dask_by_itself_does_the_jobs_of_a_store(scene: Scene, dask: Cluster, how: str) -> None:
    scene.add(*[{"command": "echo $BATCHQ_JOB_ID >> ran"}] * 5, {"call": "os:mkdir", "args": {"path": "made"}})
    words = [str(HERE / "bare.py"), how, dask.address, str(scene.shell.db()), "2", "3"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) >= 0
    ran = scene.folder / "ran"
    assert sorted(ran.read_text().split() if ran.exists() else []) == [*"12345"] * (how != "abs")
    assert (scene.folder / "made").exists() == (how != "abs")
    assert scene.rows("SELECT count(*) FROM attempts") == [(0,)], "it writes nothing back"
