"""The typer application, and the words and options that all commands share."""

import sys
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from batchq.cli.noting import warn
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_store


class Interrupted(Exception):
    """Ctrl-C. typer would make exit code 130 of KeyboardInterrupt, which a loop of the shell does not heed."""


class _Group(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None


app = typer.Typer(
    name="batchq",
    cls=_Group,
    help="Run batches of jobs from one SQLite file: add them, run them, read what happened. No daemon.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich and its 70 ms are loaded only where a table is drawn
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Db = Annotated[
    str | None,
    typer.Option("--db", metavar="PATH", help="The store (default: $BATCHQ_DB, batchq.db here or above, …)."),
]
NetworkFs = Annotated[
    bool, typer.Option("--allow-network-fs", help="Use a store on a network file system, from this host alone.")
]
TrustOwner = Annotated[
    bool, typer.Option("--trust-owner", help="Use a store that belongs to another user, who decides what it runs.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, schema 1.")]
Color = Annotated[Literal["auto", "always", "never"], typer.Option(help="Whether to colour the text.")]


class Invocation(NamedTuple):
    """What the command line held outside of the options: the words after ``--`` (None: there was no ``--``)."""

    words: list[str] | None


class Global:
    """Options given before the verb."""

    db: str | None = None


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"batchq {version('batchq')}\n")
        raise typer.Exit


@app.callback()
def root(
    db: Db = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run batches of jobs from one SQLite file: add them, run them, read what happened. No daemon."""
    Global.db = db


def store_for(db: str | None, *, reading: bool = False) -> Store:
    """The store that ``--db`` (after the verb, else before it) or the usual lookup names; its warnings are told.

    With ``reading`` it may be one that cannot be written here.
    """
    store = open_store(db or Global.db, reading=reading)
    warn(store.warnings)
    return store


def named_by(store: Store, db: str | None) -> str | None:
    """The store as a later command must name it: not at all where the usual lookup finds it."""
    return store.path if db or Global.db else None
