"""The stored target that runs notify, and the last notification that failed; both are settings of the store."""

from batchq.named import NamedTuple
from batchq.store.file.connection import Store

#: In bytes. The settings must stay on one page of the file, by which a log is recognised.
LONGEST_TARGET = 900
_LONGEST_REASON = 300


class Failed(NamedTuple):
    """A notification that could not be delivered: when, to which target (without its password), and why."""

    at: int
    target: str
    reason: str


def target(store: Store) -> str | None:
    """Return the target that runs of this store notify; None if they notify nobody."""
    rows = store.fetch("SELECT value FROM settings WHERE name = 'notify'")
    return str(rows[0][0]) if rows else None


def set_target(store: Store, text: str | None) -> None:
    """Let runs notify this target from now on, or nobody; what failed before no longer matters."""
    with store.writing() as db:
        db.execute("DELETE FROM settings WHERE name IN ('notify', 'notify_failed')")
        if text is not None:
            db.execute("INSERT INTO settings VALUES ('notify', ?)", (text,))


def failed(store: Store) -> Failed | None:
    """Return the last notification, if it failed."""
    import json

    rows = store.fetch("SELECT value FROM settings WHERE name = 'notify_failed'")
    try:
        at, to, reason = json.loads(rows[0][0]) if rows else (None, "", "")
        return None if at is None else Failed(int(at), str(to), str(reason))
    except (ValueError, TypeError):
        return None  # another program wrote it


def note_failure(store: Store, one: Failed | None) -> None:
    """Store the failure of the last notification; None: it was delivered."""
    import json

    if one is None and failed(store) is None:
        return  # nothing to write after each run
    with store.writing() as db:
        db.execute("DELETE FROM settings WHERE name = 'notify_failed'")
        if one is not None:
            cut = one._replace(target=one.target[:_LONGEST_REASON], reason=one.reason[:_LONGEST_REASON])
            db.execute("INSERT INTO settings VALUES ('notify_failed', ?)", (json.dumps(cut, ensure_ascii=False),))
