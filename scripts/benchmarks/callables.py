"""What running Python callables costs: a function that does nothing, again and again, in two worker processes."""

import sys
from importlib.util import find_spec
from pathlib import Path

import stores
from comparison import compare
from measure import BATCHQ, LOOPS, Process

JOBS = 20_000
WORKERS = 2


def callables(scratch: Path, count: int) -> None:
    """``batchq run`` beside a pool that keeps no record, and beside another queue in SQLite."""
    compare(
        f"CALLABLES: {JOBS:,} × a function that does nothing, {WORKERS} workers",
        JOBS,
        lambda jobs: _programs(scratch, jobs),
        {"pool": "ProcessPoolExecutor.map", "huey": "huey, SqliteHuey"},
        count,
    )
    if not find_spec("huey"):
        print("(huey is not installed in .venv)")


def _programs(scratch: Path, jobs: int) -> dict[str, Process]:
    path, sizes = scratch / "callables.db", [str(jobs), str(WORKERS)]
    work = [{"call": "loops:nothing", "args": {"number": number}} for number in range(jobs)]
    template = stores.make(scratch / f"calls-{jobs}.db", work, cwd=str(Path(LOOPS).parent))
    programs = {
        "ProcessPoolExecutor.map": Process([sys.executable, LOOPS, "pool", *sizes]),
        "batchq run": Process([BATCHQ, "run", "--db", str(path), "-j", str(WORKERS)], stores.copier(template, path)),
    }
    if find_spec("huey"):
        huey = scratch / "huey.db"
        Process([sys.executable, LOOPS, "huey-fill", *sizes, str(huey)]).run()
        filled = huey.rename(scratch / f"huey-{jobs}.db")
        programs["huey, SqliteHuey"] = Process(
            [sys.executable, LOOPS, "huey-drain", *sizes, str(huey)], stores.copier(filled, huey)
        )
    return programs
