"""The contract of the executor seam holds for engines, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import test_every_executor as contract
from desk import afar, opened

from batchq.executors.seam import Executor

pytest_plugins = ("desk",)
ENGINES = {"threads": "pools:threads", "forkserver": "pools:forkserver", "fork": "pools:fork"}

globals().update({name: test for name, test in vars(contract).items() if name.startswith("test_")})


@pytest.fixture(params=ENGINES)
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Executor]:
    """A bridge with the client of an engine."""
    with opened(afar(ENGINES[request.param]), tmp_path) as made:
        yield made
