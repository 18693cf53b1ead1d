"""The two parsers of ``batchq add`` and ``batchq run`` read the same from every command line that the fast one takes."""

from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq.cli import byhand, commands
from batchq.cli.add import adding
from batchq.cli.app import app
from batchq.cli.run import running
from batchq.jobs.fields import FIELDS

commands.load()
COMMAND: Any = typer.main.get_command(app)
ADD, RUN = COMMAND.commands["add"], COMMAND.commands["run"]


def options_of(command: Any) -> dict[str, Any]:
    return {name: one for one in command.params for name in one.opts if name.startswith("-") and name != "--help"}


OPTIONS, RUN_OPTIONS = options_of(ADD), options_of(RUN)
FLAGS = [name for name, parameter in OPTIONS.items() if parameter.is_flag]


def by_typer(argv: list[str], words: list[str] | None) -> dict[str, Any]:
    context = ADD.make_context("add", list(argv))
    return vars(adding.requested(context.params, words))


def run_by_typer(argv: list[str], words: list[str] | None) -> dict[str, Any]:
    context = RUN.make_context("run", list(argv))
    return vars(running.requested(context.params, words))


VALUE = st.sampled_from(
    ["a", "7", "007", "1.5", "-", "a=b", "K=V", "{}", "x y", "'", "ä", "1e3", "+1", "٣", "auto"]
) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)


def parts(options: dict[str, Any]) -> st.SearchStrategy[list[str]]:
    """One option with its value in either form, or a word that is none."""
    taking = [name for name, parameter in options.items() if not parameter.is_flag]
    return (
        st.sampled_from(sorted(set(options) - set(taking))).map(lambda flag: [flag])
        | st.tuples(st.sampled_from(taking), VALUE).map(list)
        | st.tuples(st.sampled_from([name for name in taking if len(name) == 2]), st.integers(0)).map(
            lambda pair: [f"{pair[0]}{pair[1]}"]
        )
        | st.tuples(st.sampled_from([name for name in taking if name.startswith("--")]), VALUE).map(
            lambda pair: [f"{pair[0]}={pair[1]}"]
        )
        | VALUE.map(lambda file: [file])
    )


@given(st.lists(parts(OPTIONS), max_size=6), st.none() | st.lists(VALUE, max_size=3))
@settings(deadline=None, max_examples=400)
def test_what_is_read_by_hand_is_what_typer_reads(found: list[list[str]], words: list[str] | None) -> None:
    argv = [word for part in found for word in part]

    request = byhand.parse(argv, words)

    assert request is None or vars(request) == by_typer(argv, words)


@given(st.lists(parts(RUN_OPTIONS), max_size=6), st.none() | st.lists(VALUE, max_size=3))
@settings(deadline=None, max_examples=400)
def test_what_is_read_by_hand_of_a_run_is_what_typer_reads(found: list[list[str]], words: list[str] | None) -> None:
    argv = [word for part in found for word in part]

    request = byhand.parse_run(argv, words)

    assert request is None or vars(request) == run_by_typer(argv, words)


@pytest.mark.parametrize("option", [name for name in RUN_OPTIONS if name != "-h"])
def test_every_option_of_a_run_is_read_by_hand(option: str) -> None:
    argv = [option] if RUN_OPTIONS[option].is_flag else [option, "7"]

    request = byhand.parse_run(argv, None)

    assert request is not None and vars(request) == run_by_typer(argv, None)


@pytest.mark.parametrize(
    "argv",
    [["--quite"], ["--max-jobs", "0"], ["--max-jobs", "many"], ["-j"], ["-j", "-1"], ["-qv"], ["--watch=1"], ["-h"]],
)
def test_what_is_unfamiliar_in_a_run_is_left_to_typer(argv: list[str]) -> None:
    assert byhand.parse_run(argv, None) is None


@pytest.mark.parametrize("option", [name for name in OPTIONS if name not in ("-h", "--allow-network-fs")])
def test_every_option_is_read_by_hand(option: str) -> None:
    argv = [option] if option in FLAGS else [option, "7"]

    request = byhand.parse(argv, ["true"])

    assert request is not None and vars(request) == by_typer(argv, ["true"])


def test_every_field_has_an_option() -> None:
    read = [byhand.parse([name] if name in FLAGS else [name, "7"], None) for name in OPTIONS]

    assert {field for request in read if request is not None for field in request.fields} | {"env"} == set(FIELDS)


@pytest.mark.parametrize(
    "argv", [["--nmae", "x"], ["--priority", "high"], ["--name"], ["--name", "-x"], ["-qc", "x"], ["-cx"], ["--hold=1"]]
)
def test_what_is_unfamiliar_is_left_to_typer(argv: list[str]) -> None:
    assert byhand.parse(argv, None) is None
