"""How much the fault suites do: one line each, the first number in the gate, the second for ``scripts/soak``."""

import random

from soaking import SEED, SOAK


def _size(small: int, large: int) -> int:
    return large if SOAK else small


MODEL_EXAMPLES = _size(250, 8_000)  #: S1: walks of up to 40 steps over the ledger
ORDER_EXAMPLES = _size(150, 3_000)  #: S22: walks of up to 40 steps over order, keys and limits
LIMITED_JOBS = _size(16, 300)  #: S17: jobs of each queue for eight runs with limits
DIAMOND = _size(2_000, 10_000)  #: S18: jobs between one that they wait for and one that waits for them
MINUTES = _size(60, 1_440)  #: S19: minutes of a crontab
WAKE_UPS = _size(12, 500)  #: S20: times that each of two shells adds a job and skips its run
CANCELLED = _size(1, 30)  #: S21: rounds of cancelling jobs of each kind that run
MUTANT_EXAMPLES = _size(4_000, 8_000)  #: S1: walks in which a mutant must be caught
KILL_POINTS = _size(400, 1 << 30)  #: S2: system calls at which the script is killed, evenly spread
SECOND_KILLS = _size(10, 300)  #: S2: killed once more, while the next process recovers
KILLED_COMMANDS = _size(8, 250)  #: S2: system calls at which run, prune, backup and report are killed, evenly spread
ERROR_POINTS = _size(14, 1 << 30)  #: S3: system calls that fail, for each error and command, evenly spread
RANDOM_KILLS = _size(60, 2_000)  #: S4: kill -9 of running `batchq run`
KILLED_ADDS = _size(15, 300)  #: S4: kill -9 of `batchq add`
POWER_LOSSES = _size(1_000, 20_000)  #: S5: states after a power loss at synchronous = FULL
CONTROL_LOSSES = _size(100, 1_000)  #: S5: the same for each control that must fail
CONTENDED_JOBS = _size(1_000, 20_000)  #: S7: no-op jobs for eight runners
CONTENDED_CLAIMS = _size(4_000, 40_000)  #: S7: jobs that bare ledgers claim from each other
LOCK_WAITS = _size(150, 3_000)  #: S7: adds whose wait is measured
RESCUES = _size(12, 200)  #: S15: runners killed whose rescue is timed
CHAOS_BLOWS = _size(33, 45)  #: S30: kills, stops and signals of a round of chaos
CHAOS_ROUNDS = _size(1, 47)  #: S30: rounds besides the one whose seed is fixed
BUSY_STOPS = _size(2, 40)  #: S31: runs that stop while somebody else writes
HELD_JOBS = _size(60, 300)  #: S32: jobs of `on_crash = "hold"` whose runs are killed
TOLD_RUNS = _size(12, 200)  #: S33: runs of jobs whose ends are known
HIDDEN = _size(1, 20)  #: S34: runs that are killed whole, for each kind of job that hides
WAITS = _size(2, 50)  #: S35: `wait last` while others add
BACKUPS = _size(8, 60)  #: S36: backups while jobs run, a fourth of them killed
WAYS_BACK = _size(2, 25)  #: S36: backups that are put in place of a store whose run has crashed
KEY_KILLS = _size(10, 120)  #: S37: kills of runs whose jobs have keys
WAYS_OUT = _size(60, 5_000)  #: S38: walks of 25 steps through kills, locks and full disks
CHAOS_MUTANTS = _size(1, 3)  #: S30: broken variants that chaos must catch


def chance_of(seed: str) -> random.Random:
    """A source of chance that is the same in every run."""
    return random.Random(seed)


def chance(purpose: str) -> random.Random:
    """A source of chance of its own for each purpose, so that one suite does not change what another draws."""
    return random.Random(f"{SEED}/{purpose}")


def spread(points: list[tuple[str, int]], most: int, purpose: str) -> list[tuple[str, int]]:
    """All of ``points``, or at most so many: every k-th from a random offset, which is printed."""
    if len(points) <= most:
        return points
    step = -(-len(points) // most)
    offset = chance(purpose).randrange(step)
    print(f"{purpose}: every {step}th of {len(points)} points from number {offset} on (seed {SEED})")
    return points[offset::step]
