"""A scene whose runs use the pools of ``pools.py``, and the processes between a run and a job at a pool.

(A plugin: PYTEST_DONT_REWRITE.)
"""

from pathlib import Path

import pytest
from scene import Scene

#: In the workers of a pool: what begins an attempt does not notice that it has begun.
UNFENCED = """\
from batchq.executors.afar.fence import Fence
Fence.begin = lambda self, token, host='': True
"""


@pytest.fixture
def pools(scene: Scene) -> Scene:
    """A scene with factories of pools in its folder, which jobs and runs import."""
    for name in ("pools.py", "alone.py"):
        (scene.folder / name).write_text((Path(__file__).parent / name).read_text())
    (scene.folder / "unfenced").mkdir()
    (scene.folder / "unfenced" / "sitecustomize.py").write_text(UNFENCED)
    return scene


def worker_of_a_job(scene: Scene, job: int = 1) -> int:
    """The worker of the pool above a job: job, site, guardian, worker."""
    pid = int((scene.folder / f"pid-{job}").read_text())
    for _ in range(3):
        pid = parent_of(pid)
    return pid


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def bridge_above(pid: int) -> int:
    """The bridge above a worker of a pool; of a pool of threads it is the worker."""
    above = [pid]
    while above[-1] > 1:
        above.append(parent_of(above[-1]))
    # Its guardian is the highest with these words, and what it has forked has them, too.
    words = [Path(f"/proc/{one}/cmdline").read_bytes() if one > 1 else b"" for one in above]
    return above[max(number for number, one in enumerate(words) if b"executors.afar.site" in one) - 1]
