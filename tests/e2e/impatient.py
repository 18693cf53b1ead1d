"""A batchq that soon gives up on a store that does not answer."""

import sys

from conftest import Shell

# A batchq that gives a store less than a minute, and a line in the file "met" for each time that it does not answer.
HURRY = """
import sys
from batchq.runner import outage, pacing
meet = outage.Outage.meet
def met(self, error):
    meet(self, error)
    with open("met", "a") as file:
        file.write("met\\n")
outage.Outage.meet, pacing.INSISTENCE = met, float(sys.argv.pop(1))
from batchq.__main__ import main
main()
"""


class Impatient(Shell):
    """Gives a store that does not answer 0.3 seconds."""

    def argv(self, *words: str | bytes) -> list[str | bytes]:
        return [sys.executable, "-c", HURRY, "0.3", *words]

    def tries(self) -> int:
        """How often the store did not answer."""
        path = self.folder / "met"
        return path.read_text().count("met") if path.exists() else 0
