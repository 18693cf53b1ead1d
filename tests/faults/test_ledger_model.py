"""S1: random walks over the ledger, with two connections, late results, dead runners and a clock that jumps."""

import sizes
from figures import record
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test
from ledger_machine import LedgerMachine, taken
from soaking import SEED

pytest_plugins = ("figures",)

AT_ONCE = 1000

RULES = {
    "add", "register", "claim", "begin", "finish", "finish late", "finish two", "stop", "give up", "crash",
    "look for the dead", "rescue", "rescue again", "retry", "hold", "release", "clock jumps", "time passes",
}  # fmt: skip


def test_the_ledger_does_what_its_model_says_on_every_walk() -> None:
    taken.clear()
    for part in range(0, sizes.MODEL_EXAMPLES, AT_ONCE):  # hypothesis remembers every walk: 20,000 take a gigabyte
        run_state_machine_as_test(
            seed(SEED + part)(LedgerMachine),
            settings=settings(
                max_examples=min(AT_ONCE, sizes.MODEL_EXAMPLES - part), stateful_step_count=40,
                database=None, print_blob=True,
            ),
        )  # fmt: skip

    record("S1 ledger model", taken.total(), f"steps in {sizes.MODEL_EXAMPLES:,} walks", 0,
           rules=f"{len(taken)}/{len(RULES)}", late_results=taken["finish late"], rescues=taken["rescue"])  # fmt: skip
    assert set(taken) == RULES, "every rule is taken somewhere"
