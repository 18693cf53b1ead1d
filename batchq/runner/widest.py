"""How many slots a run and one job can have: that changes as machines come and go, and people are told if jobs wait."""

from batchq.executors.seam import Executor
from batchq.jobs.selection import in_words, merged
from batchq.notes import note
from batchq.store.answering import answers
from batchq.store.file.connection import Store
from batchq.store.running.runners import Runner

MOST = 10  #: jobs that are named


class Widest:
    """``is_new`` until the ledger has it."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self.is_new = False
        self._store = store
        self._executor = executor
        self._is_less = self._is_told = False

    def now(self, me: Runner) -> Runner:
        """The runner with the slots that there are now."""
        slots, widest = self._executor.slots, self._executor.widest
        if slots == me.slots and widest == me.widest:
            return me
        self._is_less = self._is_less or widest < me.widest
        self.is_new = True
        return me._replace(slots=slots, widest=widest)

    def hoped(self, me: Runner) -> Runner:
        """The runner with what a job can have once the places are back that may come back."""
        return me._replace(widest=max(me.widest, self._executor.hoped))

    def recorded(self, me: Runner) -> None:
        """Note that the ledger has it; tell, if it has become less. Raises BusyError, LedgerError."""
        self.is_new = False
        if self._is_less:
            self._is_less = False
            self.tell(me)

    def tell(self, me: Runner) -> None:
        """Tell once which jobs wait for a place with more slots. Raises BusyError, LedgerError."""
        if self._is_told or not (ids := answers.too_wide(self._store, me)):
            return
        self._is_told = True
        named = in_words(merged((id, id) for id in ids[:MOST])) + (" …" if len(ids) > MOST else "")
        jobs = f"job {named} needs" if len(ids) == 1 else f"jobs {named} need"
        rest = ": waiting for one that may come back" if self._executor.hoped > me.widest else ""
        note(f"{jobs} more slots than any place has now ({me.widest}){rest}")
