"""Ways to places whose processes hang, when they should end or before a site is there: nobody waits for them for ever."""

import math
import os
import shlex
from pathlib import Path

import pytest
from conftest import eventually
from desk import Desk, opened, setup
from scene import children_of, is_gone

from batchq.executors.afar import arrival, choosing
from batchq.executors.afar.afar import Afar
from batchq.executors.afar.arrival import Arrival
from batchq.executors.afar.nextdoor import site_words
from batchq.executors.afar.place import Place
from batchq.executors.afar.reach import Reach
from batchq.executors.afar.way import Way
from batchq.executors.seam import Noted, Refused
from batchq.jobs.attempt import INTERRUPTED, SUCCEEDED
from batchq.processes.link import Closed
from batchq.processes.signals import Inbox

pytest_plugins = ("desk",)

#: Closes its end of the link, and stays.
HANGING = "echo $$ >> {folder}/hanging; exec <&- >&-; exec sleep 1000"


def hanging(folder: Path) -> list[int]:
    path = folder / "hanging"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def is_closed(way: Way) -> bool:
    try:
        way.receive()
    except Closed:
        return True
    return False


def test_a_process_that_does_not_end_is_not_waited_for_and_killed_in_time(tmp_path: Path) -> None:
    way = Way(["sh", "-c", HANGING.format(folder=shlex.quote(str(tmp_path)))])
    way.start(["setup", {}])
    eventually(lambda: is_closed(way))
    way.part(1000.0)
    (pid,) = hanging(tmp_path)
    assert way.is_leaving
    assert not way.has_left()
    assert not is_gone(pid)
    assert way.starts_at() == float("inf"), "no second one before it has ended"

    way.end(0.0)
    assert is_gone(pid)
    assert not way.is_leaving


def test_hosts_that_hang_are_asked_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carrier = tmp_path / "carrier"
    carrier.write_text(f"#!/bin/sh\n{HANGING.format(folder=shlex.quote(str(tmp_path)))}\n")
    carrier.chmod(0o755)
    monkeypatch.setenv("BATCHQ_SSH", shlex.quote(str(carrier)))
    reach = Reach("ssh:h1,h2,h3", f"test.{os.getpid()}", ())
    assert not reach.is_over()
    eventually(lambda: len(hanging(tmp_path)) == 3)
    assert not reach.is_over()
    assert not any(is_gone(pid) for pid in hanging(tmp_path)[:3])

    reach.give_up()
    eventually(reach.has_left)
    assert all(is_gone(pid) for pid in hanging(tmp_path))


def login_that_hangs(folder: Path, within: float) -> Place:
    words = ["sh", "-c", f"echo $$ >> {shlex.quote(str(folder))}/hanging; exec sleep 1000"]
    return Place("h2", words, setup(folder), within=within)


def test_a_host_whose_login_hangs_is_tried_again_and_given_up_and_the_others_work(tmp_path: Path) -> None:
    def made(folder: Path, _: object) -> Afar:
        return Afar([Place("h1", site_words(), setup(folder)), login_that_hangs(folder, 0.2)], Inbox(), None)

    others = children_of(os.getpid())
    with opened(made, tmp_path) as executor:
        desk = Desk(executor, tmp_path)
        desk.wait(lambda: sum(isinstance(one, Noted) for one in desk.reports) == 2)
        assert [one.text for one in desk.reports if isinstance(one, Noted)] == [
            "lost h2 (no answer within 0.2 s): starting it again",
            "gave h2 up (no answer within 0.2 s): going on without it",
        ]
        living = [pid for pid in children_of(os.getpid()) if pid not in others and not is_gone(pid)]
        assert len(living) == 1, "what leads to h1: both logins were killed"
        assert len(hanging(tmp_path)) <= 2, "on a busy machine one may be killed before it has noted that it began"
        desk.wait(lambda: executor.free() == executor.hoped == 2)
        assert desk.outcomes(desk.shell("true"))[0].status == SUCCEEDED


def test_a_run_whose_only_host_hangs_ends_with_74(tmp_path: Path) -> None:
    with opened(lambda folder, _: Afar([login_that_hangs(folder, 0.2)], Inbox(), None), tmp_path) as executor:
        desk = Desk(executor, tmp_path)
        desk.wait(lambda: any(isinstance(one, Refused) for one in desk.reports))
        assert desk.reports[-1] == Refused("no place of work can be reached (h2: no answer within 0.2 s)", 74)


def test_a_run_says_once_which_hosts_have_not_answered_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(folder: Path, _: object) -> Afar:
        return Afar([Place("h1", site_words(), setup(folder)), login_that_hangs(folder, math.inf)], Inbox(), None)

    with opened(made, tmp_path) as executor:
        assert isinstance(executor, Afar)
        desk = Desk(executor, tmp_path)
        desk.wait(lambda: executor.free() == 2)
        assert desk.reports == []
        monkeypatch.setattr(arrival, "UP", 0.0)
        late = Arrival(executor.places)
        assert [one.text for one in late.late()] == ["no answer yet from h2: going on without, until they answer"]
        assert late.late() == []


def test_a_login_has_a_minute_but_nodes_and_clusters_may_take_any_time() -> None:
    assert choosing.within("ssh:h1,h2") == 60.0
    assert choosing.within("srun:") == choosing.within("dask:made:cluster") == choosing.within("pools:make") == math.inf


def test_a_host_that_comes_up_late_is_noticed_at_once_and_not_when_a_job_ends(tmp_path: Path) -> None:
    waiting = f'until test -e {shlex.quote(str(tmp_path))}/up; do sleep 0.02; done; exec "$@"'

    def made(folder: Path, _: object) -> Afar:
        places = (
            Place("h1", site_words(), setup(folder)),
            Place("h2", ["sh", "-c", waiting, "sh", *site_words()], setup(folder)),
        )
        return Afar(places, Inbox(), None)

    with opened(made, tmp_path) as executor:
        desk = Desk(executor, tmp_path)
        desk.wait(lambda: executor.free() == 2)
        assert desk.reports == []
        job = desk.shell("touch up; sleep 25")
        executor.start([job])

        assert (executor.poll(None), executor.slots) == ([], 4)
        executor.stop([job.token], INTERRUPTED, 0)
        desk.ends([job])
