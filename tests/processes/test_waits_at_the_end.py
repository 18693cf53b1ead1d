"""An executor that waits for its workers to end sleeps meanwhile, whatever else happens to its run."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from desk import SLOTS, Desk, opened

from batchq.executors.listener import Listener
from batchq.executors.local import LocalExecutor
from batchq.executors.seam import Executor
from batchq.processes.signals import Inbox

pytest_plugins = ("desk",)
STAYS = "import threading, time\ndef f():\n    threading.Thread(target=time.sleep, args=[600]).start()\n"


def test_a_bell_that_nobody_reads_any_more_does_not_wake_it_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    step = LocalExecutor._step
    bell, rope = os.pipe()

    def counted(executor: LocalExecutor, until: float) -> None:
        nonlocal steps
        steps += 1
        step(executor, until)

    def made(folder: Path, listeners: Sequence[Listener]) -> Executor:
        inbox = Inbox()
        inbox.listen(bell)
        return LocalExecutor(
            SLOTS, inbox, str(folder / "scratch"), db=str(folder / "batchq.db"), cookie="contract", perform=None,
            home=str(folder), grace=0.5, listeners=listeners,
        )  # fmt: skip

    monkeypatch.setattr(LocalExecutor, "_step", counted)
    (tmp_path / "stays.py").write_text(STAYS)
    (tmp_path / "scratch").mkdir()
    with opened(made, tmp_path) as executor:
        desk = Desk(executor, tmp_path)
        desk.outcomes(desk.call("stays:f"))
        os.write(rope, b"!")
        steps = 0

    assert 0 < steps < 100
    for end in (bell, rope):
        os.close(end)
