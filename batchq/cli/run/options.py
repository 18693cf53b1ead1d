"""The table of ``batchq run``: its own options, and those of ``batchq add`` for the jobs that it adds."""

from batchq.cli.add.options import ADD
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

_OWN = (
    Argument("files", "FILE|-", "Add the jobs of this file and run only these; the exit code is about them.", many=True),
    Option("--queue", "NAME", "Run only jobs of this queue; with jobs to add: the queue of these.", group=_WHAT),
    Option("--batch", "NAME", "Run only jobs of this batch; with jobs to add: the batch of these.", group=_WHAT),
    Option(
        "--if-running", "WHAT",
        "What to do if a run of these jobs is at work: join, skip, wait[=60s] or fail"
        " (default: join; fail for a command with a --key).",
        group=_WHAT,
    ),
    Option(
        "-j --jobs", "N", "How many jobs to run at once; 0 or 100%: one for each core.", default="0", group=_HOW
    ),
    Option(
        "--executor", "WHERE",
        "Where to run them: local, ssh:HOST,HOST, srun:NODE,NODE, dask:ADDRESS or a pool, MODULE:FACTORY.",
        default="local", group=_HOW,
    ),
    Option(
        "--lease", "DURATION", "How long a place elsewhere works on when it hears nothing of this run.",
        default="60s", group=_HOW,
    ),
    Option(
        "--reconnect", "DURATION", "How long to wait for a scheduler of Dask that is gone.", default="60s", group=_HOW,
    ),
    Option(
        "--executor-folder", "DIR", "A folder that this machine and the workers of a pool share, for orders to them.",
        group=_HOW,
    ),
    Option(
        "--cwd-map", "LOCAL=REMOTE", "The folder LOCAL has the path REMOTE where the jobs run; may be repeated.",
        form=LIST, group=_HOW,
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
    Option(
        "--pass-exit-code", None, "Exit with the code of the only job: 124 if it timed out, 128+N for signal N.",
        group=_OUTPUT,
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
    Option(
        "--output", None, "Print what the jobs print as it comes, with [ID NAME] before each line.", name="pass_on",
        group=_OUTPUT,
    ),
    Option(
        "-k --keep-order", None, "Print the output of one job after the other, in the order in which they start.",
        group=_OUTPUT,
    ),
    Option("--tee", None, "Pass the output of the only job on as it comes (default: on a terminal).", group=_OUTPUT),
    Option("--no-tee", None, "Only record the output of the job.", group=_OUTPUT),
    Option("--log-dir", "DIR", "Keep all output in this folder, one file per attempt.", group=_OUTPUT),
)  # fmt: skip
_LAST = (QUIET, JSON, DB, NETWORK_FS, TRUST_OWNER)
_NAMES = {one.name for one in (*_OWN, *_LAST)}
_OF_ADD = tuple(one for one in ADD.parameters if one.name not in _NAMES)

RUN = Command(
    "run",
    "run.draining:run",
    """Run jobs until none is left that can run; exit 1 if a job failed.

    \b
    batchq run -j 4                 queued jobs, four at once
    batchq run -- ./backup.sh       add one job and run only this; also -c, --call
    batchq run etl.toml             add the jobs of a file and run only these
    batchq run --watch              keep running, and take new jobs as they come
    batchq run --if-running skip    from cron: do nothing if a run is at work

    With jobs to add, it takes all options of 'batchq add', and --queue and --batch are labels of these jobs.
    """,
    (*_OWN, *_OF_ADD, *_LAST),
    takes_command=True,
)

#: The options that say something about the jobs to add, and mean nothing without any
FOR_JOBS = {one.name: one for one in _OF_ADD if isinstance(one, Option)}

COMMANDS = (RUN,)
