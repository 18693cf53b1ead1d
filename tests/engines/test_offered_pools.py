"""Packages that offer pools by the entry points ``batchq.executors``: found by name, only in the bridge."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import Scene

pytest_plugins = ("scene",)

MODULE = """\
from concurrent.futures import ThreadPoolExecutor

def make(text):
    print("made with", repr(text))
    return ThreadPoolExecutor(int(text or 1))
"""


def install(folder: Path, package: str, *offers: str) -> None:
    """Put an installed package into a folder on the path of Python, as pip leaves it there."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(MODULE)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[batchq.executors]", *offers, ""]))


@pytest.fixture
def offers(scene: Scene) -> Iterator[Scene]:
    """A scene with a package that offers ``crew`` and, by mistake, ``gone`` and ``cut``."""
    packages = scene.folder / "packages"
    packages.mkdir()
    install(packages, "my-pools", "crew = my_pools:make", "gone = my_pools:unmake", "cut = nowhere:make")
    scene.shell.env["PYTHONPATH"] = str(packages)
    yield scene


def test_a_pool_of_a_package_is_named_with_its_arguments(offers: Scene) -> None:
    offers.add({"command": "exit 3"}, {"call": "os.path:join", "args": {"a": "x"}})
    done = offers.run("-j", "2", "--executor", "crew:2", code=1)

    assert "made with '2'" in done.err
    assert offers.attempts("outcome, exit_code") == [("failed", 3), ("succeeded", None)]
    assert offers.rows("SELECT executor FROM runners") == [("crew:2",)]


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        ("gone:", "my-pools offers it, but my_pools:unmake fails: AttributeError"),
        ("cut:", "my-pools offers it, but nowhere:make fails: ModuleNotFoundError: No module named 'nowhere'"),
        ("crew:many", "the factory of the pool failed: ValueError: invalid literal for int()"),
        ("crow:2", "no package offers 'crow', and no module has that name: see docs/elsewhere.md"),
    ],
)
def test_a_broken_offer_is_one_sentence_and_costs_no_job_anything(offers: Scene, executor: str, said: str) -> None:
    offers.add({"command": "true"})
    done = offers.run("-q", "--executor", executor, code=78)

    assert said in done.err
    assert "Traceback" not in done.err
    assert offers.attempts() == []


def test_two_packages_that_offer_the_same_name_are_both_named(offers: Scene) -> None:
    install(offers.folder / "packages", "your-pools", "crew = your_pools:make")
    offers.add({"command": "true"})
    done = offers.run("-q", "--executor", "crew:2", code=78)

    assert "several packages offer 'crew' (my-pools, your-pools): remove all but one" in done.err
