"""S22: random walks over dependencies, keys, limits, slots, priorities and control, with crashes and pruning between."""

import sizes
from figures import record
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from order_machine import OrderMachine
from order_walk import taken
from soaking import SEED

pytest_plugins = ("figures",)

AT_ONCE = 1000

SEEN = {
    "add", "refused add", "key skipped", "key replaced", "key rerun", "key running", "prune", "retry", "cancel",
    "hold", "release", "followed", "set limit", "set rate", "set paused", "register", "claim", "claimed ahead",
    "work", "finish", "begin", "crash",
}  # fmt: skip


def test_order_keys_limits_and_control_do_what_their_model_says_on_every_walk() -> None:
    taken.clear()
    walks = 0
    # A few more where a rare rule has not been taken yet.
    while walks < sizes.ORDER_EXAMPLES or ((+taken).keys() != SEEN and walks < 4 * sizes.ORDER_EXAMPLES):
        part = min(AT_ONCE, sizes.ORDER_EXAMPLES)  # hypothesis remembers every walk
        run_state_machine_as_test(
            seed(SEED + walks)(OrderMachine),
            settings=settings(
                max_examples=part, stateful_step_count=40, database=None, phases=[Phase.generate],
            ),
        )  # fmt: skip
        walks += part

    record("S22 order model", taken.total(), f"steps in {walks:,} walks", 0,
           refused_adds=taken["refused add"], followed=taken["followed"], crashes=taken["crash"])  # fmt: skip
    assert (+taken).keys() == SEEN, "every rule is taken somewhere"
