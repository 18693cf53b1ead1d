"""Real jobs fail in real ways, and the store has the cause of each."""

import json
import sqlite3
from contextlib import closing

from conftest import Shell

MINE = """\
import os, signal

def total(row):
    return row["price"]

def vanish(n):
    os.kill(os.getpid(), signal.SIGKILL)
"""
SCRIPT = "import sys\ndef load(path):\n    return open(path)\nload(sys.argv[1])\n"
JOBS: list[tuple[dict[str, object], str]] = [
    ({"command": 'echo "error: no lease on shard 17" >&2; exit 3'}, "exit 3 | error: no lease on shard …"),
    ({"command": 'echo "error: no lease on shard 4711" >&2; exit 3'}, "exit 3 | error: no lease on shard …"),
    ({"command": ["no-such-program-17"]}, "exception | NoSuchProgram | "),
    ({"command": ["sleep", "60"], "timeout": "100ms"}, "timed out | sleep"),
    ({"command": ["sh", "-c", "kill -9 $$"]}, "killed by SIGKILL | sh -c"),
    ({"command": ["false"]}, "exit 1 | false"),
    (
        {"command": ["python3", "load.py", "a17.csv"]},
        "exception | FileNotFoundError | load.py(load): return open(path) | ",
    ),
    (
        {"call": "mine:total", "args": {"row": {"n": 1}}},
        'exception | KeyError | mine.py(total): return row["price"] | ',
    ),
    (
        {"call": "mine:total", "args": {"row": {"n": 2}}},
        'exception | KeyError | mine.py(total): return row["price"] | ',
    ),
    ({"call": "mine:vanish", "args": {"n": 1}, "max_crashes": 1}, "crashed | WorkerDied | "),
    ({"command": ["true"]}, ""),
]


def test_real_failures_have_their_causes(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text(MINE)
    (batchq.folder / "load.py").write_text(SCRIPT)
    batchq("add", "-q", "--format", "jsonl", "-", stdin="".join(json.dumps(job) + "\n" for job, _ in JOBS))

    batchq("run", "-q", "-j", "2", code=1)

    with closing(sqlite3.connect(batchq.folder / "batchq.db")) as db:
        stored = [cause for (cause,) in db.execute("SELECT cause FROM job_report ORDER BY id")]
    for (job, expected), cause in zip(JOBS, stored, strict=True):
        assert (cause or "")[9:].startswith(expected), (job, cause)
    assert stored[-1] is None
    assert stored[0] == stored[1]
    assert stored[7] == stored[8]
