"""Finding the function of a task: its import is a phase of its own, before the call."""

import importlib
import sys
from _thread import get_ident

from batchq.processes.worker import endings
from batchq.processes.worker.wire import DISCARD, ERROR, NONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from batchq.processes.worker.endings import Ending

_BOOTSTRAP = "_frozen_importlib"
_GENERATOR, _ASYNC_GENERATOR = 0x20, 0x200  #: flags of a code object


class NotReady(Exception):
    """There is no function to call; ``ending`` has the reason, ``is_whole`` is false if the worker must be replaced."""

    def __init__(self, ending: "Ending", *, is_whole: bool = True) -> None:
        super().__init__()
        self.ending = ending
        self.is_whole = is_whole


def asked_for(work: "Any") -> "tuple[str, dict[str, Any]]":
    """Return the function that a job names, and its arguments. Raises NotReady for data that no add has stored."""
    if type(work) is dict and type(called := work.get("call")) is str and type(named := work.get("args")) is dict:
        return called, named
    problem = "its work in the store is not a call of a function; add it again"
    raise NotReady(endings.wrong("Unreadable", problem, DISCARD))


def load(target: str, also: str | None) -> "Any":
    """Import and return the function ``module:name``; ``also`` is one more folder for ``sys.path``. Raises NotReady."""
    name, _, attribute = target.partition(":")
    if also is not None and also not in sys.path:
        sys.path.insert(1, also)
    known = set(sys.modules)
    try:
        found: Any = importlib.import_module(name)
    except BaseException as error:
        # Its imports stay loaded, and half of its code may have run: a second import would not begin from the same state.
        is_whole = not any(map(_is_own, sys.modules.keys() - known))
        try:
            ending = _failed(name, attribute, error)
        except BaseException:  # an exception that is itself broken
            ending = endings.wrong("ImportFailed", f"importing {name} ended with an unreadable exception")
        raise NotReady(ending, is_whole=is_whole) from None
    module = found
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            place = getattr(module, "__file__", None) or "built in"
            problem = f"the module {name!r} has no function {attribute!r} ({place})"
            raise NotReady(endings.wrong("NoSuchFunction", problem)) from None
        except BaseException as error:
            raise NotReady(endings.by(error)) from None
    if not callable(found):
        problem = f"{target} is a {type(found).__name__}, which cannot be called"
        raise NotReady(endings.wrong("NotCallable", problem))
    if getattr(getattr(found, "__code__", None), "co_flags", 0) & (_GENERATOR | _ASYNC_GENERATOR):
        problem = f"{target} is a generator: calling it would run none of its body"
        raise NotReady(endings.wrong("NotCallable", problem))
    return found


def _failed(module: str, attribute: str, error: BaseException) -> "Ending":
    """Return the ending of an import that failed, or that called sys.exit, even with 0: the function never ran."""
    if isinstance(error, SystemExit):
        code = "" if error.code is None else repr(error.code)[:80]
        problem = f"importing {module} ended with sys.exit({code}) before {attribute} could be called"
        return endings.wrong("ImportExited", problem, trace=endings.trace_of(error))
    message = f"{endings.text_of(error)} (while importing {module} with {sys.executable})"
    return ERROR, endings.described(error, message, _missing(error)), NONE, NONE


def _missing(error: BaseException) -> str:
    """Return the name of the module that was not found; empty if the import failed for another reason."""
    if not isinstance(error, ModuleNotFoundError) or type(error.name) is not str or error.name in sys.modules:
        return ""
    return error.name


def _is_own(name: str) -> bool:
    """Return whether an imported module is not from the standard library."""
    return name.partition(".")[0] not in sys.stdlib_module_names


def watch_imports(
    begin: "Callable[[], object]", end: "Callable[[], object]", elsewhere: "Callable[[], object]"
) -> None:
    """Call ``begin`` before and ``end`` after each import of something new that is not part of another import.

    A module may also be imported while a function runs; what it sets during the import stays as well. ``elsewhere`` is
    called after an import in another thread, before that thread can change settings of the module.
    """
    bootstrap = sys.modules[_BOOTSTRAP]
    load = getattr(bootstrap, "_find_and_load", None)
    if load is None:
        return
    depth = 0
    others: set[int] = set()

    def _find_and_load(name: str, import_: object) -> object:
        nonlocal depth
        if (thread := get_ident()) != main and thread not in others:
            others.add(thread)
            try:
                return load(name, import_)
            finally:
                others.discard(thread)
                elsewhere()
        if depth or thread != main:
            return load(name, import_)
        depth = 1
        begin()
        try:
            return load(name, import_)
        finally:
            end()
            depth = 0

    # Python hides the frames of the import system in tracebacks by this file name.
    code = _find_and_load.__code__
    _find_and_load.__code__ = code.replace(co_filename="<frozen importlib._bootstrap>")
    main = get_ident()
    bootstrap._find_and_load = _find_and_load  # type: ignore[attr-defined]
