"""Real ``batchq run`` processes over one store, as guardian and runner, which a suite kills and stops by their ids."""

import os
import select
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell, eventually

from batchq.processes import proc

#: Appends "job attempt" to a file outside the store as soon as it runs. The lock shows whether another attempt of the
#: same job still lives: a process keeps it as long as it, or anything that it started, is alive.
EFFECT = (
    "exec 9>>held-$BATCHQ_JOB_ID; flock -n 9 || echo $BATCHQ_JOB_ID >> overlaps;"
    ' echo "$BATCHQ_JOB_ID $BATCHQ_ATTEMPT" >> effects'
)


class Member:
    """One ``batchq run``: the process that was started, which is the guardian, and the runner that it forked."""

    def __init__(self, shell: Shell, words: tuple[str, ...], mutant: str | None = None) -> None:
        argv = shell.argv("run", *words)
        if mutant is not None:
            broken = f"import mutants; mutants.apply({mutant!r}); from batchq.__main__ import main; main()"
            argv[1:3] = ["-c", broken]
        with (shell.folder / "told").open("ab") as told:
            self.process = subprocess.Popen(
                argv, cwd=shell.folder, env=shell.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=told
            )
        self._runner: int | None = None
        self._handle = -1

    @property
    def runner(self) -> int | None:
        """The process id of the runner; None as long as there is none."""
        if self._runner is None and self.process.poll() is None:
            found = next(iter(proc.children(self.process.pid)), None)
            if found is not None:
                with suppress(ProcessLookupError):
                    self._handle = os.pidfd_open(found)
                    self._runner = found
        return self._runner

    def is_there(self) -> bool:
        """Whether the runner has been forked, or all is over already."""
        return self.runner is not None or self.has_ended()

    def signal_runner(self, number: signal.Signals) -> None:
        """Signal the runner, and nobody who got its process id later."""
        assert self.runner is not None
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def kill(self, target: str = "both") -> None:
        """SIGKILL the ``guardian``, the ``runner`` or ``both``."""
        assert self.runner is not None
        if target != "runner":
            self.process.kill()
        if target != "guardian":
            self.signal_runner(signal.SIGKILL)

    def has_ended(self) -> bool:
        """Whether both are gone."""
        if self.process.poll() is None:
            return False
        if self._handle >= 0 and select.select([self._handle], [], [], 0)[0]:  # readable when the process has ended
            os.close(self._handle)
            self._handle = -1
        return self._handle < 0


class Fleet:
    """Several runs at once; whatever happens, none is left at the end."""

    def __init__(self, shell: Shell, *words: str) -> None:
        if sys.platform != "linux":
            pytest.skip("the runner is found and signalled by means that only Linux has")
        self.shell = shell
        self.members: list[Member] = []
        self._words = words

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.living():
            if member.runner is not None:
                member.kill()
            member.process.kill()
            member.process.wait(timeout=60)
        eventually(lambda: not self.living())

    def start(self, *words: str, mutant: str | None = None) -> Member:
        member = Member(self.shell, (*self._words, *words), mutant)
        self.members.append(member)
        return member

    def living(self) -> list[Member]:
        return [member for member in self.members if not member.has_ended()]

    def registered(self) -> list[Member]:
        """The living members that have entered themselves into the store."""
        pids = {pid for (pid,) in rows(self.shell, "SELECT pid FROM runners WHERE ended_at IS NULL")}
        return [member for member in self.living() if member.runner in pids]

    def wait_for_all(self, seconds: float = 120.0) -> list[int]:
        """Wait until every member has ended; their exit codes."""
        for member in self.members:
            member.process.wait(timeout=seconds)
        eventually(lambda: not self.living())
        return [member.process.returncode for member in self.members]


def rows(shell: Shell, sql: str) -> list[Any]:
    return shell.rows(sql)


def effects(folder: Path) -> Counter[tuple[int, int]]:
    """How often each (job, attempt) ran."""
    path = folder / "effects"
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter((int(job), int(attempt)) for job, attempt in map(str.split, lines))
