"""What jobs elsewhere print is seen while they run, by other programs; and however much it is, it takes little memory."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import survivors
from conftest import eventually
from daskcluster import cluster
from elsewhere import parents_of
from scene import Scene, ended, status_of
from terminal import on_terminal

pytest_plugins = ("scene", "places", "openports")

MB = 1_000_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with one worker."""
    with cluster(tmp_path_factory.mktemp("dask"), workers=1) as made:
        yield made.address


@pytest.fixture(params=["ssh:h1", "pools:forkserver", "dask"])
def executor(request: pytest.FixtureRequest, afar: Scene) -> str:
    """What ``--executor`` names; its places are this machine."""
    (afar.folder / "pools.py").write_text((Path(__file__).parent / "pools.py").read_text())
    return f"dask:{request.getfixturevalue('address')}" if request.param == "dask" else str(request.param)


def test_logs_follow_a_job_that_waits_until_its_output_was_seen(afar: Scene, executor: str) -> None:
    gate = shlex.quote(str(afar.gate))
    afar.add({"command": f"echo begun; : < {gate}; echo over"})
    run = afar.start("-q", "-j", "1", "--executor", executor)
    eventually(lambda: afar.jobs() == [("running",)], 60)
    logs = afar.start_program(*map(os.fsdecode, afar.shell.argv("logs", "-f", "1")))
    eventually(lambda: afar.said() == "begun\n", 60)
    afar.open_gate()

    assert (ended(run), ended(logs)) == (0, 0)
    assert afar.said() == "begun\nover\n"


def test_logs_and_top_show_a_line_of_a_job_before_it_ends(afar: Scene, executor: str) -> None:
    gate = shlex.quote(str(afar.gate))
    says = "for n in 1 2 3 4 5; do echo line $n; sleep 0.2; done"
    afar.add({"command": f"{says}; : < {gate}", "name": "says"})
    with on_terminal(afar.shell, "run", "-j", "1", "--executor", executor) as bar:
        bar.wait_for("1 (says)  line 5", seconds=60)
        with on_terminal(afar.shell, "top") as top:
            top.wait_for("says  line 5")
        assert afar.shell("top", "--once").out.count("line 5") == 1
        assert afar.shell("logs", "1").out.endswith("line 5\n")
        assert afar.jobs() == [("running",)]
        afar.open_gate()
        assert bar.wait() == 0


@pytest.fixture
def printing(afar: Scene) -> str:
    """A job that prints 100 MB when it may, and then waits."""
    folder = shlex.quote(str(afar.folder))
    may_go = f"until test -e {folder}/go; do sleep 0.02; done"
    prints = f"yes | head -c 100000000; touch {folder}/printed"
    return f"echo $$ > {folder}/pid; echo begun; {may_go}; {prints}; : < {folder}/gate"


def test_what_a_job_prints_elsewhere_takes_little_memory_and_few_messages(
    afar: Scene, executor: str, printing: str
) -> None:
    afar.add({"command": printing})
    run = afar.start("-q", "-j", "1", "--executor", executor)
    eventually(lambda: afar.output() == b"begun\n", 60)
    memory, heard = {pid: peak(pid) for pid in on_the_way(afar)}, received(afar.runner())
    (afar.folder / "go").touch()
    eventually((afar.folder / "printed").exists, 60)
    eventually(lambda: len(afar.output()) > 100_000, 60)  # its head and its tail, as of any job that still runs

    assert {pid: grown for pid, before in memory.items() if (grown := peak(pid) - before) > 8 * MB} == {}
    assert received(afar.runner()) - heard < 4 * MB
    afar.open_gate()
    assert ended(run) == 0
    assert afar.rows("SELECT sum(total) FROM outputs") == [(100_000_006,)]


def on_the_way(scene: Scene) -> list[int]:
    """The processes between the job and the store: those above the job (its site, the worker), the run, and its bridge."""
    above = parents_of(int((scene.folder / "pid").read_text()))
    above = above[: above.index(os.getpid())]
    assert len(above) >= 3
    return sorted({*above, *(pid for pid, words in survivors.living(scene.folder) if "batchq" in words)})


def peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    return int(status_of(pid)["VmHWM"].split()[0]) * 1024


def received(pid: int) -> int:
    """How many bytes a process has read so far, from pipes and files."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])
