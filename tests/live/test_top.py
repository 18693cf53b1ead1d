"""``batchq top`` on a real terminal, next to a real run: what a person sees, presses, and has afterwards."""

import contextlib
import os
import signal
import sqlite3
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from conftest import Shell, eventually, finish, shell_status
from terminal import CTRL_C, CTRL_Z, DOWN, ESCAPE, RIGHT, Terminal, on_terminal

from batchq.processes import proc
from batchq.store.file import schema
from batchq.store.file.opening import open_at

KEYS = "q quit"
ALTERNATE, NORMAL = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW, HIDE = b"\x1b[?25h", b"\x1b[?25l"
WRAP, NO_WRAP = b"\x1b[?7h", b"\x1b[?7l"


@contextmanager
def top(
    batchq: Shell, *words: str, columns: int = 100, rows: int = 30, env: dict[str, str] | None = None
) -> Iterator[Terminal]:
    """``batchq top`` with its first picture."""
    with on_terminal(batchq, "top", "-d", "0.1", *words, columns=columns, rows=rows, env=env) as terminal:
        terminal.wait_for(KEYS)
        yield terminal


@contextmanager
def a_run(batchq: Shell, *words: str) -> Iterator[None]:
    """A run at work, which is stopped at the end."""
    with batchq.start("run", "-q", "--watch", "--grace", "0.1s", *words) as run:
        yield
        run.terminate()
        run.communicate(timeout=60)


def states(batchq: Shell) -> dict[int, str]:
    return dict(batchq.rows("SELECT id, state FROM jobs"))  # type: ignore[arg-type]


def modes(terminal: Terminal) -> list[object]:
    """How the terminal handles what is typed."""
    return termios.tcgetattr(terminal._process.fd)


