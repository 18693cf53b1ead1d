"""The slots that are free: how many in all, and how many at each place, because no job is spread over several."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Vacancy:
    """``free`` slots; ``rooms`` returns those of each place, or None if all are at one. It is asked for wide jobs only."""

    def __init__(self, free: int, rooms: "Callable[[], list[int] | None]" = lambda: None) -> None:
        self.free = free
        self._ask = rooms
        self._rooms: list[int] | None = None

    def take(self, slots: int) -> bool:
        """Take the slots of the next job in line; return whether it may begin. If not, nor may those after it."""
        self.free -= slots
        if self.free < 0 or slots == 1:
            return self.free >= 0
        if self._rooms is None:
            self._rooms = self._ask()
        return self._rooms is None or take(self._rooms, slots) is not None


def take(rooms: list[int], slots: int) -> int | None:
    """Take so many of the free slots of the place that has the most, and return its number; None if it has fewer.

    Who counts what is free at the places and who gives them the claims use this alike, for wide jobs in their order.
    """
    number = max(range(len(rooms)), key=rooms.__getitem__, default=None)
    if number is None or rooms[number] < slots:
        return None
    rooms[number] -= slots
    return number
