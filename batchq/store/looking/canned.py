"""Questions that people ask a store with SQL, for programs that show one; they use the public views alone."""

from batchq.named import NamedTuple
from batchq.store.file import schema


class Canned(NamedTuple):
    """A named question; ``:job`` in its SQL is asked for."""

    name: str
    title: str
    description: str
    sql: str


# A list of ids comes first where a row is dear to make (its last line, its folder): then only those shown are made.
CANNED = (
    Canned(
        "reasons",
        "Why jobs failed",
        "Failed jobs by cause, the most frequent first. 'batchq retry --cause ID' queues those of one cause again.",
        """
SELECT id, jobs, batch, substr(cause, 10) AS cause, first_job, last_job, first_failed_at, last_failed_at
FROM cause_report ORDER BY jobs DESC, first_job""",
    ),
    Canned(
        "newest_failures",
        "Newest failures",
        "The 100 jobs that failed last.",
        """
SELECT finished_at, id, name, batch, queue, outcome, exit_code, signal, error_type, error, last_line, command
FROM job_report
WHERE id IN (SELECT id FROM job_report WHERE state = 'failed' ORDER BY finished_at DESC, id DESC LIMIT 100)
ORDER BY finished_at DESC, id DESC""",
    ),
    Canned(
        "slowest",
        "Slowest attempts",
        "The 100 attempts that took longest, with the time of the processor and the peak of memory.",
        """
SELECT seconds, cpu_seconds, peak_kib, outcome, job, attempt, name, batch, queue, started_at
FROM attempt_report ORDER BY seconds DESC LIMIT 100""",
    ),
    Canned(
        "batches",
        "Batches",
        "Jobs by state in each batch, the batch with the newest jobs first.",
        "SELECT * FROM batch_report ORDER BY last_added_at DESC",
    ),
    Canned(
        "waiting",
        "What has not finished",
        "Unfinished jobs by queue, state and reason, with the lowest id and the earliest time of a start.",
        """
SELECT queue, state, why, count(*) AS jobs, min(id) AS first_job, min(due_at) AS first_due_at
FROM job_report WHERE state IN ('running', 'queued', 'scheduled', 'blocked', 'held')
GROUP BY queue, state, why ORDER BY jobs DESC""",
    ),
    Canned(
        "retried",
        "Jobs that succeeded after a retry",
        "The newest 100 jobs whose first attempt failed and whose last one succeeded.",
        """
SELECT id, name, batch, queue, attempt, failures, seconds, finished_at
FROM job_report
WHERE id IN (SELECT id FROM job_report WHERE state = 'succeeded' AND failures > 0 ORDER BY id DESC LIMIT 100)
ORDER BY id DESC""",
    ),
    Canned("runs", "Runs", "The newest 100 runs.", "SELECT * FROM run_report ORDER BY id DESC LIMIT 100"),
    Canned(
        "attempts_of_a_job",
        "Attempts of a job",
        "How each attempt of one job ended.",
        "SELECT * FROM attempt_report WHERE job = CAST(:job AS INTEGER) ORDER BY attempt",
    ),
    Canned(
        "output_of_a_job",
        "Output of a job",
        "The end of what each attempt of one job printed; 'batchq logs ID' prints all that is kept.",
        """
SELECT attempt, stream, text, bytes, cut FROM output_report
WHERE job = CAST(:job AS INTEGER) ORDER BY attempt DESC, stream""",
    ),
    Canned(
        "parents_of_a_job",
        "What a job waits for",
        "The jobs after which one job runs.",
        "SELECT * FROM dependency_report WHERE job = CAST(:job AS INTEGER) ORDER BY parent",
    ),
)


def private_tables() -> list[str]:
    """Return the names of the tables of a store: everything in it that is not public."""
    created = (text.split(maxsplit=3) for text in schema.OBJECTS)
    return sorted(["_sqlite_migrations", *(words[2] for words in created if words[1] == "TABLE")])
