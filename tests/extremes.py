"""A store with one job of each kind, in which one value is made what batchq never writes; and commands that look and act.

As a program it is a server that has batchq imported and forks for each command: sixty commands in the time of ten.
"""

import importlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from history import FAILED, SUCCEEDED, add, claim, out, play

from batchq.store.file.opening import open_at

_MOST = 2**63 - 1
_NUMBERS = (_MOST, -_MOST - 1, -1, 0, 1 << 40, (1 << 53) + 1)
_TEXTS = ("", "a\0b", "x" * 1_000_000, b"\xff\xfe", "[", "null", "{}", "9" * 40)
VALUES: dict[str, tuple[object, ...]] = {
    "INTEGER": (*_NUMBERS, None), "TEXT": (*_TEXTS, None), "BLOB": (b"", b"\0", b"x" * 1_000_000),
    "REAL": (1e308, float("inf"), float("-inf"), -1.0, 0.0, 5e-324, None), "ANY": (_MOST, "text", None, 1.5),
}  # fmt: skip
BYSTANDERS = (11, 12, 13)  #: jobs that wait, and of which nothing is changed
_ONE = {
    "jobs": "id = 7", "attempts": "job = 2 AND number = 2", "outputs": "job = 2", "queues": "name = 'lim'",
    "runners": "id = 1",
}  # fmt: skip
LIMIT = 60  #: seconds that one command may take on a busy machine


def make(path: Path) -> None:
    """Jobs in each state, and a row in each table."""
    now = int(time.time() * 1000) - 100_000
    with open_at(str(path), create=True) as store:
        add(store, "true", name="a", batch="n", key="k1", tags=["t"], env={"A": "1"})
        play(store, SUCCEEDED._replace(stdout=out(b"ok\n"), result='{"a":1}'), now=now)
        add(store, "false", name="f", batch="n", max_attempts=2, backoff="0s")
        play(store, FAILED._replace(stderr=out(b"no\n")), FAILED, now=now)
        add(store, "true", name="c", after=["f"], batch="n")
        add(store, "true", name="h", hold=True)
        add(store, "true", name="p", max_attempts=3)
        play(store, FAILED, now=now)
        add(store, "true", name="r", timeout="10s", retry_timeout_factor=2.0, stdin="x", umask="022", max_attempts=2)
        claim(store, now=now)
        rules = {"retry_on": ["1"], "no_retry_on": ["2"]}
        add(store, "true", priority=3, name="q1", queue="lim", timeout="10s", retry_timeout_factor=2.0, **rules)
        add(store, "true", queue="rate")
        add(store, "true", after=["q1"])
        add(store, "true", slots=2)
        add(store, "true", "true", "true", batch="m")
        with store.writing() as db:
            db.execute(
                "INSERT INTO queues VALUES ('lim', 0, 2, NULL, NULL, NULL), ('rate', 0, NULL, 5.0, 1.0, ?)", (now,)
            )
            db.execute("INSERT INTO seen VALUES ('queue', 'old'), ('batch', 'old')")
            db.execute("INSERT INTO endings VALUES (2, 0)")
            db.execute(
                "INSERT INTO processes (job, token, pid, born) SELECT 6, token, 999999, 5 FROM jobs WHERE id = 6"
            )
            db.execute("INSERT INTO logs VALUES (2, 1, 'both', ?, NULL)", (os.fsencode(path.parent / "2-1-x.log"),))
            db.execute("UPDATE contexts SET cwd = ?, path = ?", (os.fsencode(path.parent), os.environb[b"PATH"]))
            db.execute("UPDATE adds SET again = '[1]', files = '[\"/f\"]' WHERE id = 4")
            db.execute("INSERT INTO settings VALUES ('retention', '[86400000, [\"succeeded\"], 0, null]')")


def cases(path: Path) -> list[tuple[str, str, object]]:
    """Each column of each table with each of the values."""
    db = sqlite3.connect(path)
    tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT GLOB '_*'"
    found = [
        (table, name, value)
        for (table,) in db.execute(tables).fetchall()
        for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})").fetchall()
        for value in VALUES[kind]
    ]
    db.close()
    return found


def disturb(path: Path, table: str, column: str, value: object) -> bool:
    """Put the value into one row, whatever a CHECK says; whether the type of the column allows it."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA ignore_check_constraints = ON")
    kind = (
        "CAST(? AS TEXT)"
        if isinstance(value, bytes) and column not in ("cwd", "path", "head", "tail", "stdin")
        else "?"
    )
    try:
        return db.execute(f"UPDATE {table} SET {column} = {kind} WHERE {_ONE.get(table, '1')}", (value,)).rowcount > 0
    except sqlite3.IntegrityError:
        return False
    finally:
        db.close()


class Commands:
    """``batchq`` in a folder, by way of the server. ``store`` is put back to the template by ``renew``."""

    def __init__(self, folder: Path) -> None:
        self.store, self._template = folder / "batchq.db", folder / "template"
        make(self._template)
        path = os.pathsep.join(entry for entry in sys.path if entry)
        env = os.environ | {"PYTHONPATH": path, "HOME": str(folder), "BATCHQ_DB": str(self.store), "LANG": "C.UTF-8"}
        self._server = subprocess.Popen(
            [sys.executable, __file__], cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.cases = cases(self._template)

    def renew(self) -> None:
        """Begin again with the store as it was made."""
        for file in self.store.parent.glob("batchq.db*"):
            file.unlink()
        shutil.copy(self._template, self.store)

    def __call__(self, *words: str) -> tuple[int, str]:
        """The exit code of a command, negative for a signal, and what it said on stderr."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(words).encode() + b"\n")
        self._server.stdin.flush()
        code, told = json.loads(self._server.stdout.readline())
        return code, told

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def rows(self, sql: str) -> list[Any]:
        """What the store says to a plain connection."""
        db = sqlite3.connect(self.store)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()


def _serve() -> None:
    from batchq import __main__ as entry

    for module in (
        "cli.keep.doctor",
        "cli.keep.pruning",
        "cli.look.looking",
        "cli.look.showing",
        "cli.change.changing",
        "cli.look.waiting",
        "cli.run.draining",
        "runner.loop",
    ):
        importlib.import_module(f"batchq.{module}")
    told = tempfile.TemporaryFile()
    for line in sys.stdin:
        told.truncate(0)
        told.seek(0)
        child = os.fork()
        if child == 0:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for fd, source in ((0, null), (1, null), (2, told.fileno())):
                os.dup2(source, fd)
            sys.argv = ["batchq", *json.loads(line)]
            entry.main()
        code = _ended(child)
        said = os.pread(told.fileno(), 1 << 20, 0).decode(errors="replace")
        print(json.dumps([code, said]), flush=True)


def _ended(child: int) -> int:
    until = time.monotonic() + LIMIT
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(found[1])


if __name__ == "__main__":
    _serve()
