"""Jobs that run where a folder has another path, or where another PATH holds."""

import shlex
import subprocess

import pytest
from places import SITE
from scene import Scene

from batchq.errors import UsageError
from batchq.executors.afar.mapping import mapped, pairs

pytest_plugins = ("scene", "places", "openports")

ANOTHER_MACHINE = "from batchq.processes import machine\nmachine.boot_id = lambda: 'of another machine'\n"


def test_a_job_runs_in_the_folder_that_is_mapped_and_imports_from_there(afar: Scene) -> None:
    here, there = afar.folder / "here", afar.folder / "there"
    for place in (here / "deep", there / "deep"):
        place.mkdir(parents=True)
        (place / "work.py").write_text(f"import os\ndef where(): return {place.parent.name!r}, os.getcwd()\n")
    (there / "hook.py").write_text("def hook(job): return 'performed there'\n")
    (here / "hook.py").write_text("def hook(job): return 'performed here'\n")
    afar.add(
        {"command": "pwd; echo $PWD", "cwd": str(here / "deep")},
        {"command": ["pwd"], "cwd": str(afar.folder)},
        {"call": "work:where", "cwd": str(here / "deep")},
        {"payload": {"for": "the hook"}, "cwd": str(here / "deep")},
    )
    words = [*afar.shell.argv("run", "-q", "--executor", "ssh:h1", "--cwd-map", f"..={afar.folder}")]
    words += ["--cwd-map", f".={there}", "--perform", "hook:hook"]
    subprocess.run(words, cwd=here, env=afar.shell.env | {"BATCHQ_DB": str(afar.shell.db())}, check=True)

    assert afar.output(1).decode().split() == [str(there / "deep")] * 2
    assert afar.output(2).decode().strip() == str(afar.folder)
    assert afar.rows("SELECT result FROM attempts WHERE job = 3") == [(f'["there","{there / "deep"}"]',)]
    assert afar.rows("SELECT result FROM attempts WHERE job = 4") == [('"performed there"',)]
    assert '"cwd":"' + str(here / "deep") in afar.shell("show", "1", "--json").out.replace(" ", ""), "the ledger's own"


def test_a_folder_that_is_neither_here_nor_there_fails_its_job(afar: Scene) -> None:
    afar.add({"command": "true", "cwd": str(afar.folder / "of-nobody")}, {"command": "true", "cwd": "/"})
    afar.run("-q", "--executor", "ssh:h1", "--cwd-map", f"{afar.folder}=/no/such", code=1)

    assert afar.attempts() == [("failed",), ("succeeded",)]
    assert afar.rows("SELECT error FROM attempts WHERE job = 1") == [
        ("cannot enter the working directory '/no/such/of-nobody': No such file or directory",)
    ]


def test_on_another_machine_its_own_path_holds_unless_the_job_names_one(afar: Scene) -> None:
    (afar.folder / "there").mkdir()
    (afar.folder / "there" / "sitecustomize.py").write_text(ANOTHER_MACHINE)
    folder = shlex.quote(str(afar.folder / "there"))
    (afar.folder / "carrier").write_text(f"#!/bin/sh\nPATH=$PATH:/of/there PYTHONPATH={folder} exec {SITE}\n")
    afar.add({"command": "echo $PATH"}, {"command": "echo $PATH", "env": {"PATH": "/bin:/named"}})
    afar.run("-q", "--executor", "ssh:h1")

    assert afar.output(1).decode().strip().endswith(":/of/there")
    assert afar.output(2) == b"/bin:/named\n"


@pytest.mark.parametrize("text", ["", "/a", "/a=", "=/b", "/a=b", "/a=/b /a/=/c"])
def test_a_map_that_is_none_is_refused(afar: Scene, text: str) -> None:
    afar.add({"command": "true"})
    words = [word for one in text.split(" ") for word in ("--cwd-map", one)]
    done = afar.run("-q", "--executor", "ssh:h1", *words, code=2)

    assert done.err.count("--cwd-map") == 1
    assert afar.jobs() == [("queued",)]


def test_a_map_without_another_place_is_refused(afar: Scene) -> None:
    done = afar.run("-q", "--cwd-map", "/a=/b", code=2)

    assert "--cwd-map is for jobs that run elsewhere" in done.err


def test_the_longest_folder_decides_and_names_that_only_begin_alike_are_others() -> None:
    found = pairs(["/data=/mnt/data", "/data/old/=/archive", "/x=/"])

    assert mapped("/data", found) == "/mnt/data"
    assert mapped("/data/a b", found) == "/mnt/data/a b"
    assert mapped("/data/old/1", found) == "/archive/1"
    assert mapped("/database", found) == "/database"
    assert mapped("/x/y", found) == "/y"
    assert mapped("/x", found) == "/"
    assert mapped("/elsewhere", pairs(["/=/export"])) == "/export/elsewhere"
    with pytest.raises(UsageError):
        pairs(["nothing"])
