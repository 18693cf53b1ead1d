"""``-o FILE``: the format by the suffix, an old file replaced whole, and one sentence when it cannot be written."""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Shell, finish

from batchq.errors import CreateError
from batchq.report import formats, writing
from batchq.report.formats import FORMATS
from batchq.store.file.connection import Store


@pytest.fixture
def filled(batchq: Shell) -> Shell:
    batchq("add", "-q", "--name", "good", "--", "true")
    batchq("add", "-q", "--name", "bad", "-c", "exit 3")
    batchq("run", "-q", code=1)
    return batchq


def jobs_in(path: Path) -> int:
    return int(json.loads(path.read_text())["jobs"])


def test_the_suffix_chooses_the_format_and_format_wins(filled: Shell) -> None:
    for words, kind in ((("report", "-o", "a.json"), "report"), (("list", "-o", "a.json"), "list")):
        assert filled(*words).out == ""
        assert json.loads((filled.folder / "a.json").read_text())["kind"] == kind
    filled("report", "-o", "a.JSON", "--format", "table", "--color", "never")
    assert (filled.folder / "a.JSON").read_text().startswith("2 jobs")
    filled("report", "--json", "-o", "b.txt")
    assert jobs_in(filled.folder / "b.txt") == 2
    assert filled("report", "-o", "-").out == filled("report").out
    assert json.loads(filled("report", "--json", "-o", "/dev/stdout").out)["jobs"] == 2


@pytest.mark.parametrize("command", ["report", "list"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(filled: Shell, command: str) -> None:
    known = [suffix for one in FORMATS if one.lists or command == "report" for suffix in one.suffixes]

    refused = filled(command, "-o", "night.foo", code=2).err

    assert refused.startswith("batchq: the name of night.foo does not show its format")
    assert refused.rpartition(": ")[2] == ", ".join(known) + "\n"
    assert not (filled.folder / "night.foo").exists()


def test_json_and_another_format_exclude_each_other(filled: Shell) -> None:
    assert "exclude each other" in filled("report", "--json", "--format", "table", code=2).err


def test_each_format_names_a_renderer_that_exists_and_no_suffix_is_in_two_of_them() -> None:
    suffixes = [suffix for one in FORMATS for suffix in one.suffixes]

    assert len(suffixes) == len(set(suffixes))
    assert len(set(formats.NAMES)) == len(FORMATS)
    for one in FORMATS:
        module, _, function = one.renderer.partition(":")
        code = f"import batchq.report.{module} as found; found.{function}"
        subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})


def test_the_exit_code_is_the_same_with_a_file(filled: Shell) -> None:
    assert filled("report", "--exit-code", "-o", "a.json", code=1).out == ""
    assert filled("report", "1", "--exit-code", "-o", "a.json").out == ""
    assert filled("report", "99", "-o", "a.json", code=66).err


def test_the_file_is_private_and_replaces_the_old_one_and_what_a_killed_one_left(filled: Shell) -> None:
    path = filled.folder / "a.json"
    path.write_text("old")
    path.chmod(0o644)
    (filled.folder / ".a.json.batchq-new").write_text("left by a killed one")
    before = path.stat().st_ino

    filled("report", "-o", "a.json")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_ino != before
    assert jobs_in(path) == 2
    assert not [*filled.folder.glob(".a.json*")]


def test_the_mode_of_a_public_format_obeys_the_umask(store: Store, folder: Path) -> None:
    old = os.umask(0o027)
    try:
        writing.write(str(folder / "a.prom"), ["x"], store, 0o644)
        assert os.umask(0o027) == 0o027, "the umask is as it was"
    finally:
        os.umask(old)
    assert stat.S_IMODE((folder / "a.prom").stat().st_mode) == 0o640


