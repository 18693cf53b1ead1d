"""Which store a command means: ``--db``, ``$BATCHQ_DB``, the nearest ``batchq.db`` upwards, the user's own."""

import os

from batchq.errors import MissingError, StoreError

NAME = "batchq.db"


def locate(explicit: str | None) -> str:
    """The absolute path of the store to use; it need not exist.

    Raises StoreError where the nearest ``batchq.db`` belongs to another user: it is refused, never walked past.
    """
    if named := explicit or os.environ.get("BATCHQ_DB"):
        return os.path.abspath(os.path.expanduser(named))
    return _upwards(os.getcwd()) or _own()


def _upwards(folder: str) -> str | None:
    while True:
        path = os.path.join(folder, NAME)
        try:
            owner = os.lstat(path).st_uid
        except OSError:
            parent = os.path.dirname(folder)
            if parent == folder:
                return None
            folder = parent
            continue
        if owner not in (os.geteuid(), 0) and os.geteuid() != 0:
            raise StoreError(f"{path} belongs to another user (uid {owner}); name your store with --db or BATCHQ_DB")
        return path


def _own() -> str:
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(data, "batchq", NAME)


def missing(path: str) -> MissingError:
    """The refusal for a store that does not exist, with the file that was perhaps meant."""
    import difflib

    folder, name = os.path.split(path)
    try:
        neighbours = [entry for entry in os.listdir(folder) if entry.endswith((".db", ".sqlite", ".sqlite3"))]
    except OSError:
        neighbours = []
    near = difflib.get_close_matches(name, neighbours, n=1)
    hint = f"did you mean {os.path.join(folder, near[0])}?" if near else "make one with 'batchq init' or 'batchq add'"
    return MissingError(f"there is no store at {path}; {hint}")
