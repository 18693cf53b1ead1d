"""The times of a page: all in one time zone, with one offset, so that its script shows the same ones as its text."""

import time

from batchq.named import NamedTuple

_DAY = 86_400_000


class Zone(NamedTuple):
    """Local time that is ``offset`` seconds ahead of UTC; times are milliseconds since 1970."""

    offset: int

    @property
    def name(self) -> str:
        """``UTC+01:00``."""
        hours, minutes = divmod(abs(self.offset) // 60, 60)
        return f"UTC{'-' if self.offset < 0 else '+'}{hours:02d}:{minutes:02d}"

    def clock(self, ms: int) -> str:
        """``08:23:26``."""
        return self._format("%H:%M:%S", ms)

    def day(self, ms: int) -> int:
        """The number of the local day, counted from 1970."""
        return (ms + self.offset * 1000) // _DAY

    def second(self, ms: int) -> str:
        """``2026-11-28 08:23:26``."""
        return self._format("%Y-%m-%d %H:%M:%S", ms)

    def minute(self, ms: int) -> str:
        """``2026-11-28 08:23``."""
        return self._format("%Y-%m-%d %H:%M", ms)

    def until(self, first: int, last: int) -> str:
        """``08:23:26 to 08:23:48``, with the dates if they differ."""
        show = self.clock if self.day(first) == self.day(last) else self.minute
        return show(first) if show(first) == show(last) else f"{show(first)} to {show(last)}"

    def _format(self, form: str, ms: int) -> str:
        return time.strftime(form, time.gmtime(ms / 1000 + self.offset))


def zone(at: int) -> Zone:
    """Return the local time zone as it is at ``at``."""
    return Zone(time.localtime(at / 1000).tm_gmtoff)
