"""The log stays short, is emptied only under the mutex, and a crash on the way loses nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import run
from conftest import Shell
from history import add
from others import FOREIGN_READER, MUTEX_HOLDER, another, end

from batchq.errors import BusyError, LedgerError
from batchq.store.file import checkpoints, log, patience
from batchq.store.file.connection import LONG_LOG, Store
from batchq.store.file.locks import LockFile
from batchq.store.file.opening import open_at
from batchq.store.file.patience import Patient

MIB = 1 << 20


def log_of(store: Store) -> int:
    return Path(f"{store.path}-wal").stat().st_size


def write(store: Store, mebibytes: int) -> None:
    """Write so much, as jobs with a long stdin."""
    for _ in range(mebibytes):
        add(store, "cat", stdin="x" * (MIB - 1000))


def test_every_connection_leaves_checkpoints_to_us(store: Store) -> None:
    assert store.fetch("PRAGMA wal_autocheckpoint") == [(0,)]
    write(store, 6)

    assert log_of(store) > 6 * MIB
    assert Path(store.path).stat().st_size < MIB


def test_a_checkpoint_copies_all_into_the_file_and_truncation_empties_the_log(store: Store) -> None:
    write(store, 2)

    assert checkpoints.checkpoint(store, truncate=False) == (True, log_of(store))
    assert log_of(store) > 2 * MIB
    assert Path(store.path).stat().st_size > 2 * MIB
    assert checkpoints.checkpoint(store, truncate=True) == (True, 0)
    assert log_of(store) == 0


def test_it_is_due_only_when_the_log_is_long(store: Store) -> None:
    write(store, 2)
    assert checkpoints.checkpoint_if_due(store) is None

    write(store, 4)
    done = checkpoints.checkpoint_if_due(store)
    assert done is not None
    assert done.is_complete
    assert log_of(store) > 4 * MIB, "a short log keeps its length: to write it anew is cheaper"

    store.checkpoint_at = 0.0
    write(store, 20)
    assert checkpoints.checkpoint_if_due(store) == (True, 0)


def test_tries_are_spaced(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "INTERVAL", 3600)
    write(store, 6)

    assert checkpoints.checkpoint_if_due(store) is not None
    assert checkpoints.checkpoint_if_due(store) is None


def test_a_reader_in_the_way_is_waited_for_no_longer_and_a_very_long_log_is_told(
    batchq: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LONG_INTERVAL", 3600)
    with open_at(str(batchq.db())) as store:
        add(store, "before")
        with another(FOREIGN_READER, store.path) as reader:
            write(store, 20)
            done = checkpoints.checkpoint_if_due(store)
            assert done is not None
            assert (done.is_complete, done.is_stuck) == (False, False)
            assert checkpoints.checkpoint_if_due(store) is None

            write(store, 50)
            store.checkpoint_at = 0.0
            stuck = checkpoints.checkpoint_if_due(store)
            assert stuck is not None
            assert stuck.is_stuck
            assert batchq("doctor").out.count("warning  log") == 1
            end(reader)
        assert not checkpoints.checkpoint(store, truncate=False).is_stuck, "long still, but nobody is in the way"
        assert checkpoints.checkpoint(store, truncate=True) == (True, 0)


def test_no_checkpoint_without_the_mutex(store: Store) -> None:
    write(store, 6)
    store.patience = 0.05
    with another(MUTEX_HOLDER, store.path):
        assert checkpoints.checkpoint_if_due(store) == (False, log_of(store))
        with pytest.raises(BusyError):
            checkpoints.checkpoint(store, truncate=True)
    assert log_of(store) > 6 * MIB


def test_a_close_waits_for_nobody_and_checkpoints_nothing_while_another_process_writes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_at(str(folder / "batchq.db"), create=True) as beside:
        store = open_at(beside.path)
        write(store, 20)
        with another(MUTEX_HOLDER, store.path), monkeypatch.context() as patch:
            patch.setattr(LockFile, "acquire_mutex", lambda *_: pytest.fail("it waits for the mutex"))
            store.close()
            assert run(beside, "list").code == 0
            assert log_of(beside) > 20 * MIB


def test_an_add_waits_its_patience_once(batchq: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "patience", 1.0)
    monkeypatch.setattr(patience, "PATIENCE", 1.0)
    waits = []
    acquire = LockFile.acquire_mutex

    def watched(lock: LockFile, seconds: float, interrupted: Callable[[], bool] | None = None) -> None:
        waits.append(seconds)
        acquire(lock, seconds, interrupted)

    monkeypatch.setattr(LockFile, "acquire_mutex", watched)
    with another(MUTEX_HOLDER, batchq.db()), pytest.raises(BusyError), open_at(str(batchq.db())) as store:
        add(store, "true")
    assert waits == [1.0]


def test_no_checkpoint_into_a_file_that_was_moved(store: Store, folder: Path) -> None:
    away = Path(store.path).rename(folder / "away")
    with pytest.raises(LedgerError):
        checkpoints.checkpoint(store, truncate=True)
    away.rename(store.path)


def test_a_large_add_beside_a_runner_leaves_no_large_log(batchq: Shell) -> None:
    with open_at(str(batchq.db())) as beside:
        batchq("add", "-q", "-", stdin="\n".join(f"echo {'x' * 1000} {number}" for number in range(20_000)))

        assert log_of(beside) == 0
        assert Path(beside.path).stat().st_size > LONG_LOG


def test_the_last_one_out_leaves_only_the_store_and_its_lock_file(folder: Path) -> None:
    first, second = (open_at(str(folder / "batchq.db"), create=True) for _ in range(2))
    add(first, "true")
    first.close()
    assert len(os.listdir(folder)) == 4
    second.close()
    assert sorted(os.listdir(folder)) == ["batchq.db", "batchq.db-lock"]


def test_a_crash_between_copying_and_emptying_loses_nothing(batchq: Shell) -> None:
    batchq("add", "-", stdin="true\n" * 100)
    killed = batchq("prune", "--older-than", "1d", code=None, env={"BATCHQ_FAIL": "in_checkpoint:kill"})

    assert killed.code == -9
    assert Path(f"{batchq.db()}-wal").exists()
    assert batchq.rows("SELECT count(*) FROM jobs") == [(100,)]


def torn(store: Store, *, killed: bool) -> None:
    """Another process copies a part of the log into the file, and is killed there or told that the disk is full.

    The first page, which counts the pages, was copied then, and the last ones were not.
    """
    write(store, 3)
    size = Path(store.path).stat().st_size
    script = f"""if True:
        import resource, signal
        from batchq.errors import LedgerError
        from batchq.store.file import checkpoints
        from batchq.store.file.opening import open_at
        store = open_at({store.path!r})
        signal.signal(signal.SIGXFSZ, signal.{"SIG_DFL" if killed else "SIG_IGN"})
        resource.setrlimit(resource.RLIMIT_FSIZE, ({size} + 40960, resource.RLIM_INFINITY))
        try:
            checkpoints.checkpoint(store, truncate=False)
        except LedgerError:
            import os
            os._exit(3)
    """
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == (-signal.SIGXFSZ if killed else 3)
    with pytest.raises(sqlite3.Error):
        log.Marks(store.path)


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "disk full"])
def test_a_checkpoint_that_stops_on_its_way_is_not_taken_for_an_overwritten_store(store: Store, killed: bool) -> None:
    torn(store, killed=killed)

    add(store, "echo still here")
    with open_at(store.path) as beside:
        add(beside, "echo and here")
        assert checkpoints.checkpoint(store, truncate=True).is_complete
        assert beside.fetch("PRAGMA integrity_check") == [("ok",)]
    assert store.fetch("SELECT count(*) FROM jobs") == [(5,)]
