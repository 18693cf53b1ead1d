"""Rescue: what dead runners left is settled, after what is still alive of it has been killed."""

import time
from collections.abc import Iterator

from batchq import clock
from batchq.notes import note
from batchq.processes import census, machine, proc, remains, scratch
from batchq.processes.remains import Marks
from batchq.store.file import location
from batchq.store.file.connection import Store
from batchq.store.running import rescue
from batchq.store.running.recording import Settled
from batchq.store.running.rescue import Here, Lost
from batchq.store.running.runners import Runner

STUBBORN = 5.0  #: seconds after which a run no longer waits for what survives SIGKILL, and says so


def here(store: Store) -> Here:
    """Where this process runs, for the store."""
    return Here(
        machine.boot_id(), machine.namespace(), lambda: location.network_type(store.path) is None, _lives, _sees
    )


def _lives(pid: int, born: int) -> bool:
    return proc.started_ticks(pid) == born and not proc.is_zombie(pid)


def _sees(namespace: str) -> bool:
    return machine.namespace() == census.INITIAL or bool(census.inside(namespace))


class Rescuer:
    """Looks for runners of ``store`` that are gone although they never left, on behalf of the runner ``me``.

    ``beyond_reach`` are those whose jobs stay as they are, by row, because something of them lives, or may live unseen.
    """

    def __init__(self, store: Store, me: Runner | None = None) -> None:
        self.beyond_reach: dict[int, Lost] = {}
        self._store = store
        self._me = me
        self._here = here(store)
        self._since: dict[int, float] = {}
        self._told: set[int] = set()

    def rescue(self) -> Iterator[list[Settled]]:
        """The settled attempts of one dead runner after the other. Raises BusyError, LedgerError.

        Nothing of them runs any more when they are settled, so that no job runs twice at once.
        """
        dead = rescue.lost_runners(self._store, self._me, self._here)
        self.beyond_reach = {one.runner: one for one in dead if one.hidden_in is not None and one.claims}
        for one in dead:
            if one.hidden_in is None or not one.claims:
                yield self.take_back(one)
            else:
                self._say(one, _HIDDEN[one.hidden_in])

    def take_back(self, one: Lost) -> list[Settled]:
        """End what can be seen of a dead runner, and settle its attempts but those of which something lives on."""
        living = set() if one.is_of_a_copy else remains.end(self._marks(one))
        if living:
            self.beyond_reach[one.runner] = one
            since = self._since.setdefault(one.runner, time.monotonic())
            if time.monotonic() - since > STUBBORN:
                self._say(one, _STUBBORN)
            if len(living) == len(one.claims):
                return []
        elif not one.is_of_a_copy:
            scratch.remove(str(one.liveness))
        return rescue.rescue(self._store, one, clock.now(), living)

    @property
    def is_busy(self) -> bool:
        """Whether what was killed may be gone in a moment, and its jobs free."""
        return bool(self.beyond_reach.keys() - self._told)

    def _marks(self, one: Lost) -> Marks:
        leaders = one.leaders
        if one.namespace != self._here.namespace and leaders:  # there they have other numbers
            pids = census.inside(one.namespace)
            leaders = {token: (pids[pid], born) for token, (pid, born) in leaders.items() if pid in pids}
        tokens = {claim.token for claim in one.claims}
        return Marks(tokens, one.liveness, leaders, lambda token: rescue.was_to_stay(self._store, token))

    def _say(self, one: Lost, how: str) -> None:
        if one.runner not in self._told:
            self._told.add(one.runner)
            note(how.format(runner=one.runner, pid=one.pid, host=one.host, jobs=_jobs(one), store=self._store.path))


def take_back_cancelled(store: Store) -> None:
    """Settle the jobs of dead runs that somebody has just cancelled: nobody else would end them before the next run.

    Raises BusyError, LedgerError.
    """
    if rescue.has_cancelled(store):
        for _ in Rescuer(store).rescue():
            continue


_HIDDEN = {
    "container": "runner {runner} (process {pid} of another container) is gone with {jobs}, and from here nobody can see"
    " what it started; when nothing of that is alive, run 'batchq doctor --rescue {runner}'",
    "machine": "runner {runner} (process {pid} on {host}) is gone with {jobs}, or its machine is; when nothing of it is"
    " alive there, run 'batchq doctor --rescue {runner}'",
}
_STUBBORN = "runner {runner} is dead, but something that it started cannot be ended; {jobs} must wait for that"


def _jobs(one: Lost) -> str:
    ids = [claim.id for claim in one.claims]
    named = ", ".join(map(str, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return f"job{'' if len(ids) == 1 else 's'} {named}"
