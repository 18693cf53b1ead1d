"""Time as batchq stores and prints it: milliseconds since 1970 in UTC, durations as ``250ms 10s 5m 2h 1d``.

Only wall-clock instants are stored. The process that waits for something measures its duration with the monotonic clock,
so a jump of the wall clock never changes a duration.
"""

import time

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NEAR = 7_200  #: seconds around an instant in which a change of the clock may make its local time ambiguous
LONGEST = 100 * 365 * _UNITS["d"]  #: no duration is longer, in milliseconds


def now() -> int:
    """The wall clock, in milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000


def seconds_to(moment: int | None) -> float | None:
    """How many seconds it is until a moment (milliseconds since 1970), none if it has passed; None for no moment."""
    return None if moment is None else max(0, moment - now()) / 1000


def duration(text: str) -> int:
    """``"1.5s"`` -> 1500: a number and one of ``ms s m h d``, as milliseconds.

    A bare number means seconds. Raises ValueError for anything else, for a negative value, and for more than 100 years.
    """
    number = text.strip().rstrip("mshd")
    unit = text.strip()[len(number) :] or "s"
    if unit not in _UNITS or not number.replace(".", "", 1).isdecimal() or not number.isascii():
        raise ValueError(f"{text!r} is not a duration: write a number and one of ms, s, m, h, d, as in 90s or 1.5h")
    value = float(number) * _UNITS[unit]
    if value > LONGEST:
        raise ValueError(f"{text!r} is longer than 100 years")
    return round(value)


def show_duration(ms: float) -> str:
    """Milliseconds as a person reads them: ``"12 ms"``, ``"3.4 s"``, ``"2 m 05 s"``, ``"1 h 02 m"``, ``"3 d 04 h"``.

    A negative duration, which a clock that was set back can cause, counts as 0 ms.
    """
    ms = max(0, ms)
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 59_950:
        return f"{ms / 1000:.1f} s"
    seconds = round(ms / 1000)
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    minutes = seconds // 60
    if minutes < 60 * 24:
        return f"{minutes // 60} h {minutes % 60:02d} m"
    return f"{minutes // 1440} d {minutes % 1440 // 60:02d} h"


def instant(text: str) -> int:
    """An ISO 8601 date or time as milliseconds since 1970; without an offset it is local time.

    Raises ValueError if the text is not such a time, or a local time that the clock skips.
    """
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not an ISO 8601 time, as in 2026-11-23T18:00 or 2026-11-23T18:00Z") from None
    try:
        if moment.tzinfo is None:
            local = moment.astimezone()
            if local.astimezone(UTC).astimezone().replace(tzinfo=None) != moment:
                raise ValueError(f"{text!r} does not exist in local time: the clock skips it")
            moment = local
        return round(moment.timestamp() * 1000)
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None


def since(text: str) -> int:
    """The start of a window that ends now: ``"2h"`` ago, an ISO 8601 time, or ``"today"`` (local midnight)."""
    from datetime import datetime

    if text == "today":
        return round(datetime.now().replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
    try:
        return now() - duration(text)
    except ValueError:
        return instant(text)


def iso(ms: int | None) -> str | None:
    """An instant in UTC as JSON prints it: ``"2026-11-23T12:00:00.000Z"``."""
    if ms is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


def local(ms: int) -> str:
    """An instant in local time as tables print it: ``"2026-11-23 13:00:00"``.

    In the hour that occurs twice because the clock is set back, the offset is added: ``"… 02:30:00 +0100"``.
    """
    seconds = ms / 1000
    moment = time.localtime(seconds)
    text = time.strftime("%Y-%m-%d %H:%M:%S", moment)
    before, after = time.localtime(seconds - _NEAR), time.localtime(seconds + _NEAR)
    if before.tm_gmtoff <= after.tm_gmtoff:
        return text
    # The other instant with the same text is as far away as the clock is set back.
    other = seconds + (before.tm_gmtoff - after.tm_gmtoff) * (1 if moment.tm_gmtoff == before.tm_gmtoff else -1)
    is_doubled = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(other)) == text
    return text + time.strftime(" %z", moment) if is_doubled else text
