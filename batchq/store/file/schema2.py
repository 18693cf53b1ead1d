"""What the second schema changes in the first: new columns, new tables, and new text of views and indexes."""

from batchq.store.file.views2 import VIEWS

#: For each table that gets columns: the last column that it had, and the new ones, which SQLite puts after that one.
COLUMNS: dict[str, tuple[str, tuple[str, ...]]] = {
    # The runner's parent process, by its pid in their namespace: if that is 1, the namespace has died with it.
    # And how long (ms) its jobs elsewhere may live after it; NULL if all ran on its machine. And how many slots a job can
    # have at most, if these are not all: of several machines those of the largest.
    "runners": ("ended_at INTEGER", ("guardian INTEGER", "lease INTEGER", "widest INTEGER")),
    # The machine that ran it, and which worker there; NULL if it was that of the run.
    "attempts": (
        "leftovers INTEGER NOT NULL DEFAULT 0",
        ("threads INTEGER NOT NULL DEFAULT 0", "cause TEXT", "host TEXT"),
    ),
    # How many bytes each stream printed in turn, as a JSON list that begins with stdout: '[2,2,2]' is stdout, stderr,
    # stdout. NULL if only one printed, or if the order is unknown. If both rows have one, the one with more bytes counts.
    "outputs": ("total INTEGER NOT NULL", ("turns TEXT",)),
    "jobs": (
        "finished_at INTEGER",
        (
            "max_snoozes INTEGER NOT NULL DEFAULT 1000",
            "snoozes INTEGER NOT NULL DEFAULT 0",
            "python TEXT",
            "fresh INTEGER NOT NULL DEFAULT 0",
            # Exit codes, as in '0,24'; NULL if only 0 is a success.
            "success_codes TEXT",
            "output TEXT NOT NULL DEFAULT 'separate' CHECK (output = 'separate' OR output = 'merged')",
            # Bytes of each stream that are kept; NULL for the default of the store.
            "keep_output INTEGER",
            # When the wait for due_at began: in the future if the clock was set back since. NULL if a time was requested
            # and not a pause.
            "due_from INTEGER",
            # 1 if it was cancelled because nothing failed above it: a parent in after_failed would have had to.
            "unneeded INTEGER NOT NULL DEFAULT 0",
        ),
    ),
}

#: Tables with a new text: the old one is renamed to ``old_…`` until ``FILLED`` has copied its rows.
REBUILT = ("dependencies",)

#: What is dropped from the first schema, as in ``("VIEW", "job_report")``; what only has new text is created below again.
DROPPED: tuple[tuple[str, str], ...] = (
    ("INDEX", "dependencies_parent"),
    ("INDEX", "jobs_claimable"),
    ("INDEX", "jobs_claimable_payload"),
    ("INDEX", "jobs_claimable_batch"),
    ("VIEW", "attempt_report"),
    ("VIEW", "job_report"),
    ("VIEW", "batch_report"),
    ("VIEW", "queue_report"),
)

CREATED = (
    """
CREATE TABLE dependencies (
    child INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    parent INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind = 'after' OR kind = 'after_any' OR kind = 'after_failed'),
    PRIMARY KEY (child, parent)
) STRICT, WITHOUT ROWID""",
    "CREATE INDEX dependencies_parent ON dependencies (parent)",
    "CREATE INDEX dependencies_after_failed ON dependencies (parent) WHERE kind = 'after_failed'",
    # Jobs that batchq itself has put on hold, without those that people hold, which may be many.
    """
CREATE INDEX jobs_on_hold ON jobs (id)
    WHERE state = 'held' AND why <> 'held by hand' AND why <> 'added with hold'""",
    "CREATE INDEX jobs_due_from ON jobs (due_from) WHERE state = 'scheduled' AND due_from IS NOT NULL",
    # Jobs to claim next, whatever their queue: with an index by queue a claim had to ask each of a thousand queues. The
    # queue comes last, to skip some; the index by queue remains for queues that have a limit, a rate or a pause.
    """
CREATE INDEX jobs_next ON jobs (priority DESC, id, queue)
    WHERE state = 'queued' AND kind <> 'payload'""",
    """
CREATE INDEX jobs_next_payload ON jobs (priority DESC, id, queue)
    WHERE state = 'queued' AND kind = 'payload'""",
    """
CREATE INDEX jobs_next_in_queue ON jobs (queue, priority DESC, id, kind)
    WHERE state = 'queued' AND queue <> 'default'""",
    """
CREATE INDEX jobs_next_in_batch ON jobs (batch, priority DESC, id, queue)
    WHERE state = 'queued' AND batch <> 'default'""",
    """
CREATE TABLE endings (
    -- a job that is over, of whose end the jobs below are still to be told: those above ``told``, by their ids
    job INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    told INTEGER NOT NULL
) STRICT""",
    """
CREATE TABLE adds (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    -- the id of its first new job, which is the add_id of all of them, and how many there are; they have successive ids
    first INTEGER NOT NULL,
    jobs INTEGER NOT NULL,
    -- JSON list of older jobs, known by their key, that it changed or put back; NULL where there were none
    again TEXT,
    -- JSON list of the job files, by their real paths; NULL where there were none
    files TEXT
) STRICT""",
    """
CREATE TABLE processes (
    job INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    token TEXT NOT NULL,
    -- the first process of the attempt, which leads its session, and when that started (clock ticks since boot)
    pid INTEGER,
    born INTEGER,
    -- where the attempt runs if it runs elsewhere: then nothing else is known
    host TEXT,
    CHECK (pid IS NOT NULL OR host IS NOT NULL)
) STRICT""",
    # The queues and batches of jobs that were removed, so that their names stay known.
    """
CREATE TABLE seen (
    kind TEXT NOT NULL CHECK (kind = 'queue' OR kind = 'batch'),
    name TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID""",
    # Jobs that were removed before they started: a run or a wait that was asked for one must not report a success.
    "CREATE TABLE removed (job INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT",
    # Failed attempts by the id of their cause; successes have none.
    "CREATE INDEX attempts_cause ON attempts (substr(cause, 1, 8)) WHERE cause IS NOT NULL",
    # Adds of the same files, the newest first.
    "CREATE INDEX adds_files ON adds (files, id) WHERE files IS NOT NULL",
    # Keys whose jobs were pruned, by the ids that an add still prints for them.
    "CREATE INDEX keys_pruned ON keys (job) WHERE state IS NOT NULL",
    """
CREATE TABLE logs (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    stream TEXT NOT NULL CHECK (stream = 'both' OR stream = 'stdout' OR stream = 'stderr'),
    -- a file that has all of it, in bytes
    path BLOB NOT NULL,
    -- why something is missing there
    trouble TEXT,
    PRIMARY KEY (job, number, stream)
) STRICT, WITHOUT ROWID""",
    *VIEWS,
)

#: What an upgrade puts into the new tables: the newest add, and the rows of the old ones
FILLED = (
    "INSERT INTO dependencies SELECT child, parent, kind FROM old_dependencies",
    """
INSERT INTO adds (at, first, jobs) SELECT min(created_at), add_id, 1 + max(id) - add_id FROM jobs
    WHERE add_id = (SELECT add_id FROM jobs ORDER BY id DESC LIMIT 1) GROUP BY add_id""",
)
