"""The table of ``batchq logs``."""

from batchq.cli.options import DB, NUMBER, SELECTION, Command, Option

_WHICH = "Which jobs"
#: Here --grep looks for lines of output, so the choice of jobs by their text has another name.
_CHOICE = tuple(
    Option("--grep-jobs", "TEXT", one.help, name="grep", group=_WHICH) if one.name == "grep" else one
    for one in SELECTION
)

LOGS = Command(
    "logs",
    "logs.recorded:logs",
    """Print the output of jobs: both streams, in the order in which they were read.

    Of several jobs each has a heading, unless bytes are wanted: --raw, or --stdout or --stderr into a file or a pipe.
    A terminal gets colours and the last state of a progress bar; other control characters are escaped there. If a job
    printed more than is kept, a line in brackets stands for the missing bytes.

    \b
    batchq logs 3                     one job, as it printed it
    batchq logs -f                    what runs now, and what starts
    batchq logs last -n 20            the last 20 lines of each job
    batchq logs --failed --grep RE    lines that match; exit code 1 if none does
    """,
    (
        *_CHOICE,
        Option("-f --follow", None, "Print what comes, until all of the jobs have finished; alone: all that runs."),
        Option(
            "-n --lines --tail", "N", "Print the last N lines of each job.", form=NUMBER, least=0, name="lines"
        ),
        Option(
            "--grep",
            "RE",
            "Print lines in which this regular expression is found ('(?i)…' ignores case).",
            name="pattern",
        ),
        Option("--prefix", None, "Print '[ID NAME] ' before each line instead of headings."),
        Option("--raw", None, "Print no headings and no prefixes."),
        Option("--stdout", None, "Print only stdout."),
        Option("--stderr", None, "Print only stderr."),
        Option("--attempt", "N", "Print the output of this attempt (default: the last one).", form=NUMBER, least=1),
        Option("--all-attempts", None, "Print the output of each attempt."),
        DB,
    ),
    selects=True,
)  # fmt: skip

COMMANDS = (LOGS,)
