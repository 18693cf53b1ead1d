"""The tables of ``batchq doctor``, ``backup``, ``restore`` and ``prune``."""

from batchq.cli.options import DB, JSON, LIST, NUMBER, QUIET, Argument, Command, Option

DOCTOR = Command(
    "doctor",
    "keep.doctor:doctor",
    """Examine the store: exit 0 if it is sound, 1 if something is wrong, 74 if it is damaged. Repairs only with --repair.

    \b
    batchq doctor                 look at everything, change nothing
    batchq doctor --repair        keep a copy, mend what can be mended, then look
    batchq doctor --rescue 17     take the jobs of the dead runner 17 back
    """,
    (
        Option(
            "--rescue", "RUNNER", "Take the jobs of this dead runner back; nothing of it may be alive.", form=NUMBER
        ),
        Option("--repair", None, "First mend what can be mended; a copy is kept."),
        JSON,
        DB,
    ),
)

BACKUP = Command(
    "backup",
    "keep.copies:backup",
    "Copy the store, as it is at this moment, to FILE; safe while jobs run, which cp is not.",
    (Argument("file", "FILE", "Where; what is there is replaced.", required=True), QUIET, DB),
)

RESTORE = Command(
    "restore",
    "keep.copies:restore",
    """Put the backup FILE in the place of the store; safe also while jobs run, and after a crash, which cp is not.

    The store that was there is kept beside it, with its log. A run that is at work on it starts nothing more, and ends
    with 74 when its jobs are over.
    """,
    (Argument("file", "FILE", "A backup; it stays as it is.", required=True), QUIET, DB),
)

PRUNE = Command(
    "prune",
    "keep.pruning:prune",
    """Remove jobs that are over, with their attempts and output, and make the file smaller.

    Their keys stay known, so that nothing is added twice, unless --forget-keys is given.

    \b
    batchq prune --older-than 30d                     now
    batchq prune --older-than 1d --state succeeded    keep what failed
    batchq prune --set-retention 30d --keep 1000      by and by, by each batchq run
    """,
    (
        Option("--older-than", "DURATION", "Jobs that have been over for so long, as in 30d."),
        Option(
            "--state", "STATE", "Only succeeded, failed or cancelled jobs; may be repeated.", form=LIST, name="states"
        ),
        Option("--keep", "N", "But not the newest N of them.", form=NUMBER, default=0, least=0),
        Option("--forget-keys", "DURATION", "And keys of removed jobs that no add has named for so long."),
        Option("--dry-run", None, "Only say how many."),
        Option("--set-retention", "DURATION", "Have runners remove by and by what is older."),
        Option("--no-retention", None, "Have runners remove nothing."),
        Option("--show", None, "Print what runners remove."),
        QUIET,
        JSON,
        DB,
    ),
)

COMMANDS = (DOCTOR, BACKUP, RESTORE, PRUNE)
