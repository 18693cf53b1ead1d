"""Job files: what each format accepts, what each bad input is told, and that no bytes whatever end in a traceback."""

import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq.errors import InputError, UsageError
from batchq.jobs.fields import FIELDS
from batchq.jobs.model import JobSpec
from batchq.jobs.reading import jobfile
from batchq.jobs.work import ARGUMENT_LIMIT

FILES = {"toml": "jobs.toml", "jsonl": "jobs.jsonl", "lines": "stdin"}


def read(format: str, data: bytes | str, *, nul: bool = False, **common: Any) -> list[JobSpec]:
    raw = data.encode() if isinstance(data, str) else data
    return jobfile.read(raw, format, FILES[format], common, "/home/ann", "/bin", nul=nul)


def scripts(specs: list[JobSpec]) -> list[str]:
    return [json.loads(spec.work)[0] for spec in specs]


def test_each_line_is_a_shell_command_and_the_last_needs_no_newline() -> None:
    specs = read("lines", "make all\necho 'a \"b\"' | tee \\\\x\nls\tä", queue="etl", max_attempts=3)

    assert scripts(specs) == ["make all", "echo 'a \"b\"' | tee \\\\x", "ls\tä"]
    assert {
        (spec.kind, spec.terms.queue, spec.terms.max_attempts, spec.terms.cwd, spec.terms.path) for spec in specs
    } == {("shell", "etl", 3, "/home/ann", "/bin")}


def test_blank_lines_and_comments_are_skipped_but_a_later_hash_is_kept() -> None:
    assert scripts(read("lines", "\n  \t\n# note\n  # note\ntrue # note\n\n")) == ["true # note"]


def test_windows_line_ends_and_a_byte_order_mark_are_accepted() -> None:
    assert scripts(read("lines", b"\xef\xbb\xbftrue\r\nfalse\r\n")) == ["true", "false"]
    assert read("jsonl", b'\xef\xbb\xbf{"payload": 1}\r\n\r\n{"payload": 2}')[1].work == "2"
    assert read("toml", b"\xef\xbb\xbf[[job]]\r\npayload = 1\r\n")[0].work == "1"


def test_only_a_newline_ends_a_line() -> None:
    assert scripts(read("lines", "a\x0bb\x0cc\u2028d\x85e\rf\n")) == ["a\x0bb\x0cc\u2028d\x85e\rf"]


def test_bytes_that_are_no_utf8_reach_the_shell_unchanged() -> None:
    assert os.fsencode(scripts(read("lines", b"rm caf\xe9\n"))[0]) == b"rm caf\xe9"


def test_items_that_end_with_nul_may_hold_newlines_and_begin_with_a_hash() -> None:
    assert scripts(read("lines", b"a\nb\0# c\0\0 \0d", nul=True)) == ["a\nb", "# c", "d"]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"))))
def test_there_are_as_many_jobs_as_lines_with_something_to_run(lines: list[str]) -> None:
    lines = [line.replace("\ufeff", "") for line in lines]

    found = scripts(read("lines", "\n".join(lines)))

    assert found == [line for line in lines if line.strip() and line.strip()[0] != "#"]


def test_a_toml_file_gives_its_jobs_in_order_with_the_defaults_below_them() -> None:
    text = """
        [defaults]
        queue = "etl"
        timeout = "5m"
        env = { A = "file", B = "file", C = "file" }
        [[job]]
        name = "extract"
        command = ["python", "extract.py"]
        [[job]]
        command = "psql -f load.sql | tee load.log"
        queue = "own"
        env = { C = "job" }
        [[job]]
        call = "shop.images:resize"
        args = { path = "a.png", width = 800 }
        [[job]]
        payload = { customer = 17 }
    """

    specs = read("toml", text, timeout="1m", env={"B": "option", "C": "option"})

    assert [(spec.kind, spec.work) for spec in specs] == [
        ("argv", '["python","extract.py"]'),
        ("shell", '["psql -f load.sql | tee load.log"]'),
        ("call", '{"call":"shop.images:resize","args":{"path":"a.png","width":800}}'),
        ("payload", '{"customer":17}'),
    ]
    assert [spec.terms.queue for spec in specs] == ["etl", "own", "etl", "etl"]
    assert {spec.terms.timeout for spec in specs} == {60_000}
    assert json.loads(specs[0].terms.env or "") == {"A": "file", "B": "option", "C": "option"}
    assert json.loads(specs[1].terms.env or "") == {"A": "file", "B": "option", "C": "job"}


