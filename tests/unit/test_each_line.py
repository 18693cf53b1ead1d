"""One job for each line: what reaches the program, how the input is read, and what each bad input is told."""

import json
import os
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq.errors import InputError, UsageError
from batchq.jobs.model import JobSpec
from batchq.jobs.reading import each


def made(
    data: bytes | str, *words: str, layout: str = "lines", script: str | None = None, call: Any = None, args: Any = None,
    **fields: Any,
) -> list[JobSpec]:  # fmt: skip
    raw = data.encode() if isinstance(data, str) else data
    return each.jobs(raw, layout, "stdin", each.Pattern([*words], script, call, args), fields, "/home/ann", "/bin")


def works(specs: list[JobSpec]) -> list[Any]:
    return [json.loads(spec.work) for spec in specs]


def test_a_line_is_filled_into_the_words_and_appended_where_there_is_no_placeholder() -> None:
    assert works(made("a.png\nb c.png\n", "convert", "{}", "{.}.jpg")) == [
        ["convert", "a.png", "a.jpg"],
        ["convert", "b c.png", "b c.jpg"],
    ]
    assert works(made("a\n", "rm", "-f", "--")) == [["rm", "-f", "--", "a"]]
    assert works(made("make\nls\n", "{}", "-x")) == [["make", "-x"], ["ls", "-x"]]


def test_a_script_gets_the_line_and_the_words_as_parameters_and_stays_as_it_is() -> None:
    (spec,) = made("$(id)\n", "{/}", "more", script='echo "$1" "$2"')

    assert (spec.kind, json.loads(spec.work)) == ("shell", ['echo "$1" "$2"', "$(id)", "$(id)", "more"])
    assert works(made("x\n", script='find "$1" -exec file {} +')) == [['find "$1" -exec file {} +', "x"]]


def test_blank_lines_are_skipped_and_do_not_count_as_jobs() -> None:
    assert works(made("a\n\n \t\n#b\n\n", "echo", "{#}", "{}")) == [["echo", "1", "a"], ["echo", "2", "#b"]]
    assert works(made(b" \0\0a\nb\0", "echo", layout="nul")) == [["echo", " "], ["echo", "a\nb"]]
    assert made("", "echo") == made("", "echo", layout="csv") == made("\n\n", "echo", layout="tsv") == []


def test_only_a_newline_ends_a_line_and_nothing_is_taken_off_it_but_what_windows_puts_there() -> None:
    assert works(made(" a \x0bb\u2028c\rd\r\r\n", "echo")) == [["echo", " a \x0bb\u2028c\rd\r"]]
    assert works(made("\ufeffa.txt\r\n\ufeffb.txt\r\n\r\nc.txt\r", "cat")) == [
        ["cat", "a.txt"], ["cat", "\ufeffb.txt"], ["cat", "c.txt"]
    ]  # fmt: skip


def test_items_that_end_with_nul_keep_every_byte() -> None:
    assert works(made("\ufeffa\r\0b\r\n\0", "cat", layout="nul")) == [["cat", "\ufeffa\r"], ["cat", "b\r\n"]]


LONG = "a" * 200 + "b" * 200


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("caf\xe9".encode("latin-1"), "caf\\xe9"),
        (b"tab\there", "tab\\there"),
        (b"\x1b[31m", "\\x1b[31m"),
        ("\u202egpj".encode(), "\\u202egpj"),
        (LONG.encode(), "a" * 127 + "…" + "b" * 127),
    ],
)
def test_names_and_tags_are_made_of_any_line(line: bytes, name: str) -> None:
    (spec,) = made(line + b"\n", "x", "{}", name="{}", tags=["{}"])

    assert (spec.name, json.loads(spec.terms.tags or "")) == (name, [name])
    assert os.fsencode(works([spec])[0][1]) == line
    (child,) = made(line + b"\n", "x", after=["{}"])
    assert child.after == (name,)


def test_an_empty_cell_is_no_name_and_no_tag() -> None:
    (spec,) = made("id,who\n7,\n", "x", "{id}", layout="csv", name="{who}", tags=["{who}", "{id}"])

    assert (spec.name, spec.terms.tags) == (None, '["7"]')


