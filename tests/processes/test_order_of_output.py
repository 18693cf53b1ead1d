"""The order in which jobs print to their two streams is stored, as far as two pipes show it."""

from functools import partial

import pytest
from conftest import eventually
from scene import Scene, end, ended, python

from batchq.store.file.opening import open_at
from batchq.store.looking import outputs
from batchq.store.looking.pieces import Piece

pytest_plugins = ("scene",)

STEPS = """\
import os, sys, time
def speak(words, waits=True):
    for number, word in enumerate(words):
        print(word, file=sys.stdout if word.islower() else sys.stderr, flush=True)
        while waits and not os.path.exists(f"go {number}"): time.sleep(0.002)
if __name__ == "__main__": speak(sys.argv[1:])
"""


def pieces(scene: Scene, job: int = 1, attempt: int | None = None) -> list[Piece]:
    """What is stored of a job in the order of printing; a piece of one stream after another is one."""
    with open_at(str(scene.shell.db())) as store:
        found: list[Piece] = []
        for one in outputs.printed(store, job, attempt).pieces():
            if found and found[-1].stream == one.stream and not one.missing and not found[-1].missing:
                found[-1] = found[-1]._replace(data=found[-1].data + one.data)
            else:
                found.append(one)
        return found


def has_lines(scene: Scene, number: int) -> bool:
    return b"".join(one.data for one in pieces(scene)).count(b"\n") == number


def alternating(*words: str) -> list[Piece]:
    return [Piece("stdout" if word.islower() else "stderr", f"{word}\n".encode()) for word in words]


@pytest.mark.parametrize("kind", ["command", "callable", "fresh callable"])
def test_the_order_of_a_running_job_is_kept(scene: Scene, kind: str) -> None:
    (scene.folder / "steps.py").write_text(STEPS)
    words = ["a", "B", "c", "D", "E", "f"]
    if kind == "command":
        scene.add({"command": python("steps.py", *words)})
    else:
        scene.add({"call": "steps:speak", "args": {"words": words}, "fresh": kind != "callable"})
    process = scene.start()
    for number in range(len(words)):
        eventually(partial(has_lines, scene, number + 1))
        (scene.folder / f"go {number}").touch()

    assert ended(process) == 0
    assert pieces(scene) == [*alternating("a", "B", "c"), Piece("stderr", b"D\nE\n"), *alternating("f")]


@pytest.mark.parametrize("first", ["stdout", "stderr"])
def test_the_stream_that_was_first_comes_first(scene: Scene, first: str) -> None:
    scripts = {"stdout": "echo a; echo B >&2", "stderr": "echo B >&2; echo a"}
    scene.add({"command": f"{scripts[first]}; until [ -e go ]; do sleep 0.01; done"})
    process = scene.start()
    eventually(lambda: len(pieces(scene)) == 2)
    (scene.folder / "go").touch()

    assert ended(process) == 0
    assert [one.stream for one in pieces(scene)] == [first, {"stdout": "stderr", "stderr": "stdout"}[first]]


def test_missing_bytes_are_missing_where_they_were_printed(scene: Scene) -> None:
    """The head and the tail of each stream are kept: stdout has a gap, and the lines of stderr in it are all there."""
    (scene.folder / "big.py").write_text(
        "import os, time\n"
        "for number in range(12):\n"
        "    os.write(1, bytes([97 + number]) * 20_000)\n"
        "    os.write(2, b'%d\\n' % number)\n"
        "    while not os.path.exists(f'go {number}'): time.sleep(0.002)\n"
    )
    scene.add({"command": python("big.py")})
    process = scene.start()
    for number in range(12):
        eventually(partial(has_lines, scene, number + 1))
        (scene.folder / f"go {number}").touch()

    assert ended(process) == 0
    found = pieces(scene)
    assert b"".join(one.data for one in found if one.stream == "stderr") == b"".join(b"%d\n" % n for n in range(12))
    (gap,) = [at for at, one in enumerate(found) if one.missing]
    assert found[gap] == Piece("stdout", b"", 12 * 20_000 - 2 * 64 * 1024)
    # 65,536 bytes are three turns and a part of the fourth, in which the gap begins; the tail begins in the ninth.
    assert found[gap - 1] == Piece("stdout", b"d" * (64 * 1024 - 60_000))
    assert [one.data for one in found[gap + 1 : gap + 3]] == [b"3\n4\n5\n6\n7\n", b"i" * (64 * 1024 - 60_000)]


@pytest.mark.parametrize("kind", ["command", "callable"])
def test_streams_that_alternate_very_fast_lose_nothing(scene: Scene, kind: str) -> None:
    (scene.folder / "mine.py").write_text(
        "import os, time\n"
        "def alternate():\n"
        "    for number in range(20_000):\n"
        "        os.write(1 + number % 2, b'%d\\n' % number)\n"
        "        if number % 100 == 0: time.sleep(0.0001)\n"
        "if __name__ == '__main__': alternate()\n"
    )
    scene.add({"command": python("mine.py")} if kind == "command" else {"call": "mine:alternate"})
    scene.run()
    found = pieces(scene)

    assert not any(one.missing for one in found)
    for stream, first in (("stdout", 0), ("stderr", 1)):
        printed = b"".join(one.data for one in found if one.stream == stream)
        assert printed == scene.output(1, stream) == b"".join(b"%d\n" % number for number in range(first, 20_000, 2))


def test_after_the_death_of_a_runner_the_order_of_what_it_stored_is_there(scene: Scene) -> None:
    (scene.folder / "steps.py").write_text(STEPS)
    scene.add({"command": python("steps.py", "a", "B", "c", "D"), "max_crashes": 1})
    process = scene.start()
    for number in range(3):
        eventually(partial(has_lines, scene, number + 1))
        (scene.folder / f"go {number}").touch()
    eventually(lambda: len(pieces(scene)) == 4)
    end(scene.runner())

    assert ended(process) == 137
    scene.run(code=1)
    assert pieces(scene) == alternating("a", "B", "c", "D")


def test_where_the_order_is_unknown_stdout_comes_first(scene: Scene) -> None:
    """Files keep no order, and an older version of batchq has stored none."""
    scene.add({"command": "echo E >&2; echo o", "leftovers": "keep"}, {"command": "echo E >&2; echo o"})
    scene.run()
    with open_at(str(scene.shell.db())) as store, store.writing() as db:
        db.execute("UPDATE outputs SET turns = NULL")

    for job in (1, 2):
        assert pieces(scene, job) == [Piece("stdout", b"o\n"), Piece("stderr", b"E\n")]


def test_of_an_earlier_attempt_the_order_is_kept_too(scene: Scene) -> None:
    scene.add({"command": "echo E$BATCHQ_ATTEMPT >&2; sleep 0.1; echo o; exit 1", "max_attempts": 2, "backoff": "1ms"})
    scene.run(code=1)

    for attempt in (1, 2):
        assert pieces(scene, 1, attempt) == [Piece("stderr", b"E%d\n" % attempt), Piece("stdout", b"o\n")]


def test_which_stream_was_first_is_known_even_if_the_run_reads_both_at_the_end(scene: Scene) -> None:
    """Most of these have ended before the run reads anything. The kernel tells which pipe was readable first."""
    scene.add(*[{"command": "echo B >&2; echo a"}, {"command": "echo a; echo B >&2"}] * 60)
    scene.run("-j", "4")

    for job in range(1, 121):
        assert pieces(scene, job) == (alternating("B", "a") if job % 2 else alternating("a", "B")), job
