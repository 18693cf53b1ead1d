"""Reading several things as they are in one moment."""

import _sqlite3 as sqlite3

from batchq.store.file.connection import Store, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class snapshot:
    """A block in which all that is read is of one moment, whatever runs meanwhile; keep it short: it delays checkpoints."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.fetch("BEGIN")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._store.db.rollback()
        if isinstance(error, sqlite3.Error):  # of what was read without ``fetch``
            raise translated(error, self._store.path) from error
