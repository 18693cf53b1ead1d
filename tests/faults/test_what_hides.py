"""S34: a job that gives up its environment or writes over it has ended before it is run again, whoever was killed."""

import shutil
import sys

import pytest
import sizes
from conftest import Shell, eventually
from figures import record
from fleet import Fleet, effects
from test_random_kills import needs_flock

pytest_plugins = ("figures",)

#: Takes a lock and notes its start (fleet.EFFECT), with the variables as words; the first attempt goes on for long.
BARE = (
    "BATCHQ_JOB_ID=$1 BATCHQ_ATTEMPT=$2; exec 9>>held-$1; flock -n 9 || echo $1 >> overlaps;"
    ' echo "$1 $2" >> effects; [ $2 -gt 1 ] || exec sleep 20'
)
TITLE = """
import ctypes, fcntl, os, sys, time
held = open("held-" + os.environ["BATCHQ_JOB_ID"], "a")
try:
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    open("overlaps", "a").write("met\\n")
attempt = os.environ["BATCHQ_ATTEMPT"]
first, last = [int(word) for word in open("/proc/self/stat").read().rpartition(")")[2].split()[47:49]]
ctypes.memset(first, 32, last - first)
os.write(os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
         f"{os.environ['BATCHQ_JOB_ID']} {attempt}\\n".encode())
time.sleep(20 if attempt == "1" else 0)
"""
JOBS = {
    "env -i": ["env", "-i", "sh", "-c", BARE, "sh"],
    "env -i in a session of its own": ["env", "-i", "setsid", "-w", "sh", "-c", BARE, "sh"],
    "a title over the environment": [sys.executable, "title.py"],
}


@needs_flock
@pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid(1) of util-linux is not installed")
@pytest.mark.parametrize("kind", JOBS)
def test_no_attempt_begins_beside_one_that_hides(batchq: Shell, kind: str) -> None:
    (batchq.folder / "title.py").write_text(TITLE)
    words = JOBS[kind]
    job = [*words, "$BATCHQ_JOB_ID", "$BATCHQ_ATTEMPT"] if words[0] == "env" else words
    quoted = " ".join(word if word.startswith("$") else f"'{word}'" for word in job)
    overlaps = batchq.folder / "overlaps"
    for number in range(sizes.HIDDEN):
        batchq("add", "-q", "--backoff", "0s", "--max-crashes", "9", "-c", f"exec {quoted}")
        with Fleet(batchq, "-q") as fleet:
            member = fleet.start()
            eventually(lambda: len(effects(batchq.folder)) == 2 * number + 1)  # noqa: B023
            member.kill("both")
            fleet.wait_for_all()
        batchq("run", "-q")
    met = len(overlaps.read_text().split()) if overlaps.exists() else 0
    record(f"S34 {kind}", sizes.HIDDEN, "kills of guardian and runner", met)
    assert met == 0
