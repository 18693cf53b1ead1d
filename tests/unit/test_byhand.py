"""The quick parser and typer read the same from every command line of every command, and refuse the same ones."""

import inspect
import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq.cli import app, byhand, commands, synonyms
from batchq.cli.change import queueing
from batchq.cli.options import DECIMAL, FLAG, LIST, NUMBER, Argument, Command, Option
from batchq.cli.run import plans
from batchq.errors import UsageError
from batchq.jobs.fields import FIELDS, WORK_FIELDS
from batchq.jobs.synonyms import WORDS

COMMANDS = [commands.table(name) for name in commands.ROOMS]
TREE: Any = typer.main.get_command(app.application())


def by_typer(command: Command, argv: list[str], after: list[str] | None) -> dict[str, Any] | None:
    """What typer reads, in the shape of the quick parser; None where it complains."""
    node = TREE
    for word in command.name.split():
        node = node.commands[word]
    words = argv if command.takes_command or after is None else [*argv, "--", *after]
    if words is not argv and is_value_missing(node, argv):  # the dashes would fill in for it
        return None
    try:
        context = node.make_context(command.name, list(words))
    except Exception as complaint:
        assert hasattr(complaint, "format_message"), complaint
        return None
    if hasattr(node, "commands") and (context.args or context._protected_args):  # a word that names a command, or none
        return None
    lists = {one.name for one in command.parameters if (one.many if isinstance(one, Argument) else one.form == LIST)}
    values = {name: list(value or ()) if name in lists else value for name, value in context.params.items()}
    if "--" in values.values() or any("--" in value for value in values.values() if isinstance(value, list)):
        return None
    return {"words": after, **values} if command.takes_command else values


def by_hand(command: Command, argv: list[str], after: list[str] | None) -> dict[str, Any] | None:
    """What the quick parser reads; None where it complains."""
    try:
        return byhand.read(command, argv, after)
    except UsageError:
        return None


def is_value_missing(node: Any, argv: list[str]) -> bool:
    """Whether typer misses the value of an option, or finds one too many."""
    try:
        node.make_context(node.name, list(argv))
    except Exception as complaint:
        return type(complaint).__name__ == "BadOptionUsage"
    return False


def options_of(command: Command) -> list[Option]:
    return [one for one in command.parameters if not isinstance(one, Argument)]


