"""A log is taken over by the file that it belongs to, and by no other; a refusal changes no byte."""

import os
import random
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest
from conftest import Shell, eventually, finish
from history import add
from others import CRASHED_WRITER, FOREIGN_READER, another, die

from batchq.errors import LedgerError
from batchq.store.file import checkpoints, frames, log
from batchq.store.file.locks import LockFile
from batchq.store.file.opening import open_at
from batchq.store.keeping import backup

COMMANDS = (("list",), ("add", "--", "true"), ("run",), ("doctor",), ("backup", "copy"), ("retry", "1"), ("report",))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refuses(shell: Shell, words: str) -> None:
    """Every command ends with 74 and the sentence, and leaves every file as it is."""
    before = contents(shell.folder)
    for command in COMMANDS:
        assert words in shell(*command, code=74).err
        assert contents(shell.folder) == before


def clean(shell: Shell) -> None:
    """Leave nothing for the invariants to look at."""
    for path in shell.folder.glob("batchq.db*"):
        path.unlink()


def crashed(shell: Shell) -> None:
    """A store with jobs, a backup ``b.db`` of before, and a log that was left behind."""
    shell("add", "-", stdin="true\n" * 300)
    shell("backup", "-q", "b.db")
    die(CRASHED_WRITER.replace('"acknowledged"', '*["y" * 900] * 300'), shell.db())
    assert Path(f"{shell.db()}-wal").stat().st_size > 100_000


@pytest.mark.parametrize("way", ["cp", "mv"])
def test_a_backup_put_over_a_store_that_crashed_is_refused_and_stays_whole(batchq: Shell, way: str) -> None:
    crashed(batchq)
    whole = (batchq.folder / "b.db").read_bytes()
    if way == "cp":
        shutil.copyfile(batchq.folder / "b.db", batchq.db())
    else:
        (batchq.folder / "b.db").rename(batchq.db())

    refuses(batchq, "batchq.db-wal does not belong to")

    assert batchq.db().read_bytes() == whole
    for suffix in ("-wal", "-shm"):
        Path(f"{batchq.db()}{suffix}").rename(batchq.folder / f"away{suffix}")
    assert batchq("list", "--json", "--limit", "0").out.count('"id"') == 300
    shutil.rmtree(batchq.folder / "copy", ignore_errors=True)


def test_a_store_that_crashed_is_recovered_with_its_own_log(batchq: Shell) -> None:
    crashed(batchq)

    assert log.check(str(batchq.db()))
    assert batchq.rows("SELECT count(*) FROM jobs") == [(600,)]


@pytest.mark.parametrize("is_committed", [False, True])
def test_what_a_power_loss_has_torn_at_the_end_of_a_log_does_not_make_it_anothers(
    batchq: Shell, is_committed: bool
) -> None:
    crashed(batchq)
    page = log.Marks(str(batchq.db())).page
    with Path(f"{batchq.db()}-wal").open("r+b") as file:
        salts = file.read(24)[16:]
        file.seek(0, os.SEEK_END)
        frame = page.to_bytes(4, "big") + (99 if is_committed else 0).to_bytes(4, "big") + salts + bytes(8)
        file.write(frame + b"\x0a" + bytes(4095))  # of the page of the settings only the first sector is new

    assert log.check(str(batchq.db()))
    assert batchq.rows("SELECT count(*) FROM jobs") == [(600,)]


