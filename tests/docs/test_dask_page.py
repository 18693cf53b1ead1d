"""The five commands of docs/dask.md work as they are written, but with this machine in the place of both hosts."""

import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import ports
import pytest
from conftest import Shell, eventually
from test_docs import ROOT, blocks

BIN = Path(sys.executable).parent


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def commands() -> Iterator[list[list[str]]]:
    """The commands as words, without the comments that name the host."""
    (block,) = [one for one in blocks(ROOT / "docs/dask.md") if one.language == "sh" and "dask scheduler" in one.text]
    with ports.kept(1) as (port,):
        here = re.sub(r"\b(alpha|beta)\b", "127.0.0.1", block.text).replace("8786", str(port))
        yield [shlex.split(line, comments=True) for line in here.splitlines()]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def test_jobs_run_after_the_five_commands(commands: list[list[str]], batchq: Shell, stack: ExitStack) -> None:
    install, *servers, run = commands
    assert install[:2] == ["pip", "install"]
    batchq("add", "--each", "--", "echo", "{}", stdin="one\ntwo\n")
    for words in servers:
        assert words.pop() == "&"
        assert "0.0.0.0" not in words and words.count("127.0.0.1") == 1
        process = subprocess.Popen(
            [BIN / words[0], *words[1:]], cwd=batchq.folder, env=batchq.env, stderr=subprocess.DEVNULL
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
    port = int(servers[0][servers[0].index("--port") + 1])
    eventually(lambda: is_open(port), 60)
    assert run[0] == "batchq"
    batchq(*run[1:])

    assert batchq.rows("SELECT state FROM jobs") == [("succeeded",)] * 2