VALUE = st.sampled_from(
    [
        "", " 7 ", "x y", "a", "7", "007", "-7", "0", "1.5", "nan", "-", "--db", "-q", "a=b", "{}", "'", "ä", "1e3", "+1",
        "٣", "1_0", "always", "ALWAYS", "json", "table",
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)  # fmt: skip


@cache
def lines(name: str) -> st.SearchStrategy[list[list[str]]]:
    """Lines of a command in parts: an option with or without a value, in each spelling, joined letters, or a stray word."""
    flags = [flag for one in options_of(commands.table(name)) for flag in one.flags]
    letters = [flag[1] for flag in flags if len(flag) == 2] or ["x"]
    flag = st.sampled_from(flags or ["--nope"])
    part = (
        flag.map(lambda flag: [flag])
        | st.tuples(flag, VALUE).map(list)
        | st.tuples(flag, VALUE).map(lambda pair: ["=".join(pair)])
        | st.tuples(flag, VALUE).map(lambda pair: ["".join(pair)])
        | st.lists(st.sampled_from([*letters, "x", "=", "4", "-"]), min_size=1).map(lambda some: ["-" + "".join(some)])
        | VALUE.map(lambda word: [word])
    )
    return st.lists(part, max_size=6)


AFTER = st.none() | st.lists(VALUE, max_size=3)


def without_dashes(words: list[str]) -> list[str]:
    """As ``main`` hands them on: a word ``--`` was split off, so that a value ``--`` is one that was missing."""
    return [word for word in words if not word.endswith("--") and word not in ("-h", "--help")]


@pytest.fixture
def _path() -> Iterator[None]:
    before = os.environ["PATH"]
    yield
    os.environ["PATH"] = before


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@given(data=st.data())
@settings(max_examples=60)
def test_both_parsers_read_and_refuse_the_same(command: Command, data: st.DataObject) -> None:
    os.environ["PATH"] = "/nowhere"  # typer knows no programs
    found = data.draw(lines(command.name))
    after = data.draw(AFTER)
    argv = without_dashes([word for part in found for word in part])

    assert shown(by_hand(command, argv, after)) == shown(by_typer(command, argv, after))


def shown(values: dict[str, Any] | None) -> str:
    """As a text, in which 1 is not True and nan is nan."""
    return repr(None if values is None else sorted(values.items()))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_option_is_read_in_every_spelling(command: Command) -> None:
    needed = ["x" for one in command.parameters if isinstance(one, Argument) and one.required]
    for one in options_of(command):
        text = one.choices[-1] if one.choices else "7"
        meant: Any = {FLAG: True, NUMBER: 7, DECIMAL: 7.0, LIST: ["7"]}.get(one.form, text)
        for flag in one.flags:
            argv = [*needed, flag] if one.form == FLAG else [*needed, flag, text]
            values = byhand.read(command, argv, None)

            assert values[one.name] == meant
            assert values == by_typer(command, argv, None)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_function_takes_what_its_table_declares(command: Command) -> None:
    module, _, name = command.function.partition(":")
    parameters = inspect.signature(getattr(commands._module(module), name)).parameters
    declared = set(byhand.defaults(command))
    if command.selects:
        from batchq.cli.options import SELECTION

        declared = declared - {one.name for one in SELECTION} | {"selection"}

    assert set(parameters) in (declared, {"given"})


def test_every_field_has_an_option_and_every_option_a_place() -> None:
    names = [one.name for one in commands.table("add").parameters]

    assert set(FIELDS) <= set(names)
    for command in COMMANDS:
        spelt = [flag for one in options_of(command) for flag in one.flags]
        assert len(spelt) == len(set(spelt)) and "-h" not in spelt
        assert len({one.name for one in command.parameters}) == len(command.parameters)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (["run", "-qv", "-j4"], "jobs", "4"),
        (["run", "-qvj4"], "jobs", "4"),
        (["run", "-vqj", "4"], "verbose", True),
        (["--db", "a", "run"], "db", "a"),
        (["--db=a", "run", "--db", "b"], "db", "b"),
        (["--db", "a", "queue", "--db=b", "set", "net", "--limit", "3"], "db", "b"),
        (["queue", "set", "net", "--limit=3"], "limit", "3"),
        (["add", "--priority", "-5", "x"], "priority", -5),
        (["add", "--priority=0", "x"], "priority", 0),
        (["add", "--name", "--hold", "x"], "hold", False),
        (["add", "-", "--tag", "a", "--tags=b"], "tags", ["a", "b"]),
    ],
)
def test_command_lines_are_read(line: list[str], name: str, value: object) -> None:
    found = commands.read(line, None)

    assert found[1][name] == value


@pytest.mark.parametrize(
    "line",
    [
        ["lits"], ["--nope"], ["help", "lits"], ["add", "--nmae", "x"], ["add", "--name"],
        ["add", "--priority", "high"], ["add", "--hold=1"], ["add", "-q-json"], ["run", "--max-jobs", "0"], ["run", "-j"],
        ["run", "--watch=1"], ["queue", "nope"], ["queue", "--json", "list"], ["backup"], ["version", "1"],
        ["report", "--format", "x"], ["list", "--limit", "-1"], ["doctor", "x"],
    ],
)  # fmt: skip
def test_an_invalid_line_is_refused_in_one_sentence_that_names_the_help(line: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^[^\n]+; see 'batchq [a-z ]*-h'$"):
        command, values = commands.read(line, None)
        commands.call(command, values)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["-h"], []), (["--db", "a", "--help"], []), (["add", "-h"], ["add"]), (["add", "--name", "x", "--help"], ["add"]),
        (["queue", "set", "net", "-h"], ["queue", "set"]), (["run", "-qvh"], ["run"]),
        (["help", "queue", "set"], ["queue", "set"]),
    ],
)  # fmt: skip
def test_help_is_asked_for_in_many_ways(line: list[str], words: list[str]) -> None:
    command, values = commands.read(line, None)

    assert (command.name, values["words"]) == ("help", words)


def test_a_value_may_look_like_the_option_for_help() -> None:
    assert commands.read(["add", "--name", "-h", "x"], None)[1]["name"] == "-h"


