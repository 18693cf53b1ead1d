"""What the walks over the ledger have in common: one store, two connections, a clock of their own, runners that live."""

import math
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import invariants
from hypothesis.stateful import RuleBasedStateMachine
from newstore import open_new

from batchq import clock
from batchq.store import order
from batchq.store.file.connection import Store
from batchq.store.file.locks import LockFile
from batchq.store.file.opening import open_at
from batchq.store.running.runners import Runner


class Life:
    """A runner as the model knows it: its row, and whether its liveness byte is locked."""

    def __init__(self, runner: Runner, store: int, lock: LockFile) -> None:
        self.runner = runner
        self.store = store
        self.lock = lock
        self.alive = True
        self.row = "running"

    def __repr__(self) -> str:
        return f"runner {self.runner.id}"


class Ground:
    """``population`` are the runners that there were, ``now`` is what the clock says."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="batchq-walk-"))
        self.path = self.folder / "model.db"
        self.now = 1_700_000_000_000
        self.clock = mock.patch.object(clock, "now", lambda: self.now)
        self.clock.start()
        self.population: list[Life] = []
        self.stores: list[Store] = []
        self.turn = 0

    def open_stores(self) -> None:
        """Begin with an empty store."""
        self.stores = [open_new(self.path), open_at(str(self.path))]
        for store in self.stores:
            store.db.execute("PRAGMA synchronous = OFF")  # nothing here asks what a power loss does

    def teardown(self) -> None:
        """Close everything; what is left must hold the invariants."""
        self.clock.stop()
        for life in self.population:
            if life.alive:
                life.lock.close()
        for store in self.stores:
            store.close()
        try:
            if self.stores:
                invariants.check(self.path)
        finally:
            shutil.rmtree(self.folder)

    def store(self) -> Store:
        """The two connections take turns."""
        self.turn = 1 - self.turn
        return self.stores[self.turn]


class Walk(Ground, RuleBasedStateMachine):
    """A walk whose steps hypothesis chooses. What an end does far below is not put off, however slow the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.slice = mock.patch.object(order, "SLICE", math.inf)
        self.slice.start()

    def teardown(self) -> None:
        self.slice.stop()
        super().teardown()
