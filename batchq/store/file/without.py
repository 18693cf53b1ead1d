"""Importing a library without what it would import only because it happens to be installed."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident


class _Refusal:
    """A finder that finds none of ``names`` for one thread, and leaves all other imports to the finders after it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._thread = get_ident()

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        if name in self._names and get_ident() == self._thread:
            raise ModuleNotFoundError(f"{name} is not needed here", name=name)


@contextmanager
def without(*names: str, library: str) -> Iterator[None]:
    """In the block ``library`` is imported as if ``names`` were not installed, which it must be able to do without.

    Those who import it later in this process get it anew, and whole. What is already loaded is taken as it is.
    """
    if library in sys.modules:
        yield
        return
    refusal = _Refusal(names)
    sys.meta_path.insert(0, refusal)
    try:
        yield
    finally:
        sys.meta_path.remove(refusal)
        for module in [name for name in sys.modules if name == library or name.startswith(f"{library}.")]:
            del sys.modules[module]
