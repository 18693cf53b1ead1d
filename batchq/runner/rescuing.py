"""Rescue: kill the processes that dead runners left, then settle their jobs."""

import time
from collections.abc import Iterator

from batchq import clock
from batchq.notes import note
from batchq.processes import census, machine, proc, remains, scratch
from batchq.processes.remains import Marks
from batchq.store.file import location
from batchq.store.file.connection import Store
from batchq.store.keeping import filed
from batchq.store.running import rescue
from batchq.store.running.recording import Settled
from batchq.store.running.rescue import Here, Lost
from batchq.store.running.runners import Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.executors.afar.reach import Reach

AT_ONCE = 4  #: dead runs whose places are asked at the same time: each costs a process for each place
STUBBORN = 5.0  #: seconds after which a run reports processes that survive SIGKILL, and no longer waits for them


def here(store: Store) -> Here:
    """The place where this process runs, for the store."""
    return Here(
        machine.boot_id(), machine.namespace(), lambda: location.network_type(store.path) is None, _lives, _sees
    )


def _lives(pid: int, born: int) -> bool:
    return proc.started_ticks(pid) == born and not proc.is_zombie(pid)


def _sees(namespace: str) -> bool:
    return machine.namespace() == census.INITIAL or bool(census.inside(namespace))


class Rescuer:
    """Finds dead runners of ``store`` for the runner ``me``, and takes their jobs back.

    ``beyond_reach`` has those, by row, whose jobs stay as they are because their processes are or may be still alive.
    """

    def __init__(self, store: Store, me: Runner | None = None) -> None:
        self.beyond_reach: dict[int, Lost] = {}
        self._store = store
        self._me = me
        self._here = here(store)
        self._since: dict[int, float] = {}
        self._reported: set[int] = set()
        self._reached: dict[int, Reach] = {}
        self._leaving: list[Reach] = []

    def rescue(self) -> Iterator[list[Settled]]:
        """Settle the attempts of one dead runner after the other. Raises BusyError, LedgerError.

        They are settled after all their processes have been killed, so that no job runs twice at once.
        """
        self._leaving = [reach for reach in self._leaving if not reach.has_left()]
        dead = rescue.lost_runners(self._store, self._me, self._here)
        self.beyond_reach = {one.runner: one for one in dead if one.hidden_in is not None and one.claims}
        for one in dead:
            if one.hidden_in is None or not one.claims:
                yield self.take_back(one)
            else:
                self._report(one, _HIDDEN[one.hidden_in])

    def take_back(self, one: Lost) -> list[Settled]:
        """Kill the visible processes of a dead runner, and settle its attempts except those that survive."""
        if not self._is_over_elsewhere(one):
            self.beyond_reach[one.runner] = one
            return []
        living = set() if one.is_of_a_copy else remains.end(self._marks(one))
        if one.lease is not None and not one.is_of_a_copy:  # the workers of a pool of which nobody was left
            remains.end(Marks((), f"{self._cookie_elsewhere(one)}.0", {}, self._marks(one).is_spared))
        if living:
            self.beyond_reach[one.runner] = one
            since = self._since.setdefault(one.runner, time.monotonic())
            if time.monotonic() - since > STUBBORN:
                self._report(one, _STUBBORN)
            if len(living) == len(one.claims):
                return []
        elif not one.is_of_a_copy:
            scratch.remove(str(one.liveness) if one.lease is None else self._cookie_elsewhere(one))
        return rescue.rescue(self._store, one, clock.now(), living)

    def _is_over_elsewhere(self, one: Lost) -> bool:
        """Whether nothing of it runs in other places: its places confirm that, or its lease has passed."""
        if one.lease is None or one.is_of_a_copy or not one.claims:
            return True
        since = self._since.setdefault(one.runner, time.monotonic())
        reach = self._reached.get(one.runner) or self._reach(one)
        if reach is None or not reach.is_over():
            if time.monotonic() - since < one.lease / 1000:
                return False
            if reach is not None:
                reach.give_up()
        if reach is not None and reach not in self._leaving:
            self._leaving.append(reach)
        return True

    def _reach(self, one: Lost) -> "Reach | None":
        """Begin to ask its places; None while those of others are asked: many runs in a row may have died."""
        from batchq.executors.afar.reach import Reach

        if sum(reach.is_at_work for reach in self._reached.values()) >= AT_ONCE:
            return None
        reach = self._reached[one.runner] = Reach(
            one.executor,
            self._cookie_elsewhere(one),
            [claim.token for claim in one.claims],
            one.started_at,
            rescue.stay(self._store, one.runner),
            lease=one.lease or 0,
            was_stopping=one.was_stopping,
            hosts=one.hosts.values(),
        )
        return reach

    def _cookie_elsewhere(self, one: Lost) -> str:
        """Return what marks the places of a run whose jobs ran elsewhere."""
        return f"{filed.mark(self._store)}.{one.liveness}"

    @property
    def is_busy(self) -> bool:
        """Whether killed processes may be gone in a moment, which frees their jobs."""
        return bool(self.beyond_reach.keys() - self._reported)

    def _marks(self, one: Lost) -> Marks:
        leaders = one.leaders
        if one.namespace != self._here.namespace and leaders:  # in their namespace they have other pids
            pids = census.inside(one.namespace)
            leaders = {token: (pids[pid], born) for token, (pid, born) in leaders.items() if pid in pids}
        tokens = {claim.token for claim in one.claims}
        return Marks(tokens, one.liveness, leaders, lambda token: rescue.was_to_stay(self._store, token))

    def _report(self, one: Lost, how: str) -> None:
        if one.runner not in self._reported:
            self._reported.add(one.runner)
            note(how.format(runner=one.runner, pid=one.pid, host=one.host, jobs=_jobs(one), store=self._store.path))


def take_back_cancelled(store: Store) -> None:
    """Settle cancelled jobs of dead runs, which otherwise nothing would stop before the next run.

    Raises BusyError, LedgerError.
    """
    if rescue.has_cancelled(store):
        for _ in Rescuer(store).rescue():
            continue


_HIDDEN = {
    "container": "runner {runner} (process {pid} of another container) died with {jobs}, and from here batchq cannot see"
    " what it started; if none of that is alive, run 'batchq doctor --rescue {runner}'",
    "machine": "runner {runner} (process {pid} on {host}) died with {jobs}, or its machine did; if nothing of it is"
    " alive there, run 'batchq doctor --rescue {runner}'",
}
_STUBBORN = "runner {runner} is dead, but a process that it started cannot be killed; {jobs} must wait for that"


def _jobs(one: Lost) -> str:
    ids = [claim.id for claim in one.claims]
    named = ", ".join(map(str, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return f"job{'' if len(ids) == 1 else 's'} {named}"
