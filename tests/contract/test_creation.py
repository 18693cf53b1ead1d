"""Making a store: by many at once, killed in the middle, in places where it cannot be."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Shell
from history import add
from others import ENVIRONMENT

from batchq.errors import CreateError, MissingError
from batchq.store.file import location
from batchq.store.file.opening import open_at

MAKERS = """
import os, sys
from batchq.store.file import migrations
from batchq.store.file.opening import open_at
from history import add
for number in range(40):
    read, write = os.pipe()
    makers = []
    for _ in range(6):
        if (pid := os.fork()) == 0:
            os.close(write)
            os.read(read, 1)
            with open_at(f"{path}/{number}.db", create=True) as store:
                add(store, "true")
            os._exit(0)
        makers.append(pid)
    os.close(read)
    os.close(write)
    assert not any(os.waitpid(pid, 0)[1] for pid in makers)
"""


def test_many_that_make_the_same_store_at_once_all_add_to_it(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"path = {str(folder)!r}\n{MAKERS}"], env=ENVIRONMENT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(folder.glob("*.db"))) == 40
    for path in folder.glob("*.db"):
        with open_at(str(path)) as store:
            assert store.fetch("SELECT count(*) FROM jobs") == [(6,)]


def test_a_creation_that_was_killed_leaves_no_store_and_the_next_one_makes_it(folder: Path) -> None:
    shell = Shell(folder)
    killed = shell("init", code=None, env={"BATCHQ_FAIL": "migration_before_commit:kill"})

    assert killed.code == -9
    assert not shell.db().exists()
    assert (folder / "batchq.db-new").exists()
    assert "there is no store" in shell("list", "--db", "batchq.db", code=66).err
    assert shell("add", "--db", "batchq.db", "--", "true").out == "1\n"
    assert sorted(os.listdir(folder)) == ["batchq.db", "batchq.db-lock"]


def test_a_creation_that_fails_leaves_no_store_and_says_why(folder: Path) -> None:
    shell = Shell(folder)
    failed = shell("init", code=73, env={"BATCHQ_FAIL": "migration_before_commit:error"})

    assert "cannot create the store" in failed.err
    assert os.listdir(folder) == ["batchq.db-lock"]


def test_a_store_is_private_whatever_the_umask(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store in the home folder, whose folder is made with it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    path = Path(location.own())
    previous = os.umask(0)
    try:
        with open_at(str(path), create=True) as store:
            add(store, "true")
            modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    finally:
        os.umask(previous)  # or all tests after this one would fail

    assert modes == {f"batchq.db{suffix}": 0o600 for suffix in ("", "-wal", "-shm", "-lock")}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_missing_store_is_not_made_by_looking(folder: Path) -> None:
    with pytest.raises(MissingError):
        open_at(str(folder / "batchq.db"), reading=True)
    assert os.listdir(folder) == []


def test_a_folder_that_cannot_be_made_is_a_sentence(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(CreateError, match="cannot create the store"):
        open_at(str(folder / "file" / "batchq.db"), create=True)
