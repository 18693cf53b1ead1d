"""``output`` and ``keep_output``: one pipe for both streams, and how much of a stream is kept."""

import os
import re
from functools import partial
from pathlib import Path

import pytest
from conftest import Shell, eventually
from scene import Scene, end, ended, python
from soaking import SOAK
from test_order_of_output import alternating, has_lines, pieces
from test_output_of_jobs import peak_after

from batchq.store.looking.pieces import Piece

pytest_plugins = ("scene",)

MUCH = 1_000_000_000 if SOAK else 100_000_000
TURNS = """\
import os, sys
def speak(number):
    for one in range(number):
        print(one, file=sys.stderr if one % 2 else sys.stdout)
if __name__ == "__main__": speak(int(sys.argv[1]))
"""


def kept(scene: Scene) -> list[tuple[object, ...]]:
    return scene.rows("SELECT job, stream, total, length(head), length(tail) FROM outputs ORDER BY job, stream")


# --- output = "merged" -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["command", "callable", "fresh callable", "many short callables", "kept"])
def test_merged_output_is_in_exact_order_and_stored_as_stdout(scene: Scene, kind: str) -> None:
    (scene.folder / "turns.py").write_text(TURNS)
    job: dict[str, object] = {"command": python("turns.py", "500"), "output": "merged"}
    if kind == "kept":
        job["leftovers"] = "keep"
    elif kind != "command":
        job = {"call": "turns:speak", "args": {"number": 500}, "fresh": kind == "fresh callable", "output": "merged"}
    times = 100 if kind == "many short callables" else 1
    scene.add(*[job] * times)
    scene.run("-j", "1")

    for number in range(1, times + 1):
        assert scene.output(number) == b"".join(b"%d\n" % one for one in range(500))
    assert {row[1] for row in kept(scene)} == {"stdout"}
    assert pieces(scene) == [Piece("stdout", b"".join(b"%d\n" % one for one in range(500)))]


def test_merged_and_separate_jobs_share_workers_and_pipes(scene: Scene) -> None:
    (scene.folder / "turns.py").write_text(TURNS)
    jobs: list[dict[str, object]] = []
    for number in range(60):
        work: dict[str, object] = {"call": "turns:speak", "args": {"number": 4}}
        if number % 3 == 0:
            work = {"command": "echo 0; echo 1 >&2; echo 2; echo 3 >&2"}
        jobs.append(work | {"output": "merged" if number % 2 else "separate"})
    scene.add(*jobs)
    scene.run("-j", "2")

    for number in range(60):
        found = scene.output(number + 1), scene.output(number + 1, "stderr")
        assert found == ((b"0\n1\n2\n3\n", b"") if number % 2 else (b"0\n2\n", b"1\n3\n"))


def test_rules_about_stderr_see_merged_output(scene: Scene) -> None:
    rule = {"retry_on": ["stderr:busy"], "max_attempts": 2, "backoff": "1ms"}
    scene.add({"command": "echo busy >&2; exit 1", "output": "merged", **rule})
    scene.add({"command": "echo busy; exit 1", **rule})
    scene.run(code=1)

    assert scene.jobs("attempt") == [(2,), (1,)]


def test_the_files_of_a_merged_job_that_leaves_something_are_one(scene: Scene) -> None:
    scene.add({"command": "echo a; echo B >&2; echo c", "output": "merged", "leftovers": "keep"})
    scene.run()

    (path,) = [os.fsdecode(row[0]) for row in scene.rows("SELECT path FROM logs")]  # type: ignore[arg-type]
    assert Path(path).read_bytes() == b"a\nB\nc\n"
    assert path.endswith(".out")


