"""A callable that damages the connection between its worker and the run harms only its own job."""

import pytest
from scene import Scene

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