def test_a_link_stays_and_its_file_is_replaced(filled: Shell) -> None:
    (filled.folder / "there").mkdir()
    (filled.folder / "link.json").symlink_to("there/real.json")

    for _ in range(2):
        filled("report", "-o", "link.json")

    assert (filled.folder / "link.json").is_symlink()
    assert jobs_in(filled.folder / "there/real.json") == 2


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (".", "it is a folder; name a file in it"),
        ("nowhere/a.json", "there is no folder "),
        ("/dev/full", "No space left on device"),
        ("x" * 250 + ".json", "File name too long"),
        ("socket", "it is not a plain file; name another file"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_sentence(
    filled: Shell, path: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as bound:
        monkeypatch.chdir(filled.folder)  # the path of a socket is short
        bound.bind("socket")
        refused = filled("report", "--format", "json", "-o", path, code=73).err

    assert refused.startswith("batchq: cannot write the report")
    assert sentence in refused
    assert refused.count("\n") == 1


@pytest.mark.parametrize("name", ["batchq.db", "batchq.db-lock", "hard.db"])
def test_the_store_is_never_overwritten(filled: Shell, name: str) -> None:
    (filled.folder / "hard.db").hardlink_to(filled.db())

    assert "name another file" in filled("report", "--format", "json", "-o", name, code=2).err
    assert filled.rows("SELECT count(*) FROM jobs") == [(2,)]
    (filled.folder / "hard.db").unlink()


def test_a_pipe_gets_the_report(filled: Shell) -> None:
    os.mkfifo(filled.folder / "pipe")
    writer = filled.start("report", "--format", "json", "-o", "pipe")
    with (filled.folder / "pipe").open() as reader:
        assert json.load(reader)["jobs"] == 2
    assert finish(writer).code == 0
    assert stat.S_ISFIFO((filled.folder / "pipe").stat().st_mode)


def test_a_process_substitution_gets_the_report(filled: Shell) -> None:
    script = f"{sys.executable} -m batchq report --json -o >(cat)"
    done = subprocess.run(["bash", "-c", script], cwd=filled.folder, env=filled.env, capture_output=True, check=True)
    assert json.loads(done.stdout)["jobs"] == 2  # which is at its end when cat is


def test_an_error_while_it_is_made_leaves_the_old_file(store: Store, folder: Path) -> None:
    path = folder / "a.txt"
    path.write_text("old")

    def broken() -> Iterator[str]:
        yield "new"
        raise CreateError("the renderer failed")

    with pytest.raises(CreateError, match="the renderer failed"):
        writing.write(str(path), broken(), store, 0o600)

    assert path.read_text() == "old"
    assert [one.name for one in folder.iterdir() if "a.txt" in one.name] == ["a.txt"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(filled: Shell) -> None:
    path = filled.folder / "a.json"
    path.write_text("old")

    script = f"ulimit -f 1; trap '' XFSZ; exec {sys.executable} -m batchq report --json -o a.json"
    done = subprocess.run(
        ["bash", "-c", script], cwd=filled.folder, env=filled.env, capture_output=True, text=True, check=False
    )

    assert done.returncode == 73, done
    assert "cannot write the report" in done.stderr and "File too large" in done.stderr
    assert path.read_text() == "old"
    assert not [*filled.folder.glob(".a.json*")]


def test_two_at_once_wait_for_each_other_and_both_succeed(store: Store, folder: Path) -> None:
    path = folder / "a.txt"
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[str]:
        begun.set()
        assert go_on.wait(60)
        yield "first"

    first = threading.Thread(target=writing.write, args=(str(path), slow(), store, 0o600))
    first.start()
    assert begun.wait(60)
    others = [threading.Thread(target=writing.write, args=(str(path), [f"other {n}"], store, 0o600)) for n in range(5)]
    for one in others:
        one.start()
    assert not path.exists()
    go_on.set()
    for one in (first, *others):
        one.join(60)
    assert path.read_text().startswith("other")
    assert [one.name for one in folder.iterdir() if "a.txt" in one.name] == ["a.txt"]


def test_a_digest_is_what_the_run_printed_and_nothing_if_all_is_well(batchq: Shell) -> None:
    batchq("add", "-q", "-", stdin="true\nexit 3\nexit 4\n")
    printed = batchq("run", code=1).err

    assert batchq("report", "last", "--format", "digest").out == printed
    assert batchq("report", "1", "--format", "digest").out == ""
    batchq("report", "--format", "digest", "-o", "mail")
    assert (batchq.folder / "mail").read_text() == printed
