"""The beginning of every command that batchq prints."""

import shlex

from batchq.visible import visible


def program(db: str | None) -> str:
    """How commands for this store begin: ``batchq``, or ``batchq --db PATH`` if ``db`` is given."""
    return shlex.join(["batchq", "--db", visible(db, one_line=True)]) if db else "batchq"
