"""``matrix``: one job for each combination, what is filled, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq.errors import InputError
from batchq.jobs.model import JobSpec
from batchq.jobs.reading import jobfile


def toml(text: str, **common: Any) -> list[JobSpec]:
    return jobfile.read(text.encode(), "toml", "jobs.toml", common, "/home/ann", "/bin")


def test_there_is_one_job_for_each_combination_the_last_name_fastest() -> None:
    specs = toml("[[job]]\nname = 'e-{day}'\ncommand = ['x', '--day={day}', '{n}', '{}', '{m}']\n"
                 "matrix = { day = ['mon', 'tue'], n = [1, 2.5, true] }\n[[job]]\npayload = 1")  # fmt: skip

    assert [json.loads(spec.work)[1:3] for spec in specs[:-1]] == [
        [f"--day={day}", n] for day in ("mon", "tue") for n in ("1", "2.5", "true")
    ]
    assert [spec.name for spec in specs] == ["e-mon"] * 3 + ["e-tue"] * 3 + [None]
    assert json.loads(specs[0].work)[3:] == ["{}", "{m}"]


def test_the_slot_in_a_list_of_words_is_filled_in_when_the_job_runs() -> None:
    specs = toml("[[job]]\ncommand = ['x', '{day}', '{%}/{%}']\nmatrix = { day = ['mon', '{%}'] }")

    assert [(spec.kind, *json.loads(spec.work)) for spec in specs] == [
        ("shell", 'exec x "$1" "$BATCHQ_SLOT"/"$BATCHQ_SLOT"', day) for day in ("mon", "{%}")
    ]


def test_json_lines_have_it_too() -> None:
    line = '{"payload": {"c": "{c}", "t": "c{c}", "{c}": [["{c}"]]}, "matrix": {"c": [17, true, "x"]}}'
    specs = jobfile.read(line.encode(), "jsonl", "jobs.jsonl", {}, "/", "/bin")

    assert [json.loads(spec.work) for spec in specs] == [
        {"c": 17, "t": "c17", "{c}": [[17]]},
        {"c": True, "t": "ctrue", "{c}": [[True]]},
        {"c": "x", "t": "cx", "{c}": [["x"]]},
    ]


def test_fields_that_are_text_are_filled_wherever_they_come_from() -> None:
    specs = toml(
        "[defaults]\nenv = { DAY = '{day}' }\n[[job]]\ncall = 'a:b'\nargs = { d = '{day}' }\nkey = '{day}/{#}'\n"
        "cwd = 'in/{day}'\nstdin = '{day}'\nbatch = '{day}'\ninputs = ['{day}.csv']\nafter = ['x-{day}']\n"
        "matrix = { day = ['mon', 'tue'] }",
        tags=["t-{day}"],
    )

    spec = specs[1]
    assert (spec.terms.env, spec.work) == ('{"DAY":"tue"}', '{"call":"a:b","args":{"d":"tue"}}')
    assert (spec.key, spec.terms.cwd, spec.terms.stdin, spec.terms.batch) == (
        "tue/2",
        "/home/ann/in/tue",
        b"tue",
        "tue",
    )
    assert (spec.terms.inputs, spec.after, spec.terms.tags) == ('["/home/ann/tue.csv"]', ("x-tue",), '["t-tue"]')


def test_a_value_is_never_filled_again() -> None:
    (spec,) = toml("[[job]]\ncommand = ['x', '{a}{b}']\nmatrix = { a = ['{b}'], b = ['{a}'] }")

    assert json.loads(spec.work) == ["x", "{b}{a}"]


HOSTILE = st.sampled_from(["{a}", "{b}", "{#}", "$(id)", "; id", "-rf", "'\"`\n", "{", "}"]) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=5
)


@given(st.lists(HOSTILE, min_size=1, max_size=3), st.lists(HOSTILE, min_size=1, max_size=3))
def test_hostile_values_stand_in_their_place_as_they_are(first: list[str], second: list[str]) -> None:
    both = {"matrix": {"a": first, "b": second}, "env": {"V": "{b}"}}
    lines = [both | {"command": ["x", "<{a}>{b}", "{c}"]}, both | {"command": 'x "$1"'}]

    specs = jobfile.read("\n".join(map(json.dumps, lines)).encode(), "jsonl", "jobs.jsonl", {}, "/", "/bin")
    pairs = [(one, other) for one in first for other in second]
    assert [json.loads(spec.work) for spec in specs] == [
        *(["x", f"<{one}>{other}", "{c}"] for one, other in pairs),
        *(['x "$1"', one, other] for one, other in pairs),
    ]
    assert [json.loads(spec.terms.env or "")["V"] for spec in specs] == [other for _, other in pairs] * 2


def test_a_shell_gets_the_values_as_parameters_in_the_order_of_the_names() -> None:
    specs = toml("[[job]]\ncommand = 'load \"$1\" > \"$2\".log'\nmatrix = { day = ['mon', '$(id)'], n = [1] }")

    assert [(spec.kind, json.loads(spec.work)[1:]) for spec in specs] == [
        ("shell", ["mon", "1"]),
        ("shell", ["$(id)", "1"]),
    ]


def test_the_hash_of_a_key_sees_the_values() -> None:
    assert [spec.key for spec in toml("[[job]]\ncommand = ['{n}']\nkey = 'auto'\nmatrix = { n = [1, 2] }")] == [
        "auto"
    ] * 2
    assert len(toml("[[job]]\ncommand = ['x']\nkey = 'one'\nmatrix = { n = [1] }")) == 1


JOB = "[[job]]\nname = 'load'\ncommand = ['x', '{n}']\n"
BAD = [
    (JOB + "matrix = 1", "field 'matrix' must be a table of lists, as in { day = ['mon', 'tue'] }, not a number"),
    (JOB + "matrx = { n = [1] }", "unknown field 'matrx' (did you mean 'matrix'?)"),
    (JOB + "matrix = {}", "field 'matrix' is empty"),
    (JOB + "matrix = { n = [] }", "field 'matrix' must have a list with at least one value for 'n'"),
    (JOB + "matrix = { n = 'abc' }", "field 'matrix' must have a list with at least one value for 'n'"),
    (JOB + "matrix = { '#' = [1] }", "field 'matrix' has the name '#'"),
    (JOB + "matrix = { n = [[1]] }", "field 'matrix' has a list in the list 'n': write strings, numbers, true or false"),
    (JOB + "matrix = { n = [2026-11-23] }", "field 'matrix' has a date in the list 'n'"),
    (JOB + 'matrix = { n = ["a\\u0000"] }', "field 'matrix' has a value in the list 'n' that contains a NUL"),
    (JOB + f"matrix = {{ a = {[1] * 1000}, b = {[1] * 101} }}", "has 101,000 combinations, more than 100,000"),
    (JOB + "key = 'one'\nmatrix = { n = [1, 2] }", "field 'key' is the same for all combinations"),
    (JOB + "matrix = { n = ['x', ''] }\nqueue = '{n}'", "combination 2: field 'queue' must be 1 to 255 printable"),
    (JOB + "matrix = { n = [1] }\nqueues = 'x'", "combination 1: unknown field 'queues' (did you mean 'queue'?)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), BAD, ids=[says for _, says in BAD])
def test_a_bad_matrix_is_told_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        toml(text)

    message = str(caught.value)
    assert message.startswith("jobs.toml, job 1 (load)") and says in message and message.isprintable()


def test_a_name_of_the_matrix_in_a_text_for_the_shell_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError) as caught:
        toml("[[job]]\ncommand = 'load {n}'\nmatrix = { day = ['mon'], n = [1] }")

    assert str(caught.value) == (
        "jobs.toml, job 1: field 'command' has {n} in a script for the shell, which is never filled:"
        ' write "$1" for day, "$2" for n, or a list of words'
    )


def test_a_matrix_belongs_to_one_job() -> None:
    with pytest.raises(InputError, match=r"^jobs.toml, \[defaults\]: field 'matrix' belongs to one job"):
        toml("[defaults]\nmatrix = { n = [1] }")


def test_endless_nesting_is_no_traceback() -> None:
    line = '{"payload": ' + "[" * 900 + '"{n}"' + "]" * 900 + ', "matrix": {"n": [1]}}'

    with pytest.raises(InputError, match="nested"):
        jobfile.read(line.encode(), "jsonl", "jobs.jsonl", {}, "/", "/bin")
