"""What type checkers know: mypy reads this file, too, and fails where a line that it must refuse passes."""

from pathlib import Path
from typing import Any, assert_type

import decorated
import pytest

import batchq


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHQ_DB", str(folder / "batchq.db"))


def plain() -> None: ...


def test_the_function_keeps_its_types() -> None:
    assert_type(decorated.resize("a.png", width=3), dict[str, object])
    assert_type(decorated.resize.add("a.png", width=3), int)
    assert_type(decorated.resize.add_many([{"path": "a.png"}]), list[int])
    assert_type(decorated.resize.job("a.png"), dict[str, Any])
    assert_type(decorated.resize.options(priority=3)("a.png"), dict[str, object])
    assert_type(decorated.fail.add("no"), int)


def test_wrong_arguments_and_options_are_seen() -> None:
    with pytest.raises(TypeError):
        decorated.resize.add()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        decorated.resize.add(path="a", hight=3)  # type: ignore[call-arg]
    with pytest.raises(batchq.BatchqError):
        decorated.resize.options(priorty=3)  # type: ignore[call-arg]
    with pytest.raises(batchq.BatchqError):
        batchq.job(timeout=[])(plain)  # type: ignore[call-overload]
    assert decorated.resize.add(path=3) == 1  # type: ignore[arg-type]


def test_the_rest_has_types(folder: Path) -> None:
    with batchq.open(folder / "batchq.db") as store:
        assert_type(store, batchq.Store)
        assert_type(store.add({"payload": 1}), list[int])
        assert_type(store.job(1), batchq.JobInfo)
        assert_type(batchq.run(store, queue="none"), batchq.RunResult)
        assert_type(store.cancel(1, "2-3", [4], batch="default"), batchq.Changed)
        assert_type(store.wait("last", timeout=0), batchq.Waited)
        assert_type(next(iter(store.logs(1))), batchq.Logs)
        assert_type(store.report(), dict[str, Any])
        with pytest.raises(TypeError):
            store.hold(state=3)  # type: ignore[arg-type]


def test_the_results_of_a_map_have_the_type_of_the_function() -> None:
    halves = batchq.map(decorated.half, [2])
    assert_type(halves, batchq.Jobs[float])
    assert_type(halves.ids, tuple[int, ...])
    assert_type(batchq.map(decorated.resize, ["a.png"], priority=1), batchq.Jobs[dict[str, object]])
    with pytest.raises(batchq.BatchqError):
        assert_type(halves.results(), list[float])
    batchq.map(decorated.half, ["two"])  # type: ignore[arg-type]
