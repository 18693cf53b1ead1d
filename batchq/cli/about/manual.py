"""The manual page ``batchq.1``, made from the tables of the commands, in the man macros of troff."""

import re
from importlib.metadata import version

from batchq.cli import commands
from batchq.cli.options import Argument, Command, Option

_DESCRIPTION = """batchq runs batches of jobs: commands, shell scripts and Python functions.
One SQLite file, the store, keeps the jobs, their states, their output and their results. There is no daemon:
'batchq run' works until nothing is left that can run, and its exit status says whether all went well.
It prints nothing then, so cron sends no mail."""
_STATUS = (
    ("0", "All went well, or there was nothing to do."),
    ("1", "A job failed, was cancelled, or was put on hold by batchq."),
    ("2", "The command line is wrong."),
    ("3", "Work is left: a job of the file was not run, or 'wait' has timed out."),
    ("65", "A job file, a line or a field is wrong; nothing was stored."),
    ("66", "There is no such store, input file or job."),
    ("70", "A handler ended the process of the run; the next run picks up the rest."),
    ("73", "A file cannot be created or written."),
    ("74", "The store cannot be read or written, or is damaged; stdout is full."),
    ("75", "The store is locked, or too few descriptors are left: try again later."),
    ("78", "The file is not a batchq store, or a newer batchq made it."),
    ("128+N", "The run was stopped by signal N."),
)
_ENVIRONMENT = (
    ("BATCHQ_DB", "The store, unless --db names one."),
    ("COLUMNS, NO_COLOR, TERM", "The width of tables, and whether they are coloured."),
    ("TMPDIR", "Where a run keeps its temporary folder."),
)
_FILES = (
    ("batchq.db", "The store of this folder, or of the nearest one above it."),
    ("~/.local/share/batchq/batchq.db", "Your own store, used if none of these exists."),
)


def page() -> str:
    """Return the manual as troff source; it depends only on the tables and the version."""
    lines = [f'.TH BATCHQ 1 "" "batchq {version("batchq")}" "User commands"', ".nh", ".ad l"]
    lines += [".SH NAME", r"batchq \- run batches of jobs from one SQLite file", ".SH SYNOPSIS"]
    lines += [".B batchq", r"\fICOMMAND\fR [\fIOPTIONS\fR]", ".SH DESCRIPTION"]
    lines += [_escaped(line) for line in _DESCRIPTION.splitlines()]
    for title in dict.fromkeys(commands.TITLES.values()):
        lines.append(f".SH {title.upper()}")
        for name in (one for one, room in commands.ROOMS.items() if commands.TITLES[room] == title):
            lines += _command(commands.table(name))
    for title, entries in (("EXIT STATUS", _STATUS), ("ENVIRONMENT", _ENVIRONMENT), ("FILES", _FILES)):
        lines.append(f".SH {title}")
        for word, text in entries:
            lines += [".TP", f".B {_escaped(word)}", _escaped(text)]
    lines += [".SH SEE ALSO", ".BR parallel (1),", ".BR crontab (5),", ".BR sqlite3 (1)"]
    return "\n".join(lines) + "\n"


def _command(command: Command) -> list[str]:
    arguments = [one for one in command.parameters if isinstance(one, Argument)]
    words = [one.metavar if one.required else f"[{one.metavar}]{'...' * one.many}" for one in arguments]
    lines = [f".SS {_escaped(' '.join(['batchq', command.name, '[OPTIONS]', *words]))}"]
    for paragraph in re.split(r"\n\s*\n", command.help.strip()):
        text = [_escaped(line.strip()) for line in paragraph.splitlines() if line.strip() != "\b"]
        is_list = paragraph.strip(" \n").startswith("\b")
        lines += [".PP", *([".in 2n", ".nf", *text, ".fi", ".in"] if is_list else text)]
    for one in command.parameters:
        lines += [".TP", *(_argument(one) if isinstance(one, Argument) else _option(one))]
    return lines


def _argument(one: Argument) -> list[str]:
    return [f".I {_escaped(one.metavar)}", _escaped(one.help)]


def _option(one: Option) -> list[str]:
    flags = ", ".join(rf"\fB{_escaped(flag)}\fR" for flag in one.flags)
    default = f" Default: {one.default}." if one.default else ""
    value = rf" \fI{_escaped(one.metavar)}\fR" if one.metavar else ""
    return [flags + value, _escaped(one.help + default)]


def _escaped(text: str) -> str:
    """Return a text that troff prints as it is, with dashes and quotes that can be pasted into a shell."""
    for character, escape in (
        ("\\", r"\e"),
        ("-", r"\-"),
        ("'", r"\(aq"),
        ("`", r"\(ga"),
        ("^", r"\(ha"),
        ("~", r"\(ti"),
    ):
        text = text.replace(character, escape)
    text = text.replace("…", "...")
    return rf"\&{text}" if text.startswith(".") else text
