"""Pieces of output, their lines, and what a terminal gets of a line."""

import random
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq.report.printed import Lines, last, lines, on_a_terminal
from batchq.store.looking.pieces import Piece
from batchq.visible import coloured


def joined(pieces: list[Piece], stream: str | None = None) -> bytes:
    return b"".join(piece.data for piece in pieces if stream in (None, piece.stream))


def random_pieces(seed: int) -> list[Piece]:
    chance = random.Random(seed)
    words = (b"a", b"\n", b"bc\n", b"\n\n", b"d", b"e\nf")
    return [
        Piece(chance.choice(["stdout", "stderr"]), b"".join(chance.choices(words, k=chance.randint(1, 4))))
        for _ in range(chance.randint(0, 8))
    ]


@pytest.mark.parametrize("seed", range(200))
def test_lines_have_the_text_of_one_stream_and_nothing_is_lost(seed: int) -> None:
    pieces = random_pieces(seed)

    found = list(lines(pieces))

    for stream in ("stdout", "stderr"):
        assert joined(found, stream) == joined(pieces, stream)
    assert all(line.data.count(b"\n") == line.data.endswith(b"\n") for line in found)
    assert sum(not line.data.endswith(b"\n") for line in found) <= 2


def test_a_line_waits_for_its_end_and_a_gap_ends_it() -> None:
    made = Lines()

    assert list(made.feed(Piece("stdout", b"one\ntw"))) == [Piece("stdout", b"one\n")]
    assert list(made.feed(Piece("stderr", b"error\n"))) == [Piece("stderr", b"error\n")]
    assert list(made.feed(Piece("stdout", b"o\n"))) == [Piece("stdout", b"two\n")]
    assert list(made.feed(Piece("stdout", b"thr"))) == []
    assert list(made.feed(Piece("stdout", b"", 7))) == [Piece("stdout", b"thr"), Piece("stdout", b"", 7)]
    assert list(made.feed(Piece("stdout", b"end\n"))) == [Piece("stdout", b"end\n")]
    assert list(made.rest()) == []


@pytest.mark.parametrize("seed", range(200))
@pytest.mark.parametrize("most", [0, 1, 2, 3, 100])
def test_the_last_lines_are_those_that_tail_prints(seed: int, most: int) -> None:
    pieces = random_pieces(seed)

    assert joined(last(pieces, most)) == b"".join(joined(pieces).splitlines(keepends=True)[-most:] if most else [])


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        (b"\x1b[31mred", "\x1b[31mred\x1b[0m"),
        (b"\x1b[1;38;5;8mgrey\x1b[m", "\x1b[1;38;5;8mgrey\x1b[m"),
        (b"\x1b[38;2;8;8;8mdark\x1b[0;0m", "\x1b[38;2;8;8;8mdark\x1b[0;0m"),
        (b"\x1b[4:3mcurly", "\x1b[4:3mcurly\x1b[0m"),
        (b"a\x1b[K", "a"),
        (b"\x1b[8mhidden", r"\x1b[8mhidden"),
        (b"\x1b[1;08mhidden", r"\x1b[1;08mhidden"),
        (b"\x1b[2J\x1b[Hgone", r"\x1b[2J\x1b[Hgone"),
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (b"\x1b[31\nm", "\\x1b[31\nm"),
        (b"\x9b31m", r"\x9b31m"),
        (b"\x1b[?25l\x1b[6n\x1bc", r"\x1b[?25l\x1b[6n\x1bc"),
        ("\u202e\x1b[32m\u2066".encode(), "\\u202e\x1b[32m\\u2066\x1b[0m"),
    ],
)
def test_only_colours_of_visible_text_pass(printed: bytes, shown: str) -> None:
    assert coloured(printed) == shown
    assert "\x1b" not in coloured(printed, colour=False)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b" 10%\r 20%\r100%", "100%"),
        (b"windows\r", "windows"),
        (b"\r\x1b[K   Compiling x", "   Compiling x"),
        (b"50%\r\x1b[32mdone", "\x1b[32mdone\x1b[0m"),
        (b"\r\r", ""),
        (b"", ""),
    ],
)
def test_a_progress_bar_shows_its_last_state(printed: bytes, shown: str) -> None:
    assert on_a_terminal(printed, colour=True) == shown


SCRAPS = (
    "\x1b",
    "\x1b[",
    "\x1b]0;",
    "31",
    "38;5",
    "8",
    "0",
    ";",
    ":",
    "m",
    "K",
    "2J",
    "\x07",
    "\r",
    "\t",
    "\x9b",
    "\u202e",
    "a",
)
HOSTILE = st.lists(st.sampled_from(SCRAPS), max_size=25).map("".join)


def controls(text: str) -> list[str]:
    """What could control a terminal besides colours that end before the text does."""
    colours = list(re.finditer(r"\x1b\[([0-9;:]*)m", text))
    is_open = bool(colours) and colours[-1][1].rpartition(";")[2].strip("0") != ""
    rest = re.sub(r"\x1b\[[0-9;:]*m", "", text)
    return [one for one in rest if one != "\t" and may_mislead(one)] + ["open"] * is_open


def may_mislead(one: str) -> bool:
    """Whether a character controls more than its own shape; others that are unprintable (U+00A0, U+0600) do no harm."""
    if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") or one in "\u061c\u200e\u200f":
        return True
    return unicodedata.bidirectional(one) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@given(st.binary(max_size=40) | HOSTILE.map(str.encode))
def test_whatever_a_job_prints_only_colours_control_the_terminal_and_only_to_the_end_of_the_line(data: bytes) -> None:
    line = data.replace(b"\n", b"")

    assert controls(on_a_terminal(line, colour=True)) == []
    assert "\x1b" not in on_a_terminal(line, colour=False)


def test_the_judge_of_controls_would_notice_them() -> None:
    assert controls("\x1b[2J\r\x1b[31mred") == ["\x1b", "\r", "open"]
    assert controls("\x1b[31mred\x1b[0m") == []
