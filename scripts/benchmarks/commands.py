"""What running commands costs: ``true``, again and again, four at a time."""

import shutil
import sys
from pathlib import Path

import stores
from comparison import compare
from measure import BATCHQ, LOOPS, Process

JOBS = 2_000
SLOTS = 4


def commands(scratch: Path, count: int) -> None:
    """``batchq run`` beside what starts processes without keeping a record of them, and beside one that keeps one."""
    compare(
        f"COMMANDS: {JOBS:,} × true, {SLOTS} at a time",
        JOBS,
        lambda jobs: _programs(scratch, jobs),
        {"spawn": "os.posix_spawn, wait", "xargs": f"xargs -P{SLOTS} true", "parallel": "parallel --joblog"},
        count,
    )
    if not shutil.which("parallel"):
        print("(GNU parallel is not installed)")


def _programs(scratch: Path, jobs: int) -> dict[str, Process]:
    path, lines = scratch / "commands.db", scratch / f"numbers-{jobs}"
    lines.write_text("".join(f"{number}\n" for number in range(jobs)))
    argv = stores.make(scratch / f"argv-{jobs}.db", [{"command": ["true"]}] * jobs)
    shell = stores.make(scratch / f"shell-{jobs}.db", [{"command": "true"}] * jobs)
    plain = stores.make(scratch / f"plain-{jobs}.db", [{"command": "/bin/true"}] * jobs)
    run = [BATCHQ, "run", "--db", str(path), "-j", str(SLOTS)]
    programs = {
        "os.posix_spawn, wait": Process([sys.executable, LOOPS, "spawn", str(jobs), str(SLOTS)]),
        "batchq run": Process(run, stores.copier(argv, path)),
        f"xargs -P{SLOTS} true": Process(["xargs", f"-P{SLOTS}", "-n1", "true"], stdin=lines),
        "batchq run, shell strings": Process(run, stores.copier(shell, path)),
        "batchq run, shell strings of plain words": Process(run, stores.copier(plain, path)),
        f"xargs -P{SLOTS} sh -c true": Process(["xargs", f"-P{SLOTS}", "-n1", "sh", "-c", "true"], stdin=lines),
    }
    if parallel := shutil.which("parallel"):
        log = scratch / "joblog"
        programs["parallel --joblog"] = Process(
            [parallel, f"-j{SLOTS}", "--joblog", str(log), "true"], lambda: log.unlink(missing_ok=True), lines
        )
    return programs
