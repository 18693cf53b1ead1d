"""Whether the tests run at the size of ``scripts/soak``, and the seed of all that they choose at random.

In the gate that is the same in every run, so that what it refuses is the change and not the luck of a draw; a soak draws
anew, and prints what it drew. ``BATCHQ_SEED=n`` repeats a run.
"""

import os
import random

SOAK = os.environ.get("BATCHQ_SOAK", "") not in ("", "0")
SEED = int(os.environ.get("BATCHQ_SEED", "") or (random.SystemRandom().randrange(1 << 31) if SOAK else 1))
