"""What a power loss can leave of a store: a log of all that SQLite hands to the disk, cut off anywhere.

The statements of a real session are recorded (``record``) and replayed through a VFS of apsw that logs each write,
sync, truncation and removal (``replay``). A state after a power loss (``Disk.after``) holds what was synced by then,
and of the rest any part in any order, torn at sectors of 512 bytes. Removals are taken to be durable at once.
"""

import itertools
import random
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest
import steps
from steps import Dump

SECTOR = 512
MAIN = "life.db"


class Closed(NamedTuple):
    """A connection was closed."""


class Acknowledged(NamedTuple):
    """So many steps are a promise from here on."""

    steps: int


Event = str | Closed | Acknowledged


def record(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Event], list[Dump]]:
    """All statements of a life in steps, and what the store holds after each step."""
    events: list[Event] = []
    connect = sqlite3.connect
    randomblob = tokens()

    class Watched(sqlite3.Connection):
        def close(self) -> None:
            super().close()
            events.append(Closed())

    def watching(*args: object, factory: type[sqlite3.Connection] = sqlite3.Connection, **options: object) -> object:
        """The same, but random tokens that a replay meets again, and every statement on record."""
        kind = type("Watched", (Watched, factory), {})
        db = connect(*args, factory=kind, **options)  # type: ignore[call-overload]
        db.create_function("randomblob", 1, randomblob)
        db.set_trace_callback(lambda sql: None if sql.startswith("--") else events.append(sql))
        return db

    with monkeypatch.context() as patch:
        patch.setattr("_sqlite3.connect", watching)  # which the store calls
        dumps = steps.history(folder, lambda number: events.append(Acknowledged(number)))
    return events, dumps


def tokens() -> Callable[..., bytes]:
    """What stands in for randomblob(): the same sequence in the session and in its replay."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


class Written(NamedTuple):
    file: str
    offset: int
    data: bytes


class Truncated(NamedTuple):
    file: str
    size: int


class Synced(NamedTuple):
    file: str


class Opened(NamedTuple):
    file: str


class Removed(NamedTuple):
    file: str


Operation = Written | Truncated | Synced | Opened | Removed | Acknowledged


def replay(events: Sequence[Event], folder: Path, synchronous: str = "FULL") -> list[Operation]:
    """What the session hands to the disk, at another level of ``synchronous`` if so asked."""
    log: list[Operation] = []
    vfs = _RecordingVFS(log)
    randomblob = tokens()
    db: apsw.Connection | None = None
    for event in events:
        if isinstance(event, Acknowledged):
            log.append(event)
        elif isinstance(event, Closed):
            if db is not None:
                db.close()
            db = None
        else:
            if db is None:
                db = apsw.Connection(str(folder / MAIN), vfs=vfs.name)
                db.create_scalar_function("randomblob", randomblob, 1)
                db.execute("PRAGMA locking_mode = EXCLUSIVE")  # the VFS has no shared memory
            db.execute(event.replace("synchronous = FULL", f"synchronous = {synchronous}")).fetchall()
    assert db is None
    vfs.unregister()
    return log


class _RecordingVFS(apsw.VFS):
    def __init__(self, log: list[Operation]) -> None:
        self.name = f"batchq-recording-{id(log)}"
        self._log = log
        super().__init__(self.name, "")

    def xOpen(self, name: "str | apsw.URIFilename | None", flags: list[int]) -> apsw.VFSFile:
        return _RecordingFile(self._log, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._log.append(Removed(Path(filename).name))


class _RecordingFile(apsw.VFSFile):
    def __init__(self, log: list[Operation], name: "str | apsw.URIFilename | None", flags: list[int]) -> None:
        super().__init__("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or "temporary"
        self._file = Path(path).name
        self._log = log
        log.append(Opened(self._file))

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._log.append(Written(self._file, offset, bytes(data)))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._log.append(Synced(self._file))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._log.append(Truncated(self._file, newsize))


def state_after(log: Sequence[Operation], chance: random.Random) -> tuple[dict[str, bytes], int]:
    """The files after a power loss at a random moment, and how many steps were acknowledged by then."""
    durable: dict[str, bytearray] = {}
    pending: list[Written | Truncated] = []
    acknowledged = 0
    for operation in log[: chance.randrange(1, len(log) + 1)]:
        match operation:
            case Acknowledged():
                acknowledged = operation.steps
            case Written() | Truncated():
                pending.append(operation)
            case Synced() | Opened() | Removed():
                for one in pending:
                    if one.file == operation.file:
                        _apply(durable, one)
                pending = [one for one in pending if one.file != operation.file]
                if isinstance(operation, Opened):
                    durable.setdefault(operation.file, bytearray())
                if isinstance(operation, Removed):
                    durable.pop(operation.file, None)
    for one in pending:
        drawn = chance.random()
        if drawn < 0.45:
            _apply(durable, one)
        elif drawn < 0.6 and isinstance(one, Written):
            sectors = range(0, len(one.data), SECTOR)
            for start in chance.sample(sectors, chance.randint(0, len(sectors))):
                _apply(durable, Written(one.file, one.offset + start, one.data[start : start + SECTOR]))
    return {name: bytes(content) for name, content in durable.items()}, acknowledged


def _apply(files: dict[str, bytearray], operation: Written | Truncated) -> None:
    content = files.setdefault(operation.file, bytearray())
    if isinstance(operation, Truncated):
        del content[operation.size :]
        content.extend(bytes(operation.size - len(content)))
        return
    end = operation.offset + len(operation.data)
    content.extend(bytes(max(0, end - len(content))))
    content[operation.offset : end] = operation.data


class Verdict(NamedTuple):
    """``corrupt`` is what SQLite found, empty if nothing; ``lost`` counts acknowledged steps that are gone."""

    corrupt: str
    lost: int


def examine(
    files: dict[str, bytes], acknowledged: int, dumps: list[Dump], folder: Path, read: Callable[[Path, int], Dump]
) -> Verdict:
    """Open a state with the SQLite of the standard library and compare it with what each step left."""
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        if not name.endswith("-shm"):
            (folder / name).write_bytes(content)
    try:
        found = read(folder / MAIN, acknowledged)
    except sqlite3.DatabaseError as error:
        return Verdict(str(error), 0)
    if not found and acknowledged == 0:
        return Verdict("", 0)
    if found not in dumps:
        return Verdict("the state after no step", 0)
    same = [step for step, dump in enumerate(dumps) if dump == found]
    if min(same) > acknowledged + 1:
        return Verdict("steps that had not begun", 0)
    return Verdict("", max(0, acknowledged - max(same)))
