"""The table of ``batchq run``."""

from batchq.cli.options import (
    DB,
    JSON,
    LIST,
    NETWORK_FS,
    NUMBER,
    QUIET,
    TRUST_OWNER,
    Argument,
    Command,
    Option,
)

_WHAT, _HOW, _END, _OUTPUT = "What to run", "How to run it", "When to stop", "What to print"

RUN = Command(
    "run",
    "run.draining:run",
    """Run what is claimable until nothing is left; exit 1 if a job failed.

    \b
    batchq run -j 4                 what is queued, four jobs at once
    batchq run etl.toml             add the jobs of a file, run them, answer for them
    batchq run --watch              stay, and take new work as it comes
    batchq run --if-running skip    from cron: do nothing if a run is at work that takes all
    """,
    (
        Argument("files", "FILE|-", "Add these jobs, run exactly them, and answer for exactly them.", many=True),
        Option("--queue", "NAME", "Only this queue.", group=_WHAT),
        Option("--batch", "NAME", "Only this batch.", group=_WHAT),
        Option(
            "--if-running", "WHAT", "If these jobs are being run already: join, skip, wait[=60s] or fail.",
            default="join", group=_WHAT,
        ),
        Option(
            "-j --jobs", "N", "Jobs at once; 0 or 100%: one for each core.", default="0", group=_HOW
        ),
        Option("--perform", "MODULE:FUNCTION", "What does the jobs that are a payload.", group=_HOW),
        Option(
            "--worker-jobs", "N", "Replace a worker after so many callables; 0: never.",
            form=NUMBER, default=0, least=0, group=_HOW,
        ),
        Option(
            "--limit-processes", "N", "How many processes your user may have while this runs (not for root).",
            form=NUMBER, least=1, group=_HOW,
        ),
        Option(
            "--watch", None, "Stay, and take new work as soon as it is added.", group=_END
        ),
        Option("--max-jobs", "N", "Start so many, then stop.", form=NUMBER, least=1, group=_END),
        Option("--max-time", "DURATION", "Start nothing more after so long, then stop.", group=_END),
        Option(
            "--halt", "WHEN", "never, or soon|now[,fail=N|N%]: stop at so many failed jobs.",
            default="never", group=_END,
        ),
        Option("--grace", "DURATION", "How long jobs may finish when told to stop.", default="8s", group=_END),
        Option("-v --verbose", None, "Log each job, and what was left alone.", group=_OUTPUT),
        Option("--events", "FILE|-", "Append each event as a line of JSON.", group=_OUTPUT),
        Option("--handler", "MODULE:FUNCTION", "Call this with each event.", form=LIST, group=_OUTPUT),
        Option("--log-dir", "DIR", "Keep all output here, one file an attempt.", group=_OUTPUT),
        QUIET,
        JSON,
        DB,
        NETWORK_FS,
        TRUST_OWNER,
    ),
)  # fmt: skip

COMMANDS = (RUN,)
