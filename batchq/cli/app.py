"""typer's commands, made from the tables: for the help only; none of them runs anything."""

import inspect
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from batchq.cli import commands
from batchq.cli.options import DB, FLAG, LIST, OPTIONS, Argument, Command, Option

_HELP = """Run batches of jobs from one SQLite file: add them, run them, read what happened. No daemon.

\b
batchq add -- convert a.png a.jpg    add a job
batchq run -j 4                      run what is queued, four jobs at once
batchq report                        read what happened
"""
_VERSION = Option("-V --version", None, "Print the version and exit.")


def print_help(name: str) -> None:
    """Print the help of the command ``name``, or of batchq if it is empty."""
    application()([*name.split(), "-h"], prog_name="batchq", standalone_mode=False)


def application() -> typer.Typer:
    """Make all commands; subcommands, such as ``queue set``, are below the command of their group."""
    app = typer.Typer(
        cls=_class(TyperGroup, [DB, _VERSION]),
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_root)
    groups = {"": app}
    for name in commands.ROOMS:
        command = commands.table(name)
        parent, _, word = name.rpartition(" ")
        if any(other.startswith(f"{name} ") for other in commands.ROOMS):
            groups[name] = typer.Typer(
                cls=_class(TyperGroup, command.parameters), invoke_without_command=True, rich_markup_mode=None
            )
            groups[name].callback(help=command.help)(_function(command))
            groups[parent].add_typer(groups[name], name=word)
        else:
            of = _class(TyperCommand, command.parameters)
            groups[parent].command(word, cls=of, help=command.help)(_function(command))
    return app


def _root(db: Annotated[str | None, typer.Option("--db")] = None) -> None:
    pass


def _function(command: Command) -> Any:
    """Make a function with the parameters of a command, for typer to call."""

    def function(**values: Any) -> None:
        pass

    parameters = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for one in command.parameters
        for default, annotation in [_declared(one)]
    ]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def _declared(one: Option | Argument) -> tuple[Any, Any]:
    """Return the default and the annotation that declare a parameter to typer."""
    if isinstance(one, Argument):
        kind: Any = list[str] if one.many else Literal[one.choices] if one.choices else str
        default = inspect.Parameter.empty if one.required else None
        return default, Annotated[kind if one.required else kind | None, typer.Argument(metavar=one.metavar)]
    if one.form in (LIST, FLAG):
        kind = list[str] if one.form == LIST else bool
        return one.default, Annotated[kind if one.default is not None else kind | None, typer.Option(*one.flags)]

    def parse(text: Any) -> Any:
        try:
            return one.value(text) if isinstance(text, str) else text  # else the default
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return one.default, Annotated[Any, typer.Option(*one.flags, metavar=one.metavar, parser=parse)]


def _class(kind: Any, parameters: Iterable[Option | Argument]) -> Any:
    """Make a class of command whose help shows the options in groups, the same with every version of typer."""
    arguments = [one for one in parameters if isinstance(one, Argument)]
    options = [one for one in parameters if not isinstance(one, Argument)]

    class Described(kind):  # type: ignore[misc]
        def collect_usage_pieces(self, ctx: Any) -> list[str]:
            words = [one.metavar if one.required else f"[{one.metavar}]{'...' * one.many}" for one in arguments]
            return ["COMMAND", "[OPTIONS]"] if kind is TyperGroup else ["[OPTIONS]", *words]

        def format_options(self, ctx: Any, formatter: Any) -> None:
            if kind is TyperGroup:
                self.format_commands(ctx, formatter)
            groups = {"Arguments": [(one.metavar, one.help) for one in arguments]}
            for one in options:
                groups.setdefault(one.group, []).append((_spelling(one), _explained(one)))
            groups.setdefault(OPTIONS, []).append(("-h, --help", "Show this message and exit."))
            for title, records in groups.items():
                if records:
                    with formatter.section(title):
                        formatter.write_dl(records)

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            rooms: dict[str, list[tuple[str, str]]] = {}
            group = f"{ctx.info_name} " if ctx.parent else ""
            for name, room in commands.ROOMS.items():
                if name.startswith(group) and " " not in name.removeprefix(group):
                    title = "Commands" if group else commands.TITLES[room]
                    summary = commands.table(name).help.partition("\n")[0]
                    rooms.setdefault(title, []).append((name.removeprefix(group), summary))
            for title, records in rooms.items():
                with formatter.section(title):
                    formatter.write_dl(records)

    return Described


def _spelling(one: Option) -> str:
    return f"{', '.join(one.flags)} {one.metavar}".rstrip()


def _explained(one: Option) -> str:
    if one.default is None or one.default is False:
        return one.help
    return f"{one.help.rstrip('.')} (default: {one.default})."