def test_a_time_of_toml_is_a_run_at() -> None:
    (spec,) = read("toml", "[[job]]\ncommand = 'x'\nrun_at = 2026-11-23T18:00:00+01:00")

    assert spec.terms.run_at == 1795453200000


def test_a_jobs_own_run_at_displaces_a_delay_from_outside_and_the_reverse() -> None:
    late, soon = read(
        "toml",
        "[defaults]\ndelay = '5m'\n[[job]]\ncommand = 'x'\nrun_at = '2026-11-23T18:00Z'\n[[job]]\ncommand = 'x'",
    )
    (own,) = read("jsonl", '{"command": "x", "delay": "1s"}', run_at="2026-11-23T18:00Z")

    assert (late.terms.delay, late.terms.run_at is None) == (None, False)
    assert (soon.terms.delay, soon.terms.run_at) == (300_000, None)
    assert (own.terms.delay, own.terms.run_at) == (1000, None)


def test_json_lines_give_a_job_a_line_and_blank_lines_count_only_as_lines() -> None:
    specs = read("jsonl", '{"command": ["a", "\\u00e9"], "name": "x"}\n\n  \n{"payload": "\\ud83d\\ude00"}', queue="q")

    assert [(spec.kind, spec.name, spec.terms.queue) for spec in specs] == [("argv", "x", "q"), ("payload", None, "q")]
    assert [json.loads(spec.work) for spec in specs] == [["a", "é"], "😀"]


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("data", ["", "\n", "\ufeff", "\r\n\r\n"])
def test_an_empty_file_is_nothing_to_do(format: str, data: str) -> None:
    assert read(format, data) == []


def test_toml_without_a_job_is_nothing_to_do() -> None:
    assert read("toml", "job = []") == read("toml", "[defaults]\nqueue = 'x'") == []


def test_one_key_from_outside_is_refused_for_two_jobs_because_one_would_vanish() -> None:
    assert read("lines", "true\n", key="nightly")[0].key == "nightly"
    assert [spec.key for spec in read("jsonl", '{"payload":1,"key":"a"}\n{"payload":2}', key="b")] == ["a", "b"]
    with pytest.raises(InputError, match=r"^stdin: has several jobs, but the key 'nightly' can belong to only one"):
        read("lines", "true\nfalse\n", key="nightly")


DOTS = ".".join(["a"] * 65)


@pytest.mark.parametrize(
    "text",
    [f"command = '{DOTS}'", f'command = """x"{DOTS}\n{DOTS}"""', f"command = 'x' # it's {DOTS}",
     f"command = '''{DOTS}'''''", f'command = "\\"{DOTS}\\\\"', "payload = { " + DOTS[:-2] + " = 1 }"],
)  # fmt: skip
def test_a_string_or_comment_of_toml_may_have_any_number_of_dots(text: str) -> None:
    assert len(read("toml", f"[[job]]\n{text}")) == 1


