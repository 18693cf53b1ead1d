"""What a person sees of a run on a terminal: at 40, 80 and 120 columns, with another size, Ctrl-C, and Ctrl-S."""

import re
import signal
import sys

import pytest
from conftest import Shell, eventually
from terminal import CTRL_C, CTRL_Q, CTRL_S, CTRL_Z, Terminal, on_terminal

FAILS = 'until [ -e go ]; do sleep 0.01; done; echo "error: no route to host" >&2; exit 3'
WAITS = "until [ -e go ]; do sleep 0.01; done"


def lines_of(screen: str, part: str) -> list[str]:
    return [line for line in screen.split("\n") if part in line]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_running_jobs_are_shown_under_one_bar(batchq: Shell, columns: int) -> None:
    batchq("add", "--name", "load", "--", "sleep", "600")
    batchq("add", "-c", f"sleep 600; echo {'long ' * 40}")
    batchq("add", "--", "true")
    with on_terminal(batchq, "run", "-j", "2", columns=columns) as terminal:
        screen = terminal.wait_for("0 of 3, 2 running", "1 (load)", "2  sleep 600;")
        assert len(screen.split("\n")) == 3
        assert max(map(len, screen.split("\n"))) < columns
        terminal.wait_until(lambda _: terminal.is_cursor_shown and terminal.cursor == (0, 0), "the cursor at its top")

        terminal.resize(60)
        terminal.wait_until(
            lambda screen: all(len(line) < 60 for line in screen.split("\n")) and len(lines_of(screen, "0 of 3")) == 1,
            "one narrow block",
        )
        terminal.type(CTRL_C)
        terminal.wait_for("Ctrl-C")
        terminal.signal(signal.SIGQUIT)
        assert terminal.wait() == 130
        assert not lines_of(terminal.screen(), "0 of 3") and terminal.is_cursor_shown


#: ``batchq run`` whose window of 80 columns has 60 while the block with the running job is made
NARROWED = """
import sys, termios
from batchq.__main__ import main
from batchq.cli.run.live import watching
frame, others = watching.frame, [True]
def narrowed(view, *size):
    if view.jobs and others and others.pop():
        termios.tcsetwinsize(2, (24, 60))
    return frame(view, *size)
watching.frame = narrowed
termios.tcsetwinsize(2, (24, 80))
sys.argv = ["batchq", "run"]
main()
"""


def test_a_window_that_narrows_while_the_block_is_made_has_nothing_of_an_old_one(batchq: Shell) -> None:
    batchq("add", "-c", f"{WAITS}; echo {'long ' * 40}")
    with Terminal([sys.executable, "-c", NARROWED], cwd=batchq.folder, env=batchq.env, columns=60) as terminal:
        screen = terminal.wait_until(lambda screen: re.search(r"([2-9]|\d\d) s  1  until", screen), "a later block")
        assert len(lines_of(screen, "0 of 1")) == 1, screen
        (batchq.folder / "go").touch()
        assert terminal.wait() == 0


def test_jobs_that_do_not_fit_into_the_window_are_counted(batchq: Shell) -> None:
    for _ in range(9):
        batchq("add", "--", "sleep", "600")
    with on_terminal(batchq, "run", "-j", "9", rows=8) as terminal:
        screen = terminal.wait_for("9 running", "and 4 more")
        assert len(screen.split("\n")) == 7 and len(lines_of(screen, "sleep 600")) == 5
        terminal.resize(80, 20)
        terminal.wait_until(lambda screen: len(lines_of(screen, "sleep 600")) == 9, "all nine jobs")
        terminal.signal(signal.SIGQUIT)
        assert terminal.wait() == 131


def test_failures_are_printed_when_they_happen_and_equal_ones_counted(batchq: Shell) -> None:
    for _ in range(5):
        batchq("add", "-c", FAILS)
    batchq("add", "--name", "other", "-c", "exit 4")
    batchq("add", "--", "sleep", "600")
    with on_terminal(batchq, "run", "-j", "7", "--grace", "1h") as terminal:
        terminal.wait_for("job 6 (other): exit 4", "1 of 7")
        (batchq.folder / "go").touch()
        screen = terminal.wait_for("2 more failed: exit 3: error: no route to host", "6 of 7", "6 failed")
        assert len(lines_of(screen, ": exit 3: error: no route to host")) == 4

        terminal.type(CTRL_C)
        terminal.wait_for("waiting until", ", 59 m ")  # the same signal within half a second is one
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        last = " ".join(terminal.screen().split("\n")[-2:])
        assert re.search(r"6 jobs in .*s: 6 failed for 2 reasons, 1 queued again; stopped by Ctrl-C", last)