@pytest.mark.parametrize(
    ("words", "fields", "said"),
    [
        (("echo", "{ctiy}"), {}, "{ctiy} is not a column of stdin (did you mean 'city'?): its columns are id, city"),
        (("echo", "{id}", "x{nmae}"), {}, "{nmae} is not a column"),
        (("echo", "{3}"), {}, "{3} is not a column"),
        (("echo",), {"name": "{Id}"}, "{Id} is not a column of stdin"),
        (("echo",), {"env": {"A": "{cities}"}}, "{cities} is not a column"),
    ],
)
@pytest.mark.parametrize("layout", ["csv", "tsv"])
def test_a_word_in_braces_that_is_no_column_is_refused(
    words: tuple[str, ...], fields: dict[str, Any], said: str, layout: str
) -> None:
    data = "id,city\n7,Rome\n".replace(",", "," if layout == "csv" else "\t")

    with pytest.raises(UsageError, match=re.escape(said)):
        made(data, *words, layout=layout, **fields)
    with pytest.raises(UsageError, match="is not a column"):
        made(data, call="a:b", args={"x": ["{id}", "{ctiy}"]}, layout=layout)


@pytest.mark.parametrize("word", ["{print $1}", '{"a": 1}', "${HOME}", "{a,b}", "a{", "}{", "{ }", "{1..9}"])
def test_braces_that_mean_no_column_stay(word: str) -> None:
    assert works(made("id,city\n7,Rome\n", "x", word, "{id}", layout="csv")) == [["x", word, "7"]]


def test_without_columns_every_word_in_braces_stays() -> None:
    assert works(made("a\n", "x", "{ctiy}", "{}")) == [["x", "{ctiy}", "a"]]
    assert works(made("id\n7\n", script='echo "{ctiy}" "$1"', layout="csv")) == [['echo "{ctiy}" "$1"', "7"]]


def warned(*words: str) -> str | None:
    pattern = each.Pattern([*words])
    each.jobs(b"a\n", "lines", "stdin", pattern, {}, "/", "/bin")
    return pattern.warning


@pytest.mark.parametrize(
    ("words", "safe"),
    [
        (("sh", "-c", "echo {}"), "sh -c '… \"$1\" …' sh {}"),
        (("/bin/bash", "-euc", "cd {//} && make"), "bash -euc '… \"$1\" …' sh {//}"),
        (("env", "A=1", "dash", "-e", "-c", "{}"), "dash -c"),
        (("zsh", "-c", "x {.}", "y"), "zsh -c"),
        (("ksh", "-c", "x {}"), "ksh -c"),
        (("python3.11", "-c", "print('{}')"), "python3.11 -c '… sys.argv[1] …' {}"),
        (("python", "-cprint('{}')"), "python -c"),
        (("perl", "-ne", "print if /{}/", "f"), "perl -ne '… $ARGV[0] …' {}"),
        (("su", "ann", "-c", "rm {}"), "su -c"),
    ],
)
def test_a_value_in_the_text_of_a_program_is_allowed_and_a_better_way_told(words: tuple[str, ...], safe: str) -> None:
    told = warned(*words)

    assert told is not None
    assert safe in told
    assert "a" in "".join(works(made("a\n", *words))[0])


@pytest.mark.parametrize(
    "words",
    [
        ("sh", "-c", 'echo "$1"', "sh", "{}"),
        ("sh", "script.sh", "-c", "{}"),
        ("gcc", "-c", "{}"),
        ("python", "x.py", "-c", "{}"),
        ("perl", "-p", "{}"),
        ("{}", "-c", "x"),
        ("grep", "-e", "{}"),
    ],
    ids=" ".join,
)
def test_a_value_that_is_a_word_of_its_own_is_no_reason_to_warn(words: tuple[str, ...]) -> None:
    assert warned(*words) is None