# --- keep_output -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["command", "callable", "many short callables", "kept"])
@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_so_much_is_kept_half_from_each_end(scene: Scene, kind: str, size: int) -> None:
    data = os.urandom(size + 101)
    (scene.folder / "data").write_bytes(data)
    (scene.folder / "mine.py").write_text("import os\ndef cat(): os.write(2, open('data', 'rb').read())\n")
    job: dict[str, object] = {"call": "mine:cat", "keep_output": size}
    if kind in ("command", "kept"):
        job = {"command": "cat data >&2", "keep_output": size, "leftovers": "keep" if kind == "kept" else "kill"}
    times = 50 if kind == "many short callables" else 1
    scene.add(*[job] * times)
    scene.run("-j", "1")

    assert kept(scene) == [
        (number, "stderr", size + 101, size // 2, size - size // 2) for number in range(1, times + 1)
    ]
    rest = size - size // 2
    assert scene.output(times, "stderr") == data[: size // 2] + (data[-rest:] if rest else b"")


def test_the_next_job_of_the_same_pipes_and_worker_has_its_own_size(scene: Scene) -> None:
    (scene.folder / "mine.py").write_text("import os\ndef much(): os.write(1, bytes(400_000))\n")
    sizes = ["0", "1KiB", None, "1MiB", "200KB", None]
    works: list[dict[str, object]] = [{"command": "head -c 400000 /dev/zero"}, {"call": "mine:much"}]
    scene.add(*(work | ({} if size is None else {"keep_output": size}) for work in works for size in sizes))
    scene.run("-j", "1")

    lengths = [int(str(row[3])) + int(str(row[4])) for row in kept(scene)]
    assert lengths == [0, 1024, 131_072, 400_000, 200_000, 131_072] * 2


def test_the_most_that_can_be_kept_takes_bounded_memory(scene: Scene) -> None:
    silent = peak_after(scene, "true")
    scene.add({"command": f"head -c {MUCH} /dev/zero", "keep_output": "16MiB"})
    scene.add({"command": "grep VmHWM /proc/$PPID/status"})
    scene.run("-j", "1")

    assert kept(scene)[-2] == (3, "stdout", MUCH, 8 << 20, 8 << 20)
    found = re.search(rb"\d+", scene.output(4))
    assert found is not None
    assert int(found[0]) - silent <= 7 * 16 * 1024


def test_what_a_killed_runner_had_stored_of_a_large_output_stays(scene: Scene) -> None:
    scene.add({"command": "head -c 500000 /dev/zero; : > begun; cat never", "keep_output": "1MiB", "max_crashes": 1})
    process = scene.start()
    eventually(lambda: [row[2] for row in kept(scene)] == [500_000])
    end(scene.runner())

    assert ended(process) == 137
    scene.run(code=1)
    assert len(scene.output()) == 500_000


# --- the default of the store ------------------------------------------------------------------------------------------


def test_a_store_has_a_default_of_its_own(batchq: Shell) -> None:
    assert batchq("keep-output").out == "128KiB of each stream, unless a job has a keep_output of its own\n"
    assert batchq("keep-output", "1K").out == ""
    assert batchq("keep-output").out.startswith("1KiB of each stream")
    batchq("add", "-c", "head -c 5000 /dev/zero")
    batchq("add", "--keep-output", "2KiB", "-c", "head -c 5000 /dev/zero")
    batchq("run")
    assert batchq("keep-output", "--reset", "--json").out == '{"schema": 1, "kind": "keep-output", "bytes": 131072}\n'
    batchq("retry", "1", "2")
    assert batchq.rows("SELECT length(head) + length(tail) FROM outputs ORDER BY job") == [(1024,), (2048,)]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("keep-output", "17MiB"), "keep-output '17MiB' is over 16MiB: to keep everything, use 'run --log-dir DIR'"),
        (("keep-output", "1MiB", "--reset"), "keep-output takes a size or --reset, not both"),
        (("keep-output", "many"), "keep-output 'many' must be a size up to 16MiB"),
        (("add", "--keep-output", "1GiB", "--", "true"), "--keep-output"),
        (("add", "--keep-output", "all", "--", "true"), "'run --log-dir' keeps everything"),
        (("add", "--output-mode", "both", "--", "true"), "separate, merged"),
    ],
)
def test_a_wrong_value_is_refused_with_one_sentence(batchq: Shell, words: tuple[str, ...], complaint: str) -> None:
    done = batchq(*words, code=2)

    assert complaint in done.err
    assert done.err.count("\n") == 1


def test_the_fields_are_read_from_all_kinds_of_job_files(batchq: Shell) -> None:
    (batchq.folder / "a.toml").write_text("[[job]]\ncommand = 'x'\noutput = 'merged'\nkeep_output = '1MiB'\n")
    (batchq.folder / "b.csv").write_text("command,output,keep_output\nx,merged,1MiB\n")
    (batchq.folder / "c.jsonl").write_text('{"command": "x", "output": "merged", "keep_output": 1048576}\n')
    for name in ("a.toml", "b.csv", "c.jsonl"):
        batchq("add", name)
    batchq("add", "--output-mode", "merged", "--keep-output", "1M", "--", "true")
    batchq("add", "--", "true")
    batchq("update", "5", "--output-mode", "merged", "--keep-output", "1024KiB")

    assert batchq.rows("SELECT output, keep_output FROM jobs") == [("merged", 1_048_576)] * 5
    assert '"output": "merged"' in batchq("show", "1", "--json").out


# --- Python ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "of_run", "seen"),
    [({}, None, "1"), ({}, "", ""), ({"PYTHONUNBUFFERED": ""}, "x", ""), ({"PYTHONUNBUFFERED": "2"}, None, "2")],
)
def test_python_does_not_buffer_what_it_prints_unless_told_to(
    scene: Scene, own: dict[str, str], of_run: str | None, seen: str
) -> None:
    (scene.folder / "mine.py").write_text("import os\ndef value(): return os.environ.get('PYTHONUNBUFFERED')\n")
    scene.shell.env.pop("PYTHONUNBUFFERED", None)
    if of_run is not None:
        scene.shell.env["PYTHONUNBUFFERED"] = of_run
    scene.add({"command": 'printf %s "$PYTHONUNBUFFERED"', "env": own}, {"call": "mine:value", "env": own})
    scene.run()

    assert scene.output(1).decode() == seen
    assert scene.rows("SELECT result FROM attempts WHERE job = 2") == [(f'"{seen}"',)]


def test_a_python_script_prints_both_streams_in_their_order(scene: Scene) -> None:
    scene.shell.env.pop("PYTHONUNBUFFERED", None)
    script = (
        "import os, sys, time\n"
        "for number, word in enumerate('aBcD'):\n"
        "    print(word, file=sys.stdout if word.islower() else sys.stderr)\n"
        "    while not os.path.exists(f'go {number}'): time.sleep(0.002)\n"
    )
    scene.add({"command": python("-c", script)})
    process = scene.start()
    for number in range(4):
        eventually(partial(has_lines, scene, number + 1))
        (scene.folder / f"go {number}").touch()

    assert ended(process) == 0
    assert pieces(scene) == alternating("a", "B", "c", "D")
