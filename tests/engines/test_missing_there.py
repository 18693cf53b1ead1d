"""Folders, modules and Pythons that are here but not where a job is to run: the run stops, and no job is charged."""

import shlex
import sys
from pathlib import Path

import pytest
from conftest import Done, eventually
from elsewhere import add_waiting, let_end, starts
from places import SITE
from scene import Scene, ended
from soaking import SOAK

from batchq.executors.afar.missing import Here
from batchq.jobs.attempt import FAILED, Claim, Ended, Failure, Outcome

pytest_plugins = ("scene", "places", "openports", "daskcluster")

#: The folder of the jobs, ``here``, has all of this; ``there``, which it is elsewhere, has none of it.
MODULES = {
    "work.py": "def ok(): return 1\n",
    "pack/__init__.py": "",
    "pack/deep.py": "def ok(): return 1\n",
    "hook.py": "def hook(job): return 1\n",
}
#: In the workers of a pool: they do not see the folder of the run.
APART = "from batchq.executors.afar.fence import Fence\nFence.is_shared = lambda self, run: False\n"
ANOTHER_MACHINE = "from batchq.processes import machine\nmachine.boot_id = lambda: 'of another machine'\n"


@pytest.fixture
def apart(afar: Scene) -> Scene:
    """A scene with the folders ``here`` and ``there``, and factories of pools."""
    for name, text in MODULES.items():
        path = afar.folder / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("there/sub", "packages", "far"):
        (afar.folder / name).mkdir(parents=True)
    (afar.folder / "here" / "sub").mkdir()
    (afar.folder / "packages" / "third.py").write_text("")
    (afar.folder / "there" / "user.py").write_text("import third\ndef ok(): return 1\n")
    (afar.folder / "here" / "user.py").write_text("import third\ndef ok(): return 1\n")
    for name in ("pools.py", "alone.py"):
        (afar.folder / name).write_text((Path(__file__).parent / name).read_text())
    (afar.folder / "apart").mkdir()
    (afar.folder / "apart" / "sitecustomize.py").write_text(APART)
    return afar


def run(scene: Scene, executor: str, code: int, *options: str) -> Done:
    """Run where ``here`` is ``there``, with a library that only this machine has."""
    carrier = f"#!/bin/sh\nexec env -u PYTHONPATH PATH={shlex.quote(str(scene.folder / 'far'))}:$PATH {SITE}\n"
    (scene.folder / "carrier").write_text(carrier)
    moved = f"{scene.folder / 'here'}={scene.folder / 'there'}"
    env = {"PYTHONPATH": str(scene.folder / "packages")} if not executor.startswith("pools") else None
    return scene.run("-j", "2", "--executor", executor, "--cwd-map", moved, *options, code=code, env=env)


def here(scene: Scene, **fields: object) -> dict[str, object]:
    """A job in the folder that is another one there."""
    return {"cwd": str(scene.folder / "here"), **fields}


#: Each with the words that name what is missing
LACKING: dict[str, tuple[dict[str, object], str]] = {
    "folder": ({"command": "true", "cwd": "here/gone"}, "here/gone' is here but not there (cannot enter the working"),
    "module": ({"call": "work:ok"}, "the module 'work', which it imports, is here ("),
    "inside a package": ({"call": "pack.deep:ok"}, "the module 'pack', which it imports, is here ("),
    "library": ({"call": "user:ok", "fresh": True}, "the module 'third', which it imports, is here ("),
    "folder of a callable": ({"call": "os:getpid", "cwd": "here/gone"}, "here/gone' is here but not there"),
    "performing": ({"payload": 1}, "the module 'hook', which it imports, is here ("),
}
CASES = [
    *[("ssh:h1", what) for what in LACKING],
    *[("dask", what) for what in ("library", *(("folder", "performing") if SOAK else ()))],
    *[("pools:threads", "module"), ("pools:forkserver", "folder"), ("pools:apart", "module")],
]


@pytest.mark.parametrize(("executor", "what"), CASES)
def test_what_is_here_but_not_there_stops_the_run_and_charges_nobody(
    apart: Scene, executor: str, what: str, request: pytest.FixtureRequest
) -> None:
    if executor == "dask":
        executor = f"dask:{request.getfixturevalue('dask').address}"
    (apart.folder / "here" / "gone").mkdir()
    fields, said = LACKING[what]
    cwd = apart.folder / str(fields.get("cwd", "here"))
    apart.add(*[fields | {"cwd": str(cwd), "on_crash": "hold"}] * 3)
    done = run(apart, executor, 78, *["--perform", "hook:hook"] * (what == "performing"))

    assert done.err.count("\n") == 1 + ("do not see" in done.err), "one sentence"
    assert said in done.err
    assert "job 1 cannot run at " in done.err or "job 2 cannot run at " in done.err
    assert apart.jobs("state, failures, crashes, interruptions") == [("queued", 0, 0, 0)] * 3
    assert {outcome for (outcome,) in apart.attempts()} == {"interrupted"}
    assert apart.rows("SELECT 1 FROM attempts WHERE error LIKE '%cannot run at%' AND host IS NOT NULL")

    apart.run("-q", *["--perform", "hook:hook"] * (what == "performing"), env=shared(apart))

    assert apart.jobs("state, failures, crashes") == [("succeeded", 0, 0)] * 3


def shared(scene: Scene) -> dict[str, str]:
    """The variables of a run that finds everything."""
    folders = [scene.folder / "packages", scene.folder / "here"]
    return {"PYTHONPATH": ":".join(map(str, folders))}


