"""What makes the pool of a run: a function that ``--executor`` names, or one that an installed package offers."""

import importlib
import sys
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec

from batchq.executors.afar.unfit import Unfit, in_one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GROUP = "batchq.executors"  #: the entry points of packages that offer pools: ``NAME:ARGS`` calls NAME with ARGS


def factory(chosen: str, home: str) -> "Callable[[], Any]":
    """Return what makes the pool that ``chosen`` names: ``NAME:ARGS``, else ``MODULE:FUNCTION``. Raises Unfit."""
    name, _, text = chosen.partition(":")
    offered = metadata.entry_points(group=GROUP, name=name)
    if not offered:
        sys.path.insert(0, home)
        if find_spec(name.partition(".")[0]) is None:
            why = f"no package offers {name!r}, and no module has that name: see docs/elsewhere.md"
            raise Unfit(f"--executor {chosen}: {why}")
        return made_by(chosen, home, chosen)
    one, *others = offered
    if others:
        packages = ", ".join(sorted({_package(offer) for offer in offered}))
        raise Unfit(f"--executor {chosen}: several packages offer {name!r} ({packages}): remove all but one")
    try:
        function = one.load()
    except BaseException as error:
        raise Unfit(
            f"--executor {chosen}: {_package(one)} offers it, but {one.value} fails: {in_one_line(error)}"
        ) from None
    return lambda: function(text)


def made_by(target: str, home: str, chosen: str) -> "Callable[[], Any]":
    """Return the function that ``target`` (``pkg.mod:function``) of ``chosen`` names, searched in ``home`` first.

    Raises Unfit.
    """
    module, _, name = target.partition(":")
    sys.path.insert(0, home)
    try:
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
    except BaseException as error:
        raise Unfit(f"--executor {chosen}: {in_one_line(error)}") from None


def made(make: "Callable[[], Any]") -> "Any":
    """Make a pool. Raises Unfit if that fails, or if what comes is not a pool."""
    try:
        pool = make()
    except BaseException as error:
        raise Unfit(f"the factory of the pool failed: {in_one_line(error)}") from None
    if not callable(getattr(pool, "submit", None)):
        raise Unfit(f"the factory returned {type(pool).__name__}, which is not a concurrent.futures.Executor")
    return pool


def _package(offer: metadata.EntryPoint) -> str:
    return offer.dist.name if offer.dist is not None else offer.value
