"""A job finds the surroundings that it was given, and keeps no folder busy when it has ended."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import eventually
from scene import Scene, ended, python

from batchq.processes import machine, proc

pytest_plugins = ("scene",)

SHOW = "import json, os; print(json.dumps([os.getcwd(), dict(os.environ)]))"


def test_pwd_is_the_folder_of_the_job_by_the_name_that_the_user_has_for_it(scene: Scene) -> None:
    (scene.folder / "releases" / "one").mkdir(parents=True)
    (scene.folder / "releases" / "two").mkdir()
    current = scene.folder / "current"
    current.symlink_to("releases/one")
    words = list(map(os.fsdecode, scene.shell.argv("add", "-q", "--", *python("-c", SHOW))))
    env = scene.shell.env | {"BATCHQ_DB": str(scene.shell.db()), "PWD": str(current)}
    subprocess.run(words, cwd=current, env=env, check=True)
    subprocess.run(words, cwd=current, env=env | {"PWD": "/somewhere/else"}, check=True)
    subprocess.run([*words[:5], "--cwd", "..", *words[5:]], cwd=current, env=env, check=True)
    current.unlink()
    current.symlink_to("releases/two")
    scene.run("-q")

    one, two = scene.folder / "releases" / "one", scene.folder / "releases" / "two"
    wanted = [(two, current), (one, one), (scene.folder / "releases", scene.folder / "releases")]
    for job, (folder, named) in enumerate(wanted, 1):
        cwd, variables = json.loads(scene.output(job))
        assert (cwd, variables["PWD"]) == (str(folder), str(named)), job


def test_a_folder_above_is_found_by_way_of_the_links_that_are_above_that(scene: Scene) -> None:
    (scene.folder / "releases" / "one" / "bin").mkdir(parents=True)
    (scene.folder / "releases" / "two").mkdir()
    current = scene.folder / "current"
    current.symlink_to("releases/one")
    words = list(map(os.fsdecode, scene.shell.argv("add", "-q", "--cwd", "..", "--", *python("-c", SHOW))))
    env = scene.shell.env | {"BATCHQ_DB": str(scene.shell.db()), "PWD": str(current / "bin")}
    subprocess.run(words, cwd=current / "bin", env=env, check=True)
    current.unlink()
    current.symlink_to("releases/two")
    scene.run("-q")

    cwd, variables = json.loads(scene.output(1))
    assert (cwd, variables["PWD"]) == (str(scene.folder / "releases" / "two"), str(current))


def test_above_a_link_is_not_the_folder_of_the_link_for_any_path_of_the_user(scene: Scene) -> None:
    (scene.folder / "there" / "deep").mkdir(parents=True)
    (scene.folder / "link").symlink_to("there/deep")
    batchq = scene.shell
    batchq("--db", "link/../q.db", "init")
    batchq("--db", "link/../q.db", "add", "-q", "--cwd", f"{scene.folder}/link/..", "-c", "pwd -P")
    batchq("--db", "there/q.db", "run", "--log-dir", "link/../logs")
    batchq("--db", "there/q.db", "backup", "-q", "link/../copy.db")

    assert batchq("--db", "there/q.db", "logs", "1").out == f"{scene.folder}/there\n"
    assert len(list((scene.folder / "there" / "logs").iterdir())) == 1
    assert (scene.folder / "there" / "copy.db").exists()
    assert not (scene.folder / "logs").exists()
    assert not (scene.folder / "copy.db").exists()


def test_a_callable_has_pwd_too(scene: Scene) -> None:
    (scene.folder / "mine.py").write_text("import os\ndef pwd(): return os.environ['PWD']\n")
    scene.add({"call": "mine:pwd"})
    elsewhere = scene.folder / "elsewhere"
    elsewhere.mkdir()
    words = map(os.fsdecode, scene.shell.argv("--db", str(scene.shell.db()), "run"))
    subprocess.run(list(words), cwd=elsewhere, env=scene.shell.env | {"PWD": str(elsewhere)}, check=True)

    assert scene.attempts("result") == [(json.dumps(str(scene.folder)),)]


@pytest.mark.parametrize("kind", ["command", "callable"])
def test_the_folder_of_a_job_that_has_ended_is_not_busy(scene: Scene, kind: str) -> None:
    usb = scene.folder / "usb"
    usb.mkdir()
    (usb / "mine.py").write_text("def work(): return 1\n")
    scene.add({"cwd": "usb"} | ({"command": "true"} if kind == "command" else {"call": "mine:work"}))
    run = scene.start("--watch")
    eventually(lambda: scene.jobs() == [("succeeded",)])
    eventually(lambda: not [pid for pid in proc.descendants(os.getpid()) if folder_of(pid) == str(usb)])
    run.terminate()

    assert ended(run) == 143


def folder_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def test_handlers_of_a_run_stay_in_the_folder_in_which_it_was_started(scene: Scene) -> None:
    (scene.folder / "deep").mkdir()
    (scene.folder / "told.py").write_text(
        "import os\ndef tell(event):\n    if event.name == 'job.stop': open('told', 'a').write(os.getcwd() + '\\n')\n"
    )
    scene.add({"command": "true", "cwd": "deep"}, {"command": "true", "cwd": "/"})
    scene.run("-j", "1", "--handler", "told:tell")

    assert (scene.folder / "told").read_text().splitlines() == [str(scene.folder)] * 2


def test_a_run_needs_no_folder_of_its_own_where_the_store_is_named(scene: Scene) -> None:
    scene.add({"command": "pwd"})
    gone = scene.folder / "gone"
    in_gone = 'mkdir gone; cd gone; rmdir ../gone; exec "$@"'
    run = scene.start_program("sh", "-c", in_gone, "sh", *python("-m", "batchq", "--db", str(scene.shell.db()), "run"))
    assert ended(run) == 0
    assert not gone.exists()
    assert scene.output() == f"{scene.folder}\n".encode()

    for words in (
        ["run"],
        ["list"],
        ["--db", "batchq.db", "run"],
        ["--db", str(scene.shell.db()), "add", "--", "true"],
    ):
        assert ended(scene.start_program("sh", "-c", in_gone, "sh", *python("-m", "batchq", *words))) == 66
    assert scene.said().count("the current folder does not exist any more; change to another one") == 4


# --- limits of containers ----------------------------------------------------------------------------------------------


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group that can set a quota, with one below it."""
    of = machine._groups("cpu") or machine._groups("")
    parent = Path(of[0]) if of else None
    made = None if parent is None else parent / f"batchq-test-{uuid.uuid4().hex}"
    try:
        if made is None:
            raise OSError("there are no control groups")
        made.mkdir()
        if not (made / "cpu.cfs_quota_us").exists() and not (made / "cpu.max").exists():
            made.rmdir()
            raise OSError("they set no quotas")
        (made / "below").mkdir()
    except OSError as error:
        pytest.skip(f"may not make a control group: {error}")
    try:
        yield made
    finally:
        eventually(lambda: removed(made))