JOB = "[[job]]\ncommand = 'x'\n"
BAD: list[tuple[str, bytes | str, tuple[str, ...]]] = [
    ("lines", b"true\nec\0ho\n", ("stdin, line 2: contains a NUL character", "-0")),
    ("lines", "true\n" * 16 + "x" * 131_072, ("stdin, line 17: the command is over 128 KiB",)),
    ("toml", "[[job]\n", ("jobs.toml: is not TOML", "line 1, column")),
    ("toml", JOB + "name = 'a'\nname = 'b'\n", ("jobs.toml: is not TOML", "line 4")),
    ("toml", "x = '" + "é" * 300 + "\n", ("jobs.toml: is not TOML",)),
    ("toml", "[default]\nqueue = 'x'", ("jobs.toml: unknown table 'default' (did you mean 'defaults'?)",)),
    ("toml", "[[jobs]]\ncommand = 'x'", ("jobs.toml: unknown table 'jobs' (did you mean 'job'?)",)),
    ("toml", "queue = 'x'", ("jobs.toml: unknown table 'queue'", "[defaults] and [[job]]")),
    ("toml", "[job]\ncommand = 'x'", ("jobs.toml: 'job' must be a list of tables", "[[job]]")),
    ("toml", "job = [1]", ("jobs.toml, job 1: must be a table",)),
    ("toml", "defaults = 1", ("jobs.toml, [defaults]: must be a table",)),
    ("toml", "[defaults]\ncommand = 'x'", ("jobs.toml, [defaults]: field 'command' belongs to one job",)),
    ("toml", "[defaults]\nkey = 'x'", ("jobs.toml, [defaults]: field 'key' belongs to one job",)),
    ("toml", "[defaults]\ntimout = 'x'", ("jobs.toml, [defaults]: unknown field 'timout' (did you mean 'timeout'?)",)),
    ("toml", JOB + JOB + "name = 'load'\nhold = 1", ("jobs.toml, job 2 (load): field 'hold' must be true or false",)),
    ("toml", JOB + 'batch = "a\\nb"', ("jobs.toml, job 1: field 'batch' must be 1 to 255 printable",)),
    (
        "toml",
        "[[job]]\npayload = nan",
        ("jobs.toml, job 1: field 'payload' cannot be stored: payload: nan is not JSON",),
    ),
    (
        "toml",
        "[[job]]\npayload = { t = 2026-11-23 }",
        ("field 'payload' cannot be stored: payload.t: date is not JSON",),
    ),
    (
        "toml",
        "[[job]]\ncall = 'a:b'\nargs = { t = 07:00:00 }",
        ("jobs.toml, job 1: field 'args' cannot be stored: args.t: time is not JSON",),
    ),
    ("toml", "a = " + "[" * 100_000, ("jobs.toml: is nested too deeply",)),
    ("toml", "x = " + "9" * 5000, ("jobs.toml: contains a whole number of more than 4300 digits",)),
    ("toml", JOB + "x.".join([""] * 20_000) + "x = 1", ("jobs.toml, line 3: has a dotted key of more than 64",)),
    ("toml", "['" + "'. 'x".join([""] * 70) + "']", ("jobs.toml, line 1: has a dotted key of more than 64",)),
    ("toml", f"a = {{ b = '''\n''', {DOTS} = 1 }}", ("jobs.toml, line 2: has a dotted key of more than 64",)),
    ("toml", b"#" * (16 * 2**20 + 1), ("jobs.toml: is over 16 MiB", "JSON lines")),
    (
        "toml",
        b"[[job]]\nname = 'caf\xe9'",
        ("jobs.toml, line 2: is not UTF-8 text (at byte 19", "save the file as UTF"),
    ),
    ("toml", "[[job]]".encode("utf-16-le"), ("jobs.toml, line 1: contains a NUL byte", "save the file as UTF-8")),
    ("jsonl", '{"payload": 1}'.encode("utf-16"), ("jobs.jsonl, line 1: is not UTF-8 text (at byte 0",)),
    ("jsonl", '{"payload": 1}\n\n[1]', ("jobs.jsonl, line 3: must be one JSON object",)),
    ("jsonl", '{"payload": 1', ("jobs.jsonl, line 1: is not JSON", "at column 14")),
    ("jsonl", '{"payload": 1} {}', ("jobs.jsonl, line 1: is not JSON", "Extra data at column 16")),
    ("jsonl", '{"payload": 1, "payload": 1}', ("jobs.jsonl, line 1: has the key 'payload' twice",)),
    ("jsonl", '{"payload": [{"b": 0, "a": 1, "a": 2}]}', ("jobs.jsonl, line 1: has the key 'a' twice",)),
    ("jsonl", '{"payload": NaN}', ("jobs.jsonl, line 1: contains NaN",)),
    (
        "jsonl",
        '{"payload": 1e999, "name": "big"}',
        ("jobs.jsonl, line 1 (big): field 'payload' cannot be stored: payload: inf",),
    ),
    ("jsonl", '{"command": ["a", "\\ud800"]}', ("jobs.jsonl, line 1: field 'command' contains a lone surrogate",)),
    ("jsonl", '{"command": "a \\uDCFF"}', ("jobs.jsonl, line 1: field 'command' contains a lone surrogate",)),
    ("jsonl", '{"payload": {"\\udcff": 1}}', ("jobs.jsonl, line 1: field 'payload' contains a lone surrogate",)),
    (
        "jsonl",
        '{"command": "a", "env": {"A": "\\udcff"}}',
        ("jobs.jsonl, line 1: field 'env' contains a lone surrogate",),
    ),
    ("jsonl", '{"command": "a", "\\udcff": 1}', ("jobs.jsonl, line 1: field '\\udcff' contains a lone surrogate",)),
    ("jsonl", '{"payload": ' + "[" * 100_000, ("jobs.jsonl, line 1: is nested too deeply",)),
    ("jsonl", '{"payload": ' + "[" * 300 + "]" * 300 + "}", ("field 'payload' is nested more than 200 levels deep",)),
    ("jsonl", '{"payload": ' + "9" * 5000 + "}", ("jobs.jsonl, line 1: contains a whole number of more than 4300",)),
    ("jsonl", '{"command": "a", "timeout": null}', ("jobs.jsonl, line 1: field 'timeout' must be a duration",)),
]


