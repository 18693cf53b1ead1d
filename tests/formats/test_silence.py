"""Readers are silent: no reading command and no format changes the store, or keeps a writer waiting."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import run
from conftest import Shell, eventually, finish
from history import a_night

from batchq.report.formats import NAMES, OF_LISTS
from batchq.store.file.opening import open_at

READING = [
    ("report",),
    ("report", "--exit-code"),
    ("list",),
    ("show", "1"),
    ("logs", "1"),
    ("explain", "3"),
    ("wait", "1"),
    ("queue", "list"),
    ("doctor",),
    ("datasette-metadata",),
    *(("report", "--format", name) for name in NAMES),
    *(("report", "-o", "out", "--format", name) for name in NAMES),
    *(("list", "--format", name) for name in OF_LISTS),
]
IN_USE = [("list",), ("show", "1"), ("explain", "3"), *(("report", "--format", name) for name in NAMES)]
WRITES = re.compile(r"(?:write|writev|pwrite64|ftruncate|fallocate)\(\d+<([^>]*)>")


def a_store(batchq: Shell) -> None:
    with open_at(str(batchq.db())) as store:
        a_night(store)


def test_no_reading_command_changes_a_store_at_rest_or_leaves_a_file_there(
    batchq: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(batchq.folder)
    a_store(batchq)
    before = batchq.db().read_bytes()
    with open_at(str(batchq.db())) as store:
        pass  # closed again: each command opens it by itself

    for words in READING:
        assert run(store, *words).code in (0, 1)
        left = {path.name for path in batchq.folder.glob("batchq.db*")}
        assert left == {"batchq.db", "batchq.db-lock"}, words
        assert batchq.db().read_bytes() == before, words


def writes_to(batchq: Shell, *words: str) -> set[str]:
    """The files of the store to which a command writes, or which it removes, by strace."""
    calls = "trace=write,writev,pwrite64,ftruncate,fallocate,unlink,rename"
    done = subprocess.run(
        ["strace", "-f", "-y", "-qq", "-e", calls, "-o", "trace", *batchq.argv(*words)],
        cwd=batchq.folder, env=batchq.env, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    trace = (batchq.folder / "trace").read_text()
    assert not re.search(r"(?:unlink|rename)\(.*batchq\.db", trace)
    return {name for path in WRITES.findall(trace) if (name := Path(path).name).startswith("batchq.db")}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: see scripts/packages")
def test_no_reader_writes_to_a_store_in_use(batchq: Shell) -> None:
    a_store(batchq)
    batchq("add", "-q", "--queue", "gate", "-c", "until test -e gate; do sleep 0.05; done")
    with batchq.start("run", "-q", "--queue", "gate") as started:
        eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE state = 'running'"))

        for words in IN_USE:
            assert writes_to(batchq, *words) <= {"batchq.db-lock"}, words  # it records who has the store open
        assert "batchq.db-wal" in writes_to(batchq, "add", "-q", "--", "true")  # the test would notice a write

        (batchq.folder / "gate").touch()
        assert finish(started).code == 0


def test_no_report_waits_for_a_writer_or_keeps_one_waiting(batchq: Shell) -> None:
    a_store(batchq)
    with open_at(str(batchq.db())) as store, store.writing():  # the turn of a writer lasts longer than all readers
        for name in NAMES:
            assert batchq("report", "--format", name).out
