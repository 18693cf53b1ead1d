"""S36: backups that are made while jobs run, and some of them killed; and the way back to one when a run has crashed."""

import json
import shutil
import time
from pathlib import Path

import pytest
import sizes
from chaos_evidence import read
from conftest import Shell, eventually, finish
from figures import record
from fleet import Fleet

from batchq.store.file.opening import open_at

pytest_plugins = ("figures",)


def test_a_backup_is_whole_or_not_there(batchq: Shell) -> None:
    chance = sizes.chance("S36")
    batchq("prune", "--set-retention", "2s")
    bad: list[tuple[object, object]] = []
    taken: list[Path] = []
    killed, usual = 0, 0.0
    with Fleet(batchq, "-q", "-j", "2") as fleet:
        for number in range(sizes.BACKUPS):
            batchq("add", "-q", "-", stdin="echo x; sleep 0.01\n" * 20)
            if not fleet.living():
                fleet.start()
            began = time.monotonic()
            making = batchq.start("backup", "-q", f"copy{number}.db")
            if usual and number % 4 == 3:
                time.sleep(chance.uniform(0.3, 1) * usual)
                making.kill()
                killed += 1
            done = finish(making)
            usual = usual or time.monotonic() - began
            path = batchq.folder / f"copy{number}.db"
            if path.exists():  # also when it was killed at its very end
                taken.append(path)
            if done.code not in (0, -9) or (done.code == 0 and not path.exists()):
                bad.append((number, done))
        fleet.wait_for_all()
    for path in taken:
        told = json.loads(batchq("--db", str(path), "report", "--all", "--json").out)
        with open_at(str(path)) as copy:
            ((jobs,),) = copy.fetch("SELECT count(*) FROM jobs")
        bad += [(path.name, told)] if told["jobs"] != jobs else []
        bad += [
            (path.name, done) for done in [batchq("--db", str(path), "doctor", code=None)] if done.code not in (0, 1)
        ]
        for row in read(path, "PRAGMA integrity_check"):
            assert row == ("ok",)
        path.unlink()
    record("S36 backups while jobs run", sizes.BACKUPS, "backups", len(bad), killed=killed)
    assert bad == []
    for left in batchq.folder.glob("copy*"):
        left.unlink()


@pytest.mark.parametrize("by", ["mv", "cp"])
def test_a_backup_that_is_put_in_place_of_a_crashed_store_works_or_stays_whole(batchq: Shell, by: str) -> None:
    ruined = 0
    batchq("add", "-q", "--", "echo", "first")
    batchq("backup", "-q", "kept.db")
    for _ in range(sizes.WAYS_BACK):
        batchq("add", "-q", "-", stdin="echo later; sleep 0.01\n" * 300)
        with Fleet(batchq, "-q", "-j", "2") as fleet:
            member = fleet.start()
            eventually(lambda: read(batchq.db(), "SELECT count(*) > 20 FROM attempts") == [(1,)])
            member.kill("both")
            fleet.wait_for_all()
        shutil.copy(batchq.folder / "kept.db", batchq.folder / "b.db")
        before = (batchq.folder / "b.db").read_bytes()
        (shutil.move if by == "mv" else shutil.copy)(batchq.folder / "b.db", batchq.db())
        refused = [batchq(*words, code=None).code for words in (("list",), ("report",))]
        if set(refused) != {0}:
            ruined += batchq.db().read_bytes() != before
        for name in ("batchq.db-wal", "batchq.db-shm", "batchq.db"):
            (batchq.folder / name).unlink(missing_ok=True)
        shutil.copy(batchq.folder / "kept.db", batchq.db())
        batchq("run", "-q")
    record(f"S36 back to a backup by {by} after a crash", sizes.WAYS_BACK, "ways back", ruined)
    assert ruined == 0
