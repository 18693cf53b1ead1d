"""Jobs with several values: ``-n``, lists after ``:::``, linked lists, as GNU parallel makes them; and ``{%}``."""

import json
import shlex
import shutil
import subprocess
from itertools import chain
from typing import Any

import pytest
from conftest import Shell
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from batchq.errors import InputError, UsageError
from batchq.jobs.model import JobSpec
from batchq.jobs.reading import each, lists


def grouped(data: str, number: int, *words: str, script: str | None = None, **fields: Any) -> list[JobSpec]:
    pattern = each.Pattern([*words], script, fields.pop("call", None), fields.pop("args", None))
    return list(each.stream([data.encode()], "lines", "stdin", pattern, fields, "/", "/bin", number))


def listed(*words: str, link: bool = False, script: str | None = None) -> list[JobSpec]:
    template, chosen = lists.taken_apart([*words], is_linked=link)
    return list(each.combined(chosen, each.Pattern(template, script), {}, "/", "/bin", is_linked=link))


def works(specs: list[JobSpec]) -> list[Any]:
    return [json.loads(spec.work) for spec in specs]


def test_several_lines_become_words_of_one_job_and_the_last_job_may_have_fewer() -> None:
    assert works(grouped("a.x\nb\n\nc\n", 2, "gzip", "{}")) == [["gzip", "a.x", "b"], ["gzip", "c"]]
    assert works(grouped("a.x\nb\n", 2, "f", "--in={.}", "{#}", "{2}")) == [["f", "--in=a", "--in=b", "1", "b"]]
    assert works(grouped("a\nb\nc\n", 2, "f")) == [["f", "a", "b"], ["f", "c"]]
    assert works(grouped("a\nb\nc\n", 2, "f", "{2}{2/}", "{1}")) == [["f", "bb", "a"], ["f", "", "c"]]


def test_a_script_gets_all_values_and_a_call_a_list() -> None:
    assert works(grouped("a\nb c\n", 2, "{}", "x", script='f "$@"')) == [['f "$@"', "a", "b c", "a", "b c", "x"]]
    (spec,) = works(grouped("a\nb\n", 2, call="m:f", args={"paths": "{}", "text": "<{}>"}))
    assert spec["args"] == {"paths": ["a", "b"], "text": "<a b>"}


def test_fields_get_the_values_in_one_text_and_lists_of_fields_each_of_them() -> None:
    (spec,) = grouped("a\nb\n", 2, "f", name="zip {} {#}", inputs=["{}", "z"], tags=["{/}"])
    assert spec.name == "zip a b 1"
    assert json.loads(spec.terms.inputs) == ["/a", "/b", "/z"]
    assert json.loads(spec.terms.tags) == ["a", "b"]


def test_more_than_a_program_can_receive_is_refused_with_the_lines() -> None:
    with pytest.raises(InputError, match=r"stdin, lines 1-20: the command is over 1 MiB in all: .* or a smaller -n"):
        grouped(("x" * 100_000 + "\n") * 20, 20, "f")


def test_lists_are_combined_and_the_last_one_changes_fastest() -> None:
    assert works(listed("f", "{2}-{1}", "{}", ":::", "a", "b", ":::", "1", "2")) == [
        ["f", "1-a", "a", "1"], ["f", "2-a", "a", "2"], ["f", "1-b", "b", "1"], ["f", "2-b", "b", "2"],
    ]  # fmt: skip
    assert works(listed(":::", "a b", "c", ":::", "$1", script='f "$1" "$2"')) == [
        ['f "$1" "$2"', "a b", "$1"], ['f "$1" "$2"', "c", "$1"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["f", "{3}", ":::", "a", ":::", "b"], "{3} names a list after :::, but there are only 2"),
        (["f", "::::", "file"], "::: takes them as words"),
        (["f", ":::"], "needs at least one value"),
        (["f", ":::", "a", ":::"], "needs at least one value"),
        (["f", ":::+", "a"], "begin with :::"),
        (["f", ":::", "a", ":::", "b"], None),
    ],
)
def test_lists_that_say_nothing_are_refused(words: list[str], problem: str | None) -> None:
    if problem is None:
        assert works(listed(*words)) == [["f", "a", "b"]]
        return
    with pytest.raises(UsageError) as refused:
        listed(*words)
    assert problem in str(refused.value)


# --- as GNU parallel ---------------------------------------------------------------------------------------------------

#: Texts without dots and slashes, because of a name that begins or ends with a dot ``{.}`` makes something else here.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\n\r./", exclude_categories=["Cs", "Cc", "Z"]),
    min_size=1,
    max_size=6,
)
PART = st.sampled_from(["a", "b c", "x", "d.tar.gz", "{}", "{1}", "$(id)", "'", "-n"]) | TEXT
PATH = st.lists(PART, min_size=1, max_size=3).map("/".join)
VALUES = st.lists(PATH, min_size=1, max_size=3)


def as_parallel(*words: str) -> list[list[str]]:
    command = ["parallel", "--will-cite", "--dry-run", "-k", "-j1", *words]
    done = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    return [shlex.split(line) for line in done.stdout.decode().splitlines()]


