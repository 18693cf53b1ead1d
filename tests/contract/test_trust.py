"""Nobody but its owner decides what a store runs: stores of others, folders and logs that others can write."""

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import Done, Shell, eventually, nothing_left

MALLORY = 54321
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody can reach: not below pytest's, which each pytest that starts shuts to all others."""
    with TemporaryDirectory() as name, nothing_left(Path(name)) as folder:
        folder.chmod(0o711)
        yield folder


def in_folder(folder: Path) -> Shell:
    shell = Shell(folder)
    shell.env["HOME"] = str(folder / "home")
    return shell


def as_mallory(folder: Path, code: str, *arguments: str | Path) -> None:
    """Run Python of another user, with no right of root's."""
    child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            os.setgroups([])
            os.setresgid(MALLORY, MALLORY, MALLORY)
            os.setresuid(MALLORY, MALLORY, MALLORY)
            exec(code, {"arguments": list(map(str, arguments))})
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def stranger_store(place: Path, folder: Path) -> Path:
    """A store of mallory's in ``folder``, with a job that says who ran it."""
    made = place / "made"
    made.mkdir()
    shell = in_folder(made)
    shell.make_store()
    shell("add", "--db", "batchq.db", "-c", f"id -u > {place}/pwned")
    shutil.move(made / "batchq.db", folder / "batchq.db")
    os.chown(folder / "batchq.db", MALLORY, MALLORY)
    return folder / "batchq.db"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- stores of others --------------------------------------------------------------------------------------------------


def test_root_does_not_use_a_store_of_another_user_that_it_found_on_the_way_up(place: Path) -> None:
    shared = place / "shared"
    (shared / "work").mkdir(parents=True)
    shared.chmod(0o1777)
    theirs = stranger_store(place, shared)
    before = contents(shared)
    work = in_folder(shared / "work")

    for words in (("add", "--", "true"), ("run",), ("list",), ("doctor",), ("retry", "1"), ("backup", "b")):
        refusal = work(*words, code=78)
        assert f"{theirs} belongs to another user (uid {MALLORY})" in refusal.err

    assert contents(shared) == before
    assert not (place / "pwned").exists()


def test_a_link_of_another_user_to_a_store_is_not_followed_on_the_way_up(place: Path) -> None:
    (place / "ours").mkdir()
    in_folder(place / "ours").make_store()
    (place / "shared" / "work").mkdir(parents=True)
    (place / "shared" / "batchq.db").symlink_to(place / "ours" / "batchq.db")
    os.lchown(place / "shared" / "batchq.db", MALLORY, MALLORY)

    assert "belongs to another user" in in_folder(place / "shared" / "work")("add", "--", "true", code=78).err


@pytest.mark.parametrize("named", ["option", "variable"])
def test_a_named_store_of_another_user_is_looked_at_with_a_warning_and_run_only_on_demand(
    place: Path, named: str
) -> None:
    home = place / "mallory"
    home.mkdir()
    os.chown(home, MALLORY, MALLORY)
    theirs = stranger_store(place, home)
    shell = in_folder(place)
    if named == "variable":
        shell.env["BATCHQ_DB"] = str(theirs)

    def command(verb: str, *words: str, code: int = 0) -> Done:
        return shell(verb, *(() if named == "variable" else ("--db", str(theirs))), *words, code=code)

    for verb, words in (("add", ("--", "true")), ("run", ()), ("run", ("--max-jobs", "1", "-v"))):
        refusal = command(verb, *words, code=78)
        assert f"belongs to another user (uid {MALLORY}), who decides what it runs" in refusal.err
        assert "--trust-owner" in refusal.err
    assert "warning: " in command("list").err
    assert not (place / "pwned").exists()

    assert "belongs to another user" in command("hold", "1").err
    command("release", "1")
    assert command("add", "--trust-owner", "-q", "--", "true").err.count("belongs to another user") == 1
    assert "belongs to another user" in command("run", "--trust-owner", "--halt=never").err
    assert (place / "pwned").read_text() == "0\n"
    assert {path.stat().st_uid for path in home.iterdir() if path.name.startswith("batchq.db")} == {MALLORY}


