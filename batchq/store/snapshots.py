"""Reading several things from one state of the store."""

import _sqlite3 as sqlite3

from batchq.store.file.connection import Store, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class snapshot:
    """A block in which all reads see the same state of the store. Keep it short: it delays checkpoints."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.fetch("BEGIN")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._store.db.rollback()
        if isinstance(error, sqlite3.Error):  # from reads without ``fetch``
            raise translated(error, self._store.path) from error
