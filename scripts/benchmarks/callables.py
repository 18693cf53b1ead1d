"""What running Python callables costs: a function that does nothing, again and again, in two worker processes."""

import sys
from importlib.util import find_spec
from pathlib import Path

import stores
import tables
from measure import BATCHQ, LOOPS, Process, peak_memory, rounds

JOBS = 20_000
WORKERS = 2


def callables(scratch: Path, count: int) -> None:
    """``batchq run`` beside a pool that keeps no record, and beside another queue in SQLite."""
    path, huey = scratch / "callables.db", scratch / "huey.db"
    jobs = [{"call": "loops:nothing", "args": {"number": number}} for number in range(JOBS)]
    template = stores.make(scratch / "calls.db", jobs, cwd=str(Path(LOOPS).parent))
    sizes = [str(JOBS), str(WORKERS)]
    variants = {
        "ProcessPoolExecutor.map": Process([sys.executable, LOOPS, "pool", *sizes]),
        "batchq run": Process([BATCHQ, "run", "--db", str(path), "-j", str(WORKERS)], stores.copier(template, path)),
    }
    if find_spec("huey"):
        fill = Process([sys.executable, LOOPS, "huey-fill", *sizes, str(huey)])
        fill.run()
        filled = huey.rename(scratch / "huey-filled.db")
        variants["huey, SqliteHuey"] = Process(
            [sys.executable, LOOPS, "huey-drain", *sizes, str(huey)], stores.copier(filled, huey)
        )
    times = rounds(variants, count)
    pool = times["ProcessPoolExecutor.map"]
    tables.show(
        f"CALLABLES: {JOBS:,} × a function that does nothing, {WORKERS} workers, {count} rounds",
        ("how", "ms", "jobs/s", "speed × pool", "peak MiB"),
        [
            (
                name,
                tables.milliseconds(taken),
                tables.rate(JOBS, taken),
                tables.speed(taken, pool),
                tables.memory(peak_memory(variants[name])),
            )
            for name, taken in times.items()
        ],
    )
    if not find_spec("huey"):
        print("(huey is not installed in .venv)")
