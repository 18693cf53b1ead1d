"""``@batchq.job``: a function that can also be added to a store."""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from batchq import folder
from batchq.api.options import plain
from batchq.api.targets import require_findable, target
from batchq.errors import InputError
from batchq.jobs.fields import FIELDS
from batchq.jobs.model import job_spec
from batchq.jobs.reading.sheet import merged
from batchq.jobs.work import did_you_mean, quoted

if TYPE_CHECKING:
    import inspect
    from typing import Unpack

    from batchq.api.options import Options

P = ParamSpec("P")
R = TypeVar("R")


@overload
def job(function: Callable[P, R], /) -> "Job[P, R]": ...
@overload
def job(**options: "Unpack[Options]") -> "Callable[[Callable[P, R]], Job[P, R]]": ...
def job(
    function: Callable[P, R] | None = None, /, **options: Any
) -> "Job[P, R] | Callable[[Callable[P, R]], Job[P, R]]":
    """Decorate a function so that its calls can be added as jobs: ``@batchq.job`` or ``@batchq.job(queue="a")``.

    The function does not change: it can still be called directly. The options are the fields of a job file, except the
    work itself; each has the default of the job file. The function must be at the top level of a module. Nothing is
    stored yet. Raises InputError for a wrong option, and TypeError for a function that no worker can import (a lambda, a
    function inside another one) or run to its end (a generator).
    """
    if function is not None:
        return Job(function, {})
    return lambda function: Job(function, options)


class Job(Generic[P, R]):
    """A decorated function. Calling it calls the plain function; ``add`` stores one call as a job.

    Jobs go to the store of the enclosing ``with batchq.open(…)`` block in this thread, or else to the store that the
    command line would use ($BATCHQ_DB, the nearest ``batchq.db`` here or in a folder above, the user's own), which is
    created if it is missing. A worker imports the function with the folder of the add first on ``sys.path``.
    """

    __name__: str
    __wrapped__: Callable[P, R]

    def __init__(self, function: Callable[P, R], options: Mapping[str, Any]) -> None:
        require_findable(function)
        update_wrapper(self, function)
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._options = plain(options)
        for name in options:
            if name not in FIELDS:
                raise InputError(f"{self._name}: unknown option {quoted(name)}{did_you_mean(name, [*FIELDS])}")
        job_spec({"call": "m:f", **self._options}, self._name, "/", "")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function in this process; nothing is stored."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<batchq.Job {self._name}>"

    def options(self, **options: "Unpack[Options]") -> "Job[P, R]":
        """Return the same function with other options: ``resize.options(priority=5).add(path="a.png")``.

        ``env`` is merged, every other option replaced; ``run_at`` and ``delay`` replace each other. Raises InputError for
        a wrong option.
        """
        return Job(self.__wrapped__, merged(self._options, plain(options)))

    def job(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """Return one call as a mapping for ``Store.add``: the fields of a job file. Nothing is stored.

        Raises TypeError for arguments that do not fit the function, and InputError if no worker could import it.
        """
        return self._call() | {"args": self._by_name(self._name, *args, **kwargs)}

    def add(self, *args: P.args, **kwargs: P.kwargs) -> int:
        """Store one call, and return the id of its job, or of the job that already has its ``key``.

        The job is on disk when this returns. Raises TypeError for arguments that do not fit the function, InputError for
        values that JSON cannot represent, and another BatchqError if the store cannot be written; then nothing is stored.
        """
        return self._stored([self.job(*args, **kwargs)])[0]

    def add_many(self, calls: Iterable[Mapping[str, Any]]) -> list[int]:
        """Store many calls, each a mapping of keyword arguments, in one transaction: all of them or none.

        Returns the ids of their jobs in the order of the calls. Raises the errors of ``add``.
        """
        common = self._call()
        return self._stored([
            common | {"args": self._by_name(f"{self._name}, call {number}", **call)}
            for number, call in enumerate(calls, 1)
        ])  # fmt: skip

    def _call(self) -> dict[str, Any]:
        where = os.path.join(folder.current(), os.path.expanduser(self._options.get("cwd", "")))
        return {"call": target(self.__wrapped__, where), **self._options}

    @cached_property
    def _signature(self) -> "inspect.Signature":
        import inspect  # takes 10 ms, which a worker that only calls the function saves

        return inspect.signature(self.__wrapped__)

    def _by_name(self, where: str, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the arguments as a worker passes them: by name. Defaults stay with the function. Raises TypeError."""
        from inspect import Parameter

        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{where}: {error}") from None
        named: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            kind = self._signature.parameters[name].kind
            if kind is Parameter.VAR_KEYWORD:
                named |= value
            elif kind in (Parameter.VAR_POSITIONAL, Parameter.POSITIONAL_ONLY):
                raise TypeError(f"{where}: a worker passes arguments by name, which {name!r} does not accept")
            else:
                named[name] = value
        return named

    def _stored(self, jobs: list[dict[str, Any]]) -> list[int]:
        from batchq.api import stores, using

        with using.usual(stacklevel=5) as store:
            return stores.add_calls(store, jobs)