@pytest.mark.parametrize("words", [("list",), ("doctor",), ("backup", "-q", "copy"), ("explain", "1")], ids=str)
def test_a_lock_file_that_root_makes_beside_a_users_store_is_the_users(place: Path, words: tuple[str, ...]) -> None:
    home = place / "mallory"
    home.mkdir()
    os.chown(home, MALLORY, MALLORY)
    theirs = stranger_store(place, home)

    in_folder(place)(*words, "--db", str(theirs), code=None)

    assert Path(f"{theirs}-lock").stat().st_uid == MALLORY
    as_mallory(home, "import os; os.close(os.open(arguments[0], os.O_RDWR))", f"{theirs}-lock")


# --- folders and side files --------------------------------------------------------------------------------------------


def planted_log(place: Path) -> bytes:
    """A log that holds all pages of a store with a hostile job."""
    made = place / "evil"
    made.mkdir()
    shell = in_folder(made)
    shell.make_store()
    shell("add", "--db", "batchq.db", "-c", f"touch {place}/pwned")
    db = sqlite3.connect(made / "batchq.db", isolation_level=None)
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("VACUUM")
    log = (made / "batchq.db-wal").read_bytes()
    db.close()
    assert len(log) > 100_000
    return log


PLANT = """
import os
fd = os.open(arguments[0], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
os.write(fd, open(arguments[1], 'rb').read())
"""
COMMANDS = (("list",), ("add", "--", "true"), ("run",), ("doctor",), ("backup", "../copy"), ("retry", "1"))


@pytest.mark.parametrize("suffix", ["-wal", "-journal", "-shm", "-lock"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_what_another_user_puts_beside_a_store_is_not_taken_over(place: Path, mode: int, suffix: str) -> None:
    folder = place / "victim"
    folder.mkdir()
    shell = in_folder(folder)
    shell.make_store()
    if suffix == "-lock":
        (folder / "batchq.db-lock").unlink()
    os.chown(folder, -1, MALLORY)
    folder.chmod(mode)
    (place / "planted").write_bytes(planted_log(place))
    (place / "planted").chmod(0o644)
    as_mallory(place, PLANT, folder / f"batchq.db{suffix}", place / "planted")
    before = contents(folder)

    for words in COMMANDS:
        assert str(folder) in shell(*words, code=78).err

    assert contents(folder) == before
    assert not (place / "pwned").exists()
    (folder / f"batchq.db{suffix}").unlink()
    folder.chmod(0o700)
    shell("doctor")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o775, 0o703])
def test_a_store_in_a_folder_that_others_can_write_is_refused_with_the_command_that_helps(
    batchq: Shell, mode: int
) -> None:
    batchq.folder.chmod(mode)
    for words in (("add", "--", "true"), ("run",), ("list",), ("init", "new.db")):
        assert f"chmod go-w {batchq.folder}" in batchq(*words, code=78).err
    assert sorted(os.listdir(batchq.folder)) == ["batchq.db", "batchq.db-lock"]

    batchq.folder.chmod(0o755)
    batchq("add", "--", "true")


def test_a_group_without_other_members_is_the_user_alone(place: Path) -> None:
    import grp
    import pwd

    users = [user for user in pwd.getpwall() if user.pw_uid and _has_a_private_group(user)]
    if not users:
        pytest.skip("no user here has a group of the same name")
    from batchq.errors import StoreError
    from batchq.store.file import trust

    folder = place / "project"
    folder.mkdir()
    folder.chmod(0o775)
    os.chown(folder, users[0].pw_uid, users[0].pw_gid)
    assert trust.check_folder(str(folder / "batchq.db"), users[0].pw_uid) is None

    other = next(group.gr_gid for group in grp.getgrall() if group.gr_gid not in (0, users[0].pw_gid))
    os.chown(folder, users[0].pw_uid, other)
    with pytest.raises(StoreError):
        trust.check_folder(str(folder / "batchq.db"), users[0].pw_uid)


def _has_a_private_group(user: "object") -> bool:
    import grp

    name, group = user.pw_name, user.pw_gid  # type: ignore[attr-defined]
    try:
        found = grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}


def test_a_store_in_a_folder_like_tmp_is_used_and_nothing_of_it_is_left_for_others_to_make(place: Path) -> None:
    folder = place / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    shell = in_folder(folder)
    shell("init", "batchq.db")
    shell("add", "-c", "sleep 60")
    run = shell.start("run")
    try:
        eventually(lambda: " running " in shell("list").out)
        for suffix in ("-wal", "-shm", "-journal", "-lock"):
            assert (folder / f"batchq.db{suffix}").stat().st_uid == 0
    finally:
        run.send_signal(signal.SIGQUIT)
        run.communicate(timeout=60)
    shell("doctor")


