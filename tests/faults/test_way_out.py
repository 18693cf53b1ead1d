"""S38: no state without a way out, whatever befell the store; see ``wayout_machine``."""

import sizes
from figures import record
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from wayout_machine import VERBS, WayOutMachine, taken

pytest_plugins = ("figures",)

AT_ONCE = 500
RULES = {"add", "register", "exchange", "stop", "crash", "rescue", "prune", "run", "clock jumps", *VERBS}


def test_a_few_runs_end_every_job_whatever_befell_the_store() -> None:
    taken.clear()
    for part in range(0, sizes.WAY_OUT_EXAMPLES, AT_ONCE):
        run_state_machine_as_test(
            seed(sizes.SEED + part)(WayOutMachine),
            settings=settings(
                max_examples=min(AT_ONCE, sizes.WAY_OUT_EXAMPLES - part), stateful_step_count=25, deadline=None,
                database=None, suppress_health_check=list(HealthCheck), print_blob=True,
            ),
        )  # fmt: skip

    record("S38 way out", sizes.WAY_OUT_EXAMPLES, "walks", 0, steps=taken.total(), kills=taken["killed"],
           stopped_by_trouble=taken["stopped by trouble"])  # fmt: skip
    assert set(taken) >= RULES
    assert taken["killed"] and taken["stopped by trouble"]
