"""The contract of the executor seam holds for engines, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import test_every_executor as contract
from daskcluster import cluster
from desk import afar, opened
from soaking import SOAK

from batchq.executors.seam import Executor

pytest_plugins = ("desk", "openports")
POOLS = {
    "threads": "pools:threads",
    "forkserver": "pools:forkserver",
    "fork": "pools:fork",
    "loky": "pools:loky",
    "executorlib": "pools:executorlib",
}
ENGINES = POOLS if SOAK else {}

globals().update({name: test for name, test in vars(contract).items() if name.startswith("test_")})


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers."""
    with cluster(tmp_path_factory.mktemp("dask")) as made:
        yield made.address


@pytest.fixture(params=[*ENGINES, "dask"])
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Executor]:
    """A bridge with the client of an engine."""
    engine = ENGINES.get(request.param) or f"dask:{request.getfixturevalue('dask')}"
    with opened(afar(engine), tmp_path) as made:
        yield made
