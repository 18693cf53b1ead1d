"""Jobs that note each start and each overlap, whoever runs them where."""

import os
import shlex
from contextlib import suppress
from pathlib import Path

from scene import Scene

#: Notes its start, and whether another attempt of the same job is at work; then waits at a gate of its own.
JOB = """\
exec 9>>{folder}/lock-$BATCHQ_JOB_ID
flock -n 9 || echo $BATCHQ_JOB_ID >> {folder}/overlaps
echo $$ > {folder}/pid-$BATCHQ_JOB_ID
echo $BATCHQ_JOB_ID $BATCHQ_ATTEMPT >> {folder}/starts
mkfifo {folder}/gate-$BATCHQ_JOB_ID 2>/dev/null
test -e {folder}/may-end || : < {folder}/gate-$BATCHQ_JOB_ID
"""

#: The timeout of a job that has begun, and whose line is stopped, before it has passed: on a busy machine, too.
NOT_AT_ONCE = "3s"


def add_waiting(scene: Scene, jobs: int, **fields: object) -> None:
    """Add jobs that wait until ``let_end``."""
    script = JOB.format(folder=shlex.quote(str(scene.folder)))
    scene.add(*[{"command": script, **fields}] * jobs)


def starts(scene: Scene) -> list[str]:
    path = scene.folder / "starts"
    return path.read_text().splitlines() if path.exists() else []


def process_of(scene: Scene, job: int) -> int:
    """The process of the newest attempt of a job."""
    return int((scene.folder / f"pid-{job}").read_text())


def parents_of(pid: int) -> list[int]:
    """The processes above one, nearest first."""
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def wrong_starts(scene: Scene) -> set[str]:
    """What the jobs themselves noted."""
    found = set()
    if (scene.folder / "overlaps").exists():
        found.add("two attempts of a job at once")
    if len(set(starts(scene))) < len(starts(scene)):
        found.add("an attempt that began twice")
    return found


def assert_none_overlapped(scene: Scene) -> None:
    assert not (scene.folder / "overlaps").exists()
    assert len(set(starts(scene))) == len(starts(scene)), "no attempt begins twice"


def let_end(scene: Scene, *jobs: int) -> None:
    """Let these jobs end, or all."""
    if not jobs:
        (scene.folder / "may-end").touch()  # first: a job makes its gate, and looks for this before it waits there
    gates = [scene.folder / f"gate-{job}" for job in jobs] or [*scene.folder.glob("gate-*")]
    for gate in gates:
        with suppress(FileExistsError):
            os.mkfifo(gate)
        scene.open_gate(gate)
