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
    """Run jobs until none is left that can run; exit 1 if a job failed.

    \b
    batchq run -j 4                 queued jobs, four at once
    batchq run etl.toml             add the jobs of a file and run only these
    batchq run --watch              keep running, and take new jobs as they come
    batchq run --if-running skip    from cron: do nothing if a run is at work
    """,
    (
        Argument(
            "files", "FILE|-", "Add the jobs of this file and run only these; the exit code is about them.", many=True
        ),
        Option("--queue", "NAME", "Run only jobs of this queue.", group=_WHAT),
        Option("--batch", "NAME", "Run only jobs of this batch.", group=_WHAT),
        Option(
            "--if-running", "WHAT", "What to do if a run of these jobs is at work: join, skip, wait[=60s] or fail.",
            default="join", group=_WHAT,
        ),
        Option(
            "-j --jobs", "N", "How many jobs to run at once; 0 or 100%: one for each core.", default="0", group=_HOW
        ),
        Option("--perform", "MODULE:FUNCTION", "The function that runs jobs with a payload.", group=_HOW),
        Option(
            "--worker-jobs", "N", "Replace a worker after N callables; 0: never.",
            form=NUMBER, default=0, least=0, group=_HOW,
        ),
        Option(
            "--limit-processes", "N", "Limit on the processes of your user during the run (not for root).",
            form=NUMBER, least=1, group=_HOW,
        ),
        Option(
            "--watch", None, "Keep running, and take new jobs as soon as they are added.", group=_END
        ),
        Option("--max-jobs", "N", "Start N jobs, then stop.", form=NUMBER, least=1, group=_END),
        Option("--max-time", "DURATION", "Start no more jobs after this much time, then stop.", group=_END),
        Option(
            "--halt", "WHEN", "Stop when this many jobs have failed: never, or soon|now[,fail=N|N%].",
            default="never", group=_END,
        ),
        Option(
            "--grace", "DURATION", "How long running jobs may take to finish when the run is stopped.",
            default="8s", group=_END,
        ),
        Option("-v --verbose", None, "Log each job, and report jobs that were left alone.", group=_OUTPUT),
        Option(
            "--mail-on", "WHAT", "When to print failures: failure, or change (a job failed or recovered since last time).",
            default="failure", group=_OUTPUT,
        ),
        Option("--events", "FILE|-", "Append each event to this file as a line of JSON.", group=_OUTPUT),
        Option(
            "--handler", "MODULE:FUNCTION", "Call this function with each event; may be repeated.",
            form=LIST, group=_OUTPUT,
        ),
        Option(
            "--notify", "TARGET", "Notify this URL or command at the end, not the target of 'batchq notify'; '' for none.",
            group=_OUTPUT,
        ),
        Option("--log-dir", "DIR", "Keep all output in this folder, one file per attempt.", group=_OUTPUT),
        QUIET,
        JSON,
        DB,
        NETWORK_FS,
        TRUST_OWNER,
    ),
)  # fmt: skip

COMMANDS = (RUN,)
