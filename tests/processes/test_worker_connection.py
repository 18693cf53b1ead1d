"""A callable that damages the connection between its worker and the run harms only its own job."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import Scene

from batchq.processes.resident import Home, Resident
from batchq.processes.worker.wire import ANSWER, LAST, RESULT

pytest_plugins = ("scene",)

HARM = """
import os
def ok(): pass
def write(text):
    for fd in range(3, 5000):
        try: os.write(fd, text.encode())
        except OSError: pass
def never_wait():
    for fd in range(3, 5000):
        try: os.set_blocking(fd, False)
        except OSError: pass
def close_all(most): os.closerange(3, most)
"""
OK: dict[str, object] = {"call": "harm:ok"}


@pytest.mark.parametrize("text", ["x", "e", "p", "garbage" * 50, "error" * 50, "\\0" * 300])
@pytest.mark.parametrize("before", [1, 40], ids=["alone", "among short ones"])
def test_a_callable_that_writes_to_the_descriptors_of_its_worker_has_crashed(
    scene: Scene, text: str, before: int
) -> None:
    (scene.folder / "harm.py").write_text(HARM)
    text = text.replace("\\0", "\0")
    scene.add(*[OK] * before, {"call": "harm:write", "args": {"text": text}, "max_crashes": 1}, OK, OK)
    scene.run("-q", "-j", "1", code=1)

    assert scene.attempts() == [("succeeded",)] * before + [("crashed",)] + [("succeeded",)] * 2
    said = "it wrote into the connection of its worker, which was then killed"
    assert scene.rows("SELECT error_type, error FROM attempts WHERE outcome = 'crashed'") == [("WorkerDied", said)]


@pytest.mark.parametrize("harm", [{"call": "harm:never_wait"}, {"call": "harm:close_all", "args": {"most": 256}}])
def test_damage_to_all_descriptors_by_a_callable_harms_no_later_job(scene: Scene, harm: dict[str, object]) -> None:
    (scene.folder / "harm.py").write_text(HARM)
    scene.add(*[OK, harm] * 3, OK)
    scene.run("-q", "-j", "1")

    assert scene.attempts() == [("succeeded",)] * 7


def test_a_callable_that_closes_the_connection_of_its_worker_has_crashed_and_says_why(scene: Scene) -> None:
    (scene.folder / "harm.py").write_text(HARM)
    scene.add(OK, {"call": "harm:close_all", "args": {"most": 5000}, "max_crashes": 1}, OK)
    scene.run("-q", "-j", "1", code=1)

    assert scene.attempts() == [("succeeded",), ("crashed",), ("succeeded",)]
    assert b"the callable broke its worker's connection" in scene.output(2, "stderr")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[tuple[Resident, int]]:
    """A process in the place of a worker, and the end of the pipe into which a worker writes its answers."""
    process = subprocess.Popen(["sleep", "60"])
    (_, tasks), (answers, answer), (bell, ring) = os.pipe(), os.pipe(), os.pipe()
    for end in (answers, bell):
        os.set_blocking(end, False)
    home = Home(str(tmp_path), "", None, ())
    yield Resident(process.pid, (tasks, answers, bell), home, (-1, -1), is_outlasting=False), answer
    process.kill()
    process.wait()
    for end in (_, tasks, answers, answer, bell, ring):
        os.close(end)


def _answer(kind: bytes, text: bytes) -> bytes:
    return ANSWER.pack(kind, 1_700_000_000_000, 1_700_000_000_001, 0.001, 0.001, 0, -1, 0, 0, -1, 0, len(text)) + text


GOOD = _answer(RESULT, b"null")


@pytest.mark.parametrize(
    "damage",
    [b"e" + GOOD, b"e" + bytes(400), b"r" + bytes(400), b"f" + b"x" * 400, b"?" * 65],
    ids=["one byte before it", "zeros after e", "zeros after r", "no lengths", "no kind"],
)
def test_nothing_counts_after_an_answer_that_cannot_be_read(worker: tuple[Resident, int], damage: bytes) -> None:
    """Whole answers that come before the kill takes effect are not those of the tasks that wait for one."""
    resident, pipe = worker
    os.write(pipe, GOOD)
    os.write(pipe, damage)
    assert len(resident.answers()) == 1
    assert resident.is_garbled

    os.write(pipe, GOOD * 2)
    assert resident.answers() == []


def test_an_answer_that_comes_in_pieces_is_read_when_it_is_whole(worker: tuple[Resident, int]) -> None:
    resident, pipe = worker
    for byte in GOOD[:-1]:
        os.write(pipe, bytes([byte]))
        assert resident.answers() == []
    os.write(pipe, GOOD[-1:] + ANSWER.pack(LAST, *[0] * 11))
    assert [text for _, _, text in resident.answers()] == ["null"]
    assert resident.is_leaving
    assert not resident.is_garbled
