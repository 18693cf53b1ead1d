"""S37: pieces of work under keys, added again and again, while runs are killed and the store forgets what is over."""

import json
import time
from collections import Counter

import sizes
from conftest import Shell, eventually
from figures import record
from fleet import EFFECT, Fleet
from test_random_kills import needs_flock

pytest_plugins = ("figures",)

RATE = 20
SLOTS = 2
#: One line for each attempt, and one when it is over.
WORK = f'{EFFECT}; echo "$BATCHQ_KEY $BATCHQ_JOB_ID" >> begun; sleep 0.02; echo $BATCHQ_KEY >> done'


@needs_flock
def test_each_key_is_done_once_however_often_it_is_added(batchq: Shell) -> None:
    chance = sizes.chance("S37")
    batchq("queue", "set", "slow", "--rate", f"{RATE}/s")
    batchq("prune", "--set-retention", "300ms")
    kills = rounds = 0
    keys: set[str] = set()
    with Fleet(batchq, "-q", "-j", str(SLOTS)) as fleet:
        while kills < sizes.KEY_KILLS:
            some = [f"k{5 * rounds + chance.randrange(50)}" for _ in range(20)]  # some new, so that runs have work
            rounds += 1
            keys |= set(some)
            batchq("add", "-q", "--format", "jsonl", "-", stdin="".join(map(job, some)))
            while len(fleet.living()) < 2:
                fleet.start()
            eventually(lambda: all(member.is_there() for member in fleet.living()))
            time.sleep(chance.uniform(0.1, 0.4))  # when it happens is up to chance
            there = [member for member in fleet.living() if member.runner is not None]
            if there:
                chance.choice(there).kill(chance.choice(["guardian", "runner", "both"]))
                kills += 1
            if kills % 5 == 0:
                batchq("prune", "-q", "--older-than", "0s")
        fleet.wait_for_all()
    batchq("run", "-q")
    begun = [line.split() for line in (batchq.folder / "begun").read_text().splitlines()]
    done = Counter((batchq.folder / "done").read_text().split())
    jobs_of: dict[str, set[str]] = {}
    for key, number in begun:
        jobs_of.setdefault(key, set()).add(number)
    doubled = [key for key, jobs in jobs_of.items() if len(jobs) > 1]
    undone = keys - set(done)
    again = done.total() - len(done)
    record("S37 keys, retention, prune", len(keys), "keys", len(doubled) + len(undone), kills=kills,
           done_again_after_a_kill=again)  # fmt: skip
    assert doubled == []
    assert undone == set()
    assert again <= kills * SLOTS, "a key is done again only where its attempt was cut off"
    assert not (batchq.folder / "overlaps").exists()


def job(key: str) -> str:
    return json.dumps({"command": WORK, "key": key, "queue": "slow", "backoff": "1ms", "max_crashes": 1000}) + "\n"
