"""Log files with all output: none is lost silently, none can be redirected by another user, services keep theirs."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell, eventually, finish, send
from scene import Scene, ended

from batchq.store.file.opening import open_at
from batchq.store.keeping import filed

pytest_plugins = ("scene",)


def mark(shell: Shell) -> str:
    with open_at(str(shell.db())) as store:
        return filed.mark(store)


def logs_of(shell: Shell, job: int = 1) -> list[dict[str, Any]]:
    """The logs of the last attempt of a job."""
    found: list[dict[str, Any]] = json.loads(shell("show", str(job), "--json").out)["job"]["logs"]
    return found


def content(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.is_symlink())


# --- names -------------------------------------------------------------------------------------------------------------


def test_stores_that_share_a_folder_keep_their_logs_apart(batchq: Shell) -> None:
    for name in ("a", "b", "a"):  # the third is a store made anew
        for path in batchq.folder.glob(f"{name}.db*"):
            path.unlink()
        batchq("--db", f"{name}.db", "init")
        batchq("--db", f"{name}.db", "add", "--", "echo", name)
        batchq("--db", f"{name}.db", "run", "--log-dir", "logs")

    assert content(batchq.folder / "logs") == [b"a\n", b"a\n", b"b\n"]


@pytest.mark.parametrize("way", ["backup", "mv"])
def test_a_copy_removes_no_log_of_the_original_and_reports_that(batchq: Shell, way: str) -> None:
    (batchq.folder / "other").mkdir()
    copy = str(batchq.folder / "other" / "copy.db")
    batchq("add", "--", "echo", "kept")
    batchq("run", "--log-dir", "logs")
    if way == "backup":
        batchq("backup", "-q", copy)
    else:
        shutil.move(batchq.db(), copy)
    batchq("--db", copy, "add", "--", "echo", "gone")
    batchq("--db", copy, "run", "--log-dir", "logs")

    pruned = batchq("--db", copy, "prune", "--older-than", "0s")

    assert "; 1 log stays: written for a store at another path" in pruned.err + pruned.out
    assert content(batchq.folder / "logs") == [b"kept\n"]
    if way == "backup":
        assert "log" not in batchq("prune", "--older-than", "0s").err
        assert content(batchq.folder / "logs") == []


def test_a_restored_store_overwrites_no_log(batchq: Shell) -> None:
    batchq("add", "-c", "cat word")
    shutil.copy(batchq.db(), batchq.folder / "before.db")
    for word in ("first", "second"):
        (batchq.folder / "word").write_text(word)
        batchq("run", "--log-dir", "logs")
        if word == "first":
            for path in batchq.folder.glob("batchq.db*"):
                path.unlink()
            shutil.move(batchq.folder / "before.db", batchq.db())

    assert content(batchq.folder / "logs") == [b"first", b"second"]
    assert Path(logs_of(batchq)[0]["path"]).read_text() == "second"


@pytest.mark.parametrize("planted", ["link", "dangling link", "pipe", "folder", "file"])
def test_nothing_that_was_planted_gets_a_log(batchq: Shell, planted: str) -> None:
    (batchq.folder / "precious").write_text("as it was")
    (batchq.folder / "logs").mkdir()
    place = batchq.folder / "logs" / f"1-1-{mark(batchq)}.log"
    match planted:
        case "link":
            place.symlink_to("../precious")
        case "dangling link":
            place.symlink_to("../nowhere")
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case _:
            place.write_text("another's")
    batchq("add", "--", "echo", "mine")
    done = batchq("run", "--log-dir", "logs")

    assert done.err == ""
    assert Path(logs_of(batchq)[0]["path"]).read_text() == "mine\n"
    assert Path(logs_of(batchq)[0]["path"]) != place
    assert (batchq.folder / "precious").read_text() == "as it was"
    assert not (batchq.folder / "nowhere").exists()
    assert planted != "file" or place.read_text() == "another's"


# --- incomplete logs ---------------------------------------------------------------------------------------------------


def on_a_small_disk(shell: Shell, *options: str) -> "subprocess.CompletedProcess[str]":
    script = 'mount -t tmpfs -o size=64k tmpfs disk && "$@"; code=$?; cp disk/* copies; exit $code'
    for folder in ("disk", "copies"):
        (shell.folder / folder).mkdir()
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *shell.argv("run", "--log-dir", "disk", *options)],
        cwd=shell.folder, env=shell.env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "mount:" in done.stderr or "unshare" in done.stderr:
        pytest.skip("needs the right to mount")
    return done


@pytest.mark.parametrize("kind", ["command", "callable"])
def test_a_full_disk_is_reported_once_and_costs_no_job(batchq: Shell, kind: str) -> None:
    (batchq.folder / "mine.py").write_text(
        "def speak():\n    print('x' * 99 + '\\n' * 1, end='')\n    print('y' * 200000)\n"
    )
    for _ in range(3):
        work = ("-c", "seq 100000") if kind == "command" else ("--call", "mine:speak")
        batchq("add", "-q", *work)
    done = on_a_small_disk(batchq, "-j", "1")

    assert done.returncode == 74
    assert done.stderr.count("is incomplete: No space left on device") == 1
    assert "batchq: job 1: its log " in done.stderr
    assert "the logs of 3 jobs are incomplete: 1-3" in done.stderr
    assert batchq.rows("SELECT DISTINCT state FROM jobs") == [("succeeded",)]
    assert {log["incomplete"] for job in (1, 2, 3) for log in logs_of(batchq, job)} == {"No space left on device"}
    assert "(incomplete: No space left on device)" in batchq("show", "2").out
    whole = batchq("logs", "1").out.encode()[:60_000]
    assert max(content(batchq.folder / "copies"), key=len)[:60_000] == whole  # what is there has no gap


def test_a_log_that_cannot_be_made_is_reported_and_costs_no_job(batchq: Shell) -> None:
    (batchq.folder / "logs").mkdir()
    batchq("add", "-c", "rm -r logs; : > logs; echo one")
    batchq("add", "--", "echo", "two")
    done = batchq("run", "-j", "1", "--log-dir", "logs", "--json", code=74)

    assert "job 1: its log " in done.err
    assert "it was removed while the job ran" in done.err
    assert json.loads(done.out)["incomplete_logs"] == [1, 2]
    assert [log["incomplete"] for log in logs_of(batchq, 2)] == ["Not a directory"]
    assert batchq.rows("SELECT DISTINCT state FROM jobs") == [("succeeded",)]


def test_a_folder_that_was_removed_is_made_again_for_the_next_job(batchq: Shell) -> None:
    batchq("add", "-c", "rm -r logs; echo one")
    batchq("add", "--", "echo", "two")
    done = batchq("run", "-j", "1", "--log-dir", "logs", code=74)

    assert done.err.count("incomplete") == 1
    assert content(batchq.folder / "logs") == [b"two\n"]
    assert (batchq.folder / "logs").stat().st_mode & 0o777 == 0o700


def test_an_incomplete_log_comes_before_a_failed_job_and_after_a_signal(batchq: Shell) -> None:
    batchq("add", "-c", "rm -r logs; exit 3")
    assert "1 job failed" in batchq("run", "--log-dir", "logs", code=74).err
    batchq("add", "-c", "rm -r logs; : > begun; sleep 60")
    process = batchq.start("run", "--log-dir", "logs", "--grace", "0s")
    eventually((batchq.folder / "begun").exists)
    send(process, signal.SIGTERM)

    assert finish(process).code == 143


def test_a_job_that_could_not_be_started_has_no_log(batchq: Shell) -> None:
    batchq("add", "--", "no-such-program")
    batchq("run", "--log-dir", "logs", code=1)

    assert list((batchq.folder / "logs").iterdir()) == []
    assert logs_of(batchq) == []


# --- reports -----------------------------------------------------------------------------------------------------------


def test_the_path_of_a_log_is_reported_wherever_a_job_is(batchq: Shell) -> None:
    batchq("add", "-c", "echo oops; exit 3")
    done = batchq("run", "--log-dir", "logs", code=1)
    path = str(batchq.folder.resolve() / "logs" / f"1-1-{mark(batchq)}.log")

    assert f"    log: {path}\n" in done.err
    for line in ("show 1", "report", "show 1 --json", "list --json", "report --json"):
        assert path in batchq(*line.split()).out
    assert [log["stream"] for log in logs_of(batchq)] == ["both"]
    attempts = json.loads(batchq("show", "1", "--json").out)["job"]["attempts"]
    assert [log["path"] for log in attempts[0]["logs"]] == [path]


def test_logs_names_the_file_that_has_what_the_store_has_not(batchq: Shell) -> None:
    batchq("add", "-c", "seq 100000")
    batchq("run", "--log-dir", "logs")

    assert (
        f"only its beginning and its end are kept; all of it is in {logs_of(batchq)[0]['path']}"
        in batchq("logs", "1").err
    )


def test_the_log_of_a_job_that_runs_is_known_soon(batchq: Shell) -> None:
    batchq("add", "-c", ": > begun; while [ ! -e go ]; do sleep 0.05; done")
    process = batchq.start("run", "-j", "1", "--log-dir", "logs")
    eventually(lambda: batchq.rows("SELECT 1 FROM logs"))
    (batchq.folder / "go").touch()

    assert finish(process).code == 0


# --- prune -------------------------------------------------------------------------------------------------------------


def test_prune_removes_the_logs_of_the_jobs_that_it_removes_and_nothing_else(batchq: Shell) -> None:
    batchq("add", "-q", "-", stdin="echo x\n" * 4)
    batchq("add", "-q", "--hold", "--", "true")
    batchq("run", "--log-dir", "logs")
    folder = batchq.folder / "logs"
    (folder / "notes.txt").write_text("mine")
    second, third = (folder / f"{job}-1-{mark(batchq)}.log" for job in (2, 3))
    second.unlink()
    second.symlink_to("notes.txt")
    third.unlink()
    third.mkdir()
    batchq("prune", "-q", "--older-than", "0s")

    assert sorted(path.name for path in folder.iterdir()) == sorted(["notes.txt", second.name, third.name])
    assert (folder / "notes.txt").read_text() == "mine"
    assert batchq.rows("SELECT * FROM logs") == []


def test_doctor_reports_logs_that_belong_to_no_job(scene: Scene) -> None:
    scene.add({"command": "echo x", "leftovers": "keep"})
    scene.run()
    assert "to no job" not in scene.shell("doctor").out
    with open_at(str(scene.shell.db())) as store, store.writing() as db:
        db.execute("DELETE FROM logs WHERE stream = 'stderr'")

    done = scene.shell("doctor")
    assert f"1 file in {scene.shell.db().resolve()}-logs belongs to no job: 1-1-{mark(scene.shell)}.err" in done.out


def test_prune_removes_only_files_with_the_original_name_of_a_log(batchq: Shell) -> None:
    batchq("add", "--", "true")
    batchq("run", "--log-dir", "logs")
    (batchq.folder / "precious").write_text("x")
    with open_at(str(batchq.db())) as store, store.writing() as db:
        db.execute("UPDATE logs SET path = CAST(? AS BLOB)", (str(batchq.folder / "precious"),))
    batchq("prune", "-q", "--older-than", "0s")

    assert (batchq.folder / "precious").exists()


# --- services ----------------------------------------------------------------------------------------------------------

SERVICE = "(for n in $(seq 1000); do echo tick $n; echo x >> ticks; sleep 0.02; done) & echo $! > pid; {}"


def ticks(scene: Scene) -> int:
    path = scene.folder / "ticks"
    return path.read_bytes().count(b"x") if path.exists() else 0


def test_a_kept_service_prints_while_it_lives(scene: Scene) -> None:
    scene.add(
        {"command": SERVICE.format("while ! grep -q x ticks; do :; done"), "leftovers": "keep"}, {"command": "true"}
    )
    scene.run("-j", "2")
    seen = ticks(scene)
    eventually(lambda: ticks(scene) > seen + 20)

    assert scene.jobs() == [("succeeded",)] * 2
    assert scene.output().startswith(b"tick 1\n")
    (out, err) = logs_of(scene.shell)
    assert (out["stream"], err["stream"]) == ("stdout", "stderr")
    eventually(lambda: Path(out["path"]).read_bytes().count(b"tick") > seen + 20)
    folder = Path(f"{scene.shell.db().resolve()}-logs")
    assert Path(out["path"]).parent == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    scene.end_survivors()
    scene.shell("prune", "-q", "--older-than", "0s")
    assert not folder.exists()


def test_the_log_folder_of_the_run_is_also_that_of_services(scene: Scene) -> None:
    scene.add({"command": "echo out; echo err >&2", "leftovers": "keep"})
    scene.run("--log-dir", "logs")

    assert [Path(log["path"]).read_bytes() for log in logs_of(scene.shell)] == [b"out\n", b"err\n"]
    assert (scene.output(), scene.output(1, "stderr")) == (b"out\n", b"err\n")
    assert not Path(f"{scene.shell.db()}-logs").exists()


def test_what_a_job_prints_into_its_files_is_in_the_store_while_it_runs(scene: Scene) -> None:
    scene.add({"command": "echo early; cat never", "leftovers": "keep"})
    process = scene.start()
    eventually(lambda: scene.output() == b"early\n")
    process.terminate()

    assert ended(process) in (143, -15)


def test_much_output_of_a_service_is_kept_at_both_ends(scene: Scene) -> None:
    scene.add({"command": "seq 200000", "leftovers": "keep"})
    scene.run()

    ((head, tail, total),) = scene.rows("SELECT head, tail, total FROM outputs")
    assert isinstance(head, bytes)
    assert isinstance(tail, bytes)
    assert (head[:2], tail[-7:], total) == (b"1\n", b"200000\n", 1288895)


def test_a_service_whose_files_cannot_be_made_fails_and_says_why(scene: Scene) -> None:
    Path(f"{scene.shell.db()}-logs").write_text("in the way")
    scene.add({"command": "echo x", "leftovers": "keep"})
    scene.run(code=1)

    assert scene.attempts("outcome, error_type") == [("failed", "NoLog")]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user, who plants a folder")
def test_the_folder_for_services_is_never_anothers(scene: Scene) -> None:
    planted = Path(f"{scene.shell.db()}-logs")
    planted.mkdir()
    os.chown(planted, 12345, 12345)
    scene.add({"command": "echo x", "leftovers": "keep"})
    scene.run(code=1)

    assert scene.attempts("error_type") == [("NoLog",)]
    assert list(planted.iterdir()) == []
