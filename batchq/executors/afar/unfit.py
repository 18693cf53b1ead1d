"""What shows that an engine cannot be used at all."""

_OF_SETUP = ("ModuleNotFoundError", "ImportError", "AttributeError", "PicklingError", "UnpicklingError")
_MOST = 300  #: characters of a message


class Unfit(Exception):
    """An engine cannot be used; the message says why, in one sentence."""


def in_one_line(error: BaseException) -> str:
    """Return the type and the message of an exception."""
    text = " ".join(str(error).split())[:_MOST]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_of_setup(error: BaseException | None) -> bool:
    """Whether the workers cannot run any task of ours: a module is missing there, or another version of it is."""
    while error is not None:
        if type(error).__name__ in _OF_SETUP or "deserializ" in str(error):
            return True
        error = error.__cause__
    return False
