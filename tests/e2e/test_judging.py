"""Rules that look at stderr: an expression that would go on for ever holds up neither the run nor anybody else."""

import signal

import pytest
from conftest import Shell, eventually, finish, send
from gate import Gate

ENDLESS = ("stderr:^(?:a|b|ab)*c$", "stderr:((ab)+)+c$", "stderr:.*.*.*.*.*x", "stderr:^(([a-z])+.)+[A-Z]([a-z])+$")
PRINT = "yes ab | head -c 4000 | tr -d '\\n' >&2; exit 1"


@pytest.mark.parametrize("rule", ENDLESS)
def test_an_endless_expression_counts_as_not_matched_and_is_told(batchq: Shell, rule: str) -> None:
    batchq("add", "--max-attempts", "3", "--backoff", "0s", "--retry-on", rule, "-c", PRINT)
    batchq("add", "--max-attempts", "2", "--backoff", "0s", "--no-retry-on", rule, "-c", PRINT)

    done = batchq("run", code=1)

    assert done.err.count("take too long on its output, and count as not matched") == 2
    assert batchq.rows("SELECT id, state, attempt FROM jobs") == [(1, "failed", 1), (2, "failed", 2)]


def test_an_expression_that_is_decided_is_heeded_beside_one_that_is_not(batchq: Shell) -> None:
    endless = ("--max-attempts", "2", "--backoff", "0s", "--retry-on", ENDLESS[0])
    batchq("add", *endless, "-", stdin=f"{PRINT}\n" * 8)
    batchq("add", "--max-attempts", "2", "--backoff", "0s", "--retry-on", "stderr:^try again$", "-c",
           "echo try again >&2; test $BATCHQ_ATTEMPT = 2")  # fmt: skip

    batchq("run", "-j", "9", code=1)

    assert batchq.rows("SELECT state, attempt, count(*) FROM jobs GROUP BY 1, 2") == [
        ("failed", 1, 8), ("succeeded", 2, 1),
    ]  # fmt: skip


def test_timeouts_signals_and_adds_do_not_wait_for_expressions(batchq: Shell) -> None:
    """Twenty jobs of a run end again and again in a text on which their rule would go on for ever."""
    batchq("add", "--timeout", "1s", "--", "sleep", "100")
    endless = ("--max-attempts", "1000", "--backoff", "0s", "--no-retry-on", ENDLESS[0])
    batchq("add", *endless, "-", stdin=f"{PRINT}\n" * 20)
    run = batchq.start("run", "-q", "-j", "21", "--grace", "1s")
    eventually(lambda: batchq.rows("SELECT 1 FROM attempts WHERE outcome = 'failed'"))

    for _ in range(3):
        batchq("add", "-q", "--hold", "--", "true")
    eventually(lambda: batchq.rows("SELECT count(*) FROM attempts WHERE outcome = 'timed_out'") == [(1,)])
    send(run, signal.SIGTERM)
    assert finish(run).code == 143


@pytest.mark.parametrize("grace", ["0s", "8s"])
def test_a_stop_does_not_wait_for_the_expressions_of_many_jobs(batchq: Shell, gate: Gate, grace: str) -> None:
    script = f"{gate.wait}; yes ab | head -c 4000 | tr -d '\\n' >&2; echo >>ended; exit 1"
    batchq("add", "-q", "--max-attempts", "3", "--retry-on", ENDLESS[0], "-", stdin=f"{script}\n" * 120)
    run = batchq.start("run", "-j", "120", "--grace", grace)
    eventually(lambda: batchq.rows("SELECT count(*) FROM jobs WHERE state = 'running'") == [(120,)])
    gate.open()
    eventually(lambda: (batchq.folder / "ended").exists() and len((batchq.folder / "ended").read_text()) == 120)
    send(run, signal.SIGTERM)
    done = finish(run)

    assert done.code == 143
    told = [line for line in done.err.splitlines() if "take too long" in line]
    assert told[-1].startswith("batchq: jobs ")
    assert len(told) < 60, "each of the others took a tenth of a second"
