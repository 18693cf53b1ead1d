"""``run -q``: no summary and no progress, but the reason why a run could not do its work; cron has only that."""

from conftest import Shell, eventually, finish
from gate import Gate
from impatient import Impatient
from others import MUTEX_HOLDER, another


def test_an_executor_that_cannot_be_had_is_named(batchq: Shell) -> None:
    batchq("add", "-q", "--", "true")

    done = batchq("run", "-q", "--executor", "unheard_of:make", code=78)
    assert done.err.startswith("batchq: ")
    assert "no package offers 'unheard_of'" in done.err


def test_the_reason_comes_also_beside_the_document(batchq: Shell) -> None:
    batchq("add", "-q", "--", "true")

    done = batchq("run", "-q", "--json", "--executor", "unheard_of:make", code=78)
    assert done.out.count("\n") == 1
    assert "no package offers" in done.err


def test_hosts_that_nothing_leads_to_are_named(batchq: Shell) -> None:
    batchq("add", "-q", "--", "true")
    batchq.env["BATCHQ_SSH"] = "sh -c 'echo no route to this host >&2; exit 255'"

    done = batchq("run", "-q", "--executor", "ssh:h1", "--reconnect", "0", code=None)
    assert done.code in (74, 78)
    assert "no route to this host" in done.err


def test_a_run_that_is_turned_away_names_the_other_one(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "-c", gate.wait)
    with batchq.start("run") as first:
        eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE state = 'running'"))

        turned_away = batchq("run", "-q", "--if-running", "fail", code=75)
        skipped = batchq("run", "-q", "--if-running", "skip")
        gate.open()
        finish(first)
    assert "runs these jobs already" in turned_away.err
    assert skipped.err == ""


def test_a_store_that_does_not_answer_is_named(batchq: Shell) -> None:
    impatient = Impatient(batchq.folder)
    run = impatient.start("run", "-q", "--watch")
    eventually(lambda: batchq.rows("SELECT 1 FROM runners"))
    with another(MUTEX_HOLDER, batchq.db()):
        done = finish(run)
    assert done.code == 75, done
    assert "is busy" in done.err
    assert "this run gave up" in done.err


def test_jobs_that_failed_or_were_not_run_are_told_by_the_exit_code_alone(batchq: Shell) -> None:
    failed = batchq("run", "-q", "--", "false", code=1)
    assert (failed.out, failed.err) == ("", "")
    (batchq.folder / "jobs.jsonl").write_text('{"command": "true", "slots": 9}\n')
    not_run = batchq("run", "-q", "-j", "1", "jobs.jsonl", code=3)
    assert (not_run.out, not_run.err) == ("", "")
