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
    """Decorate a function of a module so that it can be added as a job: ``@batchq.job`` or ``@batchq.job(queue="a")``.

    The options are the fields of a job file but for the work itself. Raises InputError for a wrong option and TypeError
    for a function that no worker can import and call; nothing is stored yet.
    """
    if function is not None:
        return Job(function, {})
    return lambda function: Job(function, options)


class Job(Generic[P, R]):
    """A decorated function: called, it is the plain function; ``add`` stores a call of it as a job.

    The store is that of the ``with batchq.open(…)`` block around, else that of the usual lookup ($BATCHQ_DB, ``batchq.db``
    here or above, the user's own), and is made if there is none. A worker imports the function with the folder of the
    add first on ``sys.path``.
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
        """Call the plain function, here and now."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<batchq.Job {self._name}>"

    def options(self, **options: "Unpack[Options]") -> "Job[P, R]":
        """The same function with some options changed: ``resize.options(priority=5).add(path="a.png")``.

        ``env`` is merged, every other option replaced; ``run_at`` displaces ``delay`` and the reverse. Raises
        InputError for a wrong option.
        """
        return Job(self.__wrapped__, merged(self._options, plain(options)))

    def job(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """One call as ``Store.add`` takes it: the fields of a job file. Nothing is stored.

        Raises TypeError for arguments that do not fit the function, and InputError where no worker could import it.
        """
        return self._call() | {"args": self._by_name(self._name, *args, **kwargs)}

    def add(self, *args: P.args, **kwargs: P.kwargs) -> int:
        """Store one call; the id of its job, or of the job that has its ``key`` already.

        Raises TypeError for arguments that do not fit the function, and BatchqError where nothing could be stored.
        """
        return self._stored([self.job(*args, **kwargs)])[0]

    def add_many(self, calls: Iterable[Mapping[str, Any]]) -> list[int]:
        """Store many calls, each given by its keyword arguments, in one transaction: all of them or none.

        The ids come in the order of the calls. Raises as ``add`` does.
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
        import inspect  # 10 ms, which a worker that only calls the function does not pay

        return inspect.signature(self.__wrapped__)

    def _by_name(self, where: str, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments as a worker passes them: by name. Defaults stay with the function."""
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
                raise TypeError(f"{where}: a worker passes arguments by name, and {name!r} takes none so")
            else:
                named[name] = value
        return named

    def _stored(self, jobs: list[dict[str, Any]]) -> list[int]:
        from batchq.api import stores

        with stores.usual(stacklevel=5) as store:
            return stores.add_calls(store, jobs)
