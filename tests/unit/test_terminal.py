"""The terminal of the tests shows, types and resizes as a real one does."""

from pathlib import Path

import pytest
from conftest import Shell
from terminal import CTRL_C, Terminal, on_terminal

ASKS = """
printf 'line %d\\n' 1 2 3
printf '\\033[31mred\\033[0m name? '
read name
trap 'stty size; echo again' WINCH
trap 'echo bye; exit 7' INT
printf '\\033[2J\\033[Hhello %s\\n' "$name"
while :; do sleep 0.05; done
"""


def test_a_terminal_shows_what_is_written_typed_and_resized(tmp_path: Path) -> None:
    with Terminal(["sh", "-c", ASKS], cwd=tmp_path, columns=40, rows=6) as terminal:
        assert terminal.wait_for("name?").splitlines()[:3] == ["line 1", "line 2", "line 3"]
        assert terminal.cursor == (3, 10) and terminal.colour(3, 0) == "red" and terminal.colour(3, 5) == "default"

        terminal.type("Ann\n")
        assert terminal.wait_for("hello").startswith("hello Ann")
        terminal.resize(100, 30)
        terminal.wait_for("30 100", "again")
        terminal.type(CTRL_C)
        assert terminal.wait() == 7 and terminal.screen().endswith("bye")
        assert b"\x1b[31mred" in terminal.raw and terminal.is_cursor_shown


def test_lines_that_have_left_the_window_are_kept(tmp_path: Path) -> None:
    with Terminal(["seq", "100"], cwd=tmp_path, rows=5) as terminal:
        assert terminal.wait() == 0
        assert terminal.screen().split("\n") == ["97", "98", "99", "100"]
        assert terminal.scrolled().split("\n") == [str(number) for number in range(1, 101)]


def test_what_never_comes_fails_with_the_window(tmp_path: Path) -> None:
    with Terminal(["sh", "-c", "echo here; exec sleep 600"], cwd=tmp_path) as terminal:
        terminal.wait_for("here")
        with pytest.raises(AssertionError, match=r"'there'.* never came:\n-+\nhere\n"):
            terminal.wait_for("there", seconds=0.2)
    with Terminal(["sh", "-c", "echo over; exit 3"], cwd=tmp_path) as terminal:
        with pytest.raises(AssertionError, match=r"the command has ended:\n-+\nover\n"):
            terminal.wait_for("there")
        assert terminal.wait() == 3


def test_batchq_sees_the_size_of_its_terminal(batchq: Shell) -> None:
    batchq("add", "--", "true", "a word " * 30)
    for columns in (40, 120):
        with on_terminal(batchq, "list", columns=columns) as terminal:
            assert terminal.wait() == 0
            assert max(map(len, terminal.scrolled().split("\n"))) == columns
