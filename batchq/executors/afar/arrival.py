"""Whether the places of a run come up, and what people are told if not."""

import math
import time
from collections.abc import Sequence

from batchq.executors.afar.place import Place
from batchq.executors.seam import Noted, Refused

UP = 30.0  #: seconds that the places have to come up before the run says that it does without them


class Arrival:
    """The ``places`` of a run that begins. ``tell_at`` is when to look for late ones, in monotonic seconds: once."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self.tell_at = time.monotonic() + UP

    def late(self) -> list[Noted]:
        """Say which places have not come up, if it is time; those that failed have been told of."""
        if time.monotonic() < self.tell_at:
            return []
        self.tell_at = math.inf
        late = [one.name for one in self._places if one.way.is_open and not one.is_up]
        rest = "going on without, until they answer" if any(one.is_up for one in self._places) else "waiting"
        return [Noted(f"no answer yet from {', '.join(late)}: {rest}")] if late else []


def unreachable(places: Sequence[Place]) -> Refused | None:
    """Return why the run has to end, once no place is tried any more."""
    if not all(one.way.is_given_up() and not one.way.is_leaving for one in places):
        return None
    why = "; ".join(f"{one.name}: {one.way.trouble}" for one in places)
    return Refused(f"no place of work can be reached ({why})", 78 if any(one.way.is_unfit for one in places) else 74)
