"""``batchq.open``: which store is used, by a path, by the enclosing ``with`` block, or as the command line finds it."""

import os
import warnings
from typing import TYPE_CHECKING

from batchq.api.stores import Store, in_use
from batchq.store.file import opening

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def open(path: str | os.PathLike[str] | None = None, *, create: bool = True) -> Store:
    """Open a store, and return it as a context manager that closes it.

    Without a ``path`` it is the store that the command line would use: ``$BATCHQ_DB``, the nearest ``batchq.db`` here or
    in a folder above, or the user's own. A missing store is created, readable by its owner alone; with ``create=False``
    that is a MissingError. Raises StoreError for a file that is not a store or that others could write, and other
    BatchqErrors (see ``batchq.errors``) if it cannot be opened. Warnings go through the module ``warnings``.
    """
    return open_with_warnings(path, create=create, stacklevel=3)


def usual(stacklevel: int) -> "AbstractContextManager[Store]":
    """Return the store for added functions: that of the enclosing ``with`` block, else that of the command line.

    In another thread or a forked child, the store of the block is opened again.
    """
    from contextlib import nullcontext

    around = in_use.get()
    if around is not None:
        return (
            nullcontext(around)
            if around.is_ours
            else open_with_warnings(around.path, create=True, stacklevel=stacklevel)
        )
    return open_with_warnings(None, create=True, stacklevel=stacklevel)


def around() -> Store | None:
    """The store of the enclosing ``with`` block; it may belong to another thread."""
    return in_use.get()


def open_with_warnings(path: str | os.PathLike[str] | None, *, create: bool, stacklevel: int) -> Store:
    """Open a store as ``open`` does; ``stacklevel`` is that of ``warnings.warn``: the line that a warning names."""
    opened = opening.open_store(None if path is None else os.fsdecode(path), create=create, trust_owner=False)
    try:
        for warning in opened.warnings:
            warnings.warn(warning, stacklevel=stacklevel)
    except Warning:  # if warnings are errors
        opened.close()
        raise
    return Store(opened)
