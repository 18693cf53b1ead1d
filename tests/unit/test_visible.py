"""Nothing that a job prints may reach a terminal as a control."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchq.visible import visible

HOSTILE = "\x1b[2J\x9b31m\x07\x08\x7f\r\u202e\u2066\u200e\u061c\u2028\u2029\ud800\udcff"
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def is_harmless(character: str) -> bool:
    marks = {"\u200e", "\u200f", "\u061c", "\u2028", "\u2029"}
    return (
        unicodedata.category(character) not in {"Cc", "Cs"}
        and unicodedata.bidirectional(character) not in BIDI
        and character not in marks
    )


@given(st.binary())
@example(HOSTILE.encode("utf-8", "surrogatepass"))
def test_any_bytes_become_harmless_text(data: bytes) -> None:
    assert all(is_harmless(character) or character in "\n\t" for character in visible(data))
    assert all(map(is_harmless, visible(data, one_line=True)))


@given(st.text(st.characters()))  # with surrogates
@example(HOSTILE)
def test_any_text_becomes_harmless_and_can_be_encoded(text: str) -> None:
    assert all(map(is_harmless, visible(text, one_line=True)))
    visible(text).encode("utf-8")


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == visible(text.encode()) == visible(text, one_line=True) == text


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        (b"caf\xe9", r"caf\xe9"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u009b1m".encode(), r"\x9b1m"),
        ("10%\r20%", r"10%\r20%"),
        ("\udcff", r"\udcff"),
        ("a\tb\nc", "a\tb\nc"),
        ("漢字 ünï 🎉", "漢字 ünï 🎉"),
    ],
)
def test_what_was_dangerous_can_be_read(data: bytes | str, seen: str) -> None:
    assert visible(data) == seen


def test_one_line_keeps_to_one_line() -> None:
    assert visible("a\n\tb", one_line=True) == r"a\n\tb"
