"""``on_crash = "hold"``: what has begun is not begun again unasked. What had not begun is."""

import signal

from conftest import Shell, eventually, finish


def test_one_that_had_not_started_is_queued_again(batchq: Shell) -> None:
    batchq("add", "-c", "touch began; sleep 600")
    batchq("add", "--on-crash", "hold", "-c", "touch never")
    run = batchq.start("run", "-q", "-j", "1", "--grace", "0s")
    eventually((batchq.folder / "began").exists)
    run.send_signal(signal.SIGTERM)
    finish(run)

    assert batchq.rows("SELECT state FROM jobs") == [("queued",)] * 2


def test_it_says_why_it_is_held(batchq: Shell) -> None:
    batchq("add", "--on-crash", "hold", "-c", "sleep 600")
    batchq.interrupted(code=1)

    assert batchq.rows("SELECT state, why FROM jobs") == [("held", "interrupted while it ran, and on_crash is 'hold'")]
    assert "interrupted while it ran" in batchq("explain", "1").out