def test_csv_has_columns_by_name_and_number_and_quotation_marks() -> None:
    data = '\ufeffid, full name\r\n\r\n7,"a ""b"", c"\r\n8,"two\nlines"\r\n , \r\n'

    assert works(made(data, "x", "{id}", "{2}", "{full name}", "{#}", layout="csv")) == [
        ["x", "7", 'a "b", c', 'a "b", c', "1"],
        ["x", "8", "two\nlines", "two\nlines", "2"],
    ]
    assert works(made(data, "x", "{}", layout="csv")) == [["x", '7,"a ""b"", c"'], ["x", '8,"two\nlines"']]
    assert works(made(data, "x", layout="csv"))[0] == ["x", "7", 'a "b", c']
    assert works(made(data, script='x "$1" "$2"', layout="csv"))[0] == ['x "$1" "$2"', "7", 'a "b", c']


def test_tsv_takes_quotation_marks_as_text() -> None:
    assert works(made('a\tb\n"1\t2, 3"\n', "x", "{a}", "{b}", layout="tsv")) == [["x", '"1', '2, 3"']]


def test_fields_that_are_text_are_filled_and_others_are_not() -> None:
    (spec,) = made(
        "in/a.png\n", "x", name="n-{/.}", batch="b{#}", queue="q-{#}", key="k:{}", cwd="{//}", stdin="<{}>",
        env={"IN": "{}", "{}": "{#}"}, tags=["t{#}"], inputs=["{}"], after=["p-{/.}"], after_any=["7", "q{#}"],
        timeout="5m", retry_on=["stderr:a{}"],
    )  # fmt: skip

    assert (spec.name, spec.terms.batch, spec.terms.queue, spec.key, spec.terms.cwd) == (
        "n-a",
        "b1",
        "q-1",
        "k:in/a.png",
        "/home/ann/in",
    )
    assert (spec.terms.stdin, spec.terms.tags, spec.terms.inputs) == (b"<in/a.png>", '["t1"]', '["/home/ann/in/a.png"]')
    assert json.loads(spec.terms.env or "") == {"IN": "in/a.png", "{}": "1"}
    assert (spec.after, spec.after_any, spec.terms.timeout, spec.terms.retry_on) == (
        ("p-a",),
        ("7", "q1"),
        300_000,
        '["stderr:a{}"]',
    )


def test_a_call_gets_the_values_in_its_arguments() -> None:
    (spec,) = made("a.png\n", call="shop:resize", args={"path": "{}", "to": ["{.}.jpg"], "width": 7})

    assert (spec.kind, json.loads(spec.work)) == (
        "call",
        {"call": "shop:resize", "args": {"path": "a.png", "to": ["a.jpg"], "width": 7}},
    )


def test_a_key_may_come_twice_where_lines_do_but_not_for_different_lines() -> None:
    assert [spec.key for spec in made("a\na\n", "x", key="{}")] == ["a", "a"]
    assert [spec.key for spec in made("a\nb\n", "x", key="auto")] == ["auto", "auto"]
    with pytest.raises(InputError, match=r"^stdin: has several lines, but the key 'k' can belong to only one job"):
        made("a\nb\n", "x", key="k")


