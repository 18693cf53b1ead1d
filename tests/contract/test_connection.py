"""An open store among other programs: foreign locks, files that vanish or are not what they should be."""

import os
import sqlite3
from pathlib import Path

import pytest
from conftest import Shell
from history import add
from others import CRASHED_WRITER, EXCLUSIVE, FOREIGN_WRITER, another, die, end

from batchq.errors import BatchqError, BusyError, LedgerError, StoreError
from batchq.store.file import patience
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at


def refused(error: type[BatchqError], code: int, words: str, path: Path) -> None:
    """Opening is refused, to look and to write, and leaves no file beside the one that was there."""
    before = sorted(os.listdir(path.parent)), path.read_bytes() if path.is_file() else b""
    for reading in (False, True):
        with pytest.raises(error, match=words) as refusal:
            open_at(str(path), create=True, reading=reading)
        assert refusal.value.exit_code == code
        assert str(path) in str(refusal.value)
    assert (sorted(os.listdir(path.parent)), path.read_bytes() if path.is_file() else b"") == before


# --- other programs ----------------------------------------------------------------------------------------------------


def test_a_foreign_writer_is_waited_for_until_the_deadline_and_then_named(store: Store) -> None:
    store.patience = 0.3
    with another(FOREIGN_WRITER, store.path) as other:
        with pytest.raises(BusyError, match=rf"process {other.pid} \(python") as refusal:
            add(store, "true")

        assert refusal.value.exit_code == 75
        assert not store.lock.mutex_is_held()
        assert store.fetch("SELECT count(*) FROM jobs") == [(0,)], "readers are not in its way"
        end(other)
        assert add(store, "true") == [1]


def test_a_wait_for_a_foreign_writer_ends_when_the_caller_says_so(store: Store) -> None:
    answers = iter([False, False, True])
    store.patience = 3600
    store.interrupted = lambda: next(answers)
    with another(FOREIGN_WRITER, store.path), pytest.raises(BusyError, match="interrupted"):
        add(store, "true")

    assert list(answers) == []


def test_a_foreign_program_that_locks_out_readers_is_named_too(batchq: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.3)
    with another(EXCLUSIVE, batchq.db()) as other:
        for reading in (True, False):
            with pytest.raises(BusyError, match=rf"process {other.pid} \(python"):
                open_at(str(batchq.db()), reading=reading)


def test_a_reader_is_served_as_soon_as_the_foreign_lock_is_gone(batchq: Shell) -> None:
    batchq("add", "--", "true")
    with another(EXCLUSIVE, batchq.db()) as other:
        listing = batchq.start("list", "--json")
        end(other)

    out, _ = listing.communicate(timeout=60)
    assert listing.returncode == 0
    assert b'"total":' in out.replace(b'" :', b'":')


def test_a_store_is_not_carried_over_a_fork(store: Store) -> None:
    child = os.fork()
    if child == 0:
        try:
            with store.writing():
                os._exit(1)
        except RuntimeError:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- files that are not what they were ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", "-wal", "-lock"])
def test_a_store_that_was_moved_in_use_is_not_written_any_more(folder: Path, suffix: str) -> None:
    path = str(folder / "batchq.db")
    with open_at(path, create=True) as store:
        add(store, "before")
        away = Path(path + suffix).rename(folder / "away")

        with pytest.raises(LedgerError, match="deleted or replaced") as refusal:
            add(store, "lost")

        assert refusal.value.exit_code == 74
        assert path + suffix in str(refusal.value)
        away.rename(path + suffix)
        assert add(store, "after") == [2]


def test_a_store_that_was_replaced_in_use_is_not_written_any_more(folder: Path) -> None:
    path = str(folder / "batchq.db")
    open_at(str(folder / "other.db"), create=True).close()
    with open_at(path, create=True) as store:
        (folder / "other.db").replace(path)

        with pytest.raises(LedgerError, match="replaced"):
            add(store, "lost")
    (folder / "other.db-lock").unlink()


def test_what_was_acknowledged_survives_kill_9_and_is_in_the_log(batchq: Shell) -> None:
    die(CRASHED_WRITER, batchq.db())

    assert Path(f"{batchq.db()}-wal").stat().st_size > 0
    assert batchq.rows("SELECT id FROM jobs") == [(1,)]


