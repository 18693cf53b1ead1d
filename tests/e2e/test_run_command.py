"""``batchq run -- CMD``: add one job, run exactly it, answer for it; and the options of ``add`` that ``run`` takes."""

import json
import signal

import pytest
from conftest import Shell, eventually, finish
from gate import Gate
from scene import end, is_gone

from batchq.cli import commands
from batchq.cli.options import Argument


def jobs(batchq: Shell) -> list[tuple[object, ...]]:
    return batchq.rows("SELECT id, state, batch, queue, name FROM jobs ORDER BY id")


def states(batchq: Shell) -> list[object]:
    return [state for _, state, *_ in jobs(batchq)]


@pytest.fixture
def marked(batchq: Shell, gate: Gate) -> "Marked":
    return Marked(batchq, gate)


class Marked:
    """A script that marks its start and runs until the gate is opened."""

    def __init__(self, batchq: Shell, gate: Gate) -> None:
        self.open = gate.open
        self._begun = batchq.folder / "begun"
        self.script = f"echo x >> {self._begun}; {gate.wait}"

    def begun(self) -> int:
        return len(self._begun.read_text().split()) if self._begun.exists() else 0


def test_one_line_runs_one_job_and_leaves_what_is_queued(batchq: Shell) -> None:
    batchq("add", "-q", "-c", "exit 9")

    done = batchq("run", "--", "sh", "-c", "echo out; echo err >&2; exit 0")

    assert (done.out, done.err) == ("", ""), "silent off a terminal, as cron wants it"
    assert states(batchq) == ["queued", "succeeded"]
    assert batchq("logs", "2").out.splitlines() == ["out", "err"]


def test_a_job_that_fails_is_exit_code_1_with_its_digest(batchq: Shell) -> None:
    done = batchq("run", "--name", "load", "-c", 'echo "no $1" >&2; exit 7', "--", "disk", code=1)

    assert "job 1 (load), attempt 1 of 1: exit code 7" in done.err
    assert "no disk" in done.err
    assert batchq.full("Run it again:  batchq retry 1\n") in done.err


def test_a_callable_and_a_program_without_dashes_and_a_script_with_options_run_too(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text("def double(n): return 2 * n\n")
    script = batchq.folder / "s.sh"
    script.write_text("#!/bin/sh\n#BATCHQ --name nightly --max-attempts 2 --backoff 1ms\ntest $BATCHQ_ATTEMPT = 2\n")
    script.chmod(0o755)

    batchq("run", "--call", "mine:double", "--args", '{"n": 21}')
    batchq("run", "echo", "-n", "hello")
    batchq("run", "./s.sh")
    assert batchq.rows("SELECT result FROM attempts WHERE job = 1") == [("42",)]
    assert batchq("logs", "2").out == "hello"
    assert batchq.rows("SELECT name, state, attempt FROM jobs WHERE id = 3") == [("nightly", "succeeded", 2)]


def test_with_jobs_to_add_batch_and_queue_are_labels_and_without_they_choose(batchq: Shell) -> None:
    batchq("add", "-q", "--batch", "b", "--queue", "q", "--", "false")
    (batchq.folder / "j.jsonl").write_text('{"command": "true"}\n{"command": "true", "batch": "own"}\n')

    batchq("run", "--batch", "b", "--queue", "q", "--", "true")
    batchq("run", "--batch", "b", "--timeout", "1m", "j.jsonl")
    assert [job[1:4] for job in jobs(batchq)] == [
        ("queued", "b", "q"),
        ("succeeded", "b", "q"),
        ("succeeded", "b", "default"),
        ("succeeded", "own", "default"),
    ]
    assert batchq.rows("SELECT timeout FROM jobs WHERE id > 2") == [(60_000,), (60_000,)]
    batchq("run", "--batch", "b", code=1)
    assert states(batchq)[0] == "failed"


def test_lines_and_other_formats_are_read_as_add_reads_them(batchq: Shell) -> None:
    (batchq.folder / "todo").write_text("echo a\necho b\n")

    batchq("run", "--format", "lines", "todo")
    batchq("run", "--each", "--name", "n{}", "--", "echo", "{}", stdin="x\ny\n")
    batchq("run", "--each", "--from", "todo", "-c", 'echo "$1"')
    assert states(batchq) == ["succeeded"] * 6
    assert [job[4] for job in jobs(batchq)][2:4] == ["nx", "ny"]
    assert batchq("logs", "5").out == "echo a\n"


def test_every_option_of_add_is_one_of_run_and_no_flag_means_two_things() -> None:
    add, run = commands.table("add"), commands.table("run")
    flags = [flag for one in run.parameters if not isinstance(one, Argument) for flag in one.flags]

    assert len(flags) == len(set(flags)), "of two options with one flag only one can be meant"
    assert {one.name for one in add.parameters} <= {one.name for one in run.parameters}


@pytest.mark.parametrize(
    "words",
    [("--timeout", "1h"), ("--key", "k"), ("--hold",), ("--max-attempts", "3"), ("--tag", "t"), ("--dry-run",),
     ("--format", "toml"), ("--args", "{}"), ("--from", "x"), ("-0",)],
)  # fmt: skip
def test_what_only_describes_a_job_is_refused_when_none_is_added(batchq: Shell, words: tuple[str, ...]) -> None:
    batchq("add", "-q", "--", "true")

    done = batchq("run", *words, code=2)

    assert "is for jobs that this run adds, and it adds none" in done.err
    assert done.err.count("\n") == 1
    assert states(batchq) == ["queued"]


def test_wrong_combinations_name_run_and_not_add(batchq: Shell) -> None:
    assert "run 'batchq run' once for each" in batchq("run", "-c", "true", "jobs.toml", code=2).err
    assert "write batchq run -- 'nosuch'" in batchq("run", "nosuch", code=2).err.replace("-- nosuch", "-- 'nosuch'")
    assert "--each needs a template" in batchq("run", "--each", code=2).err
    assert "--watch and jobs to add exclude each other" in batchq("run", "--watch", "--", "true", code=2).err
    assert batchq.rows("SELECT * FROM adds") == []


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("file.sh",), 2, "'file.sh' has no suffix .toml, .jsonl or .csv and cannot be executed: 'chmod +x file.sh'"),
        (("echo a && echo b",), 2, "for a shell, write batchq run -c 'echo a && echo b'"),
        (("-c", "echo", "hi"), 2, "-c takes one script; write it in quotes, as in -c 'echo hi'"),
        (("--",), 65, "the command names no program"),
        (("--max-atempts", "3", "--", "true"), 2, "did you mean '--max-attempts'?"),
        (("--retries", "3", "--", "true"), 2, "did you mean '--max-attempts'?"),
    ],
)
def test_what_people_type_first_gets_an_answer_that_helps(
    batchq: Shell, words: tuple[str, ...], code: int, message: str
) -> None:
    (batchq.folder / "file.sh").write_text("#!/bin/sh\n")

    done = batchq("run", *words, code=code)

    assert message in done.err and done.err.count("\n") == 1
    assert batchq.rows("SELECT id FROM jobs") == []


