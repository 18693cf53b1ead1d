"""The processes that outlive a run on purpose (``leftovers = "keep"``): the runner records them, its guardian reads them.

The notes are in memory that both share, because a temporary file may be removed during a long run.
"""

import mmap

from batchq.processes import proc

_ROOM = 1 << 20  #: bytes for notes; when they are full, only the guardian does not know the rest


class Kept:
    """``tokens`` and ``sessions`` belong to attempts whose processes stay; a session is named by its first process.

    Made before the fork, so that one process reads what the other records.
    """

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self.sessions: set[int] = set()
        self._processes: set[tuple[int, int | None]] = set()
        self._notes = mmap.mmap(-1, _ROOM)
        self._end = 0

    def __bool__(self) -> bool:
        return bool(self.tokens)

    def keep(self, token: str, session: int) -> None:
        """Let all processes with this token or in this session stay."""
        self.tokens.add(token)
        self.sessions.add(session)
        self._note(f"attempt {token} {session}\n")

    def spare(self, pid: int) -> None:
        """Let this process stay: a service may have left its session and overwritten its environment."""
        born = proc.started_ticks(pid)
        self._processes.add((pid, born))
        self._note(f"process {pid} {born or 0}\n")

    def has(self, pid: int) -> bool:
        """Whether a process stays."""
        if not self:
            return False
        if proc.session(pid) in self.sessions or proc.token_of(pid) in self.tokens:
            return True
        return (pid, proc.started_ticks(pid)) in self._processes

    def read(self) -> None:
        """Read what the other process has recorded."""
        for line in self._notes[: self._notes.find(b"\0")].decode().splitlines():
            kind, first, second = line.split()
            if kind == "attempt":
                self.tokens.add(first)
                self.sessions.add(int(second))
            else:
                self._processes.add((int(first), int(second) or None))

    def _note(self, line: str) -> None:
        data = line.encode()
        if self._end + len(data) < _ROOM:  # the last byte stays empty: it ends the notes
            self._notes[self._end : self._end + len(data)] = data
            self._end += len(data)