def test_a_log_that_was_deleted_after_a_crash_is_noticed(batchq: Shell) -> None:
    die(CRASHED_WRITER, batchq.db())
    Path(f"{batchq.db()}-wal").unlink()

    refusal = batchq("add", "--", "true", code=74)
    assert f"{batchq.db()}-wal is gone" in refusal.err
    assert f"{batchq.db()}-wal is gone, and with it what was written last" in batchq("list").err

    Path(f"{batchq.db()}-shm").unlink()
    assert batchq("add", "--", "true").out == "1\n"


def test_an_index_that_only_could_not_be_deleted_is_no_alarm(batchq: Shell) -> None:
    with open_at(str(batchq.db())) as store:
        add(store, "true")
        store.db.execute("PRAGMA wal_checkpoint").fetchall()  # as SQLite's own at the last close
        left = Path(f"{batchq.db()}-shm").read_bytes()
    Path(f"{batchq.db()}-shm").write_bytes(left)

    assert batchq("add", "--", "true").out == "2\n"


def test_a_log_of_another_store_is_noticed(folder: Path) -> None:
    shell = Shell(folder)
    shell("init", "other.db")
    for path in (folder / "batchq.db", folder / "other.db"):
        with open_at(str(path), create=True) as store:
            for number in range(30):
                add(store, "x" * 900 * (number % 7 + len(path.name)), batch=path.name)
    die(CRASHED_WRITER.replace('"acknowledged"', '*["y" * 3000] * 200'), folder / "other.db")
    (folder / "other.db-wal").rename(folder / "batchq.db-wal")
    (folder / "other.db-shm").unlink()
    whole = (folder / "batchq.db").read_bytes()

    refusal = shell("add", "--", "true", code=None)

    assert refusal.code in (74, 78)
    assert "batchq.db" in refusal.err
    (folder / "batchq.db-wal").unlink(missing_ok=True)
    (folder / "batchq.db-shm").unlink(missing_ok=True)
    (folder / "batchq.db").write_bytes(whole)


def test_a_store_cut_short_is_refused(batchq: Shell) -> None:
    whole = batchq.db().read_bytes()
    os.truncate(batchq.db(), len(whole) // 2)

    for words in (("list",), ("add", "--", "true"), ("run",)):
        assert "is damaged" in batchq(*words, code=74).err
    assert batchq.db().read_bytes() == whole[: len(whole) // 2]
    batchq.db().write_bytes(whole)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"#!/bin/sh\necho not a store, but long enough to be looked at\n" * 20, "not an SQLite file"),
    ],
)
def test_what_is_no_store_is_left_alone(folder: Path, content: bytes, words: str) -> None:
    (folder / "x.db").write_bytes(content)

    refused(StoreError, 78, words, folder / "x.db")


def test_a_folder_and_another_programs_file_are_left_alone(folder: Path) -> None:
    (folder / "dir.db").mkdir()
    refused(StoreError, 78, "not a file", folder / "dir.db")
    db = sqlite3.connect(folder / "notes.sqlite3")
    db.execute("CREATE TABLE notes (text)")
    db.close()
    refused(StoreError, 78, "another program's", folder / "notes.sqlite3")


def test_a_store_of_a_newer_batchq_is_refused_and_left_as_it_is(batchq: Shell) -> None:
    db = sqlite3.connect(batchq.db())
    db.execute("PRAGMA user_version = 9999")
    db.close()

    refused(StoreError, 78, "newer batchq", batchq.db())
    batchq.db().rename(batchq.folder / "newer")


def test_a_symbolic_link_leads_to_one_store_with_one_lock(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "link.db").symlink_to(folder / "real" / "batchq.db")
    with open_at(str(folder / "link.db"), create=True) as one, open_at(str(folder / "real" / "batchq.db")) as two:
        assert one.path == two.path
        with one.writing():
            assert two.lock.mutex_is_held()

    assert sorted(os.listdir(folder)) == ["link.db", "real"]
    (folder / "link.db").unlink()


def test_a_hard_link_is_a_warning(batchq: Shell) -> None:
    os.link(batchq.db(), batchq.folder / "copy")

    assert "has 2 hard links" in batchq("list").err
    assert batchq("add", "--", "true").out == "1\n"