ROW = "a,b\n1,2\n"
BAD: list[tuple[dict[str, Any], bytes | str, str]] = [
    ({}, b"a\nb\0c\n", "stdin, line 2: the command has a word, number 2, that contains a NUL character"),
    ({}, "a\n\n" + "x" * 131_072, "stdin, line 3: the command has a word, number 2, that is over 128 KiB"),
    ({"layout": "nul"}, b"a\0" + b"x" * 131_072, "stdin, item 2: the command has a word"),
    ({"layout": "csv"}, ROW + "3\n", "stdin, line 3: has 1 column, but the first row names 2"),
    ({"layout": "csv"}, 'a,b\n1,"x\ny"\n3,4,5\n', "stdin, line 4: has 3 columns, but the first row names 2"),
    ({"layout": "tsv"}, "a\tb\n\n1\n", "stdin, line 3: has 1 column, but the first row names 2"),
    ({"layout": "csv"}, "a,,b\n1,2,3\n", "stdin, line 1: has no name for column 2"),
    ({"layout": "csv"}, "\na,b,a\n1,2,3\n", "stdin, line 2: has the name 'a' twice"),
    ({"layout": "csv"}, ROW + '3,"4\n5,6\n', "stdin, line 3: has a quotation mark that is never closed"),
    ({"layout": "csv"}, ROW + '3,"4"5\n', "stdin, line 3: is not CSV"),
    ({"layout": "csv"}, ROW + "3,4\r5\n", "stdin, line 3: has a carriage return outside quotation marks"),
    ({"layout": "csv"}, ROW + "3," + "4" * 131_073, "stdin, line 3: has a cell of over 128 KiB"),
    (
        {"layout": "csv"},
        ROW.encode("utf-16"),
        "stdin, line 1: contains a NUL byte (at byte 3 of the file): save the file",
    ),
    ({"batch": "{}"}, b"a\n\x1b\n", "stdin, line 2: field 'batch' must be 1 to 255 printable characters"),
    ({"queue": "{}"}, b"a\ncaf\xe9\n", "stdin, line 2: field 'queue' contains a lone surrogate"),
    ({"after": ["batch:{}"]}, "a\n" + "b" * 256, "stdin, line 2: field 'after' must be 1 to 255 printable"),
]


@pytest.mark.parametrize(("options", "data", "says"), BAD, ids=[case[2] for case in BAD])
def test_bad_input_is_told_in_one_sentence_with_its_line(options: dict[str, Any], data: bytes | str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        made(data, "echo", **options)

    assert str(caught.value).startswith(says) and str(caught.value).isprintable()


def test_a_program_that_is_a_blank_value_is_refused() -> None:
    with pytest.raises(InputError, match=r"^stdin, line 2: the command names no program"):
        made("a\tb\n\tx\n", "{a}", layout="tsv")


@pytest.mark.parametrize("script", ["gzip {}", "echo {.} $HOME", "{1}"])
def test_a_script_with_a_placeholder_and_no_parameter_is_refused_because_it_would_not_be_filled(script: str) -> None:
    with pytest.raises(UsageError, match=r'a shell gets the value as "\$1"'):
        made("a\n", script=script)


def test_a_call_without_a_placeholder_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a placeholder in --args"):
        made("a\n", call="a:b", args={"path": "x"})


VALUES = st.lists(
    st.binary(min_size=1, max_size=20).filter(lambda data: b"\0" not in data)
    | st.sampled_from([b"{}", b"{/}", b"{.}", b"$(touch pwned)", b"; rm -rf x", b"-rf", b"--", b"a\nb", b"'\"`", b"{#}"]),
    min_size=1, max_size=5,
)  # fmt: skip


@given(VALUES)
def test_hostile_values_reach_the_words_byte_for_byte_and_nothing_else_changes(values: list[bytes]) -> None:
    data = b"\0".join(values)

    words = [list(map(os.fsencode, work)) for work in works(made(data, "p", "{ }{x}", "<{}>", "{}", layout="nul"))]
    assert words == [[b"p", b"{ }{x}", b"<" + value + b">", value] for value in values]
    scripts = [list(map(os.fsencode, work)) for work in works(made(data, "{}", script='p "$@"', layout="nul"))]
    assert scripts == [[b'p "$@"', value, value] for value in values]


@given(VALUES)
def test_hostile_cells_of_csv_come_out_as_they_went_in(values: list[bytes]) -> None:
    values = [value for value in values if value.strip()]
    rows = b"".join(b'"' + value.replace(b'"', b'""') + b'"\n' for value in values)

    words = [list(map(os.fsencode, work)) for work in works(made(b"v\n" + rows, "p", "{v}", "{1}!", layout="csv"))]
    assert words == [[b"p", value, value + b"!"] for value in values if os.fsdecode(value).strip()]


@given(st.binary(), st.sampled_from(["lines", "nul", "csv", "tsv"]))
@settings(max_examples=300)
def test_any_bytes_give_jobs_or_one_sentence(data: bytes, layout: str) -> None:
    try:
        made(data, "echo", "{}", layout=layout)
    except InputError as error:
        assert str(error).isprintable() and str(error).startswith("stdin, ")