@pytest.mark.parametrize(("format", "data", "parts"), BAD, ids=[f"{case[0]}-{case[2][0]}" for case in BAD])
def test_bad_input_ends_in_one_sentence_with_its_place(format: str, data: bytes | str, parts: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        read(format, data)

    message = str(caught.value)
    assert caught.value.exit_code == 65
    assert message.startswith(FILES[format]) and message.isprintable() and len(message) < 400
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.parametrize("format", FILES)
def test_a_bad_option_is_told_as_such_even_where_no_job_would_use_it(format: str) -> None:
    with pytest.raises(InputError, match=r"^command line: field 'timeout' is wrong: 'soon' is not a duration"):
        read(format, "", timeout="soon")


def test_the_suffix_of_a_file_tells_its_format_and_any_other_does_not() -> None:
    assert [jobfile.format_of(name) for name in ("a/b.toml", "B.TOML", "x.y.jsonl", "z.ndjson", "a.JSON", "jobs.txt")] == [
        "toml", "toml", "jsonl", "jsonl", "json", "lines"
    ]  # fmt: skip
    for name in ("jobs.sh", "jobs", ".toml", "toml", ""):
        assert jobfile.format_of(name) is None
    with pytest.raises(UsageError, match="'xml'"):
        jobfile.read(b"", "xml", "stdin", {}, "/", "/bin")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from(["5m", "a:b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
JOBS = st.dictionaries(st.sampled_from([*FIELDS, "command", "call", "args", "payload", "x"]), JSON, max_size=4)
TOKENS = (
    r"""[[job]] [defaults] command payload env timeout = 'x' " ' \""" [ ] { } , . # \ 1 - nan 0x é 2026-11-23 T18:00Z"""
)
DATA = (
    st.binary()
    | st.lists(st.sampled_from([*TOKENS.split(), " ", "\n", "\r", "\0"])).map(lambda tokens: "".join(tokens).encode())
    | st.lists(JOBS, max_size=3).map(lambda jobs: "\n".join(map(json.dumps, jobs)).encode())
)


@given(DATA, st.sampled_from(sorted(FILES)), st.booleans())
@settings(max_examples=500)
def test_any_bytes_give_runnable_jobs_or_an_input_error(data: bytes, format: str, nul: bool) -> None:
    try:
        specs = read(format, data, nul=nul)
    except InputError as error:
        assert str(error).isprintable()
        return

    for spec in specs:
        work = json.loads(spec.work)
        words = [*(json.loads(spec.terms.env) if spec.terms.env else {}).items()]
        sent = [*(work if spec.kind in ("argv", "shell") else []), *("=".join(pair) for pair in words), spec.terms.cwd]
        for word in map(os.fsencode, sent):
            assert len(word) <= ARGUMENT_LIMIT and b"\0" not in word
