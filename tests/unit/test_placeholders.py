"""Placeholders: what each stands for, that all else stays as it stands, and that no value is filled again."""

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq.jobs.reading import placeholders
from batchq.jobs.reading.placeholders import Line, fill, fill_all, first_in, of_lines, taken_apart


def filled(
    text: str, line: str = "in/a.tar.gz", columns: list[str] | None = None, names: list[str] | None = None
) -> str:
    known = of_lines(names or [])
    return fill(taken_apart(text, known), Line(line, 17, [line] if columns is None else columns, names or []))


@pytest.mark.parametrize(
    ("line", "base", "folder", "stem", "base_stem"),
    [
        ("in/a.tar.gz", "a.tar.gz", "in", "in/a.tar", "a.tar"),
        ("a", "a", ".", "a", "a"),
        ("/a.b", "a.b", "/", "/a", "a"),
        ("d.d/a", "a", "d.d", "d.d/a", "a"),
        (".profile", ".profile", ".", ".profile", ".profile"),
        ("d/.x.y", ".x.y", "d", "d/.x", ".x"),
        ("a/b/", "b", "a", "a/b/", "b"),
        ("/", "/", "/", "/", "/"),
        ("-x y.z", "-x y.z", ".", "-x y", "-x y"),
        ("caf\udce9.png", "caf\udce9.png", ".", "caf\udce9", "caf\udce9"),
    ],
)
def test_the_parts_of_a_path(line: str, base: str, folder: str, stem: str, base_stem: str) -> None:
    assert [filled(text, line) for text in ("{}", "{/}", "{//}", "{.}", "{/.}", "{#}", "{1}")] == [
        line, base, folder, stem, base_stem, "17", line,
    ]  # fmt: skip


def test_columns_by_number_and_by_name() -> None:
    assert filled("{1}-{2} {to} {}", "a,b", ["a", "b"], ["from", "to"]) == "a-b b a,b"
    assert filled("{1} {#}", "x", ["x"], ["1"]) == "x 17"


@pytest.mark.parametrize(
    "text", ["", "{", "}", "{ }", "{2}", "{name}", "{ {x} }", "a{3,5}", "{{", "}}", "${HOME}", "{print $1}", "{.}"[:2]]
)
def test_what_is_no_placeholder_stays(text: str) -> None:
    assert filled(text) == text


def test_braces_around_a_placeholder_stay() -> None:
    assert filled("{{}} {{{/}}} {{x}{}}", "v") == "{v} {{v}} {{x}v}"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
PIECES = st.sampled_from(
    ["{}", "{/}", "{//}", "{.}", "{/.}", "{#}", "{1}", "{", "}", "{{", "x", "/", ".", "$(id)", "\n", '"']
)
HOSTILE = st.lists(PIECES | TEXT, max_size=8).map("".join)


@given(
    TEXT.filter(lambda text: "{" not in text), TEXT.filter(lambda text: "}" not in text and "{" not in text), HOSTILE
)
def test_a_value_stands_in_its_place_as_it_is_and_nothing_else_changes(before: str, after: str, value: str) -> None:
    assert filled(f"{before}{{}}{after}", value) == before + value + after
    assert filled(f"{before}{{name}}{after}{{name}}", "-", [value], ["name"]) == before + value + after + value


@given(HOSTILE)
def test_taking_apart_loses_nothing(text: str) -> None:
    parts = taken_apart(text, of_lines([]))

    assert "".join(f"{{{part}}}" if index % 2 else part for index, part in enumerate(parts)) == text
    assert set(parts[1::2]) <= of_lines([])


@given(st.binary(max_size=30).filter(lambda data: b"\0" not in data))
def test_raw_bytes_come_out_as_they_went_in(data: bytes) -> None:
    assert os.fsencode(filled("<{}>", os.fsdecode(data))) == b"<" + data + b">"


def test_every_string_of_a_value_is_filled_but_no_key() -> None:
    values: dict[str, Any] = {"n": 3, "t": True}
    texts = {"n": "3", "t": "true"}

    value = {"{n}": ["{n}", "x{n}", {"a": "{t}"}, 7, None], "b": "{t}{n}"}
    assert fill_all(value, texts, texts, values) == {"{n}": [3, "x3", {"a": True}, 7, None], "b": "true3"}
    assert fill_all(value, texts, texts, {}) == {"{n}": ["3", "x3", {"a": "true"}, 7, None], "b": "true3"}


def test_the_first_placeholder_of_a_value_is_found() -> None:
    assert first_in({"{n}": [1, "a{x}", ["{m} {n}"]]}, {"n", "m"}) == "{m}"
    assert first_in({"{n}": "x"}, {"n"}) is None


def test_a_text_of_nothing_but_braces_is_taken_apart_at_once() -> None:
    text = "{" * 1_000_000

    assert taken_apart(text, {""}) == [text]


def test_the_fields_that_are_filled_are_fields() -> None:
    from batchq.jobs.fields import FIELDS

    assert set(placeholders.FILLED) < set(FIELDS)
