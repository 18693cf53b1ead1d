"""Each attempt elsewhere names the host where it ran, even if that or the run was lost; those of this machine name none."""

import contextlib
import csv
import io
import json
import os
import sqlite3
from pathlib import Path

from conftest import eventually
from elsewhere import add_waiting, let_end, starts
from places import carrier_to
from scene import Scene, children_of, end, ended

pytest_plugins = ("scene", "places", "openports")

MACHINE = os.uname().nodename
H1, H2 = f"{MACHINE}/h1", f"{MACHINE}/h2"


def hosts(scene: Scene) -> list[object]:
    return [host for (host,) in scene.rows("SELECT host FROM attempts ORDER BY job, number")]


def test_every_command_that_looks_at_attempts_names_their_hosts(afar: Scene) -> None:
    add_waiting(afar, 2)
    run = afar.start("-q", "-j", "1", "--executor", "ssh:h1,h2")
    eventually(lambda: len(starts(afar)) == 2)
    eventually(lambda: len(afar.rows("SELECT 1 FROM processes WHERE host IS NOT NULL")) == 2)
    running = json.loads(afar.shell("list", "--json").out)["jobs"]
    (at_work,) = json.loads(afar.shell("show", "1", "--json").out)["job"]["attempts"]
    let_end(afar)
    assert ended(run) == 0

    assert {job["host"] for job in running} == {H1, H2}
    assert at_work["host"] == running[0]["host"]
    assert hosts(afar) == [job["host"] for job in running]
    table = afar.shell("list", "--columns", "id,host", "--sort", "host").out.split()
    assert sorted(table) == sorted(["ID", "HOST", "1", "2", H1, H2])
    assert table[3::2] == [H1, H2]
    assert {row["host"] for row in csv.DictReader(io.StringIO(afar.shell("list", "--format", "csv").out))} == {H1, H2}
    assert f" on {running[0]['host']}" in afar.shell("show", "1").out.splitlines()[0]
    with contextlib.closing(sqlite3.connect(afar.shell.db())) as db:
        for view in ("attempt_report", "job_report"):
            assert {host for (host,) in db.execute(f"SELECT host FROM {view}")} == {H1, H2}


def test_reports_of_failures_name_the_host(afar: Scene) -> None:
    afar.add({"command": "echo no; exit 3"})
    done = afar.run("--executor", "ssh:h1", code=1)

    assert hosts(afar) == [MACHINE]
    where = f"attempt 1 of 1 on {MACHINE}"
    assert where in done.err
    for words in (("report",), ("report", "--format", "junit"), ("show", "1")):
        assert where in afar.shell(*words).out, words
    failures = json.loads(afar.shell("report", "--json").out)["failures"]
    assert [one["host"] for one in failures] == [MACHINE]
    afar.add({"command": "echo no"})
    afar.run("-q", "--executor", "ssh:h1", code=None)
    assert f"==> job 1, attempt 1 on {MACHINE} <==" in afar.shell("logs", "1-2").out


def test_attempts_on_this_machine_name_no_host(scene: Scene) -> None:
    scene.add({"command": "true"}, {"command": "false"})
    done = scene.run(code=1)

    assert hosts(scene) == [None, None]
    assert " on " not in done.err
    assert "HOST" not in scene.shell("show", "1").out


def test_a_crashed_attempt_names_the_place_that_was_lost(afar: Scene) -> None:
    add_waiting(afar, 2)
    run = afar.start("-q", "-j", "1", "--executor", "ssh:h1,h2")
    eventually(lambda: len(starts(afar)) == 2)
    guardian = carrier_to(afar, "h1")
    (inner,) = children_of(guardian)
    end(inner, guardian)
    eventually(lambda: afar.rows("SELECT 1 FROM attempts"))
    let_end(afar)

    assert ended(run) == 0
    assert afar.rows("SELECT host FROM attempts WHERE outcome = 'crashed'") == [(H1,)]


def test_an_attempt_names_its_place_even_if_the_run_was_lost(afar: Scene) -> None:
    add_waiting(afar, 1)
    run = afar.start("-q", "--executor", "ssh:h1")
    eventually(lambda: afar.rows("SELECT 1 FROM processes WHERE host IS NOT NULL"))
    runner = afar.runner()
    end(runner, run.pid)
    ended(run)
    let_end(afar)
    afar.run("-q")

    assert afar.attempts("outcome, host") == [("crashed", MACHINE), ("succeeded", None)]


def test_attempts_on_a_pool_name_the_machine_of_their_worker_even_if_it_is_killed(scene: Scene) -> None:
    (scene.folder / "pools.py").write_text((Path(__file__).parent / "pools.py").read_text())
    add_waiting(scene, 1)
    run = scene.start("-q", "-j", "1", "--executor", "pools:fork")
    eventually(lambda: len(starts(scene)) == 1)
    pid = int((scene.folder / "pid-1").read_text())
    for _ in range(3):  # the worker of the pool is above the site and its guardian
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    end(pid)
    eventually(lambda: len(starts(scene)) == 2)
    let_end(scene)

    assert ended(run) == 0
    assert scene.attempts("outcome, host") == [("crashed", MACHINE), ("succeeded", MACHINE)]


def test_a_hostile_name_of_a_host_is_made_safe(afar: Scene) -> None:
    afar.add({"command": "exit 1"})
    hostile = "h\x1b[31m<b>\u202e"
    done = afar.run("--executor", f"ssh:{hostile}1,{hostile}2", "-j", "1", code=1)
    commands = ("report",), ("report", "--format", "junit"), ("show", "1"), ("list", "--columns", "host")
    shown = [done.err, *(afar.shell(*words).out for words in commands)]

    assert hosts(afar) in ([f"{MACHINE}/{hostile}1"], [f"{MACHINE}/{hostile}2"])
    assert all("<b>" in text or "&lt;b&gt;" in text for text in shown)
    assert all("\x1b" not in text and "\u202e" not in text for text in shown)