def test_a_dry_run_shows_the_job_and_runs_nothing(batchq: Shell) -> None:
    done = batchq("run", "--dry-run", "--name", "n", "--", "touch", "made")

    assert "touch made" in done.out
    assert not (batchq.folder / "made").exists()
    assert batchq.rows("SELECT id FROM jobs UNION ALL SELECT id FROM runners") == []


def test_a_job_that_waits_for_what_nobody_runs_is_not_waited_for(batchq: Shell) -> None:
    batchq("add", "-q", "--", "true")

    done = batchq("run", "--after", "1", "--", "true", code=3)

    assert done.err == batchq.full(
        "batchq: not run: job 2: blocked by unfinished jobs; 'batchq explain 2' names them\n"
    )
    assert "not run: job 3: held by hand" in batchq("run", "--hold", "--", "true", code=3).err


def test_a_key_that_another_run_works_on_starts_nothing(batchq: Shell, marked: Marked) -> None:
    once = ("run", "--key", "k", "--unique", "active")
    with batchq.start(*once, "-c", marked.script) as first:
        eventually(lambda: marked.begun() == 1)

        done = batchq(*once, "-c", marked.script, code=75)
        assert done.err == f"batchq: process {pid(batchq)} works on job 1, which has this key; nothing was started\n"
        assert batchq("run", "--key", "other", "--", "true").err == "", "another key is other work"
        quiet = batchq(*once, "--if-running", "skip", "-c", marked.script)
        assert (quiet.out, quiet.err) == ("", "")
        with batchq.start(*once, "--if-running", "wait", "-c", "true") as waiting:
            eventually(lambda: len(batchq.rows("SELECT 1 FROM runners WHERE ended_at IS NULL")) == 1)
            assert waiting.poll() is None
            marked.open()
            assert finish(first).code == 0
            assert finish(waiting).code == 0
    assert marked.begun() == 1
    assert states(batchq) == ["succeeded"] * 3, "the third is that of the run that waited"


def pid(batchq: Shell) -> object:
    return batchq.rows("SELECT pid FROM runners ORDER BY id LIMIT 1")[0][0]


def test_join_waits_for_the_job_of_another_run_and_answers_for_it(batchq: Shell, marked: Marked) -> None:
    with batchq.start("run", "--key", "k", "-c", f"{marked.script}; exit 4") as first:
        eventually(lambda: marked.begun() == 1)
        with batchq.start("run", "--key", "k", "--if-running", "join", "--", "true") as second:
            eventually(lambda: len(batchq.rows("SELECT 1 FROM runners WHERE ended_at IS NULL")) == 2)
            marked.open()
            assert finish(first).code == 1
            assert finish(second).code == 1
    assert marked.begun() == 1