def test_a_run_says_what_it_waits_for(batchq: Shell) -> None:
    batchq("add", "--max-attempts", "2", "--backoff", "1h", "-c", "exit 3")
    batchq("queue", "set", "net", "--limit", "1")
    batchq("queue", "set", "slow", "--rate", "1/h")
    batchq("queue", "pause", "later")
    for queue in ("net", "slow", "later"):
        batchq("add", "--queue", queue, "--", "sleep", "600")
        batchq("add", "--queue", queue, "--", "sleep", "600")
    batchq("add", "--after", "2", "--", "true")
    with on_terminal(batchq, "run", "-j", "9", columns=100) as terminal:
        terminal.wait_for(
            "job 1: exit 3; retried in ",
            "1 waits for a retry, the next in ",
            "1 waits in the queue 'net', of which 1 runs, its limit",
            "1 waits for the rate of the queue 'slow', the next ",
            "2 wait in the queue 'later', which is paused",
            "1 waits for other jobs",
            "2 running",
        )
        terminal.signal(signal.SIGQUIT)
        assert terminal.wait() == 131


def test_a_run_says_which_job_waits_for_several_free_slots(batchq: Shell) -> None:
    """Not one whose queue is paused, nor one behind it; and none once it is cancelled, when that behind it runs."""
    batchq("add", "--", "sleep", "600")
    batchq("queue", "pause", "later")
    batchq("add", "--queue", "later", "--slots", "2", "--", "true")
    batchq("add", "--slots", "3", "--", "true")
    batchq("add", "--slots", "2", "--", "true")
    with on_terminal(batchq, "run", "-j", "3", columns=100) as terminal:
        screen = terminal.wait_for("job 3 is next, and waits for 3 free slots", "1 running", "0 of 4")
        assert screen.count("is next") == 1
        batchq("cancel", "3")
        terminal.wait_until(lambda screen: "is next" not in screen, "no job that waits for slots")
        terminal.signal(signal.SIGQUIT)
        assert terminal.wait() == 131


@pytest.mark.parametrize(("number", "word", "code"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)])
def test_a_stop_names_the_jobs_that_it_waits_for(batchq: Shell, number: int, word: str, code: int) -> None:
    batchq("add", "--name", "load", "-c", WAITS)
    batchq("add", "--", "sh", "-c", WAITS)
    batchq("add", "--", "true")
    with on_terminal(batchq, "run", "-j", "2", "--grace", "1h", columns=120) as terminal:
        terminal.wait_for("2 running")
        terminal.signal(number)
        screen = terminal.wait_for(f"{word}: no more jobs start; waiting until ", f"{word}: waiting for 2 jobs")
        assert re.search(
            r"waiting until [0-9:]+ \((1 h 00 m|59 m [0-9]+ s)\) for 2 running jobs: 1 \(load\), 2\n", screen
        )
        assert "stops them now; what was stopped runs again in the next run" in screen
        (batchq.folder / "go").touch()
        assert terminal.wait() == code
        last = terminal.screen().split("\n")[-1]
        assert re.fullmatch(rf"batchq: 2 jobs in .*s: 2 succeeded; stopped by {word}, 1 left to run", last)


def test_a_second_ctrl_c_says_what_it_stops(batchq: Shell) -> None:
    batchq("add", "--", "sleep", "600")
    with on_terminal(batchq, "run", "--grace", "1h") as terminal:
        terminal.wait_for("1 running", "1  sleep 600")
        terminal.type(CTRL_C)
        terminal.wait_for("waiting until", ", 59 m ")  # the same signal within half a second is one
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        assert "batchq: Ctrl-C again: stopping 1 running job: 1\n" in terminal.screen()
        assert "^C" not in terminal.screen()
    assert batchq.rows("SELECT state FROM jobs") == [("queued",)]


def test_jobs_at_the_end_of_their_grace_are_named(batchq: Shell) -> None:
    batchq("add", "--", "sleep", "600")
    with on_terminal(batchq, "run", "--grace", "100ms") as terminal:
        terminal.wait_for("1 running")
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        assert "batchq: Ctrl-C: the time is up: stopping 1 running job: 1\n" in terminal.screen()


def test_the_last_line_counts_a_run_that_went_well(batchq: Shell) -> None:
    batchq("add", "--", "true")
    batchq("add", "--", "true")
    with on_terminal(batchq, "run") as terminal:
        assert terminal.wait() == 0
        assert re.fullmatch(r"batchq: 2 jobs in [0-9.]+ m?s: 2 succeeded", terminal.screen())
    batchq("add", "--hold", "--", "true")
    batchq("add", "--run-at", "tomorrow 9:00", "--", "true")
    with on_terminal(batchq, "run", columns=120) as terminal:
        assert terminal.wait() == 0
        shows = "'batchq list --state held,scheduled' shows them"
        assert terminal.screen() == f"batchq: 0 jobs to run; left alone: 1 held, 1 due later: {shows}"
    with on_terminal(batchq, "run", "-q") as terminal:
        assert (terminal.wait(), terminal.raw) == (0, b"")


