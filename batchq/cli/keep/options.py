"""The tables of ``batchq doctor``, ``backup``, ``restore``, ``prune``, ``keep-output``, ``remove`` and ``notify``."""

from batchq.cli.options import DB, JSON, LIST, NUMBER, QUIET, SELECTION, Argument, Command, Option

DOCTOR = Command(
    "doctor",
    "keep.doctor:doctor",
    """Check the store, and repair it only with --repair.

    Exit 0 if the store is sound, 1 if something is wrong, 74 if it is damaged.

    \b
    batchq doctor                check everything, change nothing
    batchq doctor --repair       keep a copy, repair what can be, then check
    batchq doctor --rescue 17    take back the jobs of the dead runner 17
    """,
    (
        Option(
            "--rescue",
            "RUNNER",
            "Take back the jobs of this dead runner; none of its processes may be alive.",
            form=NUMBER,
        ),
        Option("--repair", None, "Keep a copy, and repair what can be repaired before the check."),
        JSON,
        DB,
    ),
)

BACKUP = Command(
    "backup",
    "keep.copies:backup",
    "Copy the store, as it is now, to FILE; safe while jobs run, unlike cp.",
    (Argument("file", "FILE", "Where to write the backup; an existing file is replaced.", required=True), QUIET, DB),
)

RESTORE = Command(
    "restore",
    "keep.copies:restore",
    """Replace the store with the backup FILE.

    Safe while jobs run and after a crash, unlike cp. The old store is kept next to it, with its log. A run at work on
    it starts no more jobs, and exits with 74 when its running jobs have finished.
    """,
    (Argument("file", "FILE", "The backup; it is not changed.", required=True), QUIET, DB),
)

PRUNE = Command(
    "prune",
    "keep.pruning:prune",
    """Remove finished jobs with their attempts and output, and shrink the store.

    Their keys are kept, so that nothing is added twice, unless --forget-keys is given.

    \b
    batchq prune --older-than 30d                     now
    batchq prune --older-than 1d --state succeeded    keep all others
    batchq prune --set-retention 30d --keep 1000      gradually, in each run
    """,
    (
        Option("--older-than", "DURATION", "Remove jobs that finished at least this long ago, as in 30d."),
        Option(
            "--state",
            "STATE",
            "Remove only succeeded, failed or cancelled jobs; may be repeated.",
            form=LIST,
            name="states",
        ),
        Option("--keep", "N", "Keep the newest N of these jobs.", form=NUMBER, default=0, least=0),
        Option("--forget-keys", "DURATION", "Also remove keys of removed jobs that no add has named for this long."),
        Option("--dry-run", None, "Only report how many jobs would be removed."),
        Option("--set-retention", "DURATION", "Let runs gradually remove jobs older than this."),
        Option("--no-retention", None, "Let runs remove nothing."),
        Option("--show", None, "Print which jobs runs remove."),
        QUIET,
        JSON,
        DB,
    ),
)

KEEP_OUTPUT = Command(
    "keep-output",
    "keep.extent:keep_output",
    """Set how much of the output of each job this store keeps; without a size, print it.

    Of stdout and of stderr it keeps the beginning and the end, half of the size each, 128KiB in all if nothing is set.
    A job can have a keep_output of its own, and 'run --log-dir DIR' keeps everything in files.

    \b
    batchq keep-output 1MiB
    batchq keep-output --reset
    """,
    (
        Argument("size", "SIZE", "How much of each stream to keep, in runs that begin from now on: up to 16MiB."),
        Option("--reset", None, "Keep the default again: 128KiB."),
        JSON,
        DB,
    ),
)

REMOVE = Command(
    "remove",
    "keep.removing:remove",
    """Remove chosen jobs with their attempts and output: finished ones, and those that never started.

    A job for which another one waits stays. The key of a finished job stays known, as after prune; the key of a job
    that never started is free again.
    """,
    (*SELECTION, JSON, DB),
    selects=True,
)

NOTIFY = Command(
    "notify",
    "keep.notifying:notify",
    """Set what each run of this store notifies at its end; without a target, print it.

    A URL gets pings as healthchecks understands them: URL/start, then URL or URL/fail. A command gets the report on
    stdin and counts in BATCHQ_… variables; one word is a line for the shell.

    \b
    batchq notify https://hc-ping.com/UUID
    batchq notify 'test $BATCHQ_STATUS = 0 || mail -s "batchq $BATCHQ_STATUS" ann'
    batchq notify -- /srv/bin/tell --channel night
    batchq notify --off
    """,
    (
        Argument(
            "target", "URL|COMMAND", "The target: a URL, a line for the shell, or the words of a command.", many=True
        ),
        Option("--off", None, "Notify nobody from now on."),
        JSON,
        DB,
    ),
)

COMMANDS = (DOCTOR, BACKUP, RESTORE, PRUNE, KEEP_OUTPUT, REMOVE, NOTIFY)