def modes_of_a_new_one() -> list[object]:
    """How a terminal handles that before anything changes it: asked of its own, ``top`` may have been faster."""
    ours, theirs = os.openpty()
    try:
        return termios.tcgetattr(theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def is_left_as_it_was(terminal: Terminal, before: list[object]) -> None:
    """The normal screen with its cursor, lines that wrap, and keys that are echoed."""
    for last, first in ((NORMAL, ALTERNATE), (SHOW, HIDE), (WRAP, NO_WRAP)):
        assert terminal.raw.rfind(last) > terminal.raw.rfind(first) >= 0, terminal.raw[-200:]
    assert terminal.is_cursor_shown
    assert before == modes(terminal)


def test_jobs_appear_run_and_end(batchq: Shell) -> None:
    with top(batchq) as terminal:
        terminal.wait_for("no running jobs", "no run at work")
        batchq("add", "--name", "ticker", "--queue", "net", "-c", "echo begun; sleep 100")
        batchq("add", "--name", "broken", "-c", "echo checksum mismatch >&2; exit 3")
        batchq("queue", "set", "net", "--limit", "4")
        terminal.wait_for("[running 0] queued 2 ", "net          4")
        with a_run(batchq, "-j", "2"):
            terminal.wait_for("[running 1]", "failed 1", "ticker", "begun", "1/2", "checksum mismatch")
            batchq("cancel", "1")
            terminal.wait_for("no running jobs", "0/2")
        terminal.type("q")
        assert terminal.wait() == 0


def test_a_job_is_cancelled_after_a_question_and_seen_to_end(batchq: Shell) -> None:
    batchq("add", "--name", "one", "--", "sleep", "100")
    batchq("add", "--name", "two", "--", "sleep", "100")
    with top(batchq) as terminal, a_run(batchq, "-j", "2"):
        terminal.wait_for("[running 2]")
        terminal.type(DOWN + "c")
        terminal.wait_for("cancel job 2? y/n", "two")
        terminal.type("n")
        terminal.wait_for("left as it is")
        terminal.type("c")
        terminal.wait_for("cancel job 2? y/n")
        terminal.type("y")
        terminal.wait_for("cancel: 1 job cancelled")
        terminal.wait_for("[running 1]")
        assert states(batchq) == {1: "running", 2: "cancelled"}


def test_pasted_text_does_not_answer_the_question(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "one", "--hold", "--", "true")
    with top(batchq) as terminal:
        terminal.type(RIGHT)
        terminal.wait_for("[held 1]")
        terminal.type("cyyy")
        terminal.wait_for("cancel job 1? y/n")
        terminal.type("n")
        terminal.wait_for("left as it is")
        assert states(batchq) == {1: "held"}


def test_jobs_are_held_released_and_retried_with_the_words_of_the_commands(batchq: Shell) -> None:
    batchq("add", "--name", "first", "--", "false")
    batchq("run", "-q", code=1)
    batchq("add", "--name", "second", "--", "true")
    with top(batchq) as terminal:
        terminal.type(RIGHT)
        terminal.wait_for("[queued 1]", "second")
        terminal.type("h")
        terminal.wait_for("hold: 1 job held", "held 1")
        terminal.type(RIGHT)
        terminal.wait_for("[held 1]", "held by hand")
        terminal.type("h")
        terminal.wait_for("release: 1 job released")
        assert states(batchq) == {1: "failed", 2: "queued"}
        terminal.type(RIGHT)
        terminal.wait_for("[failed 1]", "exit code 1")
        terminal.type("r")
        terminal.wait_for("retry: 1 job queued again", "queued 2")
        assert states(batchq) == {1: "queued", 2: "queued"}
        terminal.type(RIGHT)
        terminal.wait_for("[newest 2]")
        terminal.type("r")
        terminal.wait_for("retry: nothing to do; 1 left alone (queued)")


def test_the_log_of_a_running_job_is_followed(batchq: Shell) -> None:
    batchq("add", "--name", "talker", "-c", "echo begun; while ! test -e go; do sleep 0.05; done; seq 100; sleep 100")
    with top(batchq, columns=60, rows=12) as terminal, a_run(batchq):
        terminal.wait_for("talker", "begun")
        terminal.type("\r")
        terminal.wait_for("job 1 (talker), running, attempt 1 of 1", "begun", "end  q back")
        (batchq.folder / "go").touch()
        terminal.wait_for("100", "99")
        terminal.type("g")
        terminal.wait_for("begun", "%  q back")
        terminal.type("q")
        terminal.wait_for("[running 1]", KEYS)


def test_a_filter_narrows_the_list_while_it_is_typed(batchq: Shell) -> None:
    for name in ("alpha", "beta", "gamma"):
        batchq("add", "-q", "--name", name, "--", "true")
    with top(batchq) as terminal:
        terminal.type(RIGHT + "/bet")
        terminal.wait_until(lambda screen: "filter: bet_" in screen and "beta" in screen and "alpha" not in screen)
        terminal.type("\r")
        terminal.wait_for("filter: bet", KEYS)
        terminal.type(ESCAPE)
        terminal.wait_for("alpha", "beta", "gamma")
        terminal.type("/no such job\r")
        terminal.wait_for("no job here contains this text")


def test_a_selection_narrows_everything(batchq: Shell) -> None:
    batchq("add", "--batch", "night", "--queue", "q", "--name", "mine", "--", "true")
    batchq("add", "--batch", "day", "--name", "other", "--tag", "slow", "--", "true")
    for words, seen, unseen in (
        (("--batch", "night"), "mine", "other"),
        (("--tag", "slow"), "other", "mine"),
        (("--queue", "q"), "mine", "other"),
        (("last",), "other", "mine"),
    ):
        if words[0] in ("--batch", "last"):
            with top(batchq, *words) as terminal:
                terminal.type(RIGHT)
                assert unseen not in terminal.wait_for("[queued 1]", seen, "newest 1")
        text = batchq("top", "--once", *words).out
        assert "1 queued" in text and ("q  " in text) == (seen == "mine")


def test_the_list_of_a_selected_state_comes_first(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "broken", "-c", "echo no disk >&2; exit 3")
    batchq("run", "-q", code=1)
    with top(batchq, "--failed") as terminal:
        terminal.wait_for("[failed 1]", "broken", "exit code 3: no disk")
    assert "exit code 3: no disk" in batchq("top", "--once", "--failed").out
    assert "broken" not in batchq("top", "--once", "--running").out


def test_the_help_lists_the_keys_and_a_key_leads_back(batchq: Shell) -> None:
    with top(batchq) as terminal:
        terminal.type("?")
        terminal.wait_for("cancel the job (asks first)", "Ctrl-Z")
        terminal.type("q")
        terminal.wait_for("[running 0]")


@pytest.mark.parametrize(
    ("ending", "code"),
    [("q", 0), (CTRL_C, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)],
    ids=["q", "ctrl-c", "term", "hup"],
)
def test_the_terminal_is_left_as_it_was(batchq: Shell, ending: "str | int", code: int) -> None:
    with on_terminal(batchq, "top", "-d", "0.1") as terminal:
        before = modes_of_a_new_one()
        terminal.wait_for(KEYS)
        assert before != modes(terminal) and not terminal.is_cursor_shown
        if isinstance(ending, str):
            terminal.type(ending)
        else:
            terminal.signal(ending)
        assert terminal.wait() == shell_status(code)
        is_left_as_it_was(terminal, before)


def test_an_exception_leaves_the_terminal_as_it_was_and_shows_its_traceback(batchq: Shell) -> None:
    script = (
        "import sys\n"
        "from batchq.report.top import picture\n"
        "from batchq import __main__\n"
        "sys.argv = ['batchq', 'top', '-d', '0.1']\n"
        "drawn, pictures = picture.picture, []\n"
        "def broken(*given):\n"
        "    pictures.append(1)\n"
        "    return drawn(*given) if len(pictures) < 3 else 1 / 0\n"
        "picture.picture = broken\n"
        "__main__.main()\n"
    )
    env = {**batchq.env}
    with Terminal([sys.executable, "-c", script], cwd=batchq.folder, env=env) as terminal:
        before = modes_of_a_new_one()
        terminal.wait()
        is_left_as_it_was(terminal, before)
        assert b"ZeroDivisionError" in terminal.raw[terminal.raw.rfind(NORMAL) :]


def test_ctrl_z_gives_the_terminal_back_and_fg_draws_again(batchq: Shell, tmp_path: Path) -> None:
    script = f"{sys.executable} -m batchq top -d 0.1; echo stopped; fg; echo left with $?"
    with Terminal(
        ["bash", "-c", f"set -m; {script}"], cwd=batchq.folder, env={**batchq.env, "PS1": ""}, columns=80
    ) as terminal:
        before = modes_of_a_new_one()
        terminal.wait_for(KEYS)
        terminal.type(CTRL_Z)
        terminal.wait_until(lambda _: b"stopped" in terminal.raw)
        stopped = terminal.raw.rfind(b"stopped")
        assert terminal.raw.rfind(NORMAL, 0, stopped) > terminal.raw.rfind(ALTERNATE, 0, stopped)
        terminal.wait_until(lambda screen: ALTERNATE in terminal.raw[stopped:] and KEYS in screen)
        terminal.type("q")
        terminal.wait()
        assert b"left with 0" in terminal.raw
        is_left_as_it_was(terminal, before)


def has_all(rows: int, screen: str) -> bool:
    """Whether the picture goes from the first to the last of so many rows."""
    lines = screen.split("\n")
    return len(lines) == rows and lines[0].startswith("batchq top"[: 99 if rows > 4 else 0]) and "? help" in lines[-1]


def test_it_can_be_ended_while_it_is_suspended(batchq: Shell) -> None:
    with top(batchq) as terminal:
        terminal.type(CTRL_Z)
        eventually(lambda: proc.is_stopped(terminal.pid))
        terminal.signal(signal.SIGTERM)
        terminal.signal(signal.SIGCONT)
        assert terminal.wait() == -signal.SIGTERM
        assert terminal.raw.count(NORMAL) == 1, "a shell has had the screen since"


def test_a_job_that_is_removed_while_its_log_is_open_leads_back_to_the_list(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "gone", "--", "echo", "hello")
    batchq("run", "-q")
    with top(batchq) as terminal:
        terminal.type(RIGHT)
        terminal.wait_for("[newest 1]", "gone")
        terminal.type("l")
        terminal.wait_for("job 1 (gone), succeeded", "hello")
        batchq("prune", "--older-than", "0s")
        terminal.wait_for("[newest 0]", "there is no job 1")
    assert "there is no job 1" in batchq("top", "1", "--once", code=66).err


def test_a_window_of_any_size_is_filled_and_not_exceeded(batchq: Shell) -> None:
    hostile = "\x1b[2J\x1b]0;t\x07日本語 🎉 e\u0301 \u202e" + "x" * 200
    batchq(
        "add", "-q", "--name", hostile, "--queue", "q" * 90, "-c", "printf '\\033[2J\\033[31mred %0300d' 1; sleep 100"
    )
    with top(batchq, columns=80, rows=24) as terminal, a_run(batchq):
        terminal.wait_for("[running 1]")
        for width, rows in ((40, 10), (20, 4), (120, 40), (40, 24), (80, 24)):
            terminal.resize(width, rows)
            screen = terminal.wait_until(partial(has_all, rows))
            assert all(len(line) <= width for line in screen.split("\n"))
        terminal.wait_for("\\x1b[2J\\x1b")
        assert b"\x1b[2J" not in terminal.raw and b"\x1b]0" not in terminal.raw


def test_there_is_no_colour_where_none_is_wanted(batchq: Shell) -> None:
    batchq("add", "--", "false")
    batchq("run", "-q", code=1)
    for words, env, is_coloured in (((), {"NO_COLOR": "1"}, False), ((), {}, True), (("--color", "never"), {}, False)):
        with top(batchq, *words, env=env) as terminal:
            terminal.wait_for("failed 1", "exit 1")
            assert (b"\x1b[31m" in terminal.raw) == is_coloured


def test_off_a_terminal_it_is_printed_once_and_whole(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "n" * 200, "-c", "exit 3")
    batchq("add", "-q", "--", "sleep", "100")
    with a_run(batchq):
        eventually(lambda: states(batchq) == {1: "failed", 2: "running"})
        for words in (("top", "--once"), ("top",)):
            done = batchq(*words)
            assert done.err == "" and "\x1b" not in done.out
            assert "1 running, 1 failed" in done.out and "sleep 100" in done.out and "exit 3" in done.out
            assert str(batchq.db()) in done.out
    with Terminal([*map(os.fsdecode, batchq.argv("top", "--once"))], cwd=batchq.folder, env=batchq.env) as terminal:
        assert terminal.wait() == 0
        assert ALTERNATE not in terminal.raw and b"1 failed" in terminal.raw
    dumb = on_terminal(batchq, "top", env={"TERM": "dumb"})
    with dumb:
        assert dumb.wait() == 0 and b"\x1b" not in dumb.raw


def test_a_wrong_interval_and_a_missing_store_get_a_sentence(batchq: Shell) -> None:
    assert "at least 0.1s" in batchq("top", "-d", "1ms", code=2).err
    assert "not a duration" in batchq("top", "-d", "soon", code=2).err
    assert "none.db" in batchq("--db", "none.db", "top", code=66).err


def test_a_store_that_is_removed_ends_it_with_a_sentence(batchq: Shell) -> None:
    with top(batchq) as terminal:
        for end in ("", "-wal", "-shm", "-lock"):
            Path(f"{batchq.db()}{end}").unlink(missing_ok=True)
        assert terminal.wait() == 66
        assert b"batchq: there is no store at" in terminal.raw[terminal.raw.rfind(NORMAL) :]
    batchq.make_store()


def test_a_store_that_was_replaced_is_shown_from_then_on(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "old", "--", "true")
    batchq("backup", "copy.db")
    batchq("add", "-q", "--name", "new", "--", "true")
    with top(batchq) as terminal:
        terminal.type(RIGHT)
        terminal.wait_for("[queued 2]", "old", "new")
        batchq("restore", "copy.db")
        terminal.wait_for("[queued 1]", "old")
        batchq("add", "-q", "--name", "newer", "--", "true")
        terminal.wait_for("[queued 2]", "newer")


def test_a_store_of_a_newer_batchq_ends_it_with_a_sentence(batchq: Shell) -> None:
    with top(batchq) as terminal:
        with open_at(str(batchq.db())) as store:
            store.db.execute("PRAGMA user_version = 99")
        assert terminal.wait() == 78
        assert b"made by a newer batchq" in terminal.raw[terminal.raw.rfind(NORMAL) :]
        with contextlib.closing(sqlite3.connect(batchq.db())) as db:  # as it was, for the checks after the test
            db.execute(f"PRAGMA user_version = {schema.VERSION}")


def test_a_change_waits_for_a_locked_store_and_then_says_so(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "one", "--", "true")
    with top(batchq) as terminal:
        terminal.type(RIGHT)
        terminal.wait_for("[queued 1]")
        with open_at(str(batchq.db())) as store, store.writing():
            terminal.type("h")
            said = f"is busy: process {os.getpid()}"  # in one line or two: the path before it may be long
            terminal.wait_until(lambda screen: said in " ".join(screen.split()), said)
        terminal.type("h")
        terminal.wait_for("hold: 1 job held")


def test_words_of_other_tools_lead_here(batchq: Shell) -> None:
    for word in ("htop", "watch", "monitor", "dashboard"):
        assert "did you mean 'top'?" in batchq(word, code=2).err


def test_a_run_next_to_it_ends_as_it_would(batchq: Shell) -> None:
    batchq("add", "-q", "--each", "--", "true", "{}", stdin="\n".join(map(str, range(20))))
    with top(batchq) as terminal:
        done = finish(batchq.start("run", "-j", "2"))
        assert (done.code, done.out, done.err) == (0, "", "")
        terminal.wait_for("newest 20", "no running jobs")
    assert {*states(batchq).values()} == {"succeeded"}
