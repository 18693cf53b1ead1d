"""What a callable sees does not depend on what ran before it in its worker."""

import os
from pathlib import Path

import pairs
import pytest
from scene import Row, closing

pytest_plugins = ("scene",)

Seen = dict[str, tuple[Row, bytes, bytes]]
AT_ONCE = 40  #: jobs of one run
PAIRS = [name for name in pairs.NAMES if name not in pairs.NEED_ROOT or os.geteuid() == 0]


def seen(folder: Path, jobs: list[str], *options: str) -> Seen:
    """How each job ended, and what it printed; a few in each run, for all of them take long on a busy machine."""
    folder.mkdir()
    rest = seen(folder / "next", jobs[AT_ONCE:], *options) if jobs[AT_ONCE:] else {}
    return rest | _seen(folder, jobs[:AT_ONCE], *options)


def _seen(folder: Path, jobs: list[str], *options: str) -> Seen:
    with closing(folder) as scene:
        scene.add(*({"call": f"pairs:{job}", "max_crashes": 1} for job in jobs))
        scene.run("-q", *options, code=None)
        ends = scene.attempts("outcome, result, error_type, error, leftovers")
        found: Seen = {}
        for number, (job, end) in enumerate(zip(jobs, ends, strict=True), 1):
            texts = tuple(str(value).replace(str(folder), "HERE") for value in end)
            found[job] = texts, scene.output(number), scene.output(number, "stderr")
        return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seen, Seen]:
    """What all of them see alone, and each after its change."""
    folder = tmp_path_factory.mktemp("pairs")
    alone = seen(folder / "alone", [f"look_{name}" for name in PAIRS], "-j", "2", "--worker-jobs", "1")
    turns = [job for name in PAIRS for job in (f"change_{name}", f"look_{name}")]
    return alone, seen(folder / "after", turns, "-j", "1")


@pytest.mark.parametrize("name", PAIRS)
def test_alone_and_after_another_a_callable_sees_the_same(both: tuple[Seen, Seen], name: str) -> None:
    alone, after = both

    assert after[f"change_{name}"][0][0] == "succeeded", after[f"change_{name}"]
    assert alone[f"look_{name}"][0][0] == "succeeded", alone[f"look_{name}"]
    assert after[f"look_{name}"] == alone[f"look_{name}"]


def test_there_are_enough_pairs() -> None:
    assert len(pairs.NAMES) >= 60
