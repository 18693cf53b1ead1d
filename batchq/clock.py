"""Time as batchq stores and prints it: milliseconds since 1970 in UTC, durations as ``250ms 10s 5min 1h30m 2d 1w``.

Only wall-clock instants are stored. The process that waits for something measures its duration with the monotonic clock,
so a jump of the wall clock never changes a duration.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DAY = 86_400_000
_SPELLINGS = {
    1: "ms",
    1_000: "s sec secs second seconds",
    60_000: "m min mins minute minutes",
    3_600_000: "h hr hrs hour hours",
    _DAY: "d day days",
    7 * _DAY: "w week weeks",
}
_UNITS = {spelling: ms for ms, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_LETTERS = "".join(sorted({*"".join(_UNITS)}))
_BARE = "%Y-%m-%d %H:%M:%S"
LONGEST = 100 * 365 * _DAY  #: no duration is longer, in milliseconds


def now() -> int:
    """The wall clock, in milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000


def seconds_to(moment: int | None) -> float | None:
    """How many seconds it is until a moment (milliseconds since 1970), none if it has passed; None for no moment."""
    return None if moment is None else max(0, moment - now()) / 1000


def duration(text: str) -> int:
    """``"1.5s"`` -> 1500, also ``"1h30m"``, ``"10 min"`` and ``"1:30:00"``, as milliseconds.

    It is one number and unit or several (``ms s m h d w`` or their names, each once), or hours, minutes and seconds with
    colons. A bare number means seconds. Raises ValueError for anything else, for a negative value, and for more than
    100 years.
    """
    try:
        value = _with_colons(text) if ":" in text else sum(_pieces(text.strip()))
    except ValueError:
        raise ValueError(
            f"{text!r} is not a duration: write a number and one of ms, s, m, h, d, w, as in 90s, 1h30m or 1:30:00"
        ) from None
    if value > LONGEST:
        raise ValueError(f"{text!r} is longer than 100 years")
    return round(value)


def _pieces(text: str) -> "Iterator[float]":
    """Yield the milliseconds of each number with its unit. Raises ValueError."""
    seen: set[int] = set()
    while text or not seen:
        rest = text.lstrip("0123456789.")
        number, rest = text[: len(text) - len(rest)], rest.lstrip(" ")
        text = rest.lstrip(_LETTERS)
        unit = rest[: len(rest) - len(text)]
        text = text.lstrip(" ")
        ms = 1_000 if not unit and not text and not seen else _UNITS.get(unit, 0)
        if not ms or ms in seen:
            raise ValueError(unit)
        seen.add(ms)
        yield _number(number) * ms


def _with_colons(text: str) -> float:
    hours, minutes, seconds = text.strip().split(":")
    if len(minutes) != 2 or len(seconds.partition(".")[0]) != 2 or "." in hours + minutes:
        raise ValueError(text)
    found = [_number(hours), _number(minutes), _number(seconds)]
    if found[1] >= 60 or found[2] >= 60:
        raise ValueError(text)
    return (found[0] * 3600 + found[1] * 60 + found[2]) * 1_000


def _number(text: str) -> float:
    if not text.isascii() or not text.replace(".", "", 1).isdecimal():
        raise ValueError(text)
    return float(text)


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


def show_age(ms: float) -> str:
    """How long ago something was, in one unit: ``"5 s"``, ``"12 m"``, ``"3 h"``, ``"4 d"``."""
    for unit, name in ((_DAY, "d"), (3_600_000, "h"), (60_000, "m")):
        if ms >= unit:
            return f"{int(ms // unit)} {name}"
    return f"{int(max(0, ms) // 1000)} s"


def instant(text: str, *, is_past: bool = False) -> int:
    """A time as milliseconds since 1970: ISO 8601, or as ``spoken.moment`` reads it; without an offset it is local time.

    Of a time without a date the next one is meant, or the last one if ``is_past``. Raises ValueError if the text is not
    a time, or a local time that the clock skips; one that occurs twice is its first.
    """
    from datetime import UTC, datetime

    written, sign, offset = text.strip().rpartition(" +" if " +" in text else " -")  # as ``local`` writes it
    try:
        moment = datetime.fromisoformat(f"{written}{sign.strip()}{offset}")
    except ValueError:
        from batchq import spoken

        moment = spoken.moment(text, datetime.now(), is_past=is_past)
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
    """The start of a window that ends now: ``"2h"`` or ``"-2h"`` ago, or a time, of which the last one is meant."""
    if ":" not in text:
        try:
            return now() - duration(text.strip().removeprefix("-"))
        except ValueError:
            pass
    return instant(text, is_past=True)


def iso(ms: int | None) -> str | None:
    """An instant in UTC as JSON prints it: ``"2026-11-23T12:00:00.000Z"``."""
    if ms is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


def local(ms: int) -> str:
    """An instant in local time as tables print it, with its offset from UTC: ``"2026-11-23 13:00:00 +0900"``."""
    return time.strftime(f"{_BARE} %z", time.localtime(ms / 1000))


def bare(ms: int) -> str:
    """The same without the offset, for lines of a log, whose reader knows the zone: ``"2026-11-23 13:00:00"``."""
    return time.strftime(_BARE, time.localtime(ms / 1000))


def period(first: int, last: int) -> str:
    """Two instants as tables print them: ``"2026-11-23 13:00:00 to 2026-11-23 13:05:00 +0900"``."""
    begin, end = local(first), local(last)
    return f"{begin.removesuffix(end[len(bare(last)) :])} to {end}"
