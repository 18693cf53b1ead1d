"""Faults at single system calls, by strace(1): kill -9, or an error, at the n-th call of a kind that a process makes."""

import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

#: What changes files: SQLite makes all of its promises with these. "?": an architecture may lack it.
WRITING = (
    "pwrite64",
    "?fdatasync",
    "?fsync",
    "?ftruncate",
    "?unlink",
    "?unlinkat",
    "?rename",
    "?renameat",
    "?renameat2",
)
READING = ("pread64",)


#: --seccomp-bpf: the calls that nobody asked for run at full speed. With it strace 6.1 injects errors but no signals.
_STRACE = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "signal=none")


@functools.cache
def _missing() -> str:
    """Why nothing can be injected here; empty where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    tried = subprocess.run([*_STRACE, "-e", "trace=pwrite64", "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()[:200]}"


#: for every test that injects
needs_strace = pytest.mark.skipif(bool(_missing()), reason=_missing())


def calls(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], kinds: Sequence[str] = WRITING, about: str = ""
) -> list[tuple[str, int]]:
    """Every call of these kinds that a command makes, as (name, n): n counts within each of its processes.

    Only those in whose line of the trace, which names files, the text ``about`` stands.
    """
    log = cwd / "calls"
    done = subprocess.run(
        [*_STRACE, "-y", "-o", str(log), "-e", f"trace={','.join(kinds)}", *argv],
        cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done
    return _points(log, about)


def _points(log: Path, about: str = "") -> list[tuple[str, int]]:
    made: Counter[tuple[str, str]] = Counter()
    chosen: set[tuple[str, int]] = set()
    for line in log.read_text(errors="replace").splitlines():
        if found := re.match(r"(\d+) +(\w+)\(", line):
            pid, name = found[1], found[2]
            made[pid, name] += 1
            if about in line:
                chosen.add((name, made[pid, name]))
    log.unlink()
    assert chosen, "nothing was traced"
    return sorted(chosen)


def inject(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], call: str, nth: int | str, what: str
) -> subprocess.CompletedProcess[str]:
    """Run a command; ``what`` (``signal=KILL``, ``error=EIO``) happens at its n-th ``call`` (``"3+"``: from there on)."""
    fast = _STRACE if "signal" not in what else [option for option in _STRACE if option != "--seccomp-bpf"]
    return subprocess.run(
        [*fast, "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={nth}", *argv],
        cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=120,
        check=False,
    )  # fmt: skip


class Nursery:
    """Processes that have imported everything and wait to be traced: a kill then costs 0.1 s and not 0.7."""

    def __init__(self, env: Mapping[str, str], *program: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, *program], env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._turn = threading.Lock()

    def close(self) -> None:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(timeout=60)

    def points(self, folder: Path, kinds: Sequence[str] = WRITING) -> list[tuple[str, int]]:
        """Every call of these kinds in one life."""
        self._live(folder, ["-f", "-e", f"trace={','.join(kinds)}"])
        return _points(folder / "calls")

    def kill(self, folder: Path, call: str, nth: int) -> bool:
        """Kill one life at its n-th ``call``; False when it ended without making so many."""
        self._live(folder, ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={nth}"])
        return (folder / "calls").read_text().endswith("= ?\n")  # the call that never came back

    def _live(self, folder: Path, options: Sequence[str]) -> None:
        os.mkfifo(folder / "go")
        with self._turn:
            assert self._server.stdin is not None and self._server.stdout is not None
            self._server.stdin.write(f"{folder}\n")
            self._server.stdin.flush()
            pid = self._server.stdout.readline().strip()
        with subprocess.Popen(
            ["strace", "-o", "calls", "-e", "signal=none", *options, "-p", pid], cwd=folder, stderr=subprocess.PIPE,
            text=True,
        ) as strace:  # fmt: skip
            assert strace.stderr is not None
            attached = strace.stderr.readline()
            (folder / "go").open("w").close()  # a fifo: the process sees that somebody opened it
            assert "attached" in attached, attached
            strace.stderr.read()
