"""Times as people write them: ``09:00``, ``9pm``, ``tomorrow 9:00``, ``fri 22:30``, ``yesterday``, ``2026-11-28 9:00``.

The grammar is our own and small. python-dateutil would read more, such as ``10-11-12`` and ``may``, but it fills in what
is missing without a word; a job must not start on a day that nobody meant.
"""

from datetime import date, datetime, time, timedelta

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_AWAY = {"yesterday": -1, "today": 0, "tomorrow": 1}
_NAMED = {"midnight": time(0), "noon": time(12)}


def moment(text: str, now: datetime, *, is_past: bool) -> datetime:
    """Return the local time that a text means at ``now``: a day, a time of day, or both in either order.

    A day alone is its midnight. A time of day or a weekday alone is the next one after ``now``, or with ``is_past`` the
    last one. Raises ValueError.
    """
    words = text.lower().split()
    if words == ["now"]:
        return now
    if words[-1:] in (["am"], ["pm"]) and len(words) > 1:
        words[-2:] = ["".join(words[-2:])]
    days = [day for word in words if (day := _day(word, now.date())) is not None]
    times = [at for word in words if (at := _time(word)) is not None]
    if not words or len(days) + len(times) != len(words) or len(days) > 1 or len(times) > 1:
        raise ValueError(f"{text!r} is not a time: write 2026-11-23T18:00, 18:00, tomorrow 9:00 or fri 22:30")
    at = times[0] if times else time(0)
    if not days:
        return _nearest(datetime.combine(now.date(), at), now, timedelta(days=1), is_past=is_past)
    day = days[0]
    if isinstance(day, date):
        return datetime.combine(day, at)
    this_week = now.date() + timedelta(days=day - now.weekday())
    return _nearest(datetime.combine(this_week, at), now, timedelta(days=7), is_past=is_past)


def _nearest(one: datetime, now: datetime, period: timedelta, *, is_past: bool) -> datetime:
    """Return the last of the times ``one`` ± n × ``period`` that is not after ``now``, or the first one after it."""
    last = one - period if one > now else one
    while last + period <= now:
        last += period
    return last if is_past else last + period


def _day(word: str, today: date) -> date | int | None:
    """Return the date, or the number of a weekday; None if the word is neither."""
    if word in _AWAY:
        return today + timedelta(days=_AWAY[word])
    for number, name in enumerate(_WEEKDAYS):
        if len(word) >= 3 and name.startswith(word):
            return number
    try:
        return date.fromisoformat(word) if "-" in word else None
    except ValueError:
        return None


def _time(word: str) -> time | None:
    """Return the time of day of ``9:00``, ``21:00:30``, ``9pm``, ``9:30am``, ``noon``; None if the word is not one."""
    if word in _NAMED:
        return _NAMED[word]
    half = word[-2:] if word[-2:] in ("am", "pm") else ""
    parts = word.removesuffix(half).split(":")
    if not all(part.isascii() and part.isdecimal() and len(part) <= 2 for part in parts):
        return None
    if not (half or len(parts) > 1) or any(len(part) != 2 for part in parts[1:]):
        return None
    hour, minute, second, *_ = [*map(int, parts), 0, 0]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half == "pm")
    try:
        return None if len(parts) > 3 else time(hour, minute, second)
    except ValueError:
        return None
