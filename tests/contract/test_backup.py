"""A backup is the store of one moment, whole or not there, whatever runs meanwhile."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Shell
from history import a_night, add
from others import CRASHED_WRITER, another, die, end

from batchq.errors import CreateError, UsageError
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.keeping import backup

ADDER = """
    from batchq.store.file.opening import open_at
    from history import add
    store = open_at(path)
    add(store, "true")
    ready()
    while True:
        add(store, *("x" * 500 for _ in range(9)))
"""


def everything(store: Store) -> list[object]:
    return [
        store.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("jobs", "attempts", "outputs", "counters")
    ]


def test_a_backup_is_a_store_with_the_same_contents(store: Store, folder: Path) -> None:
    a_night(store)

    size = backup.backup(store, str(folder / "copy.db"))

    assert size == (folder / "copy.db").stat().st_size
    assert stat.S_IMODE((folder / "copy.db").stat().st_mode) == 0o600
    with open_at(str(folder / "copy.db")) as copy:
        assert everything(copy) == everything(store)
    assert add(store, "true") == [4], "the store goes on"


def test_a_backup_under_a_steady_writer_is_of_one_moment(folder: Path) -> None:
    with open_at(str(folder / "batchq.db"), create=True) as store:
        for _ in range(20):
            add(store, *("y" * 900 for _ in range(200)))
        with another(ADDER, store.path):
            for number in range(10):
                backup.backup(store, str(folder / f"copy{number}.db"))
            taken = [store.fetch("SELECT count(*) FROM jobs")[0][0]]
    for number in range(10):
        with open_at(str(folder / f"copy{number}.db")) as copy:
            ((jobs,),) = copy.fetch("SELECT count(*) FROM jobs")
            assert jobs % 9 == 4001 % 9, "each add is in it wholly or not at all"
            assert 4001 <= jobs <= taken[0]


def test_what_is_there_is_replaced_by_another_file(store: Store, folder: Path) -> None:
    (folder / "copy").write_text("yesterday's")
    (folder / "link").symlink_to("copy")
    before = (folder / "copy").open()

    backup.backup(store, str(folder / "link"))

    assert before.read() == "yesterday's"
    before.close()
    assert (folder / "copy").read_bytes().startswith(b"SQLite format 3")
    assert (folder / "link").is_symlink()
    assert sorted(os.listdir(folder)) == [
        "batchq.db",
        "batchq.db-lock",
        "batchq.db-shm",
        "batchq.db-wal",
        "copy",
        "link",
    ]


@pytest.mark.parametrize("name", ["batchq.db", "batchq.db-wal", "batchq.db-lock", "hard link", "symbolic link"])
def test_the_store_itself_is_never_overwritten(store: Store, folder: Path, name: str) -> None:
    add(store, "true")
    os.link(store.path, folder / "hard link")
    (folder / "symbolic link").symlink_to(store.path)

    with pytest.raises(UsageError, match="the store"):
        backup.backup(store, str(folder / name))

    (folder / "hard link").unlink()
    assert add(store, "true") == [2]


def test_a_store_in_use_is_not_replaced_under_its_log(store: Store, folder: Path) -> None:
    with open_at(str(folder / "other.db"), create=True) as other:
        with pytest.raises(UsageError, match="is a store in use"):
            backup.backup(store, str(folder / "other.db"))
        add(other, "true")


@pytest.mark.parametrize("name", ["", "no/such/folder/copy"])
def test_a_place_that_cannot_be_written_is_a_sentence(store: Store, folder: Path, name: str) -> None:
    with pytest.raises(CreateError, match="cannot write the backup"):
        backup.backup(store, str(folder / name))


def test_a_device_a_pipe_or_a_folder_is_not_replaced(store: Store, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "to a device").symlink_to("/dev/null")
    for name in ("pipe", "to a device"):
        with pytest.raises(CreateError, match=r"not a plain file|belongs to another user"):
            backup.backup(store, str(folder / name))
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    (folder / "pipe").unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("planted", ["draft", "draft that is a link", "target", "link to a file of ours"])
def test_what_another_user_has_put_in_the_way_of_a_backup_is_not_used(store: Store, folder: Path, planted: str) -> None:
    add(store, "secret")
    (folder / "ours").write_text("precious")
    name = "b.db-new" if "draft" in planted else "b.db"
    if "link" in planted:
        (folder / name).symlink_to("ours")
    else:
        (folder / name).write_text("theirs")
    os.lchown(folder / name, 12345, 12345)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if "batchq" not in path.name}

    with pytest.raises(CreateError, match=r"somebody else|belongs to another user|symbolic links"):
        backup.backup(store, str(folder / "b.db"))

    assert {path.name: path.read_bytes() for path in folder.iterdir() if "batchq" not in path.name} == before
    assert (folder / name).lstat().st_uid == 12345


def test_a_backup_that_was_killed_leaves_the_old_one_and_the_next_one_succeeds(batchq: Shell) -> None:
    batchq("backup", "copy", "-q")
    old = (batchq.folder / "copy").read_bytes()
    batchq("add", "--", "true")

    killed = batchq("backup", "copy", code=None, env={"BATCHQ_FAIL": "backup_before_rename:kill"})
    assert killed.code == -9
    assert (batchq.folder / "copy").read_bytes() == old

    assert batchq("backup", "copy").err.endswith("bytes in copy\n")
    assert (batchq.folder / "copy").read_bytes() != old
    assert sorted(os.listdir(batchq.folder)) == ["batchq.db", "batchq.db-lock", "copy"]


def test_what_a_killed_backup_left_is_not_taken_for_a_part_of_the_new_one(batchq: Shell) -> None:
    batchq("init", "killed.db")
    die(CRASHED_WRITER, batchq.folder / "killed.db")
    for suffix in ("", "-wal", "-shm"):
        (batchq.folder / f"killed.db{suffix}").rename(batchq.folder / f"copy-new{suffix}")
    (batchq.folder / "copy-new").chmod(0o644)

    batchq("backup", "copy")

    assert stat.S_IMODE((batchq.folder / "copy").stat().st_mode) == 0o600
    assert '"total": 0' in batchq("list", "--json", "--db", "copy").out
    assert not list(batchq.folder.glob("copy-new*"))


def test_two_backups_to_one_file_do_not_mix(batchq: Shell) -> None:
    holder = """
        import fcntl
        file = open(path, "w")
        fcntl.flock(file, fcntl.LOCK_EX)
        wait()
    """
    with another(holder, batchq.folder / "copy-new") as other:
        assert "another process writes the backup" in batchq("backup", "copy", code=75).err
        end(other)
    batchq("backup", "copy")


def zeroed(path: Path) -> None:
    torn = bytearray(path.read_bytes())
    torn[len(torn) // 2 : len(torn) // 2 + 8192] = bytes(8192)
    path.write_bytes(torn)


def against_its_constraints(path: Path) -> None:
    with open_at(str(path)) as store:
        store.db.execute("PRAGMA ignore_check_constraints = ON")
        store.db.execute("UPDATE jobs SET open_parents = -1 WHERE id = 7")


@pytest.mark.parametrize("damage", [zeroed, against_its_constraints])
def test_a_damaged_store_gives_no_backup(batchq: Shell, damage: Callable[[Path], None]) -> None:
    batchq("add", "-", stdin="\n".join(f"echo {number}" for number in range(5000)))
    whole = batchq.db().read_bytes()
    damage(batchq.db())
    (batchq.folder / "copy").write_text("yesterday's")

    assert "is damaged" in batchq("backup", "copy", code=74).err

    assert (batchq.folder / "copy").read_text() == "yesterday's"
    assert not list(batchq.folder.glob("copy-new*"))
    batchq.db().write_bytes(whole)
