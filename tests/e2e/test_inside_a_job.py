"""Commands that a job calls know that they are inside of it: nothing waits for itself, and nothing waits for ever."""

import json

import pytest
from conftest import Shell, finish

BATCHQ = '"$PYTHON" -m batchq'
PARTS = f'seq 3 | {BATCHQ} add -q --batch night --each -c "echo \\$1 >>parts"\n'


def run(batchq: Shell, script: str, *words: str, add: tuple[str, ...] = (), name: str = "outer") -> None:
    """Add a job that is this script, run everything, and expect that the run ends with exit code 0."""
    import sys

    (batchq.folder / f"{name}.sh").write_text(script)
    batchq("add", "-q", "--name", name, "--env", f"PYTHON={sys.executable}", *add, "--", "sh", f"{name}.sh")
    if words:
        done = finish(batchq.start("run", *words), 60)
        assert (done.code, done.err) == (0, ""), done


def parts(batchq: Shell) -> list[str]:
    return sorted((batchq.folder / "parts").read_text().split())


@pytest.mark.parametrize("what", ["--all", "--batch night", "last", "--state running,queued,blocked"])
def test_wait_leaves_out_the_job_that_calls_it_and_what_comes_after_it(batchq: Shell, what: str) -> None:
    script = (
        f'{PARTS}{BATCHQ} add -q --batch night --after "$BATCHQ_JOB_ID" -- true\n{BATCHQ} wait {what}; echo $? >code\n'
    )
    if what == "last":
        script = f"{PARTS}{BATCHQ} wait last; echo $? >code\n"

    run(batchq, script, "-j4", add=("--batch", "night"))

    assert (batchq.folder / "code").read_text() == "0\n"
    assert parts(batchq) == ["1", "2", "3"]


def test_wait_for_the_calling_job_itself_is_refused_with_a_sentence(batchq: Shell) -> None:
    run(batchq, f'{BATCHQ} wait "$BATCHQ_JOB_ID" 2>told; echo $? >code\n', "-j2")

    assert (batchq.folder / "code").read_text() == "2\n"
    assert (
        "this runs inside job 1: to wait for job 1 would be to wait for itself" in (batchq.folder / "told").read_text()
    )


def test_wait_says_that_no_slot_is_left_where_the_calling_job_has_the_last_one(batchq: Shell) -> None:
    run(batchq, f"{PARTS}{BATCHQ} wait last 2>told; echo $? >code\n", "-j1")

    assert (batchq.folder / "code").read_text() == "3\n"
    assert "no run has a free slot for these" in (batchq.folder / "told").read_text()


@pytest.mark.parametrize(("priority", "code"), [("0", "3"), ("1", "0")], ids=["behind it", "before it"])
def test_wait_says_so_if_a_wider_job_in_line_holds_up_the_awaited_one(batchq: Shell, priority: str, code: str) -> None:
    """Free slots are not enough: they stay empty for the job that needs more of them."""
    add = f"{BATCHQ} add -q --slots 2 -- true\n{BATCHQ} add -q --priority {priority} -- true\n"
    run(batchq, f"{add}{BATCHQ} wait last 2>told; echo $? >code\n", "-j2")

    assert (batchq.folder / "code").read_text() == f"{code}\n"
    assert ("no run has a free slot for these" in (batchq.folder / "told").read_text()) == (code == "3")
    assert batchq.rows("SELECT DISTINCT state FROM jobs") == [("succeeded",)]


def test_jobs_that_wait_for_each_other_end(batchq: Shell) -> None:
    script = f"touch begun-$BATCHQ_JOB_ID; until test -e begun-1 && test -e begun-2; do sleep 0.01; done\n{BATCHQ} wait"
    run(batchq, f"{script} --batch b 2>told-1; echo $? >code-1\n", add=("--batch", "b"), name="one")
    run(batchq, f"{script} --batch b 2>told-2; echo $? >code-2\n", "-j2", add=("--batch", "b"), name="two")

    codes = {(batchq.folder / f"code-{number}").read_text() for number in (1, 2)}
    assert "3\n" in codes, "the first that gave up may have let the other one go on"


@pytest.mark.parametrize("what", ["", "--batch night", "--if-running wait", "--queue default"])
def test_a_run_inside_of_a_job_ends_though_jobs_are_to_run_after_that_job(batchq: Shell, what: str) -> None:
    script = (
        f'{BATCHQ} add -q --batch night --after "$BATCHQ_JOB_ID" -- true\n{PARTS}{BATCHQ} run {what}; echo $? >code\n'
    )

    run(batchq, script, "-j1", *what.split()[:2] * (what.startswith("--if")), add=("--batch", "night"))

    assert (batchq.folder / "code").read_text() == "0\n"
    assert parts(batchq) == ["1", "2", "3"]
    assert batchq.rows("SELECT DISTINCT state FROM jobs") == [("succeeded",)]


def test_runs_inside_of_jobs_that_wait_for_each_other_end(batchq: Shell) -> None:
    script = "touch begun-$BATCHQ_JOB_ID; until test -e begun-1 && test -e begun-2; do sleep 0.01; done\n"
    for name in ("one", "two"):
        run(batchq, f"{script}{BATCHQ} run --batch b\n", add=("--batch", "b"), name=name)

    done = finish(batchq.start("run", "-j2"), 60)
    assert (done.code, done.err) == (0, "")


