"""Handlers, mask and timers of signals, and what has come meanwhile.

To look at all of them takes as long as many a callable. So the functions that change one take a note of it, where
``signal`` copies them from when it is imported; what C can do without them is put back once ``ctypes`` is there.
"""

import _signal  # type: ignore[import-not-found]  # signal turns each answer into an enum; and who imports it is seen
import sys
from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NUMBERS = tuple(sorted(_signal.valid_signals()))
_TIMERS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)
_CHANGING = ("signal", "siginterrupt", "pthread_sigmask", "setitimer", "alarm", "set_wakeup_fd")
_set, _mask, _set_timer, _set_wakeup = (
    _signal.signal, _signal.pthread_sigmask, _signal.setitimer, _signal.set_wakeup_fd
)  # fmt: skip


class Handlers:
    """``reset`` after each call; ``look`` and ``adopt`` around an import."""

    def __init__(self) -> None:
        self._is_touched = False
        for name in _CHANGING:
            self._note_calls(name)
        self._handlers, self._blocked, self._wakeup = _now()

    def _note_calls(self, name: str) -> None:
        function: Callable[..., Any] | None = getattr(_signal, name, None)
        if function is None:
            return

        @wraps(function)
        def noted(*words: "Any", **named: "Any") -> "Any":
            self._is_touched = True
            return function(*words, **named)

        setattr(_signal, name, noted)
        signal = sys.modules.get("signal")
        if signal is not None and getattr(signal, name) is function:
            setattr(signal, name, noted)

    def look(self) -> "Any":
        """How it is, for ``adopt``."""
        return _now()

    def adopt(self, before: "Any") -> None:
        """What has changed since ``before`` stays."""
        handlers, blocked, wakeup = _now()
        if handlers != before[0]:
            pairs = zip(self._handlers, before[0], handlers, strict=True)
            self._handlers = tuple(known if was == now else now for known, was, now in pairs)
        if blocked != before[1]:
            self._blocked = blocked
        if wakeup != before[2]:
            self._wakeup = wakeup

    def reset(self) -> bool:
        """Whether all of it is as it was."""
        if not self._is_touched and "ctypes" not in sys.modules:
            return True
        is_whole = not self._is_touched or self._reset_handlers()
        for timer in _TIMERS:
            _set_timer(timer, 0)
        # What was blocked and has come meanwhile would end the process now: nobody would have heard it.
        while come := _signal.sigpending() - self._blocked:
            for number in come:
                _signal.sigtimedwait((number,), 0)
        _mask(_signal.SIG_SETMASK, self._blocked)
        self._is_touched = False
        return is_whole

    def _reset_handlers(self) -> bool:
        _wake_up(self._wakeup)
        is_whole = True
        for number, handler in zip(_NUMBERS, self._handlers, strict=True):
            if callable(handler) or _signal.getsignal(number) != handler:  # set anew, it interrupts calls again
                if handler is None:  # it was not set by Python, so Python cannot set it again
                    is_whole = False
                else:
                    _set(number, handler)
        return is_whole


def _now() -> "tuple[tuple[Any, ...], Any, int]":
    wakeup = _set_wakeup(-1)
    _wake_up(wakeup)
    return tuple(map(_signal.getsignal, _NUMBERS)), _mask(_signal.SIG_BLOCK, ()), wakeup


def _wake_up(fd: int) -> None:
    try:
        _set_wakeup(fd, warn_on_full_buffer=False)
    except (OSError, ValueError):  # it has been closed
        _set_wakeup(-1)
