"""A library is imported without what it could do without, and nobody else in the process notices."""

import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from batchq.store.file.without import without

LIBRARY = """\
try:
    import {extra}
    has_extra = True
except ImportError:
    has_extra = False
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that imports ``mind_the_extra`` where it is installed, as it is here."""
    package = tmp_path / "mind_the_library"
    package.mkdir()
    (package / "__init__.py").write_text("from mind_the_library.inner import has_extra\n")
    (package / "inner.py").write_text(LIBRARY.format(extra="mind_the_extra"))
    (tmp_path / "mind_the_extra.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    yield package.name
    assert sys.meta_path == finders
    for name in [name for name in sys.modules if name.startswith("mind_the_")]:
        del sys.modules[name]


def imported(library: str) -> Any:
    with without("mind_the_extra", library=library):
        return import_module(library)


def test_the_library_does_without_and_whoever_imports_it_later_gets_it_whole(library: str) -> None:
    assert not imported(library).has_extra
    assert "mind_the_extra" not in sys.modules

    assert import_module(library).has_extra
    assert import_module(f"{library}.inner").has_extra


def test_a_library_that_is_loaded_stays_as_it_is(library: str) -> None:
    loaded = import_module(library)

    assert imported(library) is loaded is sys.modules[library]


def test_another_thread_imports_what_it_likes_meanwhile(library: str) -> None:
    with without("mind_the_extra", library=library):
        thread = threading.Thread(target=import_module, args=("mind_the_extra",))
        thread.start()
        thread.join()

    assert "mind_the_extra" in sys.modules


def test_a_library_that_cannot_be_imported_leaves_no_trace(library: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="mind_the_extra"), without("mind_the_extra", library=library):
        import_module("mind_the_extra")

    assert import_module("mind_the_extra")
