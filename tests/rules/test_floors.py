"""A module imports only from lower floors, and SQL and processes stay in their rooms; read from the source itself."""

import ast
import re
from pathlib import Path

import pytest

import batchq

HOUSE = Path(batchq.__file__).parent
FLOORS = {
    "errors": 0,
    "clock": 0,
    "spoken": -1,
    "folder": 1,
    "failpoints": 0,
    "draft": 1,
    "visible": 0,
    "named": 0,
    "notes": 1,
    "paths": 0,
    "context": 1,
    "jobs": 1,
    "events": 1,
    "store": 2,
    "notify": 4,
    "processes": 2,
    "executors": 3,
    "runner": 4,
    "report": 4,
    "api": 5,
    "cli": 5,
    "__main__": 6,
}
ROOMS = sorted(HOUSE.rglob("*.py"))


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "batchq"


def imports_of(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] == "batchq"]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "batchq":
            assert node.module is not None
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def module_of(path: Path) -> str:
    return ".".join(("batchq", *path.relative_to(HOUSE).with_suffix("").parts))


@pytest.mark.parametrize("path", ROOMS, ids=module_of)
def test_a_module_imports_only_from_lower_floors_or_its_own_room(path: Path) -> None:
    mine = room_of(module_of(path))
    if path == HOUSE / "__init__.py":
        return

    for imported in imports_of(path):
        other = room_of(imported)
        assert other in FLOORS, f"{module_of(path)} imports {imported}, which stands on no floor"
        assert other == mine or FLOORS[other] < FLOORS[mine], f"{module_of(path)} imports {imported} from above"


SQL = re.compile(r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE|PRAGMA\s)", re.S)


@pytest.mark.parametrize("path", ROOMS, ids=module_of)
def test_sql_is_written_only_in_the_store(path: Path) -> None:
    if room_of(module_of(path)) == "store":
        return

    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [text for text in texts if SQL.search(text)]
    assert "sqlite3" not in path.read_text().split("import ")[1:] or "execute" not in path.read_text()


@pytest.mark.parametrize("path", ROOMS, ids=module_of)
def test_processes_are_started_and_signalled_only_in_their_room(path: Path) -> None:
    if room_of(module_of(path)) == "processes":
        return

    forbidden = {"fork", "posix_spawn", "posix_spawnp", "kill", "killpg", "system", "Popen", "execv", "execve"}
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("os", "subprocess")
    }
    assert not used & forbidden


@pytest.mark.parametrize("path", ROOMS, ids=module_of)
def test_no_module_has_a_name_that_says_nothing(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "base", "manager", "helpers", "misc"}


def test_the_rule_would_notice_an_import_from_above(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("from batchq.runner import run\n")

    assert [room_of(name) for name in imports_of(bad)] == ["runner"]
    assert FLOORS["runner"] > FLOORS["store"]


INNER = {  # from below to above; "" are the modules that lie in no room
    "store": ["file", "", "adding", "running", "looking", "answering", "changing", "keeping"],
    "jobs": ["", "causes", "reading"],
    "cli": ["", "add", "run", "look", "logs", "change", "update", "top", "keep", "about"],
}


def inner_room_of(module: str) -> str:
    house, name, *rest = module.split(".")[1:]
    return name if rest or name in INNER[house] else ""


@pytest.mark.parametrize("house", INNER)
def test_a_room_imports_only_from_rooms_below_it(house: str) -> None:
    floors = {room: floor for floor, room in enumerate(INNER[house])}
    for path in sorted((HOUSE / house).rglob("*.py")):
        mine = inner_room_of(module_of(path))
        for imported in imports_of(path):
            if imported.startswith(f"batchq.{house}.") and (found := _module_in(imported)) is not None:
                other = inner_room_of(found)
                assert floors[other] <= floors[mine], f"{module_of(path)} imports {imported} from above"


def _module_in(name: str) -> str | None:
    """The module that this is, or lies in; None for a room."""
    for found in (name, name.rpartition(".")[0]):
        if HOUSE.parent.joinpath(*found.split(".")).with_suffix(".py").exists():
            return found
    return None


def test_the_map_of_the_store_names_each_of_its_rooms() -> None:
    import batchq.store

    lines = (batchq.store.__doc__ or "").strip().splitlines()[2:]
    assert [line.split()[0].replace("(here)", "") for line in reversed(lines)] == INNER["store"]
