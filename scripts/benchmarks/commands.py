"""What running commands costs: ``true``, again and again, four at a time."""

import shutil
import sys
from pathlib import Path

import stores
import tables
from measure import BATCHQ, LOOPS, Process, peak_memory, rounds

JOBS = 2_000
SLOTS = 4


def commands(scratch: Path, count: int) -> None:
    """``batchq run`` beside what starts processes without keeping a record of them."""
    path, lines = scratch / "commands.db", scratch / "numbers"
    lines.write_text("".join(f"{number}\n" for number in range(JOBS)))
    argv = stores.make(scratch / "argv.db", [{"command": ["true"]}] * JOBS)
    shell = stores.make(scratch / "shell.db", [{"command": "true"}] * JOBS)
    run = [BATCHQ, "run", "--db", str(path), "-j", str(SLOTS)]
    variants = {
        "os.posix_spawn, wait": Process([sys.executable, LOOPS, "spawn", str(JOBS), str(SLOTS)]),
        "batchq run": Process(run, stores.copier(argv, path)),
        f"xargs -P{SLOTS} true": Process(["xargs", f"-P{SLOTS}", "-n1", "true"], stdin=lines),
        "batchq run, shell strings": Process(run, stores.copier(shell, path)),
        f"xargs -P{SLOTS} sh -c true": Process(["xargs", f"-P{SLOTS}", "-n1", "sh", "-c", "true"], stdin=lines),
    }
    if parallel := shutil.which("parallel"):
        log = scratch / "joblog"
        variants["parallel --joblog"] = Process(
            [parallel, f"-j{SLOTS}", "--joblog", str(log), "true"], lambda: log.unlink(missing_ok=True), lines
        )
    times = rounds(variants, count)
    spawn, xargs = times["os.posix_spawn, wait"], times[f"xargs -P{SLOTS} true"]
    tables.show(
        f"COMMANDS: {JOBS:,} × true, {SLOTS} at a time, {count} rounds",
        ("how", "ms", "jobs/s", "speed × posix_spawn", "speed × xargs", "peak MiB"),
        [
            (
                name,
                tables.milliseconds(taken),
                tables.rate(JOBS, taken),
                tables.speed(taken, spawn),
                tables.speed(taken, xargs),
                tables.memory(peak_memory(variants[name])),
            )
            for name, taken in times.items()
        ],
    )
    if not parallel:
        print("(GNU parallel is not installed)")
