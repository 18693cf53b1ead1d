"""A store that somebody else has made may hold anything: every command ends in one sentence, and steers no terminal."""

import contextlib
import io
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from history import a_night

from batchq.__main__ import _command
from batchq.store.file import schema, values
from batchq.store.file.objects import tables
from batchq.store.file.opening import open_at

ESCAPE = "x\x1b]0;pwned\x07\x9b\u202ey"
ODD = {"text": ESCAPE, "blob": b"\x1b[31m\xff", "huge": 1 << 62, "infinite": float("inf"), "negative": -(1 << 62)}
COMMANDS = (
    ("list",), ("report",), ("show", "1"), ("show", "2", "--json"), ("logs", "1"), ("explain", "1"), ("explain", "3"),
    ("queue",), ("doctor",), ("prune", "--show"), ("retry", "1"), ("add", "-q", "--", "true"),
)  # fmt: skip


def odd(table: str, column: str) -> list[tuple[str, object]]:
    """A hostile text, and one of the others: over all columns each kind comes often."""
    others = [*ODD][1:]
    return [(name, ODD[name]) for name in ("text", others[len(table + column) % len(others)])]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("night") / "batchq.db"
    with open_at(str(path), create=True) as store:
        a_night(store)
    return path


def columns() -> Iterator[tuple[str, str]]:
    db = sqlite3.connect(":memory:")
    for statement in sorted(schema.OBJECTS, key=lambda sql: not sql.startswith("CREATE TABLE")):
        if statement.startswith("CREATE TABLE"):
            db.execute(statement)
    for table in sorted(tables()):
        for row in db.execute(f"PRAGMA table_info({table})"):
            yield table, row[1]
    db.close()


def poison(path: Path, table: str, column: str, value: object) -> bool:
    """Write a value that no STRICT table takes; whether there was a row for it."""
    db = sqlite3.connect(path, isolation_level=None)
    ((sql,),) = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchall()
    loose = sql.replace(") STRICT", ")").replace("), WITHOUT ROWID", ") WITHOUT ROWID")
    changed = 0
    try:
        for text in (loose, sql):
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (text, table))
            db.execute("PRAGMA writable_schema = RESET")
            db.close()
            db = sqlite3.connect(path, isolation_level=None)
            if text is loose:
                db.execute("PRAGMA ignore_check_constraints = ON")
                with contextlib.suppress(sqlite3.IntegrityError, OverflowError):
                    changed = db.execute(f"UPDATE {table} SET {column} = ?", (value,)).rowcount
    finally:
        db.close()
    return changed > 0


def command(words: tuple[str, ...], path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """One command line in this process, as ``main`` has it: what is not caught there is a traceback."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setenv("BATCHQ_DB", str(path))
        code = _command([word.format(folder=path.parent) for word in words])
    if words[0] == "logs":  # off a terminal it prints bytes as they are
        return code, ""
    return code, "".join(stream.buffer.getvalue().decode() for stream in (out, err))


@pytest.mark.parametrize(("table", "column"), sorted(columns()))
def test_no_value_of_a_wrong_kind_ends_in_a_traceback_or_reaches_the_terminal(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, column: str
) -> None:
    stumbled = []
    for name, value in odd(table, column):
        path = tmp_path / name / "batchq.db"
        path.parent.mkdir()
        shutil.copyfile(night, path)
        path.chmod(0o600)
        if not poison(path, table, column, value):
            continue
        for words in COMMANDS:
            try:
                code, told = command(words, path, monkeypatch)
            except Exception as error:
                stumbled.append((name, words, f"{type(error).__name__}: {error}"))
                continue
            assert code in (0, 1, 2, 3, 65, 66, 74, 75, 78), (name, words, told)
            assert told.replace("\n", "").replace("\t", "").isprintable(), (name, words, told)
    assert not stumbled


def test_a_sound_store_has_no_wrong_value(night: Path) -> None:
    assert values.wrong(str(night)) is None