@pytest.mark.parametrize("left", ["-wal", "-wal and -shm", "-journal"])
def test_a_log_of_another_store_is_left_alone(batchq: Shell, left: str) -> None:
    shell = Shell(batchq.folder / "other")
    shell.folder.mkdir()
    shell("init", "batchq.db")
    die(CRASHED_WRITER, shell.db())
    for suffix in ("-wal", "-shm"):
        if suffix in left:
            Path(f"{shell.db()}{suffix}").rename(f"{batchq.db()}{suffix}")
    shutil.rmtree(shell.folder)
    if left == "-journal":
        Path(f"{batchq.db()}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(20) + b"x" * 9000)

    refuses(batchq, f"batchq.db{left[:4] if left != '-journal' else left} does not belong to")
    clean(batchq)


def test_a_log_that_another_program_began_is_recovered(batchq: Shell) -> None:
    batchq("add", "--", "true")
    die(
        """
        import sqlite3
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("UPDATE jobs SET name = 'by hand'")
        """,
        batchq.db(),
    )

    assert not log.check(str(batchq.db()))
    assert batchq.rows("SELECT name FROM jobs") == [("by hand",)]


def test_the_log_of_another_programs_database_is_left_as_it_is(folder: Path) -> None:
    die(
        """
        import sqlite3
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE notes (text)")
        """,
        folder / "notes.db",
    )
    shell = Shell(folder)
    before = contents(folder)
    for command in COMMANDS:
        assert "another program's" in shell(command[0], "--db", "notes.db", *command[1:], code=78).err
        assert {**contents(folder), "notes.db-shm": b""} == {**before, "notes.db-shm": b""}
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_a_store_went_through_its_log_knows_its_file_and_no_copy_made_before(folder: Path, seed: int) -> None:
    """A life by chance: adds, checkpoints of each kind, readers in their way, closes, copies, and a crash at the end."""
    chance = random.Random(seed)
    path = folder / "batchq.db"
    copies: list[bytes] = []
    life = f"""
        import random
        from batchq.store.file import checkpoints
        from batchq.store.file.opening import open_at
        from history import add
        import sqlite3
        chance = random.Random({seed})
        store = open_at(path, create=True)
        add(store, "first")
        readers = []
        for _ in range(chance.randint(1, 12)):
            step = chance.choice("aaapptrcf")
            if step == "a":
                add(store, *["x" * chance.randint(1, 3000)] * chance.randint(1, 60))
            elif step in "pt":
                checkpoints.checkpoint(store, truncate=step == "t")
            elif step == "r":
                readers.append(sqlite3.connect(path, isolation_level=None))
                readers[-1].execute("BEGIN")
                readers[-1].execute("SELECT * FROM jobs").fetchone()
            elif step == "f":
                beside = sqlite3.connect(path, isolation_level=None)
                beside.execute("PRAGMA wal_checkpoint").fetchall()
                beside.close()
            elif step == "c" and readers:
                readers.pop().close()
        add(store, "last")
    """
    for _ in range(chance.randint(1, 4)):
        with open_at(str(path), create=True) as store:
            add(store, *["z" * 500] * chance.randint(1, 30))
            backup.backup(store, str(folder / "copy"))
        copies += [(folder / "copy").read_bytes(), path.read_bytes()]
    copies.pop()  # the last one is the file to which the log belongs
    die(life, path)
    whole = contents(folder)

    log.check(str(path))
    for copy in copies:
        path.write_bytes(copy)
        with pytest.raises(LedgerError, match="does not belong"):
            open_at(str(path))
        assert contents(folder) == {**whole, "batchq.db": copy}
    path.write_bytes(whole["batchq.db"])
    with open_at(str(path)) as store:
        assert store.fetch("SELECT count(*) FROM jobs WHERE work LIKE '%last%'") == [(1,)]
    (folder / "copy").unlink()


# --- while it is in use ------------------------------------------------------------------------------------------------


def a_run(shell: Shell) -> int:
    shell("add", "-", stdin="true\n" * 50 + "sleep 0.05\n" * 3000)
    shell("backup", "-q", "b.db")
    return 3050


def replace(shell: Shell, way: str) -> bytes:
    whole = (shell.folder / "b.db").read_bytes()
    if way == "cp":
        shutil.copyfile(shell.folder / "b.db", shell.db())
    elif way == "mv":
        (shell.folder / "b.db").rename(shell.db())
    else:
        os.truncate(shell.db(), 0)
        whole = b""
    return whole


@pytest.mark.parametrize("way", ["cp", "mv", "truncate"])
def test_a_store_that_is_replaced_under_a_run_ends_it_and_is_not_mixed(batchq: Shell, way: str) -> None:
    a_run(batchq)
    run = batchq.start("run", "-j", "2", "--grace", "1s")
    eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE state = 'succeeded'"))

    whole = replace(batchq, way)
    beside = batchq("add", "--", "true", code=None)
    run.send_signal(signal.SIGTERM)
    done = finish(run)

    assert beside.code in (74, 75, 78), beside
    assert done.code in (74, 143), done
    assert "could not be recorded" in done.err or "nothing more is written" in done.err
    assert batchq.db().read_bytes() == whole
    again = batchq("list", code=None)
    assert again.code == (78 if way == "truncate" else 74), again
    clean(batchq)


def test_a_file_in_the_middle_of_a_checkpoint_is_not_taken_for_one_that_was_overwritten(batchq: Shell) -> None:
    path = batchq.db()
    with open_at(str(path)) as store:
        add(store, "one")
        checkpoints.checkpoint(store, truncate=False)
        add(store, "two")
        whole = path.read_bytes()
        mutex = LockFile(str(path))
        mutex.acquire_mutex(10)
        with path.open("r+b") as file:  # as while its pages are written, one by one
            file.seek((log.Marks(str(path)).page - 1) * 4096)
            file.write(b"\0" * 4096)
        adding = batchq.start("add", "--", "true")
        inode = f":{Path(mutex.path).stat().st_ino} "
        eventually(
            lambda: (
                adding.poll() is not None
                or any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())
            )
        )
        with path.open("r+b") as file:
            file.write(whole)
        mutex.release_mutex()
        mutex.close()
        assert finish(adding).code == 0


