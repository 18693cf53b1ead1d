"""A run elsewhere as people watch it: its bar, ``batchq top``, ``list``, and the lanes of a trace."""

import json
import os
import shlex

import pytest
from conftest import eventually
from daskcluster import cluster
from elsewhere import add_waiting, let_end, starts
from places import carrier_to
from scene import Scene, children_of, end, ended
from terminal import on_terminal

pytest_plugins = ("scene", "places", "openports")

MACHINE = os.uname().nodename
TWO_SITES = ("--executor", "ssh:h1,h2", "-j", "2")


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_bar_counts_the_running_jobs_of_all_places(afar: Scene, columns: int) -> None:
    add_waiting(afar, 5, name="work")
    with on_terminal(afar.shell, "run", *TWO_SITES, columns=columns) as terminal:
        screen = terminal.wait_for("0 of 5, 4 running", "1 (work)", "4 (work)")
        assert max(map(len, screen.split("\n"))) < columns
        assert "5 (work)" not in screen
        let_end(afar)
        assert terminal.wait() == 0


def test_the_run_says_that_the_next_job_waits_for_free_slots_at_one_place(afar: Scene) -> None:
    add_waiting(afar, 3)
    afar.add({"command": "true", "slots": 2})
    with on_terminal(afar.shell, "run", *TWO_SITES, columns=100) as terminal:
        terminal.wait_for("3 running", "job 4 is next, and waits for 2 free slots at one place")
        let_end(afar)
        assert terminal.wait() == 0


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_top_counts_the_slots_of_all_places_and_names_the_host_of_each_job(afar: Scene, columns: int) -> None:
    add_waiting(afar, 5, name="work")
    run = afar.start("-q", *TWO_SITES)
    eventually(lambda: len(afar.rows("SELECT 1 FROM processes WHERE host IS NOT NULL")) == 4)
    with on_terminal(afar.shell, "top", columns=columns) as terminal:
        screen = terminal.wait_for("4/4", "[running 4]")
        rows = [line for line in screen.split("\n") if " work" in line]
        assert len(rows) == 4
        if columns >= 60:
            assert (
                sorted(row.split()[-2 if columns < 80 else -3] for row in rows)
                == [f"{MACHINE}/h1"] * 2 + [f"{MACHINE}/h2"] * 2
            )
        assert "CPU" not in screen and "MEMORY" not in screen
    assert f"job 1 (work) on {MACHINE}/h" in afar.shell("report").out
    once = afar.shell("top", "--once").out
    assert once.count(f"{MACHINE}/h1") == once.count(f"{MACHINE}/h2") == 2
    let_end(afar)
    assert ended(run) == 0


def test_the_slots_of_a_run_follow_the_places_that_come_and_go(afar: Scene) -> None:
    carrier, away = afar.folder / "carrier", afar.folder / "away"
    waits = f"while test -e {shlex.quote(str(away))}; do sleep 0.05; done\n"
    carrier.write_text(carrier.read_text().replace("exec ", f"{waits}exec "))
    add_waiting(afar, 5)
    run = afar.start("-q", *TWO_SITES)
    eventually(lambda: len(starts(afar)) == 4)
    assert afar.rows("SELECT slots, widest FROM runners") == [(4, 2)]
    guardian = carrier_to(afar, "h1")
    (inner,) = children_of(guardian)
    away.touch()
    end(inner, guardian)
    eventually(lambda: afar.rows("SELECT slots, widest FROM runners") == [(2, 2)])
    away.unlink()
    eventually(lambda: afar.rows("SELECT slots, widest FROM runners") == [(4, 2)])
    let_end(afar)
    assert ended(run) == 0


def test_a_wide_job_runs_at_a_worker_that_came_after_the_run_began(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with cluster(tmp_path_factory.mktemp("dask"), workers=1, threads=1) as made:
        add_waiting(scene, 1)
        run = scene.start("--executor", f"dask:{made.address}")
        eventually(lambda: len(starts(scene)) == 1, 60)
        scene.add({"command": "true", "slots": 2})
        made.add_worker(threads=2)
        eventually(lambda: scene.jobs() == [("running",), ("succeeded",)], 60)
        assert scene.rows("SELECT slots, widest FROM runners") == [(3, 2)]
        let_end(scene)
        assert ended(run) == 0


def test_a_table_for_a_file_names_hosts_if_there_are_any(afar: Scene) -> None:
    afar.add({"command": "true"})
    assert "HOST" not in afar.shell("list").out
    afar.run("-q", "--executor", "ssh:h1")
    assert afar.shell("list").out.splitlines()[0].split() == [
        *("ID", "STATE", "TRIES", "TOOK", "SINCE", "BATCH", "QUEUE", "HOST", "NAME", "REASON", "COMMAND")
    ]
    assert f" {MACHINE} " in afar.shell("list").out


def test_a_trace_has_the_slots_of_each_host(afar: Scene) -> None:
    add_waiting(afar, 4)
    run = afar.start("-q", *TWO_SITES)
    eventually(lambda: len(starts(afar)) == 4)
    let_end(afar)
    assert ended(run) == 0
    afar.add({"command": "true"})
    afar.run("-q")

    events = json.loads(afar.shell("report", "--format", "trace").out)["traceEvents"]
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    slices = [(names[one["pid"]], one["tid"]) for one in events if one["ph"] == "X"]
    afar_ones = [(f"run 1 on {MACHINE}/{host}", slot) for host in ("h1", "h2") for slot in (1, 2)]
    assert sorted(slices)[:4] == afar_ones
    assert slices[4][0].startswith("run 2 (")
