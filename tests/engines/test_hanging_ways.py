"""Ways to places whose processes hang when they should end: nobody waits for them, however many there are."""

import os
import shlex
from pathlib import Path

import pytest
from conftest import eventually
from scene import is_gone

from batchq.executors.afar.reach import Reach
from batchq.executors.afar.way import Way
from batchq.processes.link import Closed

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
