"""New stores for tests that ask nothing about how one is made: copies of one, which take a tenth of the time."""

import os
import re
import tempfile
from functools import cache
from pathlib import Path

from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at


@cache
def _first() -> tuple[bytes, bytes]:
    """The bytes of a new store, and those of them that tell it from any other."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "first.db"
        with open_at(str(path), create=True) as store:
            ((name,),) = store.fetch("SELECT value FROM settings WHERE name = 'store_id'")
        content, mark = path.read_bytes(), str(name).encode()
    assert content.count(mark) == 1
    assert re.fullmatch(b"[0-9a-f]{32}", mark)
    return content, mark


def open_new(path: Path | str) -> Store:
    """An open store that is like one that ``open_at(path, create=True)`` has just made."""
    content, mark = _first()
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content.replace(mark, os.urandom(16).hex().encode()))
    return open_at(str(path))