def removed(group: Path) -> bool:
    """Whether a group and the one below it are gone: they stay for a moment after their last process."""
    for one in (group / "below", group):
        try:
            one.rmdir()
        except OSError:
            continue
    return not group.exists()


def allow(group: Path, cores: float) -> None:
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text(f"{round(cores * 100_000)} 100000")
    else:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text(str(round(cores * 100_000)))


@pytest.mark.skipif(machine.cores() < 2, reason="needs two cores")
@pytest.mark.parametrize(
    ("above", "below", "wanted"), [(1, None, 1), (None, 1, 1), (0.5, None, 1), (1.5, None, 2), (99, 99, 0)]
)
def test_the_smallest_quota_of_all_groups_above_bounds_the_cores(
    group: Path, above: float | None, below: float | None, wanted: int
) -> None:
    for one, cores in ((group, above), (group / "below", below)):
        if cores is not None:
            try:
                allow(one, cores)
            except OSError as error:
                pytest.skip(f"no quota here: {error}")
    code = "from batchq.processes import machine; print(machine.cores())"
    script = f'echo $$ > {group}/below/cgroup.procs && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *python("-c", code)], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip

    assert int(done.stdout) == (wanted or machine.cores())


def test_a_job_that_the_kernel_killed_for_want_of_memory_is_told_as_that(scene: Scene) -> None:
    of = machine._groups("memory") or machine._groups("")
    made = Path(of[0]) / f"batchq-test-{uuid.uuid4().hex}" if of else None
    try:
        assert made is not None
        made.mkdir()
        limits = [made / name for name in ("memory.limit_in_bytes", "memory.max") if (made / name).exists()]
        limits[0].write_text(str(120 << 20))
    except (OSError, AssertionError, IndexError) as error:
        pytest.skip(f"may not make a control group with a limit: {error}")
    try:
        (scene.folder / "large.py").write_text("def f(): return len([bytearray(1 << 20) for _ in range(400)])\n")
        scene.add(
            {"command": python("-c", "b = [bytearray(1 << 20) for _ in range(400)]")},
            {"call": "large:f", "max_crashes": 1},
        )
        words = map(os.fsdecode, scene.shell.argv("run"))
        run = scene.start_program("sh", "-c", f'echo $$ > {made}/cgroup.procs && exec "$@"', "sh", *words)
        assert ended(run) == 1
        assert scene.attempts("outcome, error_type") == [("failed", "OutOfMemory"), ("crashed", "OutOfMemory")]
    finally:
        eventually(lambda: removed(made))
