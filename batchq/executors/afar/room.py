"""The room that a place has for claims: now, and what it may have again."""

import time

ANY = 1 << 30  #: more slots than a job can need


class Room:
    """``slots``, claims ``ahead``, and the slots of the ``widest`` claim, as of an executor; all 0 while a place is away.

    ``most`` is what nobody can exceed there. The workers of a bridge (``is_of_many``) come and go: what one of them had is
    expected back for ``patience`` seconds, and anything while there is none.
    """

    def __init__(self, most: int, patience: float, *, is_of_many: bool) -> None:
        self.slots = self.ahead = self.widest = 0
        self._most = most
        self._patience = patience
        self._is_of_many = is_of_many
        self._before = 0
        self._before_until = 0.0

    def change(self, slots: int, ahead: int, widest: int) -> None:
        """Note the room that there is now."""
        if widest < self.widest:
            self._before = max(self.widest, self._expected())
            self._before_until = time.monotonic() + self._patience
        self.slots, self.ahead, self.widest = slots, ahead, widest

    def hoped(self) -> int:
        """How wide a claim can become, if what was there comes back."""
        if self.slots:
            return max(self.widest, self._expected() if self._is_of_many else 0)
        return self._before if self._before and not self._is_of_many else self._most

    def _expected(self) -> int:
        return self._before if time.monotonic() < self._before_until else 0
