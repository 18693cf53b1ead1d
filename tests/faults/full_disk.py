"""What happens on a disk of 1 MiB that is full: run as root of a mount namespace of its own (see test_full_disk.py).

``python full_disk.py FOLDER``: FOLDER/disk is the small disk. Prints figures as JSON; ends with an
AssertionError where a promise is broken.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import invariants
from conftest import Shell, eventually

from batchq.store.file.opening import open_at


class SmallDisk:
    """The disk, and ``batchq`` with a store on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "disk" / "batchq.db"
        self.ballast = folder / "disk" / "ballast"
        self.shell = Shell(folder)
        self.shell.env["BATCHQ_DB"] = str(self.store)
        self.shell("init")

    def fill(self) -> None:
        """Fill it to the last byte."""
        fd = os.open(self.ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        size = 65536
        while size:
            try:
                os.write(fd, b"x" * size)
            except OSError:
                size //= 2
        os.close(fd)

    def clear(self) -> None:
        self.ballast.unlink()

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with open_at(str(self.store)) as opened:
            return opened.db.execute(sql).fetchall()

    def start_run(self, *words: str) -> "subprocess.Popen[bytes]":
        """A run whose only job waits for the file ``go``."""
        self.shell("add", "-c", f"touch {self.folder}/begun; while [ ! -e {self.folder}/go ]; do sleep 0.01; done")
        process = subprocess.Popen(
            self.shell.argv("run", *words), cwd=self.folder, env=self.shell.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=(self.folder / "told").open("wb"),
        )  # fmt: skip
        eventually((self.folder / "begun").exists)
        return process

    def told(self) -> str:
        return (self.folder / "told").read_text()

    def end_job(self) -> None:
        (self.folder / "go").touch()


def adding(disk: SmallDisk) -> dict[str, object]:
    """add says 74 and stores nothing; looking still works; with space it goes on."""
    accepted = [int(disk.shell("add", "--", "true").out)]
    disk.fill()
    for _ in range(200):
        done = disk.shell("add", "--", "true", code=None)
        if done.code:
            break
        accepted.append(int(done.out))
    assert done.code == 74, done
    assert done.err.startswith("batchq: ") and done.err.count("\n") == 1, done
    assert "full" in done.err, done
    looked = [disk.shell(*words) for words in (("report",), ("list",), ("show", "1"))]
    assert all("queued" in one.out for one in looked), looked
    disk.clear()
    accepted.append(int(disk.shell("add", "--", "true").out))
    assert disk.rows("SELECT id FROM jobs ORDER BY id") == [(job,) for job in accepted]
    disk.shell("run")
    return {"adds_that_still_fitted": len(accepted) - 2}


def recording(disk: SmallDisk) -> dict[str, object]:
    """A result that cannot be recorded is kept, and recorded as soon as there is space."""
    process = disk.start_run()
    disk.fill()
    disk.end_job()
    eventually(lambda: "trying again" in disk.told())
    assert process.poll() is None
    looked = disk.shell("report")
    assert "running" in looked.out, looked
    began = time.monotonic()
    disk.clear()
    assert process.wait(timeout=60) == 0, disk.told()
    assert disk.rows("SELECT outcome, exit_code FROM attempts") == [("succeeded", 0)]
    return {"recorded_after_ms": round((time.monotonic() - began) * 1000)}


def stopping(disk: SmallDisk) -> dict[str, object]:
    """A run that is told to stop meanwhile tells the result on stderr instead; its job is rescued later."""
    process = disk.start_run("--grace", "200ms")
    disk.fill()
    disk.end_job()
    eventually(lambda: "trying again" in disk.told())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM, disk.told()
    assert "job 1 attempt 1 succeeded, exit code 0: could not be recorded" in disk.told()
    disk.clear()
    disk.shell("run")
    assert disk.rows("SELECT outcome FROM attempts ORDER BY number") == [("crashed",), ("succeeded",)]
    return {}


def giving_up(disk: SmallDisk) -> dict[str, object]:
    """A run that waits for space in vain exits 74 and tells the result on stderr."""
    process = disk.start_run()
    disk.fill()
    disk.end_job()
    began = time.monotonic()
    assert process.wait(timeout=200) == 74, disk.told()
    assert "job 1 attempt 1 succeeded, exit code 0: could not be recorded" in disk.told()
    disk.clear()
    return {"gave_up_after_s": round(time.monotonic() - began)}


SCENARIOS: dict[str, Callable[[SmallDisk], dict[str, object]]] = {
    scenario.__name__: scenario for scenario in (adding, recording, stopping, giving_up)
}


def main(folder: Path, name: str) -> None:
    disk = SmallDisk(folder)
    figures = SCENARIOS[name](disk)
    invariants.check(disk.store)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