@pytest.mark.parametrize("executor", ["ssh:h1", "dask", "pools:threads"])
def test_what_is_missing_in_both_is_the_failure_of_the_job(
    apart: Scene, executor: str, request: pytest.FixtureRequest
) -> None:
    if executor == "dask":
        executor = f"dask:{request.getfixturevalue('dask').address}"
    (apart.folder / "there" / "half.py").write_text("import nowhere.to_be_found\n")
    (apart.folder / "there" / "torn.py").write_text("raise ImportError('no good')\n")
    (apart.folder / "here" / "torn.py").write_text("def ok(): return 1\n")
    (apart.folder / "there" / "pack").mkdir()
    (apart.folder / "there" / "pack" / "__init__.py").write_text("")
    apart.add(
        here(apart, command="true", cwd=str(apart.folder / "here" / "nowhere")),
        here(apart, call="nothing:ok"),
        here(apart, call="half:ok"),
        here(apart, call="torn:ok"),
        here(apart, call="pack.nothing:ok"),
        here(apart, payload=1),
        here(apart, command="no-such-program"),
        here(apart, call="os:getpid", python="/no/such/python"),
        here(apart, command="true"),
    )
    run(apart, executor, 1, "-q", "--perform", "unheard_of:hook")

    assert apart.attempts("outcome, error_type") == [
        ("failed", "NoSuchFolder"),
        *[("failed", "ModuleNotFoundError")] * 2,
        ("failed", "ImportError"),
        *[("failed", "ModuleNotFoundError")] * 2,
        *[("failed", None if kind == "command" else "NoSuchProgram") for kind in ("command", "python")],
        ("succeeded", None),
    ]


def test_an_import_inside_the_function_fails_after_the_attempt_has_begun(apart: Scene) -> None:
    text = "def ok():\n    print('begun')\n    import third\n"
    for name in ("here", "there"):
        (apart.folder / name / "lazy.py").write_text(text)
    apart.add(here(apart, call="lazy:ok"))
    run(apart, "ssh:h1", 1, "-q")

    assert apart.attempts("outcome, error_type") == [("failed", "ModuleNotFoundError")]
    assert apart.output() == b"begun\n"


def test_a_job_that_raises_what_looks_like_it_has_failed(apart: Scene) -> None:
    (apart.folder / "there" / "liar.py").write_text(
        "class NoSuchFolder(Exception): missing = '/'\n"
        "def folder(): raise NoSuchFolder('/')\n"
        "def module(): raise ModuleNotFoundError('third', name='third')\n"
    )
    apart.add(here(apart, call="liar:folder"), here(apart, call="liar:module"))
    run(apart, "ssh:h1", 1, "-q")

    assert apart.attempts("outcome, error_type") == [("failed", "NoSuchFolder"), ("failed", "ModuleNotFoundError")]


def test_a_python_that_is_here_but_not_there_stops_the_run(apart: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    (apart.folder / "programs").mkdir()
    (apart.folder / "programs" / "our-python").symlink_to(sys.executable)
    (apart.folder / "far" / "sitecustomize.py").write_text(ANOTHER_MACHINE)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(apart.folder / "programs"), prepend=":")
        apart.add(here(apart, call="os:getpid", python="our-python"))
    (apart.folder / "carrier").write_text(
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(apart.folder / 'far'))} exec {SITE}\n"
    )
    done = apart.run("--executor", "ssh:h1", code=78)

    assert "its Python our-python is here but not there: install it there, or give the job one" in done.err
    assert apart.jobs("state, failures, interruptions") == [("queued", 0, 0)]


def test_the_other_jobs_of_a_run_that_stops_come_to_their_end(apart: Scene) -> None:
    add_waiting(apart, 1)
    going = apart.start("-j", "2", "--executor", "ssh:h1,h2", "--cwd-map", f"{apart.folder / 'here'}=/no/such/folder")
    eventually(lambda: starts(apart))
    apart.add(here(apart, command="true"), here(apart, command="true"))
    eventually(lambda: apart.rows("SELECT 1 FROM attempts WHERE outcome = 'interrupted'"))
    let_end(apart)

    assert ended(going) == 78
    assert apart.jobs()[0] == ("succeeded",)
    assert apart.said().count("cannot run at") == 1


def test_another_python_is_looked_through_without_being_started(folder: Path) -> None:
    """A virtual environment of a job whose Python is not that of the run; it is not even a program here."""
    packages = folder / "venv" / "lib" / "python3.14" / "site-packages"
    (packages / "third").mkdir(parents=True)
    (packages / "third" / "__init__.py").write_text("raise SystemExit('imported')\n")
    (folder / "mine.py").write_text("raise SystemExit('imported')\n")
    claim = Claim(*[None] * len(Claim._fields))._replace(  # type: ignore[arg-type]
        id=1, kind="call", cwd=str(folder), path="/bin", python=str(folder / "venv" / "bin" / "python")
    )

    def said_of(module: str) -> str | None:
        failure = Failure("ModuleNotFoundError", "", missing=module)
        return Here("/").contradiction(Ended(claim, Outcome(FAILED, failure=failure, host="alpha")))

    assert "third/__init__.py" in str(said_of("third"))
    assert "mine.py" in str(said_of("mine"))
    assert said_of("third.part") is None
    assert said_of("pytest") is None, "another Python's library"
