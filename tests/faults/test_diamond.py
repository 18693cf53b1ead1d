"""S18: one job, many after it, one after all of these, and some of them fail: effects in order, and all jobs over."""

import json
import time
from collections import Counter

import sizes
from conftest import Shell
from figures import record
from fleet import Fleet, rows

pytest_plugins = ("figures",)

NOTE = 'echo "$BATCHQ_JOB_ID $BATCHQ_ATTEMPT" >> effects'
ONCE_BAD = f"{NOTE}; [ $BATCHQ_ATTEMPT -gt 1 ]"  #: succeeds with its second attempt
BAD = f"{NOTE}; [ -e mended ]"  #: fails until somebody has mended it


def diamond(width: int) -> tuple[list[dict[str, object]], set[int], set[int]]:
    """The jobs from the first to the last two, and the numbers of those that fail once, and each time."""
    chosen = sizes.chance("diamond").sample(range(2, width + 2), width // 20)
    once, always = set(chosen[: len(chosen) // 2]), set(chosen[len(chosen) // 2 :])
    jobs: list[dict[str, object]] = [{"command": NOTE, "name": "first"}]
    for number in range(2, width + 2):
        command = ONCE_BAD if number in once else BAD if number in always else NOTE
        tries = {"max_attempts": 2, "backoff": "1ms"} if number in once else {}
        jobs.append({"command": command, "name": "middle", "after": ["first"]} | tries)
    jobs.append({"command": NOTE, "name": "all is well", "after": ["middle"]})
    jobs.append({"command": NOTE, "name": "all is over", "after_any": ["middle"]})
    return jobs, once, always


def test_a_diamond_with_failures_runs_in_order_and_its_retry_too(batchq: Shell) -> None:
    width = sizes.DIAMOND
    jobs, once, always = diamond(width)
    well, over = width + 2, width + 3
    began = time.monotonic()
    batchq("add", "-q", "--format", "jsonl", "-", stdin="\n".join(map(json.dumps, jobs)))
    added = time.monotonic()
    with Fleet(batchq) as fleet:
        fleet.start("-q")
        fleet.start("-q")
        codes = fleet.wait_for_all(1200)
    ran = time.monotonic()

    effects = read(batchq)
    record("S18 diamond", len(effects), "attempts", 0, jobs=width + 3, added_in=f"{added - began:.2f} s",
           run_in=f"{ran - added:.1f} s")  # fmt: skip
    assert 1 in codes
    assert states(batchq) == {"succeeded": width + 2 - len(always), "failed": len(always), "cancelled": 1}
    assert batchq.rows("SELECT id FROM jobs WHERE state = 'cancelled'") == [(well,)]
    assert effects[0] == (1, 1)
    assert effects[-1] == (over, 1)
    assert Counter(effects) == Counter(
        [(job, 1) for job in range(1, width + 4) if job != well] + [(job, 2) for job in once]
    )

    (batchq.folder / "mended").touch()
    batchq("retry", "--failed")
    assert states(batchq)["blocked"] == 1, "what was cancelled because of them comes back"
    batchq("run", "-q")

    again = read(batchq)[len(effects) :]
    assert states(batchq) == {"succeeded": width + 3}
    assert Counter(again[:-1]) == Counter((job, 2) for job in always)
    assert again[-1] == (well, 1)


def read(shell: Shell) -> list[tuple[int, int]]:
    lines = (shell.folder / "effects").read_text().splitlines()
    return [(int(job), int(attempt)) for job, attempt in map(str.split, lines)]


def states(shell: Shell) -> dict[str, int]:
    return dict(rows(shell, "SELECT state, count(*) FROM jobs GROUP BY state"))
