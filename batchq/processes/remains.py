"""The surviving processes of a dead run: found by marks, sessions and environment, and killed with all descendants."""

import signal
import time
from collections.abc import Callable, Collection, Mapping

from batchq.named import NamedTuple
from batchq.processes import census, marks, proc, tree
from batchq.processes.census import Process

SWEEP = 0.2  #: seconds within which killed processes are gone; others are searched for again later


class Marks(NamedTuple):
    """What identifies the processes of a dead run.

    ``tokens`` are those of its attempts, ``cookie`` marks everything that it started, and ``leaders`` are the first
    processes of attempts (by token: pid, and birth in clock ticks since boot). ``is_spared`` returns for the token of an
    ended attempt whether its leftovers were to stay.
    """

    tokens: Collection[str]
    cookie: int | str
    leaders: Mapping[str, tuple[int, int | None]]
    is_spared: Callable[[str], bool]


def end(dead: Marks) -> set[str]:
    """SIGKILL the processes of a dead run; return the tokens of its attempts that still have a living process.

    All are stopped before the first is killed, so that none starts another unseen. Those that survive belong to another
    user, hang in a system call, or are ancestors of this process. Resource trackers have a moment to end by themselves.
    """
    seen: dict[int, str] = {}
    mine: set[int] = set()
    trackers: set[int] = set()
    while True:
        processes = census.table()
        mine = mine or census.lineage(processes)
        found = _with_all_below(_roots(dead, processes), processes, mine)
        new = found.keys() - seen.keys()
        seen |= found
        trackers |= {pid for pid in new if proc.is_resource_tracker(pid)}
        for pid in new - mine - trackers:
            tree.kill(pid, signal.SIGSTOP)
        if not new:
            break
    for pid in seen.keys() - mine - trackers:
        tree.kill(pid, signal.SIGKILL)
    now = time.monotonic()
    deadline, last_for_trackers = now + SWEEP, now + tree.TRACKERS
    while left := [pid for pid in seen if not proc.is_zombie(pid)]:
        if time.monotonic() > (last_for_trackers if trackers.issuperset(left) else deadline) or mine.issuperset(left):
            break
        time.sleep(0.002)
    if trackers.issuperset(left):  # else they still wait for the others
        for pid in left:
            tree.kill(pid, signal.SIGKILL)
    tokens = {seen[pid] for pid in left}
    return set(dead.tokens) if "" in tokens else tokens  # it may belong to any attempt


def _roots(dead: Marks, processes: Mapping[int, Process]) -> dict[int, str]:
    """Find processes of the run, each with the token of its attempt, empty if unknown."""
    sessions = {}
    for token, (pid, born) in dead.leaders.items():
        # The kernel does not reuse the number of a session while one of its processes lives.
        if pid not in processes or processes[pid].born == born:
            sessions[pid] = token
    roots = {pid: sessions[one.session] for pid, one in processes.items() if one.session in sessions}
    known = {marks.number_of(token): token for token in dead.tokens} | {marks.number_of(str(dead.cookie)): ""}
    for pid, mark in marks.carried(processes).items():
        if mark in known:
            roots.setdefault(pid, known[mark])
    cookies = {f"BATCHQ_TOKEN={token}".encode() for token in dead.tokens}
    cookies.add(f"BATCHQ_RUNNER={dead.cookie}".encode())
    for pid, token in census.carriers(cookies).items():
        if pid in processes and (token in dead.tokens or not token or not dead.is_spared(token)):
            roots[pid] = token if token in dead.tokens else ""
    return roots


def _with_all_below(
    roots: Mapping[int, str], processes: Mapping[int, Process], mine: Collection[int]
) -> dict[int, str]:
    children: dict[int, list[int]] = {}
    for pid, one in processes.items():
        children.setdefault(one.parent, []).append(pid)
    found: dict[int, str] = {}
    level = dict(roots)
    while level:
        found |= level
        level = {
            child: token
            for pid, token in level.items()
            if pid not in mine  # their descendants are this process and what it has started
            for child in children.get(pid, ())
            if child not in found
        }
    return found
