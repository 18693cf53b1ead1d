"""The tables of ``batchq retry``, ``cancel``, ``hold``, ``release`` and ``queue``."""

from batchq.cli.options import DB, JSON, SELECTION, Argument, Command, Option

RETRY = Command(
    "retry",
    "change.changing:retry",
    """Queue failed and cancelled jobs again.

    Succeeded jobs are queued again only if they are named by id or with --state succeeded.

    \b
    batchq retry 3-5,9            these jobs
    batchq retry --failed         every failed job
    batchq retry --batch night    the failed and cancelled jobs of a batch
    """,
    (*SELECTION, JSON, DB),
    selects=True,
)
CANCEL = Command(
    "cancel",
    "change.changing:cancel",
    "Cancel jobs that have not finished; running ones are stopped within a second.",
    (*SELECTION, JSON, DB),
    selects=True,
)
HOLD = Command(
    "hold",
    "change.changing:hold",
    "Keep waiting jobs from starting until 'batchq release'.",
    (*SELECTION, JSON, DB),
    selects=True,
)
RELEASE = Command("release", "change.changing:release", "Queue held jobs.", (*SELECTION, JSON, DB), selects=True)

_NAME = Argument("name", "NAME", "The name of the queue.", required=True)

QUEUE = Command(
    "queue",
    "change.queueing:list_queues",
    """Show the queues, or set their limits, which all runners follow at once.

    \b
    batchq queue                        jobs by state, limits, rates
    batchq queue set net --limit 4      at most 4 jobs at once, in all runs
    batchq queue set api --rate 10/s    at most 10 starts a second; or 100/m, 5/h
    batchq queue set net --limit none   remove the limit
    batchq queue pause net              start no more jobs of this queue
    """,
    (JSON, DB),
)
QUEUE_LIST = Command(
    "queue list", "change.queueing:list_queues", "Show the queues: jobs by state, limits, rates, pauses.", (JSON, DB)
)
QUEUE_SET = Command(
    "queue set",
    "change.queueing:set_queue",
    "Set the limit or the rate of a queue.",
    (
        _NAME,
        Option("--limit", "N", "How many jobs may run at once; none: no limit."),
        Option("--rate", "N/s", "How many jobs may start per second (or /m, /h, /d); none: no limit."),
        DB,
    ),
)
QUEUE_PAUSE = Command(
    "queue pause", "change.queueing:pause", "Start no more jobs of a queue; running ones continue.", (_NAME, DB)
)
QUEUE_RESUME = Command("queue resume", "change.queueing:resume", "Resume a paused queue.", (_NAME, DB))

COMMANDS = (RETRY, CANCEL, HOLD, RELEASE, QUEUE, QUEUE_LIST, QUEUE_SET, QUEUE_PAUSE, QUEUE_RESUME)
