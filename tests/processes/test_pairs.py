"""What a callable sees does not depend on what ran before it in its worker."""

import os
from pathlib import Path

import pairs
import pytest
from scene import Row, closing

pytest_plugins = ("scene",)

Seen = dict[str, tuple[Row, bytes, bytes]]
PAIRS = [name for name in pairs.NAMES if name not in pairs.NEED_ROOT or os.geteuid() == 0]


def seen(folder: Path, jobs: list[str], *options: str) -> tuple[Seen, set[object]]:
    """How each job that looks ended, and what it printed; and how the others ended."""
    with closing(folder) as scene:
        scene.add(*({"call": f"pairs:{job}"} for job in jobs))
        scene.run("-q", "-j", "1", *options, code=None)
        ends = scene.attempts("outcome, result, error_type, error, leftovers")
        told: Seen = {}
        for number, (job, end) in enumerate(zip(jobs, ends, strict=True), 1):
            if job.startswith("look_"):
                texts = tuple(str(value).replace(str(folder), "HERE") for value in end)
                told[job] = texts, scene.output(number), scene.output(number, "stderr")
        return told, {end[0] for job, end in zip(jobs, ends, strict=True) if job.startswith("change_")}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seen, Seen]:
    """What all of them see alone, and each behind its change."""
    alone, _ = seen(tmp_path_factory.mktemp("alone"), [f"look_{name}" for name in PAIRS], "--worker-jobs", "1")
    turns = [job for name in PAIRS for job in (f"change_{name}", f"look_{name}")]
    after, changes = seen(tmp_path_factory.mktemp("after"), turns)
    assert changes == {"succeeded"}
    return alone, after


@pytest.mark.parametrize("name", PAIRS)
def test_alone_and_behind_another_a_callable_sees_the_same(both: tuple[Seen, Seen], name: str) -> None:
    alone, after = both

    assert alone[f"look_{name}"][0][0] == "succeeded", alone[f"look_{name}"]
    assert after[f"look_{name}"] == alone[f"look_{name}"]


def test_there_are_enough_pairs() -> None:
    assert len(pairs.NAMES) >= 60
