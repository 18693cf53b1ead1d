"""A check, at the add, whether the function that a job calls exists, without importing it.

The check is a guess: a missing function may exist when the job runs, so that is only a warning. Where nobody can know
(another Python, names that a module creates while it is imported) there is no warning. What can never be called is
refused.
"""

import sys

from batchq.errors import InputError
from batchq.jobs import locating
from batchq.jobs.definitions import is_generator, names_of
from batchq.jobs.work import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

    from batchq.jobs.model import JobSpec

MOST = 5  #: warnings of one add
_BEGIN = len('{"call":"')
_LARGEST = 4 * 1024 * 1024  #: bytes of a module that is read
#: With these a module can have names that are not in its source.
_MAKING = (b"import *", b"__getattr__", b"globals(", b"global ", b"setattr(", b"exec(", b"vars(", b"locals(",
           b"sys.modules", b"__dict__", b"__path__", b"__class__")  # fmt: skip


class Callables:
    """The callables of one add, each checked once; ``warnings`` are sentences that begin with the place."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._seen: dict[object, Any] = {}

    def look(self, spec: "JobSpec") -> None:
        """Check one job of any kind. Raises InputError for a function that no worker could ever call."""
        if spec.kind != "call":
            return
        target = spec.work[_BEGIN : spec.work.index('"', _BEGIN)]
        key = target, spec.terms.cwd, spec.terms.python, spec.terms.env
        if key not in self._seen:
            try:
                self._seen[key] = _look(target, spec)
            except _Missing as missing:
                self._seen[key] = None
                if len(self.warnings) < MOST:
                    self.warnings.append(f"{spec.where}: {missing}")
                elif len(self.warnings) == MOST:
                    self.warnings.append(f"{spec.where}: this callable, and maybe others after it, is missing, too")
        if (function := self._seen[key]) is not None:
            _require_names(function, target, spec)


class _Missing(Exception):
    """The function does not exist; the message is the warning."""


class _Unknown(Exception):
    """Only an import can find out."""


def _look(target: str, spec: "JobSpec") -> "Any":
    """Return the function if it is written in C and loaded anyway, else None. Raises _Missing."""
    module, _, attribute = target.partition(":")
    try:
        found = _found(module, spec)
        function = _loaded(module, attribute, found) if _is_ours(spec) else None
        if function is None:
            _check_source(module, attribute, found, spec)
    except _Unknown:
        return None
    return function


# --- the module --------------------------------------------------------------------------------------------------------


def _is_ours(spec: "JobSpec") -> bool:
    return spec.terms.python == sys.executable and "PYTHONHOME" not in (spec.terms.env or "")


def _found(module: str, spec: "JobSpec") -> "ModuleSpec":
    """Return where the worker will find the module: the folder of the job comes first. Raises _Missing and _Unknown."""
    import os

    if not os.path.isdir(spec.terms.cwd):
        raise _Unknown
    folders = [spec.terms.cwd]
    if spec.terms.env is not None and "PYTHONPATH" in spec.terms.env:
        import json

        paths = json.loads(spec.terms.env).get("PYTHONPATH", "").split(os.pathsep)
        folders += [os.path.join(spec.terms.cwd, path) for path in paths]
    name, _, rest = module.partition(".")
    try:
        found = locating.top(name, [*folders, *sys.path] if _is_ours(spec) else folders, by_all=_is_ours(spec))
    except Exception:  # a finder of another library
        raise _Unknown from None
    if found is None:
        if not _is_ours(spec):
            raise _Unknown
        near = did_you_mean(name, _modules_of(spec.terms.cwd))
        raise _Missing(f"no module {name!r} in {spec.terms.cwd}, nor in {spec.terms.python}{near}")
    for part in rest.split(".") if rest else ():
        inside = found.submodule_search_locations
        below = None if inside is None else locating.by_path(f"{found.name}.{part}", list(inside))
        if below is None:
            if inside is not None and found.origin is None:  # other folders may hold parts of a namespace package
                raise _Unknown
            if any(word in _text(found) for word in _MAKING):
                raise _Unknown
            near = did_you_mean(part, [one for folder in inside or () for one in _modules_of(folder)])
            raise _Missing(f"no module {part!r} in {found.origin}{near}")
        found = below
    return found


def _modules_of(folder: str) -> list[str]:
    import os

    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [stem for name in names if (stem := name.removesuffix(".py")).isidentifier()]


# --- what is in it -----------------------------------------------------------------------------------------------------


def _loaded(module: str, attribute: str, found: "ModuleSpec") -> "Any":
    """Return ``attribute`` of a standard library module that is loaded, or written in C; else None.

    Raises _Missing.
    """
    if module.partition(".")[0] not in sys.stdlib_module_names:
        return None
    known = sys.modules.get(module)
    if known is None and getattr(found.loader, "__name__", type(found.loader).__name__) in (
        "BuiltinImporter",
        "ExtensionFileLoader",
    ):
        import importlib

        known = importlib.import_module(module)
    if known is None or getattr(known.__spec__, "origin", None) != found.origin:
        return None
    value: Any = known
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            near = did_you_mean(part, dir(value))
            raise _Missing(f"the module {module!r} has no function {attribute!r}{near}") from None
    if not callable(value):
        raise _Missing(f"{module}:{attribute} is a {type(value).__name__}, which cannot be called")
    return value


def _require_names(function: "Any", target: str, spec: "JobSpec") -> None:
    """Raise InputError if a function written in C does not take the job's arguments, which are passed by name."""
    if type(function) is not type(len):
        return
    import inspect
    import json

    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return
    try:
        signature.bind(**json.loads(spec.work)["args"])
    except TypeError as error:
        raise InputError(
            f"{spec.where}: field 'call' names {target}, which is written in C and takes no such arguments by name"
            f" ({error}), as a worker passes them: call a function of your own that calls it"
        ) from None