def test_a_folder_of_a_third_user_needs_trust(place: Path) -> None:
    folder = place / "theirs"
    folder.mkdir()
    os.chown(folder, MALLORY, MALLORY)
    shell = in_folder(folder)

    refusal = shell("init", "batchq.db", code=78)
    assert f"belongs to another user (uid {MALLORY})" in refusal.err
    assert os.listdir(folder) == []

    (folder / "jobs").write_text("touch ran\n")
    shell("run", "--trust-owner", "--db", "batchq.db", "jobs", "--quiet", code=None)
    shell("add", "--trust-owner", "--db", "batchq.db", "--", "true")
    assert "--trust-owner" in shell("run", code=78).err
    assert "who can replace" in shell("list").err


def test_a_side_file_that_is_not_a_file_or_that_others_can_write_is_refused(batchq: Shell) -> None:
    wal, lock = batchq.folder / "batchq.db-wal", batchq.folder / "batchq.db-lock"
    wal.symlink_to("elsewhere")
    assert "is not a plain file" in batchq("list", code=78).err
    wal.unlink()
    os.mkfifo(wal)
    assert "is not a plain file" in batchq("list", code=78).err
    wal.unlink()
    lock.chmod(0o622)
    assert f"chmod go-w {lock}" in batchq("run", code=78).err
    lock.chmod(0o600)
    batchq("run")


# --- modes -------------------------------------------------------------------------------------------------------------

LOOK = """
from batchq.store.file.opening import open_at
with open_at(arguments[0], reading=True) as store:
    assert store.fetch("SELECT count(*) FROM jobs") == [(1,)]
"""
ADD = """
from batchq.store.file.opening import open_at
with open_at(arguments[0]) as store, store.writing() as db:
    db.execute("UPDATE settings SET value = value")
"""


def test_who_looked_at_a_store_while_it_was_read_only_can_write_it_again(place: Path) -> None:
    """SQLite makes the files beside a store with its mode, and leaves them there."""
    home = place / "home"
    home.mkdir()
    os.chown(home, MALLORY, MALLORY)
    store = stranger_store(place, home)
    for mode in (0o400, 0o444):
        store.chmod(mode)
        as_mallory(home, LOOK, store)
        assert all(file.stat().st_mode & 0o200 for file in home.glob("batchq.db-*"))
        store.chmod(0o600)
        as_mallory(home, ADD, store)


def test_files_of_a_mode_that_shuts_their_owner_out_are_put_right(place: Path) -> None:
    """As another program leaves them that has looked at a read-only store."""
    home = place / "home"
    home.mkdir()
    os.chown(home, MALLORY, MALLORY)
    store = stranger_store(place, home)
    store.chmod(0o400)
    code = (
        "import sqlite3; sqlite3.connect(arguments[0]).execute('SELECT * FROM jobs').fetchall(); import os; os._exit(0)"
    )
    as_mallory(home, code, store)
    assert (home / "batchq.db-shm").stat().st_mode & 0o777 == 0o400
    store.chmod(0o600)
    as_mallory(home, ADD, store)


def test_a_reader_makes_no_files_beside_the_store_of_another_user(place: Path) -> None:
    """They would be the reader's, and the owner could not use his store any more."""
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    made = in_folder(shared)
    made.make_store()
    made("add", "--db", "batchq.db", "-c", "true")
    (shared / "batchq.db").chmod(0o644)
    as_mallory(shared, LOOK, shared / "batchq.db")
    assert [file for file in shared.iterdir() if file.stat().st_uid != 0] == []
    made("add", "--db", "batchq.db", "-c", "true")


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", "-lock"])
def test_a_side_file_that_is_another_file_by_a_hard_link_is_refused_and_that_one_stays_whole(
    batchq: Shell, suffix: str
) -> None:
    precious = batchq.folder / "precious"
    precious.write_bytes(b"worth keeping " * 1000)
    precious.chmod(0o600)
    beside = Path(f"{batchq.db()}{suffix}")
    beside.unlink(missing_ok=True)
    os.link(precious, beside)

    for command in (("list",), ("add", "--", "true"), ("run",), ("backup", "b.db")):
        assert f"{suffix} is also another file" in batchq(*command, code=78).err

    assert precious.read_bytes() == b"worth keeping " * 1000
    beside.unlink()
    batchq("run")