@pytest.mark.parametrize("line", [[], ["--db", "a"], ["--db"], ["--db=a"]])
def test_without_a_command_the_help_goes_to_stderr_and_nothing_counts_as_done(line: list[str]) -> None:
    assert commands.read(line, None)[0].name == ""


@pytest.mark.parametrize("line", [["-V"], ["--version"], ["version"], ["--db", "a", "-V"]])
def test_the_version_is_asked_for_in_three_ways(line: list[str]) -> None:
    assert commands.read(line, None)[0].name == "version"


@pytest.mark.parametrize(
    ("line", "near"),
    [
        (["status"], "report"), (["ls"], "list"), (["rm", "3"], "remove"), (["kill", "3"], "cancel"), (["sbatch"], "add"),
        (["submit"], "add"), (["tail"], "logs"), (["jobs"], "list"), (["htop"], "top"), (["ps"], "list"),
        (["stats"], "report"), (["requeue"], "retry"), (["lits"], "list"), (["queue", "pausee"], "queue pause"),
        (["add", "--retries", "3"], "--max-attempts"), (["add", "--depends", "3"], "--after"),
        (["add", "--timelimit", "3"], "--timeout"), (["add", "--nmae", "x"], "--name"), (["run", "-P", "3"], "--jobs"),
        (["run", "--workers", "3"], "--jobs"), (["run", "--progress"], "--verbose"),
    ],
)  # fmt: skip
def test_words_of_other_tools_and_typos_lead_to_the_right_word(line: list[str], near: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"(did you mean {near!r}?)")):
        commands.read(line, None)


def test_a_synonym_belongs_to_one_word_that_exists() -> None:
    flags = {flag for command in COMMANDS for one in options_of(command) for flag in one.flags}

    assert set(synonyms.COMMANDS) <= set(commands.ROOMS) and set(synonyms.OPTIONS) <= flags
    meant = [word for others in synonyms.COMMANDS.values() for word in others.split()]
    assert not set(meant) & set(commands.ROOMS) and len(meant) == len(set(meant))
    assert set(WORDS) <= {*FIELDS, *WORK_FIELDS} and not {*" ".join(WORDS.values()).split()} & {*FIELDS, *WORK_FIELDS}


def test_words_after_the_dashes_are_a_command_for_add_and_run_and_arguments_for_others() -> None:
    add, run, cancel = (commands.read([verb], ["a", "-v"])[1] for verb in ("add", "run", "cancel"))

    assert (add["words"], add["files"]) == (["a", "-v"], [])
    assert (run["words"], run["files"], run["verbose"]) == (["a", "-v"], [], False)
    assert cancel["words"] == ["a", "-v"]
    with pytest.raises(UsageError, match="prune: unexpected word 'a'"):
        commands.read(["prune", "-q"], ["a", "-v"])


@pytest.mark.parametrize("text", ["٣", "३", "３", "1_0", " 7 ", "7\n"])
def test_only_ascii_digits_are_a_number_on_any_command_line(text: str) -> None:
    for command in COMMANDS:
        for one in options_of(command):
            if one.form in (NUMBER, DECIMAL):
                assert by_hand(command, [one.flags[0], text], None) is None
    for read in (plans.slots, lambda text: plans.halt(f"now,fail={text}"), queueing._rate, queueing._limit):
        with pytest.raises(UsageError):
            read(text)
    for field in ("success_codes", "umask"):
        if text.strip() != "7":  # "7, 24" has always been a list of exit codes
            with pytest.raises(ValueError):
                FIELDS[field].check(text)


@pytest.mark.parametrize("name", ["", *commands.ROOMS])
def test_the_help_fits_eighty_columns_and_nothing_of_it_is_cut(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    app.print_help(name)

    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80 and not re.search(r"\.\.\.$", text.partition("\n")[2], re.MULTILINE)
    words = " ".join(text.split())
    shown = (
        commands.table(name).parameters if name else [commands.table(one) for one in commands.ROOMS if " " not in one]
    )
    for one in shown:
        assert " ".join(one.help.partition("\n")[0].rstrip(".").split()) in words


def test_what_an_option_says_can_be_understood_alone() -> None:
    for command in COMMANDS:
        for one in options_of(command):
            assert not re.match(r"(It|Its|They|This|These|That|Those|The same|Like|As)\b", one.help), one.flags