def test_a_run_inside_of_the_only_job_that_its_queue_lets_run_ends(batchq: Shell) -> None:
    batchq("queue", "set", "default", "--limit", "1")

    run(batchq, f"{PARTS}{BATCHQ} run; echo $? >code\n", "-j2")

    assert (batchq.folder / "code").read_text() == "0\n"
    assert parts(batchq) == ["1", "2", "3"]


def test_a_job_two_levels_down_knows_both_that_it_runs_in(batchq: Shell) -> None:
    import sys

    inner = f"{BATCHQ} wait --all; echo $? >code; {BATCHQ} run; echo $? >>code\n"
    (batchq.folder / "inner.sh").write_text(inner)
    outer = (
        f'{BATCHQ} add -q --after "$BATCHQ_JOB_ID" -- touch after\n'
        f'{BATCHQ} add -q --env PYTHON="{sys.executable}" -- sh inner.sh\n{BATCHQ} run -j1\n'
    )

    run(batchq, outer, "-j1")

    assert (batchq.folder / "code").read_text() == "0\n0\n"
    assert (batchq.folder / "after").exists()


def test_a_variable_that_is_left_of_a_job_misleads_nobody(batchq: Shell) -> None:
    run(batchq, "env >seen\n", "-j1")
    seen = dict(line.split("=", 1) for line in (batchq.folder / "seen").read_text().splitlines() if "=" in line)
    stale = {name: value for name, value in seen.items() if name.startswith("BATCHQ_")}
    batchq("add", "-q", "--", "true")

    assert "no run at work" in batchq("wait", "1", "2", "--timeout", "0s", code=3, env=stale).err
    assert json.loads(batchq("run", "-q", "--json", env=stale).out)["succeeded"] == 1


def test_a_job_of_an_inner_run_has_no_variable_of_the_outer_job(batchq: Shell) -> None:
    inner = f"export BATCHQ_DB=$PWD/inner.db\n{BATCHQ} add -q -c 'env >seen'; {BATCHQ} run\n"
    run(batchq, inner, "-j1", add=("--key", "outer", "--timeout", "1h"))

    seen = (batchq.folder / "seen").read_text()
    assert "\nBATCHQ_JOB_ID=1\n" in f"\n{seen}"
    assert "BATCHQ_KEY" not in seen and "BATCHQ_DEADLINE" not in seen


def test_a_nearer_store_that_is_not_used_because_of_the_outer_job_is_named(batchq: Shell) -> None:
    other = batchq.folder / "other"
    other.mkdir()
    batchq("--db", str(other / "batchq.db"), "init")

    run(batchq, f"cd other\n{BATCHQ} add -- true 2>../told\n{BATCHQ} --db batchq.db add -q -- true 2>>../told\n", "-j1")

    (line,) = (batchq.folder / "told").read_text().splitlines()
    assert "this runs inside a job, whose BATCHQ_DB is" in line and str(other / "batchq.db") in line
    assert batchq.rows("SELECT count(*) FROM jobs") == [(2,)], "the documented order of stores is kept"


def test_a_job_of_another_store_knows_the_job_of_this_one_that_it_runs_in(batchq: Shell) -> None:
    import sys

    one, two = f'{BATCHQ} --db "$HOME/batchq.db"', f'{BATCHQ} --db "$HOME/two.db"'
    (batchq.folder / "inner.sh").write_text(f"{one} wait --all; echo $? >code; {one} run; echo $? >>code\n")
    outer = (
        f'{one} add -q --after "$BATCHQ_JOB_ID" -- touch after\n'
        f'{two} add -q --env PYTHON="{sys.executable}" -- sh inner.sh 2>/dev/null\n{two} run\n'
    )

    run(batchq, outer, "-j1")

    assert (batchq.folder / "code").read_text() == "0\n0\n"
    assert (batchq.folder / "after").exists()


def test_an_inner_run_says_by_name_what_it_is_inside_of(batchq: Shell) -> None:
    (batchq.folder / "parts.toml").write_text(
        '[[job]]\nname = "part"\ncommand = "true"\n'
        '[[job]]\nname = "tail"\nafter = ["id:1"]\ncommand = "true"\n'
        '[[job]]\nname = "end"\nafter = ["tail"]\ncommand = "true"\n'
    )
    script = f"{BATCHQ} run parts.toml --json 2>told >facts; echo $? >code\n"
    run(batchq, script, "-j1", add=("--name", "outer"))

    assert (batchq.folder / "code").read_text() == "3\n"
    assert (batchq.folder / "told").read_text() == (
        "batchq: not run: jobs 3 (tail), 4 (end): this command runs inside job 1 (outer), and they cannot finish"
        " before that job does\n"
    )
    (left,) = json.loads((batchq.folder / "facts").read_text())["not_run"]
    assert left == {"reason": "inside", "queue": None, "jobs": [3, 4]}


def test_an_inner_run_that_waits_for_its_own_queue_says_so(batchq: Shell) -> None:
    batchq("queue", "set", "one", "--limit", "1")
    (batchq.folder / "part.toml").write_text('[[job]]\nqueue = "one"\ncommand = "true"\n')
    run(batchq, f"{BATCHQ} run part.toml 2>told; echo $? >code\n", "-j2", add=("--queue", "one"))

    assert (batchq.folder / "code").read_text() == "3\n"
    assert (batchq.folder / "told").read_text() == (
        "batchq: not run: job 2: this command runs inside job 1 (outer), and every running job waits for another;"
        f" 'batchq --db {batchq.db()} run' runs it later\n"
    )
