"""S30: chaos. One to three runs, jobs of all kinds, users who add and change, and whatever chance does to them.

A round that fails names its seed: ``BATCHQ_CHAOS=seed`` repeats what is drawn in it (not the moments at which it strikes).
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest
import sizes
from chaos_blows import fought
from chaos_evidence import Evidence
from chaos_judges import JUDGES, verdicts
from chaos_round import Round
from conftest import Shell
from figures import record
from soaking import SEED
from test_random_kills import needs_flock

pytest_plugins = ("figures",)
pytestmark = needs_flock

FIXED = "15"  #: the seed of the round that is the same in every run
SEEDS = [FIXED, *(f"{SEED}/{number}" for number in range(sizes.CHAOS_ROUNDS))]
if "BATCHQ_CHAOS" in os.environ:
    SEEDS = [os.environ["BATCHQ_CHAOS"]]


class Totals:
    """What all rounds together have done, and found."""

    def __init__(self) -> None:
        self.trials: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.blows: Counter[str] = Counter()
        self.rounds = self.starts = 0

    def take(self, fight: Round, evidence: Evidence, found: dict[str, list[str]]) -> None:
        self.rounds += 1
        self.starts += sum(line.what == "begin" for line in evidence.lines)
        self.blows.update(fight.kills)
        for name, bench in JUDGES.items():
            self.trials[name] += bench.trials(evidence)
            self.bad[name] += len(found[name])

    def record(self) -> None:
        for name, bench in JUDGES.items():
            record(f"S30 {name}", self.trials[name], bench.unit, self.bad[name])
        blows = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in sorted(self.blows.items()))
        record("S30 chaos", self.blows.total(), "blows", self.bad.total(), rounds=self.rounds, starts=f"{self.starts:,}",
               of_them=f"({blows})")  # fmt: skip


@pytest.fixture(scope="module")
def totals() -> Iterator[Totals]:
    totals = Totals()
    yield totals
    if totals.rounds:
        totals.record()


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.rpartition("/")[2])
def test_no_blow_loses_a_job_or_does_it_twice_or_leaves_it_stuck(batchq: Shell, totals: Totals, seed: str) -> None:
    fight, evidence = fought(batchq, seed, sizes.CHAOS_BLOWS)

    found = verdicts(evidence)
    totals.take(fight, evidence, found)
    complaints = {name: told for name, told in found.items() if told}
    assert not complaints, f"BATCHQ_CHAOS={seed} repeats this round"