@pytest.mark.parametrize("way", ["cp", "truncate"])
def test_a_file_that_was_overwritten_is_noticed_before_the_next_write_and_at_the_close(folder: Path, way: str) -> None:
    path = folder / "batchq.db"
    with open_at(str(path), create=True) as store:
        add(store, "one")
        backup.backup(store, str(folder / "b.db"))
        checkpoints.checkpoint(store, truncate=False)
        add(store, "two")
        log_before = Path(f"{path}-wal").read_bytes()
        whole = b"" if way == "truncate" else (folder / "b.db").read_bytes()
        path.write_bytes(whole)
        with pytest.raises(LedgerError, match="was overwritten while it was in use"):
            add(store, "three")
        with pytest.raises(LedgerError, match="was overwritten"):
            checkpoints.checkpoint(store, truncate=True)

    assert path.read_bytes() == whole
    assert Path(f"{path}-wal").read_bytes() == log_before
    for one in folder.iterdir():
        one.unlink()


def test_checkpoints_vacuums_and_touches_of_others_are_no_alarm(batchq: Shell) -> None:
    with open_at(str(batchq.db())) as store:
        for act in ("PRAGMA wal_checkpoint", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
            add(store, "true")
            db = sqlite3.connect(batchq.db(), isolation_level=None)
            db.execute(act).fetchall()
            db.close()
            add(store, "true")
            batchq("add", "--", "true")
            os.utime(batchq.db())
            batchq("list")
        with another(FOREIGN_READER, batchq.db()):
            add(store, "true")
    batchq("doctor")


def test_a_log_that_its_last_user_takes_away_meanwhile_has_nothing_to_say(folder: Path) -> None:
    """Chaos met it: one run ended while the next one opened the store, and that one broke off."""
    assert list(frames.pages(str(folder / "batchq.db-wal"), 1)) == []


@pytest.mark.parametrize("way", ["another program", "doctor --repair"])
def test_a_copy_made_in_the_middle_of_a_log_is_not_torn_by_the_next_one(batchq: Shell, way: str) -> None:
    batchq("add", "-", stdin="true\n" * 300)
    with open_at(str(batchq.db())) as store:
        with store.writing() as db:
            db.execute("UPDATE settings SET value = value WHERE name = 'last_job'")
        copy = batchq.folder / "middle.db"
        if way == "another program":
            with sqlite3.connect(copy) as made:
                store.db.backup(made)
            made.close()
        else:
            backup.raw(store, str(copy))
        copy.chmod(0o600)
        batchq("add", "-", stdin="exit 3\n" * 2000)
    die(CRASHED_WRITER.replace('"acknowledged"', '*["y" * 900] * 300'), batchq.db())
    copy.rename(batchq.db())

    if way == "doctor --repair":
        refuses(batchq, "batchq.db-wal does not belong to")
    else:  # only how the two fit together tells; SQLite makes its index of the log to find out
        before = {**contents(batchq.folder), "batchq.db-shm": b""}
        for command in COMMANDS:
            assert "batchq.db-wal belong to it? Go back" in batchq(*command, code=74).err
            assert {**contents(batchq.folder), "batchq.db-shm": b""} == before
    clean(batchq)
