"""The fields of a job: what is stored for each, what each refusal says, and that what is accepted can be executed."""

import json
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq.errors import InputError
from batchq.jobs import work
from batchq.jobs.fields import FIELDS, WORK_FIELDS
from batchq.jobs.model import JobSpec, Maker, job_spec
from batchq.jobs.values import ENVIRONMENT_LIMIT
from batchq.jobs.work import ARGUMENT_LIMIT, FIELD_LIMIT


def spec_of(**fields: Any) -> JobSpec:
    if not {"command", "call", "payload"} & set(fields):
        fields["command"] = ["true"]
    return job_spec(fields, "jobs.toml, job 3 (load)", "/home/ann", "/bin")


def test_a_job_without_fields_has_the_documented_defaults() -> None:
    spec = spec_of()
    terms = spec.terms

    assert (spec.kind, spec.work) == ("argv", '["true"]')
    assert (terms.batch, terms.queue, terms.priority) == ("default", "default", 0)
    assert (terms.max_attempts, terms.backoff, terms.max_crashes, terms.on_crash) == (1, 1000, 3, "retry")
    assert (terms.hold, terms.cwd, terms.path) == (False, "/home/ann", "/bin")
    optional = ("timeout", "delay", "run_at", "env", "stdin", "umask", "tags")
    assert [spec.name, spec.key, *[getattr(terms, name) for name in optional]] == [None] * (2 + len(optional))


