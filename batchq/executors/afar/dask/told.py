"""The attempts at workers that a stopped run wants to end: it does not wait long for one that nobody confirms."""

import math
from collections.abc import Collection, Container

ANSWER = 2.0  #: seconds that a worker has to answer
TO_END = 10.0  #: seconds after the grace in which a site that has been told ends its jobs, if it works at all


class Told:
    """Since when, and until when the run waits for each, by token."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._end_by = math.inf

    def tell(self, tokens: Collection[str], now: float, grace: float) -> None:
        """Note that these are told to end, perhaps again; the first time counts."""
        if tokens and not self._until:
            self._end_by = now + grace + TO_END
        for token in tokens:
            self._until.setdefault(token, now + ANSWER)

    def confirm(self, tokens: Collection[str]) -> None:
        """Note that a worker has answered that it ends these."""
        self._until |= dict.fromkeys(self._until.keys() & tokens, self._end_by)

    def first(self) -> float:
        """Return when the wait for the first one is over."""
        return min(self._until.values(), default=math.inf)

    def late(self, now: float, living: Container[str]) -> list[str]:
        """Return those of the ``living`` whose time is over, and forget all that are not to be waited for any more."""
        late = [token for token, until in self._until.items() if until <= now and token in living]
        self._until = {token: until for token, until in self._until.items() if until > now and token in living}
        return late
