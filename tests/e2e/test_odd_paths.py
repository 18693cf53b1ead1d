"""A store may lie wherever a file may: its name is never read as an option, an address, a pattern or a command."""

import os
from pathlib import Path

import pytest
from conftest import Shell

NAMES = [
    b"with space", b"new\nline", b"?mode=ro", b"#fragment", b"%2e%00", b"&;:'\"", b"$(touch pwned)", b"`touch pwned`",
    b"*", b"[a]", b"~x", b"-x", b"--help", b"\\", b"\x1b[31mred", b"\x07\x7f", b"\xff\xfe", "ä€😀".encode(),
    b".hidden", b"file:x", b":memory:", b"n" * 200,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_store_of_any_name_is_used(folder: Path, name: bytes) -> None:
    shell = Shell(folder)
    path = folder / os.fsdecode(name) / os.fsdecode(name + b".db")
    path.parent.mkdir()

    assert shell("add", "--db", str(path), "-c", "echo $BATCHQ_JOB_ID >> did; exit 3").out == "1\n"
    run = shell("run", "--db", str(path), code=1)
    doctor = shell("doctor", "--db", str(path))

    assert (folder / "did").read_text() == "1\n"
    assert path.exists()
    assert not list(folder.rglob("pwned"))
    assert not any(bad in done.out + done.err for done in (run, doctor) for bad in ("\x1b", "\x07", "Traceback"))


@pytest.mark.parametrize("length", [500, 3_800])
def test_a_path_of_any_length_is_used_or_refused_in_a_sentence(folder: Path, length: int) -> None:
    shell = Shell(folder)
    deep = folder
    while len(str(deep)) < length - 100:
        deep /= "d" * 99
    deep /= "d" * (length - len(str(deep)) - 6)
    deep.mkdir(parents=True)

    added = shell("add", "--db", f"{deep}/x.db", "-c", "echo $BATCHQ_JOB_ID >> did", code=None)
    if added.code == 0:
        shell("run", "--db", f"{deep}/x.db")
        assert (folder / "did").read_text() == "1\n"
    else:
        assert added.code in (73, 78)
        assert len(added.err.splitlines()) == 1
        assert not (deep / "x.db").exists()


@pytest.mark.parametrize("form", ["//{}", "/.{}", "{}/../{name}/x.db", "./x.db", "x.db"])
def test_all_forms_of_a_path_mean_one_store(batchq: Shell, form: str) -> None:
    batchq("init", "x.db")
    path = str(batchq.folder / "x.db")
    if form.startswith(("/", "{}")):
        path = form.format(batchq.folder if "name" in form else path, name=batchq.folder.name)
    else:
        path = form

    batchq("add", "--db", str(path), "--", "touch", "did")
    batchq("run", "--db", str(batchq.folder / "x.db"))

    assert (batchq.folder / "did").exists()
