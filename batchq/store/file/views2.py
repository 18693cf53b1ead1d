"""The public views of the second schema. Their columns are stable; docs/views.md describes them."""

_SIGN = "char(unicode(CAST(substr(data, at, 4) AS TEXT)))"
_IS_HERE = f"instr(substr(data, at, 4), CAST({_SIGN} AS BLOB)) = 1"


def _text(source: str) -> str:
    """Decode the bytes that ``source`` selects as ``data``.

    A job prints bytes, and most readers refuse text that is not UTF-8. So the bytes are decoded character by character,
    and each one that belongs to none becomes U+FFFD. Plain ASCII, the usual case, is passed through.
    """
    return f"""(WITH kept (data) AS MATERIALIZED ({source} LIMIT 1)
        SELECT iif(instr(data, x'00') OR CAST(data AS TEXT) GLOB '*[^' || char(1) || '-~]*',
            (WITH RECURSIVE read (at, text) AS (
                SELECT 1, ''
                UNION ALL
                SELECT at + iif({_IS_HERE}, length(CAST({_SIGN} AS BLOB)), 1),
                    text || iif({_IS_HERE}, {_SIGN}, char(65533))
                FROM read WHERE at <= length(data)
            ) SELECT text FROM read WHERE at > length(data)),
            CAST(data AS TEXT)) FROM kept)"""


def _end_of(size: int) -> str:
    """Select the last bytes that were kept of a row of ``outputs``."""
    return f"substr(CAST(substr(o.head, -{size}) || o.tail AS BLOB), -{size}) AS data"


def _time(column: str, name: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000.0, 'unixepoch') AS {name}"


_LAST_PRINTED = f"""SELECT {_end_of(200)} FROM outputs AS o
    WHERE o.job = j.id AND o.number = j.attempt ORDER BY o.stream"""  # stderr comes before stdout
_LAST_LINE = f"""(WITH printed (text) AS MATERIALIZED (SELECT rtrim({_text(_LAST_PRINTED)}, char(9, 10, 13, 32)))
    SELECT ltrim(replace(text, rtrim(text, replace(text, char(10), '')), '')) FROM printed)"""


def _added(order: str) -> str:
    """When the first (``ASC``) or the newest job of a batch was added; the index leaves the default batch out."""
    among = "SELECT created_at FROM jobs WHERE batch = c.batch"
    return f"""iif(c.batch = 'default', ({among} ORDER BY id {order} LIMIT 1),
        ({among} AND batch <> 'default' ORDER BY id {order} LIMIT 1))"""


