"""What jobs elsewhere print is seen while they run, by other programs: ``logs -f``."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import eventually
from daskcluster import cluster
from scene import Scene, ended

pytest_plugins = ("scene", "places")


@pytest.fixture(params=["ssh:h1", "pools:forkserver", "dask"])
def executor(request: pytest.FixtureRequest, afar: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What ``--executor`` names; its places are this machine."""
    (afar.folder / "pools.py").write_text((Path(__file__).parent / "pools.py").read_text())
    if request.param != "dask":
        yield request.param
        return
    with cluster(tmp_path_factory.mktemp("dask"), workers=1) as made:
        yield f"dask:{made.address}"


def test_logs_follow_a_job_that_waits_until_its_output_was_seen(afar: Scene, executor: str) -> None:
    gate = shlex.quote(str(afar.folder / "gate"))
    afar.add({"command": f"echo begun; until test -e {gate}; do sleep 0.02; done; echo over"})
    run = afar.start("-q", "-j", "1", "--executor", executor)
    eventually(lambda: afar.jobs() == [("running",)], 60)
    logs = afar.start_program(*map(os.fsdecode, afar.shell.argv("logs", "-f", "1")))
    eventually(lambda: afar.said() == "begun\n", 60)
    (afar.folder / "gate").touch()

    assert (ended(run), ended(logs)) == (0, 0)
    assert afar.said() == "begun\nover\n"
