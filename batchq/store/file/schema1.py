"""The first schema, as it was released: it never changes again. Later changes are in ``schema2.py``."""

V1 = (
    """
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID""",
    "INSERT INTO settings VALUES ('last_job', 0), ('store_id', lower(hex(randomblob(16))))",
    """
CREATE TABLE contexts (
    id INTEGER PRIMARY KEY,
    cwd BLOB NOT NULL,
    path BLOB NOT NULL,
    UNIQUE (cwd, path)
) STRICT""",
    """
CREATE TABLE runners (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('running', 'stopping', 'ended', 'dead')),
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    born INTEGER,
    liveness INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    executor TEXT NOT NULL,
    selection TEXT,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    CHECK ((state IN ('ended', 'dead')) = (ended_at IS NOT NULL))
) STRICT""",
    "CREATE INDEX runners_living ON runners (id) WHERE ended_at IS NULL",
    """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    add_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    batch TEXT NOT NULL,
    queue TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind = 'argv' OR kind = 'shell' OR kind = 'call' OR kind = 'payload'),
    work TEXT NOT NULL,
    name TEXT,
    context INTEGER NOT NULL REFERENCES contexts (id),
    priority INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    backoff INTEGER NOT NULL,
    max_crashes INTEGER NOT NULL,
    on_crash TEXT NOT NULL CHECK (on_crash = 'retry' OR on_crash = 'hold'),
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    why TEXT,
    timeout INTEGER,
    key TEXT,
    env TEXT,
    stdin BLOB,
    umask INTEGER,
    tags TEXT,
    inputs TEXT,
    retry_on TEXT,
    no_retry_on TEXT,
    retry_timeout_factor REAL,
    leftovers TEXT NOT NULL DEFAULT 'kill' CHECK (leftovers = 'kill' OR leftovers = 'keep'),
    slots INTEGER NOT NULL DEFAULT 1 CHECK (slots >= 1),
    open_parents INTEGER NOT NULL DEFAULT 0 CHECK (open_parents >= 0),
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,
    token TEXT,
    runner INTEGER REFERENCES runners (id),
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    -- the parent whose failure cancelled this job: a retry of that one brings it back
    cause INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    -- CASE and not IN: an IN list is built anew for each inserted row, which halved the speed of adding.
    CHECK (CASE state
        WHEN 'queued' THEN coalesce(token, runner, due_at, finished_at) IS NULL
        WHEN 'running' THEN token IS NOT NULL AND runner IS NOT NULL AND coalesce(due_at, finished_at) IS NULL
        WHEN 'succeeded' THEN finished_at IS NOT NULL AND coalesce(token, runner, due_at) IS NULL
        WHEN 'failed' THEN finished_at IS NOT NULL AND coalesce(token, runner, due_at) IS NULL
        WHEN 'cancelled' THEN finished_at IS NOT NULL AND coalesce(token, runner, due_at) IS NULL
        -- blocked and held jobs remember a time before which they may not start
        WHEN 'scheduled' THEN due_at IS NOT NULL AND coalesce(token, runner, finished_at) IS NULL
            AND (why = 'delay' OR why = 'retry')
        WHEN 'blocked' THEN open_parents > 0 AND coalesce(token, runner, finished_at) IS NULL
        WHEN 'held' THEN coalesce(token, runner, finished_at) IS NULL
        ELSE 0
    END)
) STRICT""",
    # One index for each question that an exchange asks; partial, so that finished jobs cost nothing.
    """
CREATE INDEX jobs_claimable ON jobs (queue, priority DESC, id)
    WHERE state = 'queued' AND kind <> 'payload'""",
    """
CREATE INDEX jobs_claimable_payload ON jobs (queue, priority DESC, id)
    WHERE state = 'queued' AND kind = 'payload'""",
    """
CREATE INDEX jobs_claimable_batch ON jobs (batch, queue, priority DESC, id)
    WHERE state = 'queued' AND batch <> 'default'""",
    "CREATE INDEX jobs_due ON jobs (why, due_at) WHERE state = 'scheduled'",
    "CREATE INDEX jobs_running ON jobs (runner) WHERE state = 'running'",
    "CREATE INDEX jobs_unwanted ON jobs (runner) WHERE cancel_asked <> 0 AND finished_at IS NULL",
    "CREATE INDEX jobs_wide ON jobs (queue, slots) WHERE state = 'queued' AND slots > 1",
    "CREATE INDEX jobs_failed ON jobs (id) WHERE state = 'failed'",
    "CREATE INDEX jobs_batch ON jobs (batch, id) WHERE batch <> 'default'",
    "CREATE INDEX jobs_name ON jobs (name, id) WHERE name IS NOT NULL",
    """
CREATE TABLE attempts (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number >= 1),
    token TEXT NOT NULL,
    runner INTEGER NOT NULL REFERENCES runners (id),
    outcome TEXT NOT NULL CHECK (outcome = 'succeeded' OR outcome = 'failed' OR outcome = 'timed_out'
        OR outcome = 'crashed' OR outcome = 'interrupted' OR outcome = 'cancelled'),
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    seconds REAL NOT NULL,
    cpu_seconds REAL,
    peak_kib INTEGER,
    exit_code INTEGER,
    signal INTEGER,
    error_type TEXT,
    error TEXT,
    traceback TEXT,
    result TEXT,
    leftovers INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID""",
    "CREATE INDEX attempts_runner ON attempts (runner)",
    """
CREATE TABLE outputs (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    stream TEXT NOT NULL CHECK (stream = 'stdout' OR stream = 'stderr'),
    head BLOB NOT NULL,
    tail BLOB NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (job, number, stream)
) STRICT, WITHOUT ROWID""",
    """
CREATE TABLE keys (
    key TEXT PRIMARY KEY,
    job INTEGER NOT NULL,
    added_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    -- how the job ended, where it was removed since
    state TEXT
) STRICT, WITHOUT ROWID""",
    """
CREATE TABLE dependencies (
    child INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    parent INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('after', 'after_any')),
    PRIMARY KEY (child, parent)
) STRICT, WITHOUT ROWID""",
    "CREATE INDEX dependencies_parent ON dependencies (parent)",
    """
CREATE TABLE queues (
    name TEXT PRIMARY KEY,
    paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    running_limit INTEGER CHECK (running_limit >= 0),
    rate REAL CHECK (rate > 0),
    allowance REAL,
    allowance_at INTEGER
) STRICT, WITHOUT ROWID""",
    """
CREATE TABLE counters (
    state TEXT NOT NULL,
    queue TEXT NOT NULL,
    batch TEXT NOT NULL,
    jobs INTEGER NOT NULL CHECK (jobs >= 0),
    PRIMARY KEY (state, queue, batch)
) STRICT, WITHOUT ROWID""",
    """
CREATE VIEW attempt_report AS
SELECT a.job, a.number AS attempt, j.name, j.batch, j.queue, a.outcome, a.exit_code, a.signal,
    a.error_type, a.error, a.traceback, a.result, a.seconds, a.cpu_seconds, a.peak_kib, a.leftovers, a.runner,
    strftime('%Y-%m-%dT%H:%M:%fZ', a.started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', a.finished_at / 1000.0, 'unixepoch') AS finished_at
FROM attempts AS a JOIN jobs AS j ON j.id = a.job""",
    """
CREATE VIEW job_report AS
SELECT j.id, j.name, j.batch, j.queue, j.state, j.why, j.kind,
    CASE j.kind
        WHEN 'argv' THEN (SELECT group_concat(value, ' ') FROM json_each(j.work))
        WHEN 'shell' THEN json_extract(j.work, '$[0]')
        WHEN 'call' THEN json_extract(j.work, '$.call')
        ELSE j.work
    END AS command,
    j.priority, j.attempt, j.failures, j.max_attempts, j.crashes, j.key, j.tags,
    a.outcome, a.exit_code, a.signal, a.error_type, a.error, a.result, a.seconds, a.cpu_seconds, a.peak_kib,
    strftime('%Y-%m-%dT%H:%M:%fZ', j.created_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', j.started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', j.finished_at / 1000.0, 'unixepoch') AS finished_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', j.due_at / 1000.0, 'unixepoch') AS due_at
FROM jobs AS j LEFT JOIN attempts AS a ON a.job = j.id AND a.number = j.attempt""",
    """
CREATE VIEW batch_report AS
SELECT batch, sum(jobs) AS jobs,
    sum(jobs) FILTER (WHERE state = 'succeeded') AS succeeded,
    sum(jobs) FILTER (WHERE state = 'failed') AS failed,
    sum(jobs) FILTER (WHERE state = 'cancelled') AS cancelled,
    sum(jobs) FILTER (WHERE state NOT IN ('succeeded', 'failed', 'cancelled')) AS open
FROM counters GROUP BY batch""",
    """
CREATE VIEW queue_report AS
SELECT c.queue, sum(c.jobs) AS jobs,
    sum(c.jobs) FILTER (WHERE c.state = 'queued') AS queued,
    sum(c.jobs) FILTER (WHERE c.state = 'running') AS running,
    sum(c.jobs) FILTER (WHERE c.state = 'scheduled') AS scheduled,
    coalesce(max(q.paused), 0) AS paused, max(q.running_limit) AS running_limit, max(q.rate) AS rate
FROM counters AS c LEFT JOIN queues AS q ON q.name = c.queue GROUP BY c.queue""",
)
