"""Values that JSON cannot represent, or would change silently, and their place inside a larger value.

Workers import it too, so it imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DEEPEST = 900  #: levels; json itself ends with Python's stack
_INFINITE = float("inf")
_WHOLE = (str, int, float, bool, type(None))


def misfit(value: object, place: str) -> str | None:
    """Return the first value that is not JSON, as in ``args.rows[3].price: Decimal is not JSON``; None if there is none.

    Keys that are not text count too: JSON would turn them into text, and two might become one. A tuple counts as a list.
    """
    waiting: list[tuple[Any, tuple[Any, ...], int]] = [(value, (), 0)]
    while waiting:
        one, path, depth = waiting.pop()
        if isinstance(one, dict):
            for key in one:
                if not isinstance(key, str):
                    return f"{_located(place, path)}: the key {_short(key)} is not text"
            inner = [(each, (path, key), depth + 1) for key, each in one.items() if _is_open(each)]
        elif isinstance(one, (list, tuple)):
            inner = [(each, (path, number), depth + 1) for number, each in enumerate(one) if _is_open(each)]
        elif isinstance(one, float) and not -_INFINITE < one < _INFINITE:
            return f"{_located(place, path)}: {one!r} is not JSON"
        elif not isinstance(one, _WHOLE):
            return f"{_located(place, path)}: {type(one).__name__} is not JSON"
        else:
            continue
        if depth > _DEEPEST:
            return f"{place}: is nested too deeply, or contains itself"
        waiting += reversed(inner)
    return None


def _is_open(value: object) -> bool:
    return type(value) not in (str, int, bool, type(None))


def _located(place: str, path: "tuple[Any, ...]") -> str:
    steps: list[str] = []
    while path:
        path, step = path
        steps.append(f".{step}" if isinstance(step, str) and step.isidentifier() else f"[{_short(step)}]")
        if len(steps) > 30:
            steps.append(" … ")
            break
    return place + "".join(reversed(steps))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