VIEWS = (
    f"""
CREATE VIEW attempt_report AS
SELECT a.job, a.number AS attempt, j.name, j.batch, j.queue, a.outcome, a.exit_code, a.signal,
    a.error_type, a.error, a.traceback, a.cause, a.result, a.seconds, a.cpu_seconds, a.peak_kib, a.leftovers, a.runner,
    a.host,
    {_time("a.started_at", "started_at")},
    {_time("a.finished_at", "finished_at")}
FROM attempts AS a JOIN jobs AS j ON j.id = a.job""",
    f"""
CREATE VIEW job_report AS
SELECT j.id, j.name, j.batch, j.queue, j.state, j.why, j.kind,
    CASE j.kind
        WHEN 'argv' THEN (SELECT group_concat(value, ' ') FROM json_each(j.work))
        WHEN 'shell' THEN json_extract(j.work, '$[0]')
        WHEN 'call' THEN json_extract(j.work, '$.call')
        ELSE j.work
    END AS command,
    CASE WHEN j.kind = 'argv' OR j.kind = 'shell' THEN j.work END AS words,
    CASE j.kind WHEN 'call' THEN json_extract(j.work, '$.args') END AS args,
    {_text("SELECT c.cwd AS data FROM contexts AS c WHERE c.id = j.context")} AS cwd,
    j.priority, j.attempt, j.failures, j.max_attempts, j.crashes, j.key, j.tags,
    a.outcome, a.exit_code, a.signal, a.error_type, a.error, a.cause, a.result, a.seconds, a.cpu_seconds, a.peak_kib,
    a.host,
    max(0, coalesce((SELECT min(f.started_at) FROM attempts AS f WHERE f.job = j.id), j.started_at) - j.created_at) / 1000.0
        AS waited,
    CASE WHEN j.state <> 'succeeded' THEN {_LAST_LINE} END AS last_line,
    {_time("j.created_at", "created_at")},
    {_time("j.started_at", "started_at")},
    {_time("j.finished_at", "finished_at")},
    {_time("j.due_at", "due_at")}
FROM jobs AS j LEFT JOIN attempts AS a ON a.job = j.id AND a.number = j.attempt""",
    f"""
CREATE VIEW cause_report AS
SELECT substr(a.cause, 1, 8) AS id, j.batch, a.cause, count(*) AS jobs,
    min(j.id) AS first_job, max(j.id) AS last_job,
    {_time("min(a.finished_at)", "first_failed_at")},
    {_time("max(a.finished_at)", "last_failed_at")}
FROM jobs AS j JOIN attempts AS a ON a.job = j.id AND a.number = j.attempt
WHERE j.state = 'failed' GROUP BY a.cause, j.batch""",
    f"""
CREATE VIEW output_report AS
SELECT o.job, o.number AS attempt, j.name, j.batch, j.queue, o.stream, o.total AS bytes,
    {_text(f"SELECT {_end_of(2000)}")} AS text,
    o.total > 2000 AS cut
FROM outputs AS o JOIN jobs AS j ON j.id = o.job""",
    """
CREATE VIEW dependency_report AS
SELECT d.child AS job, c.name, c.state, d.kind, d.parent, p.name AS parent_name, p.state AS parent_state
FROM dependencies AS d JOIN jobs AS c ON c.id = d.child JOIN jobs AS p ON p.id = d.parent""",
    f"""
CREATE VIEW run_report AS
SELECT r.id, r.state, r.host, r.pid, r.slots, r.selection, count(a.job) AS attempts,
    count(*) FILTER (WHERE a.outcome = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE a.outcome = 'failed') AS failed,
    count(*) FILTER (WHERE a.outcome = 'timed_out') AS timed_out,
    count(*) FILTER (WHERE a.outcome = 'crashed') AS crashed,
    count(*) FILTER (WHERE a.outcome = 'interrupted') AS interrupted,
    count(*) FILTER (WHERE a.outcome = 'cancelled') AS cancelled,
    total(a.seconds) AS seconds,
    {_time("r.started_at", "started_at")},
    {_time("r.ended_at", "ended_at")}
FROM runners AS r LEFT JOIN attempts AS a ON a.runner = r.id GROUP BY r.id""",
    f"""
CREATE VIEW batch_report AS
SELECT c.batch, sum(c.jobs) AS jobs,
    sum(iif(c.state = 'succeeded', c.jobs, 0)) AS succeeded,
    sum(iif(c.state = 'failed', c.jobs, 0)) AS failed,
    sum(iif(c.state = 'cancelled', c.jobs, 0)) AS cancelled,
    sum(iif(c.state IN ('succeeded', 'failed', 'cancelled'), 0, c.jobs)) AS open,
    {_time(_added("ASC"), "first_added_at")},
    {_time(_added("DESC"), "last_added_at")}
FROM counters AS c GROUP BY c.batch""",
    """
CREATE VIEW queue_report AS
SELECT c.queue, sum(c.jobs) AS jobs,
    sum(iif(c.state = 'queued', c.jobs, 0)) AS queued,
    sum(iif(c.state = 'running', c.jobs, 0)) AS running,
    sum(iif(c.state = 'scheduled', c.jobs, 0)) AS scheduled,
    coalesce(max(q.paused), 0) AS paused, max(q.running_limit) AS running_limit, max(q.rate) AS rate
FROM counters AS c LEFT JOIN queues AS q ON q.name = c.queue GROUP BY c.queue""",
)
