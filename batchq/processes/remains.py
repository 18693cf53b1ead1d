"""What a dead run left alive: found by the marks, sessions and environment of its attempts, and ended with all below."""

import signal
import time
from collections.abc import Callable, Collection, Mapping

from batchq.named import NamedTuple
from batchq.processes import census, marks, proc, tree
from batchq.processes.census import Process

SWEEP = 0.2  #: seconds within which what was killed is gone; else it is looked for again later


class Marks(NamedTuple):
    """How the processes of a dead run are known.

    ``tokens`` are those of its attempts, ``cookie`` marks all that it started, and ``leaders`` are the first processes of
    attempts (by token: pid, and when it was born in clock ticks since boot). ``is_spared`` says of the token of an attempt
    that has ended whether what it left was to stay.
    """

    tokens: Collection[str]
    cookie: int
    leaders: Mapping[str, tuple[int, int | None]]
    is_spared: Callable[[str], bool]


def end(dead: Marks) -> set[str]:
    """SIGKILL what is left of a dead run; the tokens of those of its attempts of which something lives on.

    All are stopped before the first is killed, so that none starts another behind our back. What lives on is what this
    user may not kill, what the system has in a call that does not end, and what this very process descends from.
    """
    seen: dict[int, str] = {}
    mine: set[int] = set()
    while True:
        processes = census.table()
        mine = mine or census.lineage(processes)
        found = _with_all_below(_roots(dead, processes), processes, mine)
        new = found.keys() - seen.keys()
        seen |= found
        for pid in new - mine:
            tree.kill(pid, signal.SIGSTOP)
        if not new:
            break
    for pid in seen.keys() - mine:
        tree.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + SWEEP
    while (left := [pid for pid in seen if not proc.is_zombie(pid)]) and time.monotonic() < deadline:
        if mine.issuperset(left):
            break
        time.sleep(0.002)
    tokens = {seen[pid] for pid in left}
    return set(dead.tokens) if "" in tokens else tokens  # nobody knows to which attempt that one belongs


def _roots(dead: Marks, processes: Mapping[int, Process]) -> dict[int, str]:
    """Processes of the run, each with the token of its attempt, empty where that is not known."""
    sessions = {}
    for token, (pid, born) in dead.leaders.items():
        # The number of a session is not given away again while one of its processes lives.
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
            if pid not in mine  # below these are we, and all that we have started
            for child in children.get(pid, ())
            if child not in found
        }
    return found
