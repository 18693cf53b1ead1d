"""The table of ``batchq top``."""

from batchq.cli.options import COLOR, DB, SELECTION, Command, Option

INTERVAL = "1s"

TOP = Command(
    "top",
    "top.session:top",
    """Watch queues, runs and jobs, and hold, cancel or retry jobs by keys.

    The picture is new each second, and after each key: ? lists the keys, q leaves. Off a terminal it is printed once.

    \\b
    batchq top                    everything in the store
    batchq top --batch night      the jobs of a batch
    batchq top --once             print it once
    """,
    (
        *SELECTION,
        Option("-d --interval", "DURATION", "How often the picture is drawn (at least 0.1s).", default=INTERVAL),
        Option("--once", None, "Print everything once, and exit."),
        COLOR,
        DB,
    ),
    selects=True,
)

COMMANDS = (TOP,)
