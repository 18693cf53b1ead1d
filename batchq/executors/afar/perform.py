"""What an engine is given to run: ``perform(invocation)``, one attempt, in a worker process of the engine.

It hands the claim to the site of its run next to this process, and waits. All values are JSON, so that nothing of batchq is
pickled.
"""

import json
import os
import threading
import time
from collections.abc import Callable

from batchq.executors.afar.fence import Fence
from batchq.executors.afar.nextdoor import CHECK, NextDoor
from batchq.processes.link import Closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ME = os.urandom(8).hex()  #: names this process: another one may come to have its address
UNSHARED = [["unshared"]]  #: the answer of a worker that does not see the folder of the run: nothing has begun

_sites: dict[str, NextDoor] = {}
_counts: dict[str, int] = {}
_lock = threading.Lock()


def next_door(setup: "dict[str, Any]") -> NextDoor:
    """Return the site of this run next to this process; it is started when it is first needed, and after its end."""
    with _lock:
        site = _sites.get(setup["run"])
        if site is None or site.is_gone:
            number = _counts[setup["run"]] = _counts.get(setup["run"], 0) + 1
            site = _sites[setup["run"]] = NextDoor(setup, number)
        return site


def perform(invocation: str) -> str:
    """Run one attempt next to this process; without the folder of the run only if the run knows that it is not shared.

    Raises RuntimeError if no site can be had here.
    """
    setup, claim = json.loads(invocation)
    if setup["folder"] and not Fence(setup["folder"]).is_shared(setup["run"]):
        return json.dumps(UNSHARED)
    return performed(setup, claim, lambda: False)


def performed(setup: "dict[str, Any]", claim: "list[Any]", is_withdrawn: Callable[[], bool]) -> str:
    """Run one attempt at the site next to this process, and stop it when it ``is_withdrawn``.

    Raises RuntimeError if no site can be had here.
    """
    for _ in range(3):
        try:
            return json.dumps(next_door(setup).perform(claim, is_withdrawn))
        except Closed:
            time.sleep(CHECK)
    raise RuntimeError("the site next to this worker, which runs the jobs, ends at once")


def order(run: str, message: str) -> str:
    """Pass an order on to the site of a run, if there is one next to this process; return what came of it."""
    site = _sites.get(run)
    kind, *rest = json.loads(message)
    if kind == "stop":
        return json.dumps(dict.fromkeys(rest[0], "refused") if site is None else site.stop(*rest))
    if kind == "back":
        return json.dumps({} if site is None else site.refuse(*rest))
    if kind == "news":
        return json.dumps([] if site is None else site.news())
    if kind in ("meet", "close"):  # a bridge that meets this worker is a new one: nothing of an earlier one may go on
        _sites.pop(run, None)
        is_over = site is None or site.close()
        return json.dumps((ME if kind == "meet" else True) if is_over else None)
    if site is not None:
        site.order([kind, *rest])
    return "true"
