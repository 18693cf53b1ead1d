"""The tables of ``batchq report``, ``list``, ``show``, ``explain``, ``wait`` and ``datasette-metadata``."""

from batchq.cli.options import COLOR, DB, JSON, NUMBER, SELECTION, Command, Option
from batchq.report import formats

OUTPUT = Option("-o --output", "FILE", "Write to a file, in the format of its suffix, replacing an old one whole.")


def _format(names: tuple[str, ...]) -> Option:
    return Option("--format", "NAME", f"One of {', '.join(names)} (default: that of -o, else table).", choices=names)


REPORT = Command(
    "report",
    "look.looking:report",
    """Report what happened: job counts, failures and their reasons, the slowest, open jobs.

    \b
    batchq report               everything in the store
    batchq report last          the jobs of the newest add
    batchq report --since 2h    what was added, ran or ended in the last two hours
    """,
    (
        *SELECTION,
        Option("--exit-code", None, "Exit with 1 if a job has failed or is held by batchq."),
        _format(formats.NAMES),
        OUTPUT,
        JSON,
        COLOR,
        DB,
    ),
    selects=True,
)

LIST = Command(
    "list",
    "look.looking:list_jobs",
    """List jobs, one per line, in the order of their ids: those selected, or the newest 50.

    \b
    batchq list --running                      what runs now
    batchq list --all --sort -took --limit 5   the slowest
    batchq list last --columns id,name,added   only these columns
    """,
    (
        *SELECTION,
        Option(
            "--limit", "N", "List only the newest N, or with --sort the first N; 0: no limit.", form=NUMBER, least=0
        ),
        Option("--sort", "COLUMN", "Sort by a column, as in took; -took: the largest first; state,-took: by both."),
        Option("--columns", "NAMES", "The columns, as in id,state,took,command; a wrong name lists all there are."),
        Option("-w --wide", None, "On a terminal, too, print all columns and whole lines."),
        _format(formats.OF_LISTS),
        OUTPUT,
        JSON,
        COLOR,
        DB,
    ),
    selects=True,
)

SHOW = Command(
    "show",
    "look.showing:show",
    """Show all about jobs: work, limits, every attempt, the last lines of output.

    \b
    batchq show 3          one job
    batchq show last       the jobs of the newest add
    batchq show --failed   all that failed
    """,
    (*SELECTION, JSON, COLOR, DB),
    selects=True,
)

EXPLAIN = Command(
    "explain",
    "look.showing:explain",
    """Explain why jobs wait, or why they ended as they did.

    A job may wait for parents, limits, rates, a pause, its time, or because no run is at work.
    """,
    (*SELECTION, JSON, DB),
    selects=True,
)

WAIT = Command(
    "wait",
    "look.waiting:wait",
    """Block until the jobs have finished.

    Exit 0 if all succeeded, 1 if one failed or was cancelled, 3 at the timeout. The jobs are selected once, at the
    start; with --all, they are those that have not finished by then. Each reason that keeps them from running is
    reported once. Inside a job, that job and all that run after it are left out.

    \b
    batchq wait last                    the jobs of the newest add
    batchq wait --batch night           a batch
    batchq wait 3-5 --timeout 10m       some jobs, for at most ten minutes
    """,
    (
        *SELECTION,
        Option("--timeout", "DURATION", "Stop waiting after this much time; exit 3 if work is left."),
        JSON,
        DB,
    ),
    selects=True,
)

DATASETTE_METADATA = Command(
    "datasette-metadata",
    "look.described:datasette_metadata",
    """Print a description of the store for Datasette, as JSON.

    With it Datasette hides the private tables, explains the views, and answers common questions.

    \b
    batchq datasette-metadata > batchq.json && datasette batchq.db -m batchq.json
    """,
    (DB,),
)

COMMANDS = (REPORT, LIST, SHOW, EXPLAIN, WAIT, DATASETTE_METADATA)
