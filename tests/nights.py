"""Nights of any size for reports: jobs that ran and failed for a few reasons, written by SQL, because to run them would
take hours."""

from history import NOW, a_runner, add

from batchq.jobs.causes.evidence import Evidence
from batchq.jobs.causes.signature import signature
from batchq.store.file.connection import Store

_FRAMES = """Traceback (most recent call last):
  File "/srv/shop/{file}", line {line}, in {function}
    {source}
"""
_LIBRARY = """  File "/usr/lib/python3.11/urllib/request.py", line 1348, in do_open
    raise URLError(err)
           ^^^^^^^^^^^^
"""
#: Of 100 failures: how many, the type, the message (``{n}`` is the job), the traceback or what was printed
KINDS = (
    (
        *(50, "URLError", "<urlopen error [Errno 111] Connection refused>"),
        _FRAMES.format(file="fetch.py", line=10, function="page", source="with urlopen(url) as answer:") + _LIBRARY,
    ),
    (
        *(26, "KeyError", "'price'"),
        _FRAMES.format(file="work.py", line=14, function="total", source='return row["price"]'),
    ),
    (14, None, None, "reading part {n}\nerror: checksum mismatch in part {n}\n"),
    (7, None, None, "error: no lease on shard {n}\n"),
    (3, None, None, "Killed\n"),
)


def a_large_night(store: Store, jobs: int, *, every: int = 33, batch: str = "night") -> tuple[int, int]:
    """Add a night of so many jobs, of which one in ``every`` failed, and one in 300 succeeded after a retry.

    Returns its first and last id.
    """
    (first,) = add(store, "make part 0", batch=batch, name="part-0", max_attempts=2)
    runner = a_runner(store).id
    last = first + jobs - 1
    kinds = [number for number, (share, *_) in enumerate(KINDS) for _ in range(share)]
    with store.writing() as db:
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(jobs)") if name not in ("id", "name", "work")]
        listed = ", ".join(columns)
        db.execute(
            f"INSERT INTO jobs (id, name, work, {listed}) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            f" WHERE i + 1 < ?) SELECT ? + i, 'part-' || i, json_array('make part ' || i), {listed} FROM n, jobs"
            " WHERE jobs.id = ? AND ? > 1",
            (jobs, first, first, jobs),
        )
        mine = f"id BETWEEN {first} AND {last}"
        db.execute(f"UPDATE jobs SET queue = iif(id % 4, 'cpu', 'net') WHERE {mine}")
        db.execute(
            f"UPDATE jobs SET state = iif((id - {first}) % {every} = 7, 'failed', 'succeeded'),"
            " attempt = 1 + (id % 300 = 0),"
            f" started_at = {NOW} + (id - {first}) * 2, finished_at = {NOW} + (id - {first}) * 2 + id % 97 WHERE {mine}"
        )
        db.execute(
            "INSERT INTO attempts (job, number, token, runner, outcome, started_at, finished_at, seconds, cpu_seconds,"
            f" exit_code) SELECT id, attempt, id, {runner}, 'succeeded', started_at, finished_at, (id % 97) / 1000.0,"
            f" 0.001, 0 FROM jobs WHERE {mine} AND state = 'succeeded'"
        )
        db.execute(
            "INSERT INTO attempts (job, number, token, runner, outcome, started_at, finished_at, seconds, exit_code)"
            f" SELECT id, 1, id || 'a', {runner}, 'failed', started_at, started_at, 0.0, 3 FROM jobs"
            f" WHERE {mine} AND attempt = 2 AND state = 'succeeded'"
        )
        failed = db.execute(f"SELECT id, attempt, started_at, finished_at FROM jobs WHERE {mine} AND state = 'failed'")
        for place, (job, attempt, started, finished) in enumerate(failed.fetchall()):
            _, kind, said, text = KINDS[kinds[place * 37 % 100]]
            signal, trace = (9, None) if text == "Killed\n" else (None, f"{text}{kind}: {said}\n" if kind else None)
            printed = "" if kind else text.format(n=job)
            code = None if kind or signal else 3
            evidence = Evidence("failed", code, signal, kind, said, trace, printed, "", "sh -c")
            row = (signature(evidence).cause, code, signal, kind, said, trace)
            for number in range(1, attempt + 1):
                db.execute(
                    "INSERT INTO attempts (job, number, token, runner, outcome, started_at, finished_at, seconds, cause,"
                    f" exit_code, signal, error_type, error, traceback) VALUES (?, ?, ?, {runner}, 'failed', ?, ?, ?,"
                    " ?, ?, ?, ?, ?, ?)",
                    (job, number, f"{job}-{number}", started, finished, (finished - started) / 1000, *row),
                )
            if printed:
                db.execute(
                    "INSERT INTO outputs VALUES (?, ?, 'stderr', ?, x'', ?, NULL)",
                    (job, attempt, printed.encode(), len(printed)),
                )
        db.execute("UPDATE settings SET value = ? WHERE name = 'last_job'", (last,))
        db.execute("UPDATE adds SET jobs = ? WHERE first = ?", (jobs, first))
        db.execute("DELETE FROM counters")
        db.execute("INSERT INTO counters SELECT state, queue, batch, count(*) FROM jobs GROUP BY state, queue, batch")
    return first, last
