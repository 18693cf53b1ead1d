"""The two parsers of ``batchq add`` read the same from every command line that the fast one takes."""

from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq.cli import adding, byhand
from batchq.cli.app import app
from batchq.jobs.model import FIELDS

COMMAND: Any = typer.main.get_command(app)
ADD: Any = COMMAND.commands["add"]
OPTIONS: dict[str, Any] = {
    name: parameter for parameter in ADD.params for name in parameter.opts if name.startswith("-") and name != "--help"
}
FLAGS = [name for name, parameter in OPTIONS.items() if parameter.is_flag]
TAKING = [name for name, parameter in OPTIONS.items() if not parameter.is_flag]


def by_typer(argv: list[str], words: list[str] | None) -> dict[str, Any]:
    context = ADD.make_context("add", list(argv))
    return vars(adding.requested(context.params, words))


VALUE = st.sampled_from(
    ["a", "7", "007", "1.5", "-", "a=b", "K=V", "{}", "x y", "'", "ä", "1e3", "+1", "٣", "auto"]
) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
PART = (
    st.sampled_from(FLAGS).map(lambda flag: [flag])
    | st.tuples(st.sampled_from(TAKING), VALUE).map(list)
    | st.tuples(st.sampled_from([name for name in TAKING if name.startswith("--")]), VALUE).map(
        lambda pair: [f"{pair[0]}={pair[1]}"]
    )
    | VALUE.map(lambda file: [file])
)  # fmt: skip


@given(st.lists(PART, max_size=6), st.none() | st.lists(VALUE, max_size=3))
@settings(deadline=None, max_examples=400)
def test_what_is_read_by_hand_is_what_typer_reads(parts: list[list[str]], words: list[str] | None) -> None:
    argv = [word for part in parts for word in part]

    request = byhand.parse(argv, words)

    assert request is None or vars(request) == by_typer(argv, words)


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
