"""Rescue: what dead runners left is settled, after what is still alive of it has been killed."""

import signal
import time
from collections.abc import Iterator

from batchq import clock
from batchq.processes import machine, tree
from batchq.runner.telling import warn
from batchq.store import lost as dead
from batchq.store.connection import Store
from batchq.store.lost import Here, Lost
from batchq.store.recording import Settled
from batchq.store.runners import Runner

UNKILLABLE = 5.0  #: seconds after which a rescue goes on although a process survives SIGKILL


class Rescuer:
    """Looks for runners of ``store`` that are gone although they never left, on behalf of the runner ``me``."""

    def __init__(self, store: Store, me: Runner) -> None:
        self._store = store
        self._me = me
        self._here = Here(machine.host(), machine.boot_id(), machine.namespace(), _lives)
        self._hidden: set[int] = set()

    def rescue(self) -> Iterator[list[Settled]]:
        """The settled attempts of one dead runner after the other. Raises BusyError, LedgerError.

        Nothing of them runs any more when they are settled, so that no job runs twice at once.
        """
        for lost in dead.lost_runners(self._store, self._me, self._here):
            if lost.is_hidden:
                self._leave(lost)
                continue
            _end_processes(lost)
            yield dead.rescue(self._store, lost, clock.now())

    def _leave(self, lost: Lost) -> None:
        """Say once that a runner of another container is gone, and leave its jobs to somebody who can look there."""
        if lost.runner not in self._hidden:
            self._hidden.add(lost.runner)
            warn(
                f"runner {lost.runner} (pid {lost.pid} of another container) is gone with {len(lost.claims)} jobs; when"
                f" nothing of them is alive there, run 'batchq doctor --rescue {lost.runner}'"
            )


def _lives(pid: int, born: int) -> bool:
    return tree.started_ticks(pid) == born and not tree.is_zombie(pid)


def _end_processes(lost: Lost) -> None:
    """SIGKILL what still runs of a dead runner, until nothing carries its cookie or the tokens of its attempts.

    With all below: a run of another store that a job of it started has put its own cookie in their place.
    """
    cookies = {f"BATCHQ_TOKEN={claim.token}".encode() for claim in lost.claims}
    cookies.add(f"BATCHQ_RUNNER={lost.liveness}".encode())
    deadline = time.monotonic() + UNKILLABLE
    while (pids := tree.carriers(cookies)) and time.monotonic() < deadline:
        for pid in [one for carrier in pids for one in (carrier, *tree.descendants(carrier))]:
            tree.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
