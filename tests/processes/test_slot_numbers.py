"""``$BATCHQ_SLOT``: no two jobs of a run have the same number at the same time, nor a job and the leftovers of another.

Each job takes a lock on a file with the number of its slot, which its leftovers inherit; a second one there would fail.
"""

import random
import signal

import pytest
from conftest import eventually
from scene import Scene, ended, python
from soaking import SEED

pytest_plugins = ("scene",)

SLOTS = 4
OWN = "exec 9>>slot-$BATCHQ_SLOT; flock -n 9 || exit 1; echo $BATCHQ_SLOT >>numbers;"
#: Ends at once, after a while, by itself or by a signal, with or without something that stays for a while
COMMANDS = (
    "exit 0", "sleep 0.02", "sleep 0.05 & sleep 0.01", "sleep 600 & sleep 0.03", "setsid sleep 600 &",
    "(trap '' TERM; exec sleep 600) & sleep 0.01", "kill -9 $$",
)  # fmt: skip
MODULE = """
import atexit, batchq, fcntl, os, subprocess, sys, time
held = []

def job(seconds, ends="returns"):
    slot = os.environ["BATCHQ_SLOT"]
    assert int(slot) == batchq.current_job().slot
    with open(f"slot-{slot}", "a") as file, open("numbers", "a") as numbers:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        numbers.write(f"{slot}\\n")
        if ends == "leaves":
            os.set_inheritable(file.fileno(), True)
            subprocess.Popen(["sleep", "600"], close_fds=False)
        time.sleep(seconds)
        if ends == "dies":
            os._exit(3)
"""


def a_job(chance: random.Random) -> dict[str, object]:
    wide: dict[str, object] = {"slots": chance.choice([2, 3])} if chance.random() < 0.2 else {}
    if chance.random() < 0.5:
        return {"command": f"{OWN} {chance.choice(COMMANDS)}"} | wide
    ends = chance.choice(["returns"] * 5 + ["dies", "leaves"])
    kind: dict[str, object] = {"fresh": True} if chance.random() < 0.2 else {}
    return {"call": "m:job", "args": {"seconds": chance.choice([0, 0, 0.02]), "ends": ends}} | kind | wide


def overlaps(scene: Scene) -> int:
    """How many attempts found the lock of their slot taken, of all."""
    return len(scene.rows("SELECT 1 FROM attempts WHERE exit_code = 1 OR error_type LIKE '%BlockingIOError'"))


def numbers(scene: Scene) -> set[str]:
    return set((scene.folder / "numbers").read_text().split())


def test_no_two_jobs_share_a_number(scene: Scene) -> None:
    chance = random.Random(SEED)
    (scene.folder / "m.py").write_text(MODULE)
    scene.add(*(a_job(chance) for _ in range(60)))
    options = ("-j", str(SLOTS), "-q", "--grace", "50ms")

    for _ in range(2):
        run = scene.start(*options)
        done = len(scene.rows("SELECT 1 FROM attempts"))
        # The run may have done all there is to do before this process comes to its turn.
        eventually(lambda: len(scene.rows("SELECT 1 FROM attempts")) > done + 12 or run.poll() is not None)  # noqa: B023
        run.send_signal(chance.choice([signal.SIGTERM, signal.SIGINT]))
        run.wait(60)
    scene.run(*options, code=None)  # 1, unless what fails had its turn before

    assert scene.rows("SELECT 1 FROM jobs WHERE finished_at IS NULL") == []
    assert overlaps(scene) == 0, f"seed {SEED}"
    assert numbers(scene) == {"1", "2", "3", "4"}


VARIANTS = {
    "numbers of commands are forgotten": "Commands.numbers = lambda self: []",
    "numbers of workers are forgotten": "Pool.numbers = lambda self: []",
    "numbers of leftovers are forgotten": "Aftermath.numbers = lambda self: []",
}
LAUNCH = """
import sys
from batchq.executors.aftermath import Aftermath
from batchq.executors.commands import Commands
from batchq.executors.pool import Pool
{variant}
sys.argv = ["batchq", "run", "-j", "4", "-q"]
from batchq.__main__ import main
main()
"""


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_number_that_is_given_twice_is_noticed(scene: Scene, variant: str) -> None:
    (scene.folder / "m.py").write_text(MODULE)
    stays: dict[str, object] = {"command": f"{OWN} (trap '' TERM; exec sleep 600) & exit 0"}
    call: dict[str, object] = {"call": "m:job", "args": {"seconds": 0.3}}
    waits: dict[str, object] = {"command": f"{OWN} sleep 0.3"}
    scene.add(*[stays, waits, call] * 4)

    ended(scene.start_program(*python("-c", LAUNCH.format(variant=VARIANTS[variant]))))

    assert overlaps(scene)


def test_a_job_of_several_slots_gets_one_of_its_numbers_and_no_other_job_has_any_of_them(scene: Scene) -> None:
    meet = "echo $BATCHQ_JOB_ID $BATCHQ_SLOT >>met; until [ $(wc -l <met) = 3 ]; do sleep 0.01; done"
    scene.add({"command": meet, "slots": 2}, *[{"command": meet}] * 2)

    scene.run("-j", "4")

    assert sorted((scene.folder / "met").read_text().splitlines()) == ["1 1", "2 3", "3 4"]
