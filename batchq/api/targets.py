"""Where a worker finds a function: ``module:qualname``, checked as far as this process can."""

import os
import sys
from collections.abc import Callable
from typing import Any

from batchq.errors import InputError

# Flags of a code object: generator, asynchronous generator. The module inspect has them, but takes 10 ms.
_GENERATOR = 0x20 | 0x200


def require_findable(function: Callable[..., Any]) -> None:
    """Raise TypeError for a function that no worker can import or run to its end: a lambda, an inner one, a generator."""
    name = getattr(function, "__qualname__", None)
    if not callable(function) or name is None or getattr(function, "__module__", None) is None:
        raise TypeError(f"batchq.job decorates a function, not {function!r}")
    if "<lambda>" in name:
        raise TypeError("batchq.job: a lambda has no name by which a worker could import it; write a def")
    if "<locals>" in name:
        raise TypeError(
            f"batchq.job: {name} is defined inside a function, where no worker can import it; move it to the module's top"
        )
    if getattr(getattr(function, "__code__", None), "co_flags", 0) & _GENERATOR:
        raise TypeError(f"batchq.job: {name} is a generator; calling it would run nothing of its body")


def target(function: Callable[..., Any], folder: str) -> str:
    """Return the ``module:qualname`` of a function for a worker that looks in ``folder``, the folder of its job, first.

    Raises InputError for a function of a program that has no name there, and while the function's own module is being
    imported: each worker imports it, too, and would add the job again.
    """
    module = function.__module__
    if module == "__main__":
        module = _main_module(function.__qualname__, folder)
    elif getattr(getattr(sys.modules.get(module), "__spec__", None), "_initializing", False):
        raise InputError(
            f"{function.__qualname__}: the module {module!r} adds a job while it is imported, which each worker would do "
            "again: put that under if __name__ == '__main__':"
        )
    return f"{module}:{function.__qualname__}"


def _main_module(function: str, folder: str) -> str:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":  # python -m package.module
        return str(spec.name)
    file = getattr(main, "__file__", None)
    if file is None:
        raise InputError(
            f"{function}: is defined in a session without a file; a worker can only import it from a module"
        )
    place = os.path.join(os.path.realpath(os.path.dirname(file)), os.path.basename(file))
    stem, suffix = os.path.splitext(os.path.relpath(place, os.path.realpath(folder)))
    parts = stem.split(os.sep)
    if suffix != ".py" or not all(part.isidentifier() for part in parts):
        raise InputError(
            f"{function}: is defined in the program {file}, which a worker cannot import from {folder}: start the program "
            "in its own folder, or move the function to a module"
        )
    return ".".join(parts)
