"""Where a module is, without importing anything."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any


def find(name: str, path: list[str], *, by_all: bool) -> "ModuleSpec | None":
    """Find a module, which may be inside packages, as ``top`` does."""
    first, *rest = name.split(".")
    found = top(first, path, by_all=by_all)
    for part in rest:
        if found is None or found.submodule_search_locations is None:
            return None
        found = by_path(f"{found.name}.{part}", list(found.submodule_search_locations))
    return found


def top(name: str, path: list[str], *, by_all: bool) -> "ModuleSpec | None":
    """Find a module that is in no package, in ``path`` or ``by_all`` the finders of this Python.

    Raises what a finder of another library raises.
    """
    if not by_all:
        return by_path(name, path)
    for finder in sys.meta_path:
        is_path = getattr(finder, "__name__", "") == "PathFinder"
        found = by_path(name, path) if is_path else finder.find_spec(name, None)
        if found is not None:
            return found
    return None


def by_path(name: str, path: list[str]) -> "ModuleSpec | None":
    """Find a module in these folders."""
    finder: Any = sys.modules["_frozen_importlib_external"].PathFinder
    found: ModuleSpec | None = finder.find_spec(name, path)
    if found is None:
        finder.invalidate_caches()  # the file may be brand-new
        found = finder.find_spec(name, path)
    return found