def _text(found: "ModuleSpec") -> bytes:
    """Return the source. Raises _Unknown."""
    loader: Any = found.loader
    try:
        if found.origin is None or not found.origin.endswith(".py"):
            raise _Unknown
        data = bytes(loader.get_data(found.origin))
    except Exception:
        raise _Unknown from None
    if len(data) > _LARGEST:
        raise _Unknown
    return data


def _check_source(module: str, attribute: str, found: "ModuleSpec", spec: "JobSpec") -> None:
    """Check the source. Raises InputError for a generator, _Missing and _Unknown."""
    data = _text(found)
    name, _, inner = attribute.partition(".")
    begin = b"\n" + data.replace(b"\r", b"\n")
    if b"yield" not in data and any(
        b"\n%b %b(" % (word, name.encode()) in begin for word in (b"def", b"async def", b"class")
    ):
        return
    names = _defined(data, module, found, is_ours=_is_ours(spec))
    nodes = names.get(name)
    if nodes is None:
        if any(word in data for word in _MAKING) or (inner and found.submodule_search_locations is not None):
            raise _Unknown
        raise _Missing(f"no function {name!r} in {found.origin}{did_you_mean(name, [*names])}")
    if not inner and len(nodes) == 1 and is_generator(nodes[0]):
        raise InputError(
            f"{spec.where}: field 'call' names {module}:{attribute}, which is a generator: calling it would only create"
            " one and run nothing of its body"
        )


def _defined(data: bytes, module: str, found: "ModuleSpec", *, is_ours: bool) -> "dict[str, list[Any]]":
    try:
        return names_of(data)
    except SyntaxError as error:
        if not is_ours:
            raise _Unknown from None
        place = f"{found.origin}, line {error.lineno}"
        raise _Missing(f"the module {module!r} cannot be imported: {error.msg} ({place})") from None
    except (ValueError, MemoryError, RecursionError):
        raise _Unknown from None
