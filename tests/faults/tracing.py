"""Faults at single system calls, by strace(1): kill -9, or an error, at the n-th call of a kind that a process makes."""

import functools
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

#: What changes files: SQLite makes all of its promises with these. "?": an architecture may lack it.
WRITING = ("pwrite64", "?fdatasync", "?fsync", "?ftruncate", "?unlink", "?unlinkat")
READING = ("pread64",)


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
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], kinds: Sequence[str] = WRITING
) -> list[tuple[str, int]]:
    """Every call of these kinds that a command makes, as (name, n): n counts within each of its processes."""
    log = cwd / "calls"
    done = subprocess.run(
        [*_STRACE, "-o", str(log), "-e", f"trace={','.join(kinds)}", *argv],
        cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done
    counted = Counter(re.findall(r"^(\d+) +(\w+)\(", log.read_text(), re.M))
    log.unlink()
    most: dict[str, int] = {}
    for (_, name), number in counted.items():
        most[name] = max(number, most.get(name, 0))
    assert "pwrite64" in most or "pread64" in most, f"nothing was traced: {most}"
    return [(name, nth) for name, number in sorted(most.items()) for nth in range(1, number + 1)]


def inject(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], call: str, nth: int, what: str
) -> subprocess.CompletedProcess[str]:
    """Run a command; ``what`` (``signal=KILL``, ``error=EIO``) happens at its n-th ``call``."""
    return subprocess.run(
        [*_STRACE, "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={nth}", *argv],
        cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=120,
        check=False,
    )  # fmt: skip


