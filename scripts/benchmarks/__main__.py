"""``scripts/bench [--rounds N] [SECTION]…``: what batchq costs beside the least that the same work can cost.

All variants of a table are run in each round, in random order, and a ratio compares two of the same round; so a table
tells something on a busy machine too. Figures of different runs, or of different machines, compare badly.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import add
import callables
import commands
import control
import elsewhere

SECTIONS = {
    "add": add.one_add,
    "bulk": add.bulk,
    "commands": commands.commands,
    "callables": callables.callables,
    "control": control.control,
    "elsewhere": elsewhere.elsewhere,
}


def main() -> None:
    """Run the sections that were named, or all of them."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure batchq; asserts nothing.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each variant is run (default: 5)")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(sorted(unknown))}: choose from {', '.join(SECTIONS)}")
    scratch = Path(tempfile.mkdtemp(prefix="batchq-bench-", dir=_disk()))
    try:
        for section in given.sections or SECTIONS:
            SECTIONS[section](scratch, max(1, given.rounds))
    finally:
        shutil.rmtree(scratch)


def _disk() -> str | None:
    """A folder on a real disk: /tmp is often memory, where a commit costs nothing."""
    return "/var/tmp" if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK) else None


if __name__ == "__main__":
    main()
