"""The tables of ``batchq report``, ``list``, ``show``, ``logs``, ``explain`` and ``wait``."""

from batchq.cli.options import COLOR, DB, ID, JSON, NUMBER, SELECTION, Command, Option

REPORT = Command(
    "report",
    "look.looking:report",
    """Say what happened: how many jobs, which failed and why, the slowest, and what is still open.

    \b
    batchq report               everything in the store
    batchq report last          the jobs of the newest add
    batchq report --since 2h    what was added, ran or ended in the last two hours
    """,
    (
        *SELECTION,
        Option("--exit-code", None, "Exit with 1 if one has failed or batchq holds it."),
        Option("--format", None, "For people or for programs.", choices=("table", "json"), default="table"),
        JSON,
        COLOR,
        DB,
    ),
    selects=True,
)

LIST = Command(
    "list",
    "look.looking:list_jobs",
    "List jobs, one a line, in the order of their ids: all that are selected, or else the newest 50.",
    (
        *SELECTION,
        Option("--limit", "N", "Only the newest so many; 0 is no limit.", form=NUMBER, least=0),
        JSON,
        COLOR,
        DB,
    ),
    selects=True,
)

SHOW = Command(
    "show",
    "look.showing:show",
    "Show all about one job: its work, its limits, every attempt, and the last lines that it printed.",
    (ID, JSON, COLOR, DB),
)

LOGS = Command(
    "logs",
    "look.showing:logs",
    """Print what jobs printed: stdout, then stderr. Raw bytes, except on a terminal, which they could harm.

    Where a job printed more than is kept, a line in brackets stands for the bytes that are missing.
    """,
    (
        *SELECTION,
        Option("--attempt", "N", "Of this attempt (default: the last one).", form=NUMBER, least=1),
        Option("--stdout", None, "Only what went to stdout."),
        Option("--stderr", None, "Only what went to stderr."),
        Option("-f --follow", None, "Go on until the job is over; for one job."),
        DB,
    ),
    selects=True,
)

EXPLAIN = Command(
    "explain",
    "look.showing:explain",
    "Say why a job waits (parents, limits, rates, pauses, its time, no run at work), or why it ended as it did.",
    (ID, JSON, DB),
)

WAIT = Command(
    "wait",
    "look.waiting:wait",
    """Block until the jobs are over: exit 0 if all succeeded, 1 if one failed or was cancelled, 3 at the timeout.

    The jobs are those that are selected when it begins; with --all those that are not over then. What keeps them from
    running is told once. Inside of a job it leaves out that job, and all that is to run after it.

    \b
    batchq wait last                    the jobs of the newest add
    batchq wait --batch night           a batch
    batchq wait 3-5 --timeout 10m       some jobs, for ten minutes at most
    """,
    (*SELECTION, Option("--timeout", "DURATION", "Wait no longer; exit 3 with work left."), JSON, DB),
    selects=True,
)

COMMANDS = (REPORT, LIST, SHOW, LOGS, EXPLAIN, WAIT)
