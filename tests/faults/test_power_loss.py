"""S5: power lost at any moment. At synchronous = FULL nothing acknowledged is lost; at NORMAL and OFF it would be."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sizes
import steps
from figures import record
from steps import Dump

from batchq.errors import LedgerError
from batchq.store.file import log

pytest.importorskip(
    "apsw", reason="apsw is not installed (pip install 'batchq[test]'): nothing can log what SQLite writes"
)
import powerloss

pytest_plugins = ("figures",)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[powerloss.Event], list[Dump]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return powerloss.record(tmp_path_factory.mktemp("session"), monkeypatch)


def read(path: Path, acknowledged: int) -> Dump:
    """The whole of a store; DatabaseError where it is damaged, or its log is taken for another's.

    Before the first step the store is being made. That happens beside its place, so nobody looks for its log then.
    """
    if acknowledged:
        try:
            log.check(str(path))
        except LedgerError as error:
            raise sqlite3.DatabaseError(str(error)) from None
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        problems = [text for (text,) in db.execute("PRAGMA integrity_check") if text != "ok"]
        if problems:
            raise sqlite3.DatabaseError(problems[0])
        return steps.dump(db)


def lose_power(
    session: tuple[list[powerloss.Event], list[Dump]], synchronous: str, states: int, tmp_path: Path
) -> tuple[list[str], int, int]:
    """Corrupt states, states that lost something acknowledged, and the most steps that one of them lost."""
    events, dumps = session
    (tmp_path / "replay").mkdir()
    (tmp_path / "state").mkdir()
    events_log = powerloss.replay(events, tmp_path / "replay", synchronous)
    chance = sizes.chance(f"S5 {synchronous}")
    verdicts = []
    for _ in range(states):
        files, acknowledged = powerloss.state_after(events_log, chance)
        verdict = powerloss.examine(files, acknowledged, dumps, tmp_path / "state", read)
        # With less than FULL, half a store is not corrupt: it has another name until all of it is on disk.
        if synchronous == "FULL" or acknowledged:
            verdicts.append(verdict)
    corrupt = [verdict.corrupt for verdict in verdicts if verdict.corrupt]
    lost = [verdict.lost for verdict in verdicts if verdict.lost]
    return corrupt, len(lost), max(lost, default=0)


def test_a_power_loss_at_any_moment_loses_nothing_acknowledged(
    session: tuple[list[powerloss.Event], list[Dump]], tmp_path: Path
) -> None:
    corrupt, lost, _ = lose_power(session, "FULL", sizes.POWER_LOSSES, tmp_path)

    record("S5 power loss, FULL", sizes.POWER_LOSSES, "states", len(corrupt) + lost, corrupt=len(corrupt), lost=lost)
    assert not corrupt
    assert not lost


def test_with_less_synchronisation_the_suite_sees_the_loss(
    session: tuple[list[powerloss.Event], list[Dump]], tmp_path: Path
) -> None:
    (tmp_path / "normal").mkdir()
    (tmp_path / "off").mkdir()
    corrupt, lost, most = lose_power(session, "NORMAL", sizes.CONTROL_LOSSES, tmp_path / "normal")
    record("S5 control, NORMAL", sizes.CONTROL_LOSSES, "states", len(corrupt) + lost, corrupt=len(corrupt), lost=lost,
           most_steps_lost=most)  # fmt: skip
    assert not corrupt
    assert lost

    corrupt, lost, most = lose_power(session, "OFF", sizes.CONTROL_LOSSES, tmp_path / "off")
    record("S5 control, OFF", sizes.CONTROL_LOSSES, "states", len(corrupt) + lost, corrupt=len(corrupt), lost=lost,
           most_steps_lost=most)  # fmt: skip
    assert corrupt
