"""Packages that offer pools by the entry points ``batchq.executors``: found by name, only in the bridge."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import Scene

pytest_plugins = ("scene", "openports")

PAGE = (Path(__file__).parents[2] / "docs" / "elsewhere.md").read_text()
#: The module and the entry points that docs/elsewhere.md shows
MODULE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)[0]
OFFERS = tomllib.loads(re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)[0])["project"]["entry-points"]


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
    shown = [f"{name} = {function}" for name, function in OFFERS["batchq.executors"].items()]
    install(packages, "my-pools", *shown, "gone = my_pools:unmake", "cut = nowhere:make")
    scene.shell.env["PYTHONPATH"] = str(packages)
    yield scene


def test_a_pool_of_a_package_is_named_with_its_arguments(offers: Scene) -> None:
    offers.add({"command": "exit 3"}, {"call": "os.path:join", "args": {"a": "x"}})
    offers.run("-q", "-j", "2", "--executor", "crew:2", code=1)

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
    done = offers.run("--executor", executor, code=78)

    assert said in done.err
    assert "Traceback" not in done.err
    assert offers.attempts() == []


def test_two_packages_that_offer_the_same_name_are_both_named(offers: Scene) -> None:
    install(offers.folder / "packages", "your-pools", "crew = your_pools:make")
    offers.add({"command": "true"})
    done = offers.run("--executor", "crew:2", code=78)

    assert "several packages offer 'crew' (my-pools, your-pools): remove all but one" in done.err
