"""``batchq init`` and ``batchq add`` as typer reads them; the usual shapes of ``add`` never come here (``byhand.py``)."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from batchq.cli.add import storing
from batchq.cli.app import Db, Global, Invocation, Json, NetworkFs, TrustOwner, app
from batchq.cli.noting import note
from batchq.cli.request import AddRequest
from batchq.errors import CreateError
from batchq.jobs.fields import FIELDS
from batchq.store.file.location import allow_network, locate
from batchq.store.file.opening import open_at


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
        open_at(where, reading=True).close()
        raise CreateError(f"there is a store at {where} already")
    open_at(where, create=True, trust_owner=False).close()
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
    format: Annotated[
        str | None, typer.Option(help="toml, jsonl, csv or lines (default: by suffix; stdin: lines).")
    ] = None,
    nul: Annotated[bool, typer.Option("-0", "--null", help="Lines end with NUL.")] = False,
    each: Annotated[bool, typer.Option("--each", help="One job for each line of stdin, which fills {}.")] = False,
    source: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="Where --each reads its lines (default: stdin).")
    ] = None,
    csv: Annotated[
        bool, typer.Option("--csv", help="They are CSV; the first row names the columns, as in {name}.")
    ] = False,
    tsv: Annotated[bool, typer.Option("--tsv", help="They are columns between tabs.")] = False,
    name: Annotated[str | None, typer.Option(help="A name, for reports.")] = None,
    batch: Annotated[str | None, typer.Option(help="The batch it belongs to (default: default).")] = None,
    queue: Annotated[str | None, typer.Option(help="The queue it waits in (default: default).")] = None,
    priority: Annotated[int | None, typer.Option(help="Higher runs first (default: 0).")] = None,
    after: Annotated[
        list[str] | None,
        typer.Option(metavar="JOB", help="Run when these succeeded: a name, an id, batch:NAME or last."),
    ] = None,
    after_any: Annotated[
        list[str] | None, typer.Option(metavar="JOB", help="Run when these are over, however they ended.")
    ] = None,
    delay: Annotated[str | None, typer.Option(metavar="DURATION", help="Not before so much time has passed.")] = None,
    run_at: Annotated[str | None, typer.Option(metavar="TIME", help="Not before this ISO 8601 time.")] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long an attempt may take (default: no limit).")
    ] = None,
    max_attempts: Annotated[int | None, typer.Option(help="How often it may be tried (default: 1).")] = None,
    backoff: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Base of the retry delay (default: 1s).")
    ] = None,
    success_codes: Annotated[list[str] | None, typer.Option(metavar="CODE", help=FIELDS["success_codes"].help)] = None,
    retry_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE", help="Retry these alone: a code, timeout, signal:KILL, an exception, stderr:REGEX."
        ),
    ] = None,
    no_retry_on: Annotated[list[str] | None, typer.Option(metavar="RULE", help="Do not retry these.")] = None,
    retry_timeout_factor: Annotated[
        float | None, typer.Option(metavar="N", help="Each retry may take so many times longer (default: 1).")
    ] = None,
    max_snoozes: Annotated[int | None, typer.Option(help="How often it may put itself off (default: 1000).")] = None,
    slots: Annotated[int | None, typer.Option(help="How many slots of the run it takes (default: 1).")] = None,
    key: Annotated[
        str | None, typer.Option(help="Add it only once under this key; auto: made of what it does.")
    ] = None,
    unique: Annotated[
        str | None, typer.Option(metavar="ever|active|DURATION", help="For how long the key is taken (default: ever).")
    ] = None,
    if_exists: Annotated[
        str | None,
        typer.Option(metavar="skip|reject|replace|rerun-failed", help="What to do when it is (default: skip)."),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "--inputs", metavar="FILE", help="A file whose contents are part of --key auto."),
    ] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="K=V|NAME", help="A variable to store with the job.")] = None,
    cwd: Annotated[str | None, typer.Option(metavar="DIR", help="Where it runs (default: here).")] = None,
    stdin: Annotated[str | None, typer.Option(metavar="TEXT", help="What it reads (default: nothing).")] = None,
    umask: Annotated[str | None, typer.Option(metavar="OCTAL", help="Its file mode mask.")] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PROGRAM", help="The Python of a --call (default: the one that runs this).")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Give a --call a process of its own.")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Keep it until 'batchq release'.")] = False,
    on_crash: Annotated[
        str | None, typer.Option(metavar="retry|hold", help="What to do when the machine dies under it.")
    ] = None,
    max_crashes: Annotated[int | None, typer.Option(help="How often that may happen (default: 3).")] = None,
    leftovers: Annotated[
        str | None, typer.Option(metavar="kill|keep", help="What becomes of processes that it leaves behind.")
    ] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", "--tags", help="A label to find it by.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show what would be stored, and store nothing.")
    ] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print no ids.")] = False,
    allow_network_fs: NetworkFs = False,
    trust_owner: TrustOwner = False,
    db: Db = None,
) -> None:
    """Store jobs and print their ids, one a line.

    \b
    batchq add -- convert a.png a.jpg       one job, executed as given
    batchq add -c 'sort a | uniq > b'       one job through /bin/sh -c
    batchq add jobs.toml                    the jobs of a file
    ls *.png | batchq add --each -- convert {} {.}.jpg      one job for each line
    ls *.png | batchq add --each -c 'gzip <"$1" >"$1".gz'   a script gets the line as $1

    \b
    With --each {} is the line, {/} its base name, {//} its folder, {.} the line without suffix,
    {/.} both, {#} the number of the job, {1} and {name} columns. All options that take free text
    can hold them. A command without any gets the line, or the columns, as its last words.
    """
    allow_network(allow_network_fs)
    invocation: Invocation = context.obj
    request = requested(context.params, invocation.words)
    request.db = db or Global.db
    storing.add(request)


def requested(options: "Mapping[str, Any]", words: list[str] | None) -> AddRequest:
    """The request that the options of ``add``, by the names of its parameters, and the words after ``--`` make."""
    request = AddRequest()
    request.words = words
    request.files, request.env = list(options["files"] or ()), list(options["env"] or ())
    for name in (
        "command",
        "call",
        "args",
        "format",
        "nul",
        "each",
        "source",
        "csv",
        "tsv",
        "quiet",
        "dry_run",
        "json",
        "trust_owner",
    ):
        setattr(request, name, options[name])
    request.db = options["db"]
    for name in FIELDS:
        value = options[name]
        if name == "env" or value is None or value is False or value in ((), []):  # 0 is a value
            continue
        request.fields[name] = list(value) if isinstance(value, tuple) else value
    return request
