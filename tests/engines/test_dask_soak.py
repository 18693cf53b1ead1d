"""Jobs at a real Dask cluster whose workers, sites and runs are killed at random: none is lost, doubled or left."""

import random

import pytest
from dask_soak import Toll, soak
from daskcluster import cluster
from scene import Scene, tell
from soaking import SEED, SOAK

pytest_plugins = ("scene", "openports")

JOBS, SECONDS = (2_000, 600.0) if SOAK else (60, 5.0)


def told(toll: Toll, seed: int) -> str:
    """One line about a soak; next to zeros stands 3/n, below which the true rate lies with 95 % confidence."""
    kills = ", ".join(f"{kind} {number}" for kind, number in sorted(toll.kills.items()))
    zeros = ", ".join(f"{what} {number}" for what, number in toll.wrongs().items())
    return (
        f"soak of Dask (seed {seed}): {toll.jobs:,} jobs, {sum(toll.kills.values())} kills ({kills}) in"
        f" {toll.seconds:.0f} s;"
        f" {zeros} (95 % bound {3 / toll.jobs:.2g} a job); extra starts {toll.extra_starts} of at most {toll.bound},"
        f" crashes charged {toll.crashes}"
    )


@pytest.mark.parametrize("seed", [21, SEED] if SOAK else [SEED])
def test_random_kills_lose_nothing_and_double_nothing(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    with cluster(tmp_path_factory.mktemp("dask"), workers=0) as dask:
        toll = soak(scene, dask, JOBS, random.Random(seed), SECONDS)
        tell(told(toll, seed))

    assert not any(toll.wrongs().values()), told(toll, seed)
