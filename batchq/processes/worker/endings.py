"""How a call ended, in the form of an answer: ``Ending``."""

import importlib
import os
import sys

from batchq.jobs.misfits import misfit
from batchq.processes.worker.sources import SOURCES
from batchq.processes.worker.wire import DISCARD, ERROR, NONE, RESULT, SNOOZE, as_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType, TracebackType
    from typing import Any

    # How a task ended, its result or error in JSON, exit code, milliseconds to the next attempt: as in an answer.
    Ending = tuple[bytes, bytes, int, int]

RESULT_LIMIT = 1024 * 1024  #: bytes of JSON that a function may return
TRACEBACK_LIMIT = 64 * 1024  #: characters of a traceback that are kept: the beginning and the end
KINDS = 50  #: classes of a group of exceptions whose bases are reported
_NOTHING = (RESULT, b"null", NONE, NONE)
_GENERATORS = ("generator", "async_generator")
_SIMPLE = (str, int, bool)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + os.sep
_STDLIB = os.path.dirname(os.__file__)
# Read through type itself: a metaclass may return something else, or fail.
_name_of, _bases_of = type.__dict__["__name__"].__get__, type.__dict__["__mro__"].__get__


def returned(value: object) -> "Ending":
    """Return the ending for a returned value; one that is not JSON is final, because a retry would repeat the work."""
    if value is None:
        return _NOTHING
    try:
        problem = None if type(value) in _SIMPLE else misfit(value, "result")
        text = as_json(value) if problem is None else ""
    except Exception as error:  # even one that the value raises
        problem = text_of(error) or type(error).__name__
    if type(value).__name__ in _GENERATORS:
        return wrong("ResultNotJSON", "the function returned a generator: none of its body has run", DISCARD)
    if problem is not None:
        problem = f"the function ran to its end, but what it returned cannot be stored: {problem}"
        return wrong("ResultNotJSON", problem, DISCARD)
    if len(text) > RESULT_LIMIT:
        problem = f"the function ran to its end, but what it returned is {len(text)} bytes of JSON, over 1 MiB"
        return wrong("ResultTooLarge", problem, DISCARD)
    return RESULT, text.encode(), NONE, NONE


def wrong(kind: str, message: str, how: bytes = ERROR, trace: str = "", missing: str = "") -> "Ending":
    """Return the ending of a task that failed without raising anything itself; ``missing`` as in a Failure."""
    return how, as_json([kind, _clean(message), _clean(trace), [], _clean(missing)]).encode(), NONE, NONE


def by(error: BaseException) -> "Ending":
    """Return the ending of a call that raised, even if the exception itself is broken."""
    try:
        return _left(error) if issubclass(type(error), SystemExit) else raised(error)
    except BaseException as broken:
        return wrong(_name_of(type(error)), f"<unreadable exception: {_name_of(type(broken))}>")


def raised(error: BaseException) -> "Ending":
    """Return the ending for an exception, and what it asks for: a retry, a snooze, no retry.

    A job that raises batchq.Retry has imported its module; other workers do not import it.
    """
    context = sys.modules.get("batchq.context")
    how, again = ERROR, None
    if context is not None:
        leaves = list(_leaves(error))
        retries = [leaf for leaf in leaves if isinstance(leaf, context.Retry)]
        snoozes = [leaf for leaf in leaves if isinstance(leaf, context.Snooze)]
        if any(isinstance(leaf, context.Discard) for leaf in leaves):
            how = DISCARD
        elif retries:  # of several, the longest delay
            again = max((leaf.delay_ms for leaf in retries if leaf.delay_ms is not None), default=None)
        elif len(snoozes) == len(leaves):
            how, again = SNOOZE, max(leaf.delay_ms for leaf in snoozes)
    return how, described(error, text_of(error)), NONE, NONE if again is None else again


def _left(end: "Any") -> "Ending":
    """Return the ending for sys.exit; the exit code is that of a program, of which the system keeps a byte."""
    code = end.code
    if code is None:
        code = 0
    elif not isinstance(code, int):
        code = 1
    elif code.bit_length() > 63:
        code = -1
    if code == 0:
        return RESULT, b"null", 0, NONE
    return ERROR, described(end, text_of(end)), code & 0xFF, NONE


def text_of(error: BaseException) -> str:
    """Return the message of an exception, even if its own methods fail."""
    try:
        return str(error)
    except BaseException as broken:
        return f"<unreadable message: {type(broken).__name__}>"


def described(error: BaseException, message: str, missing: str = "") -> bytes:
    """Return in JSON: the type of an exception, ``message``, the traceback, and the names of its class and bases, then
    those of each leaf of a group; at last ``missing``, as in a Failure."""
    kinds = {type(leaf): None for leaf in _leaves(error)}
    classes = [_names(type(error))]
    if isinstance(error, BaseExceptionGroup):
        classes += [_names(kind) for kind in list(kinds)[:KINDS]]
    name = _clean(_name_of(type(error)))
    values = [name, _clean(message[:TRACEBACK_LIMIT]), _clean(trace_of(error)), classes, _clean(missing)]
    return as_json(values).encode()


def _names(kind: type) -> list[str]:
    return [_clean(_name_of(base)) for base in _bases_of(kind) if base not in (BaseException, object)]


def _leaves(error: BaseException) -> "Iterator[BaseException]":
    layers = [error]
    while layers:
        one = layers.pop()
        if isinstance(one, BaseExceptionGroup):
            layers += one.exceptions
        else:
            yield one


def trace_of(error: BaseException) -> str:
    """Return the traceback of an exception, from where the job's own code begins."""
    try:
        traceback = standard("traceback")
        cache = standard("linecache").cache
        for file in SOURCES.changed():  # the lines in these files are not those that ran
            cache[file] = (1, None, [], file)
        trace = "".join(traceback.format_exception(type(error), error, _own_frames_cut(error.__traceback__)))
    except BaseException as broken:
        trace = f"<unreadable traceback: {type(broken).__name__}>"
    if len(trace) > TRACEBACK_LIMIT:
        half = TRACEBACK_LIMIT // 2
        trace = f"{trace[:half]}\n[… {len(trace) - TRACEBACK_LIMIT} characters cut …]\n{trace[-half:]}"
    return trace


def _own_frames_cut(trace: "TracebackType | None") -> "TracebackType | None":
    """Return the job's part of a traceback: without the first frames, of batchq and of the import system."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file != importlib.__file__ and not file.startswith((_PACKAGE, "<frozen importlib")):
            break
        trace = trace.tb_next
    return trace


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def standard(name: str) -> "ModuleType":
    """Return a module of the standard library, imported when needed, never one of that name in the folder of a job."""
    if (known := _standard.get(name)) is None:
        hidden = {key: module for key, module in sys.modules.items() if _takes_a_name(key, module)}
        before = sys.path[:]
        try:
            for key in hidden:
                del sys.modules[key]
            sys.path[:] = [one for one in before if one == _STDLIB or one.endswith("lib-dynload")]
            known = _standard[name] = importlib.import_module(name)
        finally:
            sys.path[:] = before
            sys.modules |= hidden
    return known


_standard: "dict[str, ModuleType]" = {}


def _takes_a_name(key: str, module: object) -> bool:
    """Return whether an imported module has the name of one of the standard library but is another."""
    if key.partition(".")[0] not in sys.stdlib_module_names:
        return False
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and not file.startswith(_STDLIB)
