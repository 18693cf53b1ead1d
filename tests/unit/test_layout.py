"""Lines of text on a terminal: none too long, nothing lost on the way, wide characters in their columns."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from batchq.report.layout import Columns, Line, Look, Part, line, render
from batchq.report.widths import fitting, width, wrapped
from batchq.visible import visible

CHARACTERS = st.sampled_from("ab -_.ä ñ日本語한글ＡＢｶﾞ🎉🚀e\u0301\u200d\t\x1b")
TEXTS = st.text(CHARACTERS, max_size=60) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
STYLES = st.sampled_from(["", "dim", "bold red", "green"])
PARTS = st.lists(st.tuples(TEXTS, STYLES), max_size=4)
SIZES = st.integers(20, 60)


def plain(text: str) -> str:
    """The text without its colours."""
    for codes in ("2", "1;31", "32"):
        text = text.replace(f"\x1b[{codes}m", "")
    return text.replace("\x1b[0m", "")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        *[("", 0), ("abc", 3), ("ä", 1), ("e\u0301", 1), ("日本", 4), ("한", 2), ("ᄒ\u1161\u11ab", 2), ("ｶﾞ", 2)],
        *[("🎉", 2), ("❤\ufe0f", 2), ("1\ufe0f\u20e3", 2), ("🇩🇪", 2), ("a\u200db", 2), ("co\xadop", 5), ("\u0378", 2)],
    ],
)
def test_a_text_takes_as_many_columns_as_a_terminal_gives_it(text: str, columns: int) -> None:
    assert width(text) == columns


@given(st.text(st.sampled_from("abcäöéñ日本語한글ＡＢ🎉🚀é→…"), max_size=20))
def test_ordinary_text_has_the_width_that_others_measure(text: str) -> None:
    assert width(text) == cell_len(text)


@given(PARTS, SIZES, st.integers(0, 6), st.booleans(), st.booleans())
def test_no_line_is_wider_than_the_terminal(
    parts: list[Part], columns: int, indent: int, crop: bool, colour: bool
) -> None:
    shown = render([line(*parts, indent=indent, crop=crop)], Look(columns, colour))

    assert shown.endswith("\n")
    for one in plain(shown).split("\n"):
        assert width(one) <= columns
        assert one == visible(one, one_line=True)


@given(PARTS, SIZES, st.integers(0, 6))
def test_wrapping_loses_blanks_and_nothing_else(parts: list[Part], columns: int, indent: int) -> None:
    one = line(*parts, indent=indent)

    shown = render([one], Look(columns))

    whole = "".join(text for text, _ in one.parts)
    assert "".join(shown.split()) == "".join(whole.split())
    assert all(row.startswith(" " * indent) for row in shown.split("\n") if row)


@given(PARTS, SIZES)
def test_a_cropped_line_is_whole_or_ends_in_an_ellipsis(parts: list[Part], columns: int) -> None:
    one = line(*parts, crop=True)

    shown = render([one], Look(columns)).removesuffix("\n")

    whole = "".join(text.expandtabs() for text, _ in one.parts).rstrip()
    assert shown == whole if width(whole) <= columns else whole.startswith(shown.removesuffix("…"))
    assert width(whole) <= columns or width(shown) >= columns - 2 - shown.endswith("…")


@given(st.lists(st.builds(Line, st.just(()), st.integers(0, 6)) | PARTS.map(lambda parts: line(*parts))), SIZES)
def test_colours_change_nothing_else(lines: list[Line], columns: int) -> None:
    for size in (columns, None):
        assert plain(render(lines, Look(size, colour=True))) == render(lines, Look(size))


@given(PARTS, st.integers(0, 6), st.booleans())
def test_off_a_terminal_a_line_stays_whole(parts: list[Part], indent: int, crop: bool) -> None:
    one = line(*parts, indent=indent, crop=crop)

    text = "".join(text for text, _ in one.parts).rstrip()
    assert render([one], Look()) == (f"{' ' * indent}{text}\n" if text else "\n")


@given(TEXTS, st.integers(1, 30))
def test_pieces_fit_and_follow_each_other(text: str, columns: int) -> None:
    text = visible(text, one_line=True)
    end = fitting(text, 0, columns)

    assert width(text[:end]) <= columns
    assert end == len(text) or width(text[: end + 1]) > columns
    pieces = list(wrapped(text, columns))
    assert (pieces[0][0], pieces[-1][1]) == (0, len(text))
    assert all(not text[one[1] : two[0]].strip(" ") for one, two in pairwise(pieces))


def test_words_stay_together_and_a_long_one_is_broken() -> None:
    told = render([line("the quick brown fox jumps", indent=2), line("a " + "x" * 25)], Look(20))

    assert told == f"  the quick brown\n  fox jumps\na\n{'x' * 20}\n{'x' * 5}\n"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    columns = Columns(("ID", "NAME", "COMMAND"), right=("ID",))
    rows = columns.rows([[("7", ""), ("日本", "dim"), ("true", "")], [("12", ""), ("x", ""), ("echo " * 9, "")]])

    assert render([columns.head(), *rows], Look(30)).splitlines() == [
        "ID  NAME  COMMAND",
        " 7  日本  true",
        "12  x     echo echo echo echo…",
    ]


def test_a_colour_ends_where_its_part_ends() -> None:
    parts = line(("ok: ", "bold"), ("all of it", "red"), " here", crop=True)

    assert render([parts], Look(None, colour=True)) == "\x1b[1mok: \x1b[0m\x1b[31mall of it\x1b[0m here\n"
    assert render([line(("ok: ", "bold"), ("all of it is well", "red"), crop=True)], Look(20, colour=True)) == (
        "\x1b[1mok: \x1b[0m\x1b[31mall of it is we…\x1b[0m\n"
    )
