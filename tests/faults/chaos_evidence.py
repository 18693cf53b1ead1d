"""What there is to judge a round of chaos by: the lines that jobs left, the store as sqlite3 reads it from outside, what
batchq says of itself, and who is left in /proc. Nothing of batchq is imported here."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from chaos_jobs import Job

OVER = ("succeeded", "failed", "cancelled")


class Line(NamedTuple):
    """What a job wrote when it began or ended, or when a lock was taken that it was to have: ``overlap``, ``exceeded``."""

    what: str
    job: int
    attempt: int
    name: str
    token: str
    queue: str
    key: str
    at: float  #: seconds since the machine started
    code: int


class Attempt(NamedTuple):
    """What the store says of an attempt."""

    outcome: str
    token: str
    result: str | None
    stdout: bytes


class Ended(NamedTuple):
    """A command that has ended."""

    words: tuple[str, ...]
    code: int
    told: str


class Evidence(NamedTuple):
    """All that is known of a round when everything has come to an end."""

    lines: list[Line]
    before_release: int  #: so many of the lines had been written when no job had been released yet
    states: dict[int, str]  #: by id, of the jobs that were not pruned
    names: dict[int, str]
    attempts: dict[tuple[int, int], Attempt]
    planned: dict[str, Job]
    acknowledged: set[int]
    hurt: set[int]  #: jobs of which chaos has killed a process
    cancelled: set[int]
    retried: set[int]
    stuck: dict[int, str]  #: what no number of runs has ended
    commands: list[Ended]
    processes: list[str]
    reported: dict[str, Any]
    listed: dict[int, str]
    doctor: Ended
    began: float  #: when the round began, in seconds since the machine started
    kills: int


def lines(folder: Path) -> list[Line]:
    """What the jobs have written, in the order in which they did."""
    path = folder / "effects"
    words = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [
        Line(what, int(job), int(attempt), name, token, queue, key, float(at), int(code))
        for what, job, attempt, name, token, queue, key, at, code in words
    ]


def read(store: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the store, over a connection that can change nothing."""
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True, timeout=60)) as db:
        return db.execute(sql).fetchall()


def attempts(store: Path) -> dict[tuple[int, int], Attempt]:
    """Every attempt on record."""
    rows = read(
        store,
        "SELECT a.job, a.number, a.outcome, a.token, a.result, o.head FROM attempts AS a LEFT JOIN outputs AS o"
        " ON o.job = a.job AND o.number = a.number AND o.stream = 'stdout'",
    )
    return {
        (job, number): Attempt(outcome, token, result, head or b"")
        for job, number, outcome, token, result, head in rows
    }


def processes(folder: Path) -> list[str]:
    """Who works in the folder, or says in its environment that it belongs to its store."""
    cookie = b"BATCHQ_DB=" + os.fsencode(folder / "batchq.db") + b"\0"
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X"):
                continue
            here = (entry / "cwd").readlink().is_relative_to(folder)
            if here or cookie in (entry / "environ").read_bytes():
                found.append(f"{entry.name}: {(entry / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}")
        except OSError:
            continue
    return found
