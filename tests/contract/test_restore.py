"""``batchq restore`` puts a backup in place, whatever is there and whoever uses it, and loses nothing of what was there."""

import os
import signal
import stat
from pathlib import Path

import pytest
from conftest import Shell, eventually, finish
from others import CRASHED_WRITER, FOREIGN_READER, another, die


def jobs(shell: Shell, store: str = "batchq.db") -> int:
    return shell("list", "--db", store, "--json", "--limit", "0").out.count('"id"')


def with_a_backup(shell: Shell) -> None:
    shell("add", "-", stdin="true\n" * 30)
    shell("backup", "-q", "b.db")
    shell("add", "-", stdin="true\n" * 12)


def forget(shell: Shell) -> None:
    """Leave nothing for the invariants to look at."""
    for path in shell.folder.glob("batchq.db*"):
        path.unlink()


def test_a_backup_is_put_in_place_and_the_store_that_was_there_is_kept(batchq: Shell) -> None:
    with_a_backup(batchq)
    whole = (batchq.folder / "b.db").read_bytes()

    told = batchq("restore", "b.db").err

    assert told.startswith(f"batchq: restore: {batchq.db()} is now the backup b.db, ")
    assert f"the old store is kept as {batchq.db()}.old" in told
    assert (batchq.folder / "b.db").read_bytes() == whole
    assert stat.S_IMODE(batchq.db().stat().st_mode) == 0o600
    assert (jobs(batchq), jobs(batchq, "batchq.db.old"), jobs(batchq, "b.db")) == (30, 42, 30)
    batchq("run")
    batchq("doctor")
    assert batchq("restore", "-q", "b.db").err == ""
    assert (jobs(batchq), jobs(batchq, "batchq.db.old-2")) == (30, 30)


def test_where_there_is_no_store_a_backup_becomes_one(batchq: Shell) -> None:
    with_a_backup(batchq)
    forget(batchq)

    assert "is kept" not in batchq("restore", "--db", "batchq.db", "b.db").err

    assert jobs(batchq) == 30
    assert sorted(os.listdir(batchq.folder)) == ["b.db", "b.db-lock", "batchq.db", "batchq.db-lock"] or sorted(
        os.listdir(batchq.folder)
    ) == ["b.db", "batchq.db", "batchq.db-lock"]


@pytest.mark.parametrize("after", ["a crash", "a crash and cp", "a crash and mv", "damage", "truncation"])
def test_after_an_accident_a_backup_is_put_in_place_and_the_rest_stays_together(batchq: Shell, after: str) -> None:
    with_a_backup(batchq)
    whole = (batchq.folder / "b.db").read_bytes()
    if "crash" in after:
        die(CRASHED_WRITER.replace('"acknowledged"', '*["y"] * 100'), batchq.db())
    if after == "a crash and cp":
        batchq.db().write_bytes(whole)
    elif after == "a crash and mv":
        (batchq.folder / "b.db").rename(batchq.db())
        (batchq.folder / "b.db").write_bytes(whole)
    elif after == "damage":
        batchq.db().write_bytes(b"x" * 50_000)
    elif after == "truncation":
        os.truncate(batchq.db(), 0)
    left = {path.name: path.read_bytes() for path in batchq.folder.glob("batchq.db*") if "lock" not in path.name}

    if after != "a crash":
        assert "batchq restore" in batchq("list", code=None).err or after in ("damage", "truncation")
    batchq("restore", "b.db")

    assert jobs(batchq) == 30
    kept = {path.name: path.read_bytes() for path in batchq.folder.glob("batchq.db.old*") if "lock" not in path.name}
    assert kept == {name.replace("batchq.db", "batchq.db.old"): content for name, content in left.items()}
    if after == "a crash":
        assert jobs(batchq, "batchq.db.old") == 142


def test_what_is_no_backup_is_not_put_in_place(batchq: Shell) -> None:
    with_a_backup(batchq)
    whole = batchq.db().read_bytes()
    (batchq.folder / "torn").write_bytes((batchq.folder / "b.db").read_bytes()[:40_000])
    (batchq.folder / "text").write_text("not a store, but long enough to be looked at\n" * 30)

    assert "is damaged" in batchq("restore", "torn", code=74).err
    assert "not an SQLite file" in batchq("restore", "text", code=78).err
    assert "there is no store at" in batchq("restore", "nothing", code=66).err
    assert "is the store itself" in batchq("restore", "batchq.db", code=2).err

    assert batchq.db().read_bytes() == whole
    assert not list(batchq.folder.glob("batchq.db.old*"))
    assert not list(batchq.folder.glob("batchq.db-restored*"))


