"""Callables whose name says how they end; jobs of the tests import them."""

import os
import sys
import time
from pathlib import Path
from typing import Any


def add(a: int, b: int) -> int:
    return a + b


def shout(text: str) -> None:
    print(text)
    print(text.upper(), file=sys.stderr)


def fail(message: str) -> None:
    deeper(message)


def deeper(message: str) -> None:
    raise KeyError(message)


def not_json() -> object:
    return {1, 2}


def not_a_number() -> float:
    return float("nan")


def leave(code: int) -> None:
    sys.exit(code)


def vanish(code: int) -> None:
    os._exit(code)


def nap(seconds: float) -> None:
    time.sleep(seconds)


def note(path: str) -> str:
    with Path(path).open("a") as file:
        file.write(os.environ["BATCHQ_JOB_ID"] + "\n")
    return os.environ["BATCHQ_TOKEN"]


def worker_pid() -> int:
    return os.getpid()


def perform(job: Any) -> dict[str, Any]:
    return {"id": job.id, "attempt": job.attempt, "saw": job.payload}


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message for you")


def broken_str() -> None:
    raise Broken
