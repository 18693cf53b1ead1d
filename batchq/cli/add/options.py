"""The tables of ``batchq add`` and ``init``; the options for the fields of a job come from ``jobs.fields``."""

from batchq.cli.options import (
    DB,
    JSON,
    LIST,
    NETWORK_FS,
    TRUST_OWNER,
    Argument,
    Command,
    Option,
)
from batchq.jobs.fields import FIELDS

INIT = Command(
    "init",
    "add.storing:init",
    "Make a store.",
    (Argument("path", "PATH", "Where (default: batchq.db here)."), NETWORK_FS, DB),
)


def _of_fields() -> tuple[Option, ...]:
    return tuple(
        Option(
            " ".join(field.flags), field.metavar, field.help, name=name, group=field.group,
            form=LIST if field.form == "table" else field.form,
        )
        for name, field in FIELDS.items()
        if field.flags
    )  # fmt: skip


_WORK, _LINES = "What to add", "One job for each line"

ADD = Command(
    "add",
    "add.storing:add",
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
    """,
    (
        Argument("files", "FILE|-", "Job files, or - for stdin.", many=True),
        Option("-c --command", "SCRIPT", "One command for /bin/sh -c; words after -- are $1 ….", group=_WORK),
        Option("--call", "MODULE:FUNCTION", "A Python callable, pkg.mod:func.", group=_WORK),
        Option("--args", "JSON", "Its keyword arguments.", group=_WORK),
        Option("--format", "NAME", "toml, jsonl, csv or lines (default: by suffix; stdin: lines).", group=_WORK),
        Option("-0 --null", None, "Lines end with NUL.", name="nul", group=_WORK),
        Option("--each", None, "One job for each line of stdin, which fills {}.", group=_LINES),
        Option(
            "--from", "FILE", "Where --each reads its lines (default: stdin).", name="source", group=_LINES
        ),
        Option(
            "--csv", None, "They are CSV; the first row names the columns, as in {name}.", group=_LINES
        ),
        Option("--tsv", None, "They are columns between tabs.", group=_LINES),
        *_of_fields(),
        Option("--dry-run", None, "Check everything, show what would be stored, and store nothing."),
        Option("-q --quiet", None, "Print no ids."),
        JSON,
        DB,
        NETWORK_FS,
        TRUST_OWNER,
    ),
    takes_command=True,
)  # fmt: skip

COMMANDS = (INIT, ADD)
