"""The looking and changing commands as a script and as a person on a terminal meet them."""

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from typing import Any

from batchq.cli import commands
from batchq.errors import BatchqError
from batchq.store.file.connection import Store


class Done:
    """How a command ended, and what it wrote."""

    def __init__(self, code: int, out: bytes, err: str) -> None:
        self.code, self.raw, self.err = code, out, err
        self.out = out.decode(errors="replace")

    @property
    def json(self) -> Any:
        """What it wrote, decoded."""
        return json.loads(self.out)


def run(store: Store, *words: str, after: list[str] | None = None) -> Done:
    """One command in this process; ``after`` are the words after ``--``."""
    found = commands.read(["--db", store.path, *words], after)
    assert found is not None, f"not valid: {words}"
    raw, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = commands.call(*found)
        except BatchqError as error:
            return Done(error.exit_code, b"", str(error))
        out.flush()
    return Done(code, raw.getvalue(), err.getvalue())


def on_a_terminal(store: Store, *words: str, columns: int = 80, **env: str) -> str:
    """What a person sees on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "cols", str(columns), "rows", "40", "-opost"], stdin=theirs, check=True)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "batchq", "--db", store.path, *words], stdout=theirs, stdin=theirs, env=environment | env
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                seen += (data := os.read(ours, 65536))
            except OSError:  # how Linux says that the other end is closed
                break
            if not data:
                break
        assert process.wait(timeout=60) == 0, seen
    os.close(ours)
    return seen.decode()
