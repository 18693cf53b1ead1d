"""Other processes that use a store at the same time, and places on disk that are not as they should be."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Shell

from batchq.store.file.locks import sidecar

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


@contextmanager
def another(code: str, *arguments: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that runs ``code``; the block begins when it has called ``ready()``.

    It lives until the block ends, or until it comes back from ``wait()``, which ``end`` makes it do.
    """
    head = (
        "import sys\n"
        "def ready(): print('ready', flush=True)\n"
        "def wait(): ready(); sys.stdin.read()\n"
        "path = sys.argv[1] if len(sys.argv) > 1 else ''\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.wait()
            yield process
        finally:
            process.kill()


def end(process: "subprocess.Popen[str]") -> int:
    """Let a process come back from ``wait()``; its exit code."""
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(timeout=60)


def die(code: str, *arguments: str | Path) -> None:
    """Run ``code`` in another process that kills itself at its end, and so closes nothing."""
    script = f"import os, sys\npath = sys.argv[1]\n{textwrap.dedent(code)}\nos.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], env=ENVIRONMENT, check=False)
    assert done.returncode == -9


FOREIGN_WRITER = """
    import sqlite3
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    wait()
"""
FOREIGN_READER = """
    import sqlite3
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM jobs").fetchall()
    wait()
"""
EXCLUSIVE = """
    import sqlite3
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE settings SET value = value WHERE name = 'last_job'")
    db.execute("COMMIT")
    wait()
"""
MUTEX_HOLDER = """
    from batchq.store.file.locks import LockFile
    lock = LockFile(path)
    lock.acquire_mutex(10)
    wait()
    lock.release_mutex()
"""
CRASHED_WRITER = """
    from batchq.store.file.opening import open_at
    from history import add
    store = open_at(path)
    add(store, "acknowledged")
"""


def _can_mount() -> bool:
    program = shutil.which("unshare")
    return (
        program is not None
        and not subprocess.run(
            [program, "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
        ).returncode
    )


needs_mounts = pytest.mark.skipif(not _can_mount(), reason="needs unshare(1) and user namespaces")


def in_a_namespace(shell: Shell, script: str) -> str:
    """Run a shell script that may mount; ``batchq`` is the command, and ``rc`` runs it and prints its exit code."""
    functions = (
        f'python="{sys.executable}"\n'
        'batchq() { "$python" -m batchq "$@"; }\n'
        'rc() { batchq "$@" && echo "exit 0" || echo "exit $?"; }\n'
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-euc", functions + textwrap.dedent(script)],
        cwd=shell.folder, env=shell.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


def someone_waits_for(path: Path) -> bool:
    """Whether a process waits for the mutex of a store."""
    inode = f":{Path(sidecar(str(path))).stat().st_ino} "
    return any("-> OFDLCK" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())