@pytest.mark.parametrize(
    ("field", "said", "stored"),
    [
        ("name", "läd 1", "läd 1"),
        ("name", "a\nb\0\ud800\udcff", "a\\nb\\x00\\ud800\\xff"),
        ("name", "", None),
        ("name", "a" * 254 + "bc", "a" * 127 + "…" + "a" * 125 + "bc"),
        ("priority", -(2**31), -(2**31)),
        ("timeout", "1.5h", 5_400_000),
        ("timeout", 90, 90_000),
        ("backoff", 0.25, 250),
        ("delay", "250ms", 250),
        ("run_at", "2026-11-23T18:00Z", 1795456800000),
        ("run_at", datetime(2026, 11, 23, 18, tzinfo=UTC), 1795456800000),
        ("on_crash", "hold", "hold"),
        ("success_codes", [24, 0, "23"], "0,23,24"),
        ("success_codes", ["0,24", "1"], "0,1,24"),
        ("success_codes", 24, "24"),
        ("success_codes", [0], None),
        ("hold", True, True),
        ("env", {"A": "x=y", "B": ""}, '{"A":"x=y","B":""}'),
        ("env", {"A": "caf\udce9"}, '{"A":"caf\\udce9"}'),
        ("env", {}, None),
        ("stdin", "é\udcff\0", b"\xc3\xa9\xff\0"),
        ("umask", "027", 0o27),
        ("tags", ["a", "b"], '["a","b"]'),
        ("tags", [], None),
        ("tags", ["", "a", ""], '["a"]'),
        ("tags", [""], None),
        ("cwd", "sub/../data", "/home/ann/data"),
        ("cwd", "/abs", "/abs"),
        ("cwd", "caf\udce9", "/home/ann/caf\udce9"),
    ],
)
def test_a_field_is_stored_in_one_normal_form(field: str, said: object, stored: object) -> None:
    spec = spec_of(**{field: said})
    assert getattr(spec if FIELDS[field].is_own else spec.terms, field) == stored


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"timout": 1}, "unknown field 'timout' (did you mean 'timeout'?)"),
        ({"x" * 1_000_000: 1}, "unknown field 'xxxxx"),
        ({"name": 7}, "field 'name' must be a string, not a number"),
        ({"batch": "a\nb"}, "field 'batch' must be 1 to 255 printable characters"),
        ({"queue": "a\ud800"}, "field 'queue' contains a lone surrogate"),
        ({"queue": 5}, "field 'queue' must be a string, not a number"),
        ({"key": "k" * 256}, "field 'key' must be 1 to 255"),
        ({"priority": True}, "field 'priority' must be a whole number, not true or false"),
        ({"priority": 1.0}, "field 'priority' must be a whole number, not a number with a decimal point"),
        ({"priority": 2**31}, "field 'priority' must be between -2147483648 and 2147483647"),
        ({"max_attempts": 10**5000}, "field 'max_attempts' must be between 1 and 1000000"),
        ({"max_crashes": 0}, "field 'max_crashes' must be between 1"),
        ({"hold": "yes"}, "field 'hold' must be true or false, not a string"),
        ({"on_crash": ["retry"]}, "field 'on_crash' must be one of retry, hold"),
        ({"timeout": False}, "field 'timeout' must be a duration such as '90s', not true or false"),
        ({"timeout": None}, "field 'timeout' must be a duration such as '90s', not nothing"),
        ({"timeout": -1}, "field 'timeout' is wrong: '-1' is not a duration: write"),
        ({"timeout": float("nan")}, "field 'timeout' is wrong: 'nan' is not a duration"),
        ({"timeout": float("inf")}, "field 'timeout' is wrong: 'inf' is not a duration"),
        ({"timeout": 10**5000}, "field 'timeout' is too long for a time"),
        ({"backoff": "9" * 1_000_000}, "field 'backoff' is too long for a time"),
        ({"delay": "200000d"}, "field 'delay' is wrong: '200000d' is longer than 100 years"),
        ({"delay": 1, "run_at": "2026-11-23"}, "fields 'delay' and 'run_at' exclude each other"),
        ({"run_at": 20261123}, "field 'run_at' must be a time such as '2026-11-23T18:00', not a number"),
        ({"run_at": "soon"}, "field 'run_at' is wrong: 'soon' is not a time"),
        ({"umask": 18}, "field 'umask' must be an octal string such as '022'"),
        ({"umask": "0o1000"}, "field 'umask' must be an octal string"),
        ({"stdin": b"x"}, "field 'stdin' must be a string, not a bytes"),
        ({"stdin": "\ud800"}, "field 'stdin' contains a lone surrogate"),
        ({"stdin": "é" * 600_000}, "field 'stdin' is over 1 MiB"),
        ({"env": ["A"]}, "field 'env' must be a table of NAME = 'value', not a list"),
        ({"env": {"A": 1}}, "field 'env' has 'A', which must be a string, not a number"),
        ({"env": {1: "A"}}, "field 'env' has a variable with the invalid name 1"),
        ({"env": {"A=B": ""}}, "field 'env' has a variable with the invalid name 'A=B'"),
        ({"env": {"A\0": ""}}, "field 'env' has 'A\\x00', which contains a NUL character"),
        ({"env": {"A": "\ud800"}}, "field 'env' has 'A', which contains a lone surrogate"),
        ({"env": {"A": "x" * (ARGUMENT_LIMIT - 1)}}, "field 'env' has 'A', which is over 128 KiB"),
        ({"env": {f"A{n}": "x" * 100_000 for n in range(6)}}, "field 'env' is over 512 KiB in all"),
        ({"env": {"BATCHQ_DB": "x"}}, "field 'env' sets 'BATCHQ_DB', but names that begin with BATCHQ_"),
        ({"tags": "a"}, "field 'tags' must be a list of strings, not a string"),
        ({"cwd": "a\0"}, "field 'cwd' contains a NUL character"),
        ({"payload": None, "command": "x"}, "fields 'command' and 'payload' exclude each other"),
        ({"command": []}, "field 'command' names no program"),
        ({"command": [""]}, "field 'command' names no program"),
        ({"command": " \n"}, "field 'command' is an empty command"),
        ({"command": {"a": 1}}, "field 'command' must be a list of words or one string for the shell, not a table"),
        ({"command": ["a", 1]}, "field 'command' has a word, number 2, that must be a string, not a number"),
        ({"command": ["a\0"]}, "field 'command' has a word, number 1, that contains a NUL character"),
        ({"command": ["a", "\ud800"]}, "field 'command' has a word, number 2, that contains a lone surrogate"),
        ({"command": ["a", "é" * 65_536]}, "field 'command' has a word, number 2, that is over 128 KiB"),
        ({"command": ["a"] * 200_000}, "field 'command' is over 1 MiB in all"),
        ({"command": "x" * (ARGUMENT_LIMIT + 1)}, "field 'command' is over 128 KiB"),
        ({"command": "x", "args": {}}, "field 'command' takes no 'args'"),
        ({"call": "shop"}, "field 'call' must be 'package.module:function'"),
        ({"call": "a:b c"}, "field 'call' must be 'package.module:function'"),
        ({"call": "a:b", "args": [1]}, "field 'args' must be a table of keyword arguments, not a list"),
        ({"call": "a:b", "args": {"x": float("nan")}}, "field 'args' cannot be stored: args.x: nan is not JSON"),
        ({"call": "a:b", "args": {"x": date(2026, 11, 23)}}, "field 'args' cannot be stored: args.x: date is not JSON"),
        ({"payload": "\udcff"}, "field 'payload' contains a lone surrogate"),
        (
            {"payload": {"a": 10**5000}},
            "field 'payload' cannot be stored: payload: contains a whole number of more than 4300 digits",
        ),
        ({"payload": {(1, 2): 3}}, "field 'payload' cannot be stored: payload: the key (1, 2) is not text"),
        ({"payload": "x" * FIELD_LIMIT}, "field 'payload' is over 1 MiB"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_wrong_field_is_told_by_place_name_and_problem(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        spec_of(**fields)

    message = str(caught.value)
    assert caught.value.exit_code == 65
    assert message.startswith(f"jobs.toml, job 3 (load): {sentence}")
    assert message.isprintable() and len(message) < 300


def test_a_job_without_work_is_told_what_it_needs() -> None:
    with pytest.raises(InputError, match=r"^x: needs a 'command', a 'call' or a 'payload'$"):
        job_spec({"args": {}}, "x", "/", "")


@pytest.mark.parametrize("depth", [201, 900, 100_000])
def test_endless_nesting_is_refused_and_so_is_a_list_in_itself(depth: int) -> None:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    loop: list[Any] = []
    loop.append(loop)

    for payload, problem in ((value, "is nested"), (loop, "contains itself")):
        with pytest.raises(InputError, match=f"field 'payload' .*{problem}"):
            spec_of(payload=payload)


@pytest.mark.parametrize(("zone", "text"), [("EST5", "9999-12-31T23:59:59"), ("CET-1", "0001-01-01T00:00")])
def test_a_local_time_that_leaves_the_calendar_in_utc_is_refused(zone: str, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        with pytest.raises(InputError, match="field 'run_at' is wrong: "):
            spec_of(run_at=text)
    time.tzset()


def test_a_job_like_another_has_all_its_fields_but_the_work() -> None:
    spec = spec_of()
    for number, name in enumerate(JobSpec.__slots__):
        setattr(spec, name, number)

    like = spec.like("shell", '["x"]')

    kept = {name: getattr(spec, name) for name in JobSpec.__slots__}
    assert {name: getattr(like, name) for name in JobSpec.__slots__} == kept | {"kind": "shell", "work": '["x"]'}


def test_jobs_share_their_terms_where_these_are_written_alike() -> None:
    maker = Maker("/home/ann", "/bin")
    alike = [maker.spec({"command": ["a", str(n)], "name": f"n{n}", "queue": "q"}, "x") for n in range(3)]
    other = maker.spec({"command": ["a"], "queue": "r"}, "x")

    assert len({id(spec.terms) for spec in alike}) == 1
    assert [spec.name for spec in alike] == ["n0", "n1", "n2"]
    assert (alike[0].terms.queue, other.terms.queue, other.name) == ("q", "r", None)
    assert maker.spec({"call": "a:b", "queue": "r"}, "x").terms.python == sys.executable
    assert maker.spec({"command": "a", "queue": "r"}, "x").terms.python is None


@pytest.mark.parametrize(("good", "bad"), [({"priority": 1}, {"priority": True}), ({"after": [1]}, {"after": [True]}),
    ({"retry_on": [1]}, {"retry_on": [True]}), ({"slots": 1}, {"slots": 1.0})])  # fmt: skip
def test_what_only_equals_good_terms_is_refused(good: dict[str, Any], bad: dict[str, Any]) -> None:
    maker = Maker("/home/ann", "/bin")
    maker.spec({"command": "a"} | good, "x")

    with pytest.raises(InputError, match=f"x: field '{next(iter(bad))}'"):
        maker.spec({"command": "a"} | bad, "x")


WORD = st.binary(max_size=20).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
)
WORDS = st.lists(WORD, min_size=1, max_size=6).filter(lambda words: words[0] != "")


@given(WORDS)
def test_words_come_back_from_the_store_as_they_were_with_raw_bytes_and_all(words: list[str]) -> None:
    assert json.loads(work.argv_work(words)) == words
    assert [work.encode_bytes(word) for word in json.loads(work.argv_work(words))] == [
        word.encode("utf-8", "surrogateescape") for word in words
    ]
    if words[0].strip():
        assert json.loads(work.shell_work(words)) == words


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(st.characters()) | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, *WORK_FIELDS]) | st.text(), ANY, max_size=4))
def test_any_fields_give_a_job_or_an_input_error(fields: dict[str, Any]) -> None:
    try:
        spec = job_spec(fields, "x", "/home/ann", "/bin")
    except InputError as error:
        assert str(error).startswith("x: ") and str(error).isprintable()
        return

    json.loads(spec.work)
    assert "\0" not in spec.terms.cwd and work.encode_bytes(spec.terms.cwd)


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
def test_the_largest_command_and_environment_that_are_accepted_can_be_executed() -> None:
    words = ["/bin/sh", "-c", "exit 7", *["x" * ARGUMENT_LIMIT] * 7, *[""] * 14_000]
    env = {f"A{number}": "x" * (ARGUMENT_LIMIT - 10) for number in range(ENVIRONMENT_LIMIT // ARGUMENT_LIMIT - 1)}

    spec = spec_of(command=words, env=env)

    ended = subprocess.run(json.loads(spec.work), env=json.loads(spec.terms.env or ""))
    assert ended.returncode == 7
