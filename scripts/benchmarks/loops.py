"""What batchq is measured against, each as a program: ``python loops.py spawn|pool|huey-fill|huey-drain COUNT AT_ONCE``."""

import os
import shutil
import sys
import time


def nothing(number: int) -> None:
    """The callable of the benchmark."""


def nap(number: int) -> None:
    """The callable that takes 10 ms, and no processor."""
    time.sleep(0.01)


def spawn(count: int, slots: int) -> None:
    """Start ``true`` as often as asked, so many at a time: what the system itself needs for it."""
    program = shutil.which("true")
    assert program
    silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    for started in range(count):
        if started >= slots:
            os.wait()
        os.posix_spawn(program, ["true"], os.environ, file_actions=silent, setsid=True)
    for _ in range(min(count, slots)):
        os.wait()


def pool(count: int, workers: int) -> None:
    """A process pool, one call a message."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as executor:
        assert sum(1 for _ in executor.map(nothing, range(count), chunksize=1)) == count


def huey(verb: str, count: int, workers: int, path: str) -> None:
    """huey with its SQLite storage as it is by default: fill its queue, or drain it with worker processes."""
    from huey import SqliteHuey  # type: ignore[import-not-found,unused-ignore]

    queue = SqliteHuey(filename=path)
    task = queue.task()(nothing)
    if verb == "huey-fill":
        for number in range(count):
            task(number)
        return
    consumer = queue.create_consumer(workers=workers, worker_type="process", periodic=False, initial_delay=0.001)
    consumer.start()
    while queue.pending_count():
        time.sleep(0.01)
    consumer.stop(graceful=True)


if __name__ == "__main__":
    verb, count, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if verb in ("spawn", "pool"):
        {"spawn": spawn, "pool": pool}[verb](count, at_once)
    else:
        huey(verb, count, at_once, sys.argv[4])
