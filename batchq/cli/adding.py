"""``batchq init`` and ``batchq add`` as typer reads them; the usual shapes of ``add`` never come here (``byhand.py``)."""

import os
from typing import Annotated, Any

import typer

from batchq.cli import storing
from batchq.cli.app import Db, Global, Invocation, NetworkFs, app, note
from batchq.errors import CreateError
from batchq.store.connection import open_at
from batchq.store.location import allow_network, locate


@app.command()
def init(
    path: Annotated[str | None, typer.Argument(help="Where (default: batchq.db here).")] = None,
    allow_network_fs: NetworkFs = False,
    db: Db = None,
) -> None:
    """Make a store."""
    allow_network(allow_network_fs)
    named = path or db or Global.db or os.environ.get("BATCHQ_DB") or "batchq.db"
    where = locate(named)
    if os.path.exists(where):
        open_at(where).close()
        raise CreateError(f"there is a store at {where} already")
    open_at(where, create=True).close()
    note(f"made the store {where}")


@app.command()
def add(
    context: typer.Context,
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILE|-]...", help="Job files, or - for stdin.")] = None,
    command: Annotated[
        str | None, typer.Option("-c", "--command", help="One command for /bin/sh -c; words after -- are $1 ….")
    ] = None,
    call: Annotated[str | None, typer.Option(help="A Python callable, pkg.mod:func.")] = None,
    args: Annotated[str | None, typer.Option(metavar="JSON", help="Its keyword arguments.")] = None,
    format: Annotated[str | None, typer.Option(help="toml, jsonl or lines (default: by suffix; stdin: lines).")] = None,
    null: Annotated[bool, typer.Option("-0", "--null", help="Lines end with NUL.")] = False,
    name: Annotated[str | None, typer.Option(help="A name, for reports.")] = None,
    batch: Annotated[str | None, typer.Option(help="The batch it belongs to (default: default).")] = None,
    queue: Annotated[str | None, typer.Option(help="The queue it waits in (default: default).")] = None,
    priority: Annotated[int | None, typer.Option(help="Higher runs first (default: 0).")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="How often it may be tried (default: 1).")] = None,
    backoff: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Base of the retry delay (default: 1s).")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long an attempt may take (default: no limit).")
    ] = None,
    delay: Annotated[str | None, typer.Option(metavar="DURATION", help="Not before so much time has passed.")] = None,
    run_at: Annotated[str | None, typer.Option(metavar="TIME", help="Not before this ISO 8601 time.")] = None,
    key: Annotated[str | None, typer.Option(help="Add it only once under this key.")] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="K=V|NAME", help="A variable to store with the job.")] = None,
    cwd: Annotated[str | None, typer.Option(metavar="DIR", help="Where it runs (default: here).")] = None,
    stdin: Annotated[str | None, typer.Option(metavar="TEXT", help="What it reads (default: nothing).")] = None,
    umask: Annotated[str | None, typer.Option(metavar="OCTAL", help="Its file mode mask.")] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Keep it until 'batchq release'.")] = False,
    on_crash: Annotated[
        str | None, typer.Option(metavar="retry|hold", help="What to do when the machine dies under it.")
    ] = None,
    max_crashes: Annotated[int | None, typer.Option(help="How often that may happen (default: 3).")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A label to find it by.")] = None,
    leftovers: Annotated[
        str | None, typer.Option(metavar="kill|keep", help="What becomes of processes that it leaves behind.")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print no ids.")] = False,
    allow_network_fs: NetworkFs = False,
    db: Db = None,
) -> None:
    """Store jobs and print their ids, one a line.

    \b
    batchq add -- convert a.png a.jpg       one job, executed as given
    batchq add -c 'sort a | uniq > b'       one job through /bin/sh -c
    batchq add jobs.toml                    the jobs of a file
    """
    allow_network(allow_network_fs)
    request = storing.AddRequest()
    invocation: Invocation = context.obj
    request.words = invocation.words
    request.command, request.call, request.args = command, call, args
    request.files, request.format, request.nul, request.quiet = files or [], format, null, quiet
    request.db, request.env = db or Global.db, env or []
    given: dict[str, Any] = {
        "name": name, "batch": batch, "queue": queue, "priority": priority, "max_attempts": max_attempts,
        "backoff": backoff, "timeout": timeout, "delay": delay, "run_at": run_at, "key": key, "cwd": cwd,
        "stdin": stdin, "umask": umask, "hold": hold or None, "on_crash": on_crash, "max_crashes": max_crashes,
        "tags": tag or None, "leftovers": leftovers,
    }  # fmt: skip
    request.fields = {field: value for field, value in given.items() if value is not None}
    storing.add(request)