def test_a_key_whose_run_was_killed_is_run_by_the_next(batchq: Shell, marked: Marked) -> None:
    words = ("run", "--key", "k", "--unique", "active", "--backoff", "1ms", "-c", marked.script)
    with batchq.start(*words) as first:
        eventually(lambda: marked.begun() == 1)
        runner = int(str(pid(batchq)))
        end(runner, first.pid)
        first.wait()
        eventually(lambda: is_gone(runner))  # until then it may still have the lock that says that it lives
    marked.open()

    assert batchq(*words).err == ""
    assert jobs(batchq)[0][1] == "succeeded"
    assert batchq.rows("SELECT number, outcome FROM attempts ORDER BY number") == [(1, "crashed"), (2, "succeeded")]
    assert len(jobs(batchq)) == 1, "the same job, and not another one"


def test_a_key_whose_job_is_only_queued_is_run(batchq: Shell) -> None:
    batchq("add", "-q", "--key", "k", "-c", "echo as added")

    batchq("run", "--key", "k", "--unique", "active", "-c", "echo another")
    assert batchq("logs", "1").out == "as added\n"
    batchq("run", "--key", "k", "--unique", "active", "-c", "echo another")
    assert batchq("logs", "2").out == "another\n"


def test_a_key_that_waits_for_a_retry_of_another_run_starts_nothing(batchq: Shell) -> None:
    words = ("run", "--key", "k", "--unique", "active", "--max-attempts", "2", "--backoff", "1h", "--", "false")
    with batchq.start(*words) as first:
        eventually(lambda: states(batchq) == ["scheduled"])

        assert "works on job 1" in batchq(*words, code=75).err
        first.send_signal(signal.SIGTERM)
        assert finish(first).code == 143
    assert states(batchq) == ["scheduled"]


def test_a_key_that_has_succeeded_is_well_and_one_that_has_failed_is_1(batchq: Shell) -> None:
    batchq("run", "--key", "a", "--", "true")
    batchq("run", "--key", "b", "--", "false", code=1)

    assert batchq("run", "--key", "a", "--", "true").err == ""
    assert "job 2 failed before" in batchq("run", "--key", "b", "--", "false", code=1).err
    assert batchq("run", "--key", "b", "--if-exists", "rerun-failed", "--", "true").err == ""
    assert "belongs to job 1 already" in batchq("run", "--key", "a", "--if-exists", "reject", "--", "true", code=65).err


def test_without_a_key_the_command_and_its_folder_tell_whether_it_is_running(batchq: Shell, marked: Marked) -> None:
    with batchq.start("run", "-c", marked.script) as first:
        eventually(lambda: marked.begun() == 1)

        assert batchq("run", "--if-running", "skip", "-c", marked.script).err == ""
        assert "runs these jobs already" in batchq("run", "--if-running", "fail", "-c", marked.script, code=75).err
        assert batchq("run", "--if-running", "fail", "--", "true").err == ""
        assert batchq("run", "--if-running", "fail", "--cwd", "/", "-c", f"exit 0; {marked.script}").err == ""
        marked.open()
        assert finish(first).code == 0
    assert marked.begun() == 1


def test_what_an_earlier_run_of_the_same_command_left_is_named(batchq: Shell, marked: Marked) -> None:
    with batchq.start("run", "--grace", "0s", "-c", marked.script) as first:
        eventually(lambda: marked.begun() == 1)
        first.send_signal(signal.SIGTERM)
        assert finish(first).code == 143
    marked.open()

    done = batchq("run", "-c", marked.script)

    assert done.err.startswith(
        batchq.full("batchq: job 1 from an earlier add of the same command is still open; 'batchq run' runs")
    )


def test_what_bounds_and_reports_a_run_goes_on_working(batchq: Shell) -> None:
    done = batchq("run", "--max-time", "50ms", "--grace", "0s", "--", "sleep", "600", code=3)
    assert done.err.startswith("batchq: not run: job 1: the run ended first (--max-time)")
    batchq("run", "-q", "--mail-on", "change", "--", "false", code=1)
    assert batchq("run", "--mail-on", "change", "--", "false", code=1).err == "", "as last time"
    done = batchq("run", "--json", "--events", "events", "--notify", "cat > letter", "--", "false", code=1)
    assert json.loads(done.out)["failed"] == [4]
    assert '"job.error"' in (batchq.folder / "events").read_text()
    assert "job 4" in (batchq.folder / "letter").read_text()


def test_the_store_may_be_named_before_and_after_the_command(batchq: Shell) -> None:
    db = str(batchq.folder / "other.db")

    assert batchq("--db", db, "run", "--", "false", code=1).err.endswith(f"batchq --db {db} retry 1\n")
    assert batchq("run", "--db", db, "true").err == ""