def test_a_store_in_use_can_be_restored_from_with_its_log(batchq: Shell) -> None:
    batchq("init", "other.db")
    with another(FOREIGN_READER, batchq.db()):
        batchq("add", "-", stdin="true\n" * 7)
        batchq("restore", "--db", "other.db", "batchq.db")
    assert jobs(batchq, "other.db") == 7


def test_a_run_at_work_ends_with_74_and_harms_neither_store(batchq: Shell) -> None:
    batchq("add", "--on-crash", "hold", "-c", "sleep 60")
    batchq("add", "-", stdin="echo x >> ran; sleep 0.02\n" * 4000)
    run = batchq.start("run", "-j", "2", "--grace", "300ms", "--max-time", "8s")
    eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE id > 1 AND state = 'succeeded'"))
    batchq("backup", "-q", "b.db")

    told = batchq("restore", "b.db").err
    assert "its runs start no more jobs" in told
    doctor = batchq("doctor", code=None).out
    assert "was at work in another store when this backup was made" in doctor
    again = batchq("run", "--max-jobs", "5", "-q", code=None)
    assert batchq.rows("SELECT state FROM jobs WHERE id = 1") == [("held",)], again
    assert run.poll() is None, "nobody has killed its processes"
    assert not batchq.rows("SELECT 1 FROM jobs WHERE state = 'running'")
    whole = batchq.db().read_bytes()
    done = finish(run, 100)

    assert done.code == 74, done
    assert batchq.db().read_bytes() == whole
    assert batchq("doctor", "--db", "batchq.db.old", code=None).code in (0, 1)
    batchq("add", "--", "true")


def test_an_add_beside_a_restore_is_in_one_store_or_refused(batchq: Shell) -> None:
    """Nothing that was acknowledged goes to a file that nobody finds: it is in the new store or in the one that is kept."""
    with_a_backup(batchq)
    adds = [batchq.start("add", "--", "true") for _ in range(4)]
    batchq("restore", "-q", "b.db")
    adds += [batchq.start("add", "--", "true") for _ in range(2)]
    ended = [finish(one) for one in adds]

    added = sum(one.code == 0 for one in ended)
    assert all(one.code in (0, 66, 74, 75) for one in ended), ended
    assert jobs(batchq) - 30 + jobs(batchq, "batchq.db.old") - 42 == added


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_restores_the_store_of_a_user_for_that_user(batchq: Shell) -> None:
    with_a_backup(batchq)
    batchq.folder.chmod(0o755)
    for name in (".", "batchq.db", "batchq.db-lock"):
        os.chown(batchq.folder / name, 12345, 12345)

    batchq("restore", "--db", "batchq.db", "b.db")

    assert {path.stat().st_uid for path in batchq.folder.glob("batchq.db*")} == {12345}
    for path in (batchq.folder, *batchq.folder.iterdir()):
        os.chown(path, 0, 0)


def test_a_signal_during_a_restore_leaves_one_store_or_the_other(batchq: Shell) -> None:
    with_a_backup(batchq)
    restoring = batchq.start("restore", "b.db")
    restoring.send_signal(signal.SIGTERM)
    restoring.communicate(timeout=60)
    if Path(batchq.db()).exists():
        assert jobs(batchq) in (30, 42)


def test_a_backup_is_not_restored_into_a_folder_that_is_not_there(batchq: Shell) -> None:
    batchq("backup", "-q", "b.db")
    (batchq.folder / "dangling.db").symlink_to(batchq.folder / "away" / "batchq.db")

    for name in ("away/batchq.db", "dangling.db"):
        assert "there is no folder" in batchq("--db", name, "restore", "b.db", code=73).err


def test_a_damaged_backup_is_told_in_one_line(batchq: Shell) -> None:
    batchq("backup", "-q", "b.db")
    with (batchq.folder / "b.db").open("r+b") as file:
        file.seek(5 * 4096)
        file.write(os.urandom(20 * 4096))

    told = batchq("restore", "b.db", code=74).err

    (batchq.folder / "b.db").unlink()  # the invariants do not hold in it
    assert "is damaged" in told and told.count("\n") == 1 and "***" not in told
