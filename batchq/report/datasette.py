"""A description of a store for Datasette: private tables hidden, views and their columns explained, canned queries."""

from batchq.store.looking.canned import CANNED, private_tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TIME = "UTC, ISO 8601"
_SECONDS = "in seconds"
_JOB = {
    "name": "name of the job",
    "batch": "label under which the job was added",
    "queue": "queue of the job",
}
_OUTCOME = {
    "outcome": "succeeded, failed, timed_out, crashed, interrupted or cancelled; NULL while it runs",
    "exit_code": "exit code of a command",
    "signal": "number of the signal that killed it",
    "error_type": "type of the exception of a callable",
    "error": "message of the failure",
    "cause": "id and text of the cause; equal for failures with the same reason",
    "result": "what a callable returned, as JSON",
    "seconds": f"how long it took, {_SECONDS}",
    "cpu_seconds": f"time of the processor, {_SECONDS}",
    "host": "the machine that ran it, and which worker there; NULL if it was that of the run",
    "peak_kib": "peak of memory, in KiB; NULL if it is not above that of batchq",
}
_STARTED = {"started_at": f"start; {_TIME}", "finished_at": f"end; {_TIME}"}


#: For each public view: what a row is, the column by which rows are sorted, newest first, and each column
VIEWS: "dict[str, tuple[str, str, dict[str, str]]]" = {
    "job_report": (
        "One row for each job, with the end of its last attempt.",
        "id",
        {
            "id": "number of the job",
            **_JOB,
            "state": "queued, running, scheduled, blocked, held, succeeded, failed or cancelled",
            "why": "why it is in this state",
            "kind": "argv, shell, call or payload",
            "command": "what it runs, to be read",
            "words": "what it runs, exactly: words of a command, as JSON",
            "args": "arguments of a call, as JSON",
            "cwd": "folder in which it runs",
            "priority": "jobs of higher priority start first",
            "attempt": "number of attempts so far",
            "failures": "number of attempts that failed",
            "max_attempts": "number of failed attempts after which the job has failed",
            "crashes": "number of attempts whose runner died",
            "key": "name of the work, by which it is added only once",
            "tags": "labels, as JSON",
            **_OUTCOME,
            "waited": f"from its add to the start of its first attempt, {_SECONDS}",
            "last_line": "last line that its last attempt printed; NULL if it succeeded",
            "created_at": f"when it was added; {_TIME}",
            **_STARTED,
            "due_at": f"when it may start; {_TIME}",
        },
    ),
    "attempt_report": (
        "One row for each attempt that has ended.",
        "job",
        {
            "job": "number of the job",
            "attempt": "number of the attempt",
            **_JOB,
            **_OUTCOME,
            "traceback": "traceback of a callable",
            "leftovers": "number of processes that it left",
            "runner": "the run: id in run_report",
            **_STARTED,
        },
    ),
    "cause_report": (
        "One row for each cause and batch, for jobs that are failed now.",
        "jobs",
        {
            "id": "for 'batchq retry --cause ID'",
            "batch": "label under which the jobs were added",
            "cause": "how the attempts ended, and why",
            "jobs": "number of failed jobs",
            "first_job": "lowest id",
            "last_job": "highest id",
            "first_failed_at": f"first failure; {_TIME}",
            "last_failed_at": f"newest failure; {_TIME}",
        },
    ),
    "output_report": (
        "One row for each stream to which an attempt printed something.",
        "job",
        {
            "job": "number of the job",
            "attempt": "number of the attempt",
            **_JOB,
            "stream": "stdout or stderr",
            "bytes": "how much it printed, in bytes",
            "text": "the last 2,000 bytes",
            "cut": "1 if there was more",
        },
    ),
    "dependency_report": (
        "One row for each job that waits, or waited, for another one.",
        "job",
        {
            "job": "the job that runs after the other one",
            "name": "its name",
            "state": "its state",
            "kind": "after; after_any: whatever the end of the other one; after_failed: only if one of these failed",
            "parent": "the other one",
            "parent_name": "name of the other one",
            "parent_state": "state of the other one",
        },
    ),
    "run_report": (
        "One row for each 'batchq run'.",
        "id",
        {
            "id": "number of the run",
            "state": "running, stopping, ended, or dead",
            "host": "machine",
            "pid": "process",
            "slots": "how many jobs it could run at the same time",
            "selection": "the jobs that it was started for",
            "attempts": "number of attempts",
            **{
                outcome: f"number of attempts that {verb}"
                for outcome, verb in (
                    ("succeeded", "succeeded"),
                    ("failed", "failed"),
                    ("timed_out", "timed out"),
                    ("crashed", "crashed"),
                    ("interrupted", "were interrupted"),
                    ("cancelled", "were cancelled"),
                )
            },
            "seconds": f"how long its attempts took together, {_SECONDS}",
            "started_at": f"start; {_TIME}",
            "ended_at": f"end; {_TIME}",
        },
    ),
    "batch_report": (
        "One row for each batch.",
        "last_added_at",
        {
            "batch": "label under which the jobs were added",
            "jobs": "number of jobs",
            "succeeded": "number of jobs that succeeded",
            "failed": "number of jobs that failed",
            "cancelled": "number of jobs that were cancelled",
            "open": "number of jobs that have not finished",
            "first_added_at": f"when its first job was added; {_TIME}",
            "last_added_at": f"when its newest job was added; {_TIME}",
        },
    ),
    "queue_report": (
        "One row for each queue.",
        "jobs",
        {
            "queue": "name of the queue",
            "jobs": "number of jobs",
            "queued": "number of jobs that may start now",
            "running": "number of jobs that run",
            "scheduled": "number of jobs that wait for their time",
            "paused": "1 if it is paused",
            "running_limit": "how many of its jobs may run at the same time",
            "rate": "how many of its jobs may start in a second",
        },
    ),
}


def metadata(database: str) -> "dict[str, Any]":
    """Return the metadata of a store that Datasette shows under the name ``database``."""
    tables: dict[str, Any] = {name: {"hidden": True} for name in private_tables()}
    for name, (description, order, columns) in VIEWS.items():
        tables[name] = {"description": description, "sort_desc": order, "columns": columns}
    queries = {one.name: {"title": one.title, "description": one.description, "sql": one.sql.strip()} for one in CANNED}
    return {"databases": {database: {"description": "A batchq store", "tables": tables, "queries": queries}}}