def test_ctrl_z_leaves_a_clean_terminal(batchq: Shell) -> None:
    batchq("add", "-c", WAITS)
    words = " ".join(str(word) for word in batchq.argv("run"))
    with Terminal(["bash", "--norc", "-i", "-c", f"set -m; {words}; echo stopped; fg"], cwd=batchq.folder,
                  env=batchq.env) as terminal:  # fmt: skip
        terminal.wait_for("0 of 1, 1 running")
        terminal.type(CTRL_Z)
        screen = terminal.wait_for("stopped", "0 of 1")
        assert len(lines_of(screen, "0 of 1")) == 1, screen
        (batchq.folder / "go").touch()
        terminal.wait_for("1 succeeded")
        assert terminal.wait() == 0


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"CI": "true"}], ids=["dumb", "ci"])
def test_a_terminal_that_cannot_be_drawn_on_gets_lines_only(batchq: Shell, env: dict[str, str]) -> None:
    batchq("add", "-c", "exit 3")
    batchq("add", "-c", "sleep 0.3")
    with on_terminal(batchq, "run", env=env) as terminal:
        assert terminal.wait() == 1
        assert terminal.screen().startswith("job 1: exit 3\n") and "2 jobs in" in terminal.screen()
        assert b"\x1b" not in terminal.raw.replace(b"\x1b[31m", b"").replace(b"\x1b[0m", b"")
        assert (b"\x1b" in terminal.raw) == ("CI" in env)


def test_colours_are_as_the_environment_wants_them(batchq: Shell) -> None:
    batchq("add", "-c", "exit 3")
    with on_terminal(batchq, "run") as terminal:
        assert terminal.wait() == 1 and terminal.colour(0, 0) == "red"
    batchq("retry", "--failed")
    with on_terminal(batchq, "run", env={"NO_COLOR": "1"}) as terminal:
        assert terminal.wait() == 1 and terminal.colour(0, 0) == "default"


def test_a_stopped_terminal_keeps_no_timeout_signal_or_record_from_its_time(batchq: Shell) -> None:
    batchq("add", "--timeout", "700ms", "--", "sleep", "600")
    batchq("add", "--each", "-c", 'echo "error: $1" >&2; exit 3', stdin="\n".join(map(str, range(500))))
    with on_terminal(batchq, "run", "-j", "2", "-v") as terminal:
        terminal.wait_for("failed")
        terminal.type(CTRL_S)
        eventually(lambda: batchq.rows("SELECT count(*) FROM jobs WHERE state = 'failed'") == [(501,)])
        assert batchq.rows("SELECT outcome FROM attempts WHERE job = 1") == [("timed_out",)]
        terminal.type(CTRL_Q)
        assert terminal.wait() == 1
        assert "501 jobs in" in terminal.screen()


def test_a_terminal_that_nobody_reads_keeps_no_stop_from_its_time(batchq: Shell) -> None:
    batchq("add", "--", "sleep", "600")
    batchq("add", "--each", "-c", f'echo "error: $1 {"x" * 200}" >&2; exit 3', stdin="\n".join(map(str, range(300))))
    with on_terminal(batchq, "run", "-j", "2", "-v", "--grace", "0") as terminal:
        eventually(lambda: batchq.rows("SELECT count(*) FROM jobs WHERE state = 'failed'") == [(300,)])
        terminal.signal(signal.SIGTERM)
        eventually(lambda: batchq.rows("SELECT state FROM jobs WHERE id = 1") == [("queued",)])
        eventually(terminal.has_ended)
        assert terminal.wait() == 143


def test_a_run_that_waits_for_another_one_says_so(batchq: Shell) -> None:
    batchq("add", "-c", WAITS)
    with batchq.start("run") as other:
        eventually(lambda: batchq.rows("SELECT state FROM jobs") == [("running",)])
        with on_terminal(batchq, "run", "--if-running", "wait") as terminal:
            terminal.wait_for("batchq: waiting for process ", ", which runs these jobs")
            (batchq.folder / "go").touch()
            assert terminal.wait() == 0
            assert "batchq: 0 jobs to run" in terminal.screen()
        assert other.wait(timeout=60) == 0


def test_a_terminal_that_stops_background_writers_does_not_stop_a_run(batchq: Shell) -> None:
    batchq("add", "-c", "sleep 0.3")
    words = " ".join(str(word) for word in batchq.argv("run"))
    script = f"stty tostop; {words}; echo exit code $?"
    with Terminal(["bash", "--norc", "-c", script], cwd=batchq.folder, env=batchq.env) as terminal:
        terminal.wait_for("1 succeeded", "exit code 0")
        assert terminal.wait() == 0


def test_the_last_line_that_a_job_printed_is_next_to_it(batchq: Shell) -> None:
    batchq("add", "--name", "load", "-c", r"printf 'begun\n\033[32mpart\033[0m 1\rpart 2\a\n\n'; sleep 600")
    with on_terminal(batchq, "run") as terminal:
        terminal.wait_for("1 (load)  part 2\\x07")
        terminal.signal(signal.SIGQUIT)
        assert terminal.wait() == 131


def test_the_last_line_is_wrapped_between_words(batchq: Shell) -> None:
    for script in ("true", "true", "exit 3", "exit 4"):
        batchq("add", "-c", script)
    with on_terminal(batchq, "run", columns=40) as terminal:
        assert terminal.wait() == 1
        assert re.search(
            r"batchq: 4 jobs in [0-9.]+ m?s: 2 succeeded, 2 failed for 2 reasons$", " ".join(terminal.screen().split())
        )