@st.composite
def sources(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """The template and the lists of a command line."""
    found = draw(st.lists(VALUES, min_size=1, max_size=3))
    signs = [":::", *draw(st.lists(st.sampled_from([":::", ":::+"]), min_size=len(found) - 1, max_size=len(found) - 1))]
    kinds = ["", "/", "//", ".", "/."]
    numbered = [f"{{{place}{kind}}}" for place in range(1, len(found) + 1) for kind in kinds]
    words = [*numbered, *[f"x-{one}-y" for one in numbered], "{}", "{.}", "{/}", "{#}", "w"]
    template = draw(st.lists(st.sampled_from(words), max_size=4))
    return ["f", *template], [word for sign, values in zip(signs, found, strict=True) for word in (sign, *values)]


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU parallel is not installed")
@settings(max_examples=12, phases=[Phase.generate])
@given(sources(), st.booleans())
def test_lists_make_the_same_commands_as_gnu_parallel(given: tuple[list[str], list[str]], link: bool) -> None:
    template, words = given
    if link:
        words = [word if word != ":::+" else ":::" for word in words]

    assert works(listed(*template, *words, link=link)) == as_parallel(*["--link"] * link, *template, *words)


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU parallel is not installed")
@settings(max_examples=8, phases=[Phase.generate])
@given(
    st.lists(PATH, min_size=1, max_size=7),
    st.integers(2, 4),
    st.sampled_from([["{}"], [], ["{.}", "{#}"], ["{2}", "{1/}"]]),
)
def test_n_makes_the_same_groups_as_gnu_parallel(values: list[str], number: int, template: list[str]) -> None:
    mine = works(grouped("\n".join(values) + "\n", number, "f", *template))

    theirs = as_parallel(f"-N{number}", "f", *template, ":::", *values)
    assert [[word for word in words if word] for words in mine] == theirs, "an empty word of theirs is no word"


# --- {%} ---------------------------------------------------------------------------------------------------------------


def slot(*words: str, data: str = "a\n", number: int = 1) -> list[Any]:
    specs = grouped(data, number, *words)
    assert {spec.kind for spec in specs} == {"shell"}
    return works(specs)


def test_the_slot_is_filled_in_by_a_script_of_which_no_value_is_a_part() -> None:
    assert slot("f", "{}", "{%}") == [['exec f "$1" "$BATCHQ_SLOT"', "a"]]
    assert slot("f", "o-{%}.{/}.log", "a b;c") == [['exec f o-"$BATCHQ_SLOT""$1" \'a b;c\'', ".a.log"]]
    assert slot("f", "{%}{%}", "") == [['exec f "$BATCHQ_SLOT""$BATCHQ_SLOT" \'\' "$1"', "a"]]
    assert slot("f", "{%}", data="a\nb\n", number=2) == [['exec f "$BATCHQ_SLOT" "$1" "$2"', "a", "b"]]
    assert "${10}" in slot("f", "{%}", "{}", data="a\n" * 10, number=10)[0][0]


def test_what_cannot_know_the_slot_refuses_it() -> None:
    with pytest.raises(UsageError, match=r'a shell gets the number of the slot as "\$BATCHQ_SLOT"'):
        grouped("a\n", 1, script="f {%} $1")
    with pytest.raises(UsageError, match=r"\{%\} in --name would stay as it is"):
        grouped("a\n", 1, "f", name="{%}")
    assert works(grouped("a\n", 1, script='f {%} "$1" $BATCHQ_SLOT')) == [['f {%} "$1" $BATCHQ_SLOT', "a"]]


HOSTILE = ["{%}", "{}", "$(touch bad)", "`touch bad`", "'\"", "a b", "-n", "\\", "*", "$BATCHQ_SLOT"]


def test_the_program_gets_each_value_byte_for_byte_and_the_number_of_its_slot(batchq: Shell) -> None:
    lines = "\0".join(HOSTILE)
    batchq("add", "-q", "--each", "-0", "-n", "4", "--", "printf", r"<%s>\n", "{}", "{%}", "x{}{%}y", stdin=lines)
    batchq("run", "-j", "1")

    printed = batchq("logs", "--all", "--raw").out.splitlines()
    groups = [HOSTILE[start : start + 4] for start in range(0, len(HOSTILE), 4)]
    assert printed == list(
        chain(*([*(f"<{one}>" for one in group), "<1>", *(f"<x{one}1y>" for one in group)] for group in groups))
    )
    assert not (batchq.folder / "bad").exists()


# --- the command line --------------------------------------------------------------------------------------------------


def test_without_each_the_words_stay_as_they_are(batchq: Shell) -> None:
    batchq("add", "-q", "--", "echo", "{1}", "{%}", ":::", "a")
    batchq("run")
    assert batchq("logs", "1").out == "{1} {%} ::: a\n"


def test_lists_after_a_script_a_call_and_a_command_without_dashes(batchq: Shell) -> None:
    (batchq.folder / "m.py").write_text("def f(x, y): return [x, y]\n")
    batchq("add", "-q", "--each", "-c", 'echo "$1$2"', ":::", "a", "b", ":::", "1")
    batchq("add", "-q", "--each", "echo", "{2}{1}", ":::", "a", ":::", "1")
    batchq("add", "-q", "--each", "--call", "m:f", "--args", '{"x": "{1}", "y": "{2}"}', ":::", "a", ":::+", "1")
    batchq("run")

    assert batchq("logs", "1-3", "--raw").out == "a1\nb1\n1a\n"
    assert batchq.rows("SELECT result FROM attempts WHERE job = 4") == [('["a","1"]',)]
    batchq("run", "--each", "--link", "--", "echo", "{1}{2}", ":::", "b", ":::", "2")
    assert batchq("logs", "last").out == "b2\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("-n", "2", "--", "f"), "-n belongs to --each"),
        (("--link", "--", "f"), "--link belongs to --each"),
        (("--each", "--link", "--", "f"), "--link belongs to lists of values"),
        (("--each", "-n", "2", "--csv", "--", "f"), "-n and --csv exclude each other"),
        (("--each", "-n", "2", "--", "f", ":::", "a"), "-n and ::: exclude each other"),
        (("--each", "--", ":::", "a"), "--each needs a template"),
    ],
)
def test_options_that_do_not_belong_together(batchq: Shell, words: tuple[str, ...], problem: str) -> None:
    assert problem in batchq("add", *words, code=2).err
