"""What outlives a run on purpose (``leftovers = "keep"``), as the runner notes it and its guardian reads it.

The notes are in memory that both share: a file in a folder for temporary files may be taken away under a long run.
"""

import os

from batchq.processes import tree


class Kept:
    """``tokens`` and ``sessions`` are of attempts whose processes stay; ``sessions`` are named by their first process.

    Made before the fork: what one process notes the other reads.
    """

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self.sessions: set[int] = set()
        self._processes: set[tuple[int, int | None]] = set()
        self._notes = unnamed_file("batchq-kept")

    def __bool__(self) -> bool:
        return bool(self.tokens)

    def keep(self, token: str, session: int) -> None:
        """All that carries this token or is of this session stays."""
        self.tokens.add(token)
        self.sessions.add(session)
        self._note(f"attempt {token} {session}\n")

    def spare(self, pid: int) -> None:
        """This process stays: a service may have left its session and written over its environment."""
        born = tree.started_ticks(pid)
        self._processes.add((pid, born))
        self._note(f"process {pid} {born or 0}\n")

    def has(self, pid: int) -> bool:
        """Whether a process stays."""
        if not self:
            return False
        if tree.session(pid) in self.sessions or tree.token_of(pid) in self.tokens:
            return True
        return (pid, tree.started_ticks(pid)) in self._processes

    def read(self) -> "Kept":
        """Take in what the other process has noted."""
        size = os.fstat(self._notes).st_size
        for line in os.pread(self._notes, size, 0).decode().splitlines():
            kind, first, second = line.split()
            if kind == "attempt":
                self.tokens.add(first)
                self.sessions.add(int(second))
            else:
                self._processes.add((int(first), int(second) or None))
        return self

    def _note(self, line: str) -> None:
        os.write(self._notes, line.encode())


def unnamed_file(name: str) -> int:
    """A descriptor of an empty file without a name: in memory on Linux, elsewhere one that is deleted already."""
    if hasattr(os, "memfd_create"):
        try:
            return os.memfd_create(name)
        except OSError:
            pass  # a sysctl may forbid it
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
