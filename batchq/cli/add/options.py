"""The tables of ``batchq add`` and ``init``; the options for the fields of a job come from ``jobs.fields``."""

from batchq.cli.options import (
    DB,
    JSON,
    LIST,
    NETWORK_FS,
    NUMBER,
    TRUST_OWNER,
    Argument,
    Command,
    Option,
)
from batchq.jobs.fields import FIELDS

INIT = Command(
    "init",
    "add.storing:init",
    "Create a store.",
    (Argument("path", "PATH", "Where to create it (default: batchq.db in this folder)."), NETWORK_FS, DB),
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
    """Store jobs and print their ids, one per line.

    \b
    batchq add -- convert a.png a.jpg       one job, executed as given
    batchq add ./script.sh a b              also without --, if it is a program
    batchq add -c 'sort a | uniq > b'       one job through /bin/sh -c
    batchq add jobs.toml                    the jobs of a file
    ls *.png | batchq add --each -- convert {} {.}.jpg      a job for each line
    ls *.png | batchq add --each -c 'gzip <"$1" >"$1".gz'   the line is $1
    ls *.png | batchq add --each -n 100 -- gzip {}          a job for 100 lines
    batchq add --each -- render {1} {2} ::: a b ::: 1 2     four jobs: a 1 to b 2

    With --each, {} is the line, {/} its base name, {//} its folder, {.} the line without its suffix, {/.} both,
    {#} the number of the job, {1} and {name} columns, {1/} and so on the same of a column, {%} the number of the slot
    that the job runs in. Options that take free text may contain them, too. A command without any gets the line, or the
    columns, as its last arguments.
    """,
    (
        Argument("files", "FILE|-", "Files of jobs, or - for stdin.", many=True),
        Option("-c --command", "SCRIPT", "A script for /bin/sh -c; words after -- are $1 ….", group=_WORK),
        Option("--call", "MODULE:FUNCTION", "A Python callable, as in pkg.mod:func.", group=_WORK),
        Option("--args", "JSON", "Keyword arguments for --call, as a JSON object.", group=_WORK),
        Option(
            "--format", "NAME", "Format of FILE: toml, jsonl, json, csv or lines (default: by suffix; stdin: lines).",
            group=_WORK,
        ),
        Option("-0 --null", None, "Input lines end with NUL.", name="nul", group=_WORK),
        Option("--each", None, "Add one job for each line of stdin; {} stands for the line.", group=_LINES),
        Option(
            "--from", "FILE", "Read the lines for --each from FILE (default: stdin).", name="source", group=_LINES
        ),
        Option(
            "--csv", None, "Input is CSV; the first row names the columns, as in {name}.", group=_LINES
        ),
        Option("--tsv", None, "Input is columns separated by tabs, as in {1}.", group=_LINES),
        Option(
            "-n --max-args", "N", "Give each job up to N lines: {} becomes N words (default: 1).", form=NUMBER, least=1,
            name="per_job", group=_LINES,
        ),
        Option(
            "--link", None, "Take one value of each ::: list for a job, not each combination.", group=_LINES,
        ),
        *_of_fields(),
        Option("--dry-run", None, "Check everything and show what would be stored, but store nothing."),
        Option("-q --quiet", None, "Print no ids."),
        JSON,
        DB,
        NETWORK_FS,
        TRUST_OWNER,
    ),
    takes_command=True,
)  # fmt: skip

COMMANDS = (INIT, ADD)
