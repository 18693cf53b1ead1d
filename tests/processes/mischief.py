"""What Python jobs leave behind, as callables and as programs: ``python -m mischief NAME``.

Each kind starts processes that note their ids in the file ``pids`` of the working directory and then wait without end.
It returns when they have.
"""

import contextlib
import ctypes
import gc
import io
import locale
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NoReturn

_HELD: list[object] = []  # so that nothing of a kind is ended by the garbage collector


def rest() -> NoReturn:
    """Note this process, and wait without end."""
    with Path("pids").open("a") as file:
        file.write(f"{os.getpid()}\n")
    with contextlib.suppress(OSError), Path("never").open():
        pass
    os._exit(0)


def noted() -> list[int]:
    """The processes that have noted themselves."""
    with contextlib.suppress(OSError):
        return [int(line) for line in Path("pids").read_text().split()]
    return []


def alive(pids: list[int]) -> list[int]:
    """Those that live on: a process that has ended has no working directory."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/cwd").readlink()
            found.append(pid)
    return found


# --- kinds -------------------------------------------------------------------------------------------------------------


def popen() -> None:
    _HELD.append(subprocess.Popen(["./rest"]))


def popen_in_a_new_session() -> None:
    _HELD.append(subprocess.Popen(["./rest"], start_new_session=True))


def popen_in_a_new_group() -> None:
    _HELD.append(subprocess.Popen(["./rest"], process_group=0))


def popen_without_environment() -> None:
    null = subprocess.DEVNULL
    _HELD.append(subprocess.Popen([str(Path("rest").resolve())], env={}, stdin=null, stdout=null, stderr=null))


def popen_without_environment_in_a_new_session() -> None:
    null = subprocess.DEVNULL
    words = [str(Path("rest").resolve())]
    _HELD.append(subprocess.Popen(words, env={}, stdin=null, stdout=null, stderr=null, start_new_session=True))


def fork() -> None:
    if os.fork() == 0:
        rest()


def double_fork() -> None:
    first = os.fork()
    if first == 0:
        if os.fork() == 0:
            rest()
        os._exit(0)
    os.waitpid(first, 0)


def daemon() -> None:
    """As python-daemon and Stevens do it, except that it stays in its folder."""
    first = os.fork()
    if first == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 256)
            os.open(os.devnull, os.O_RDWR)
            os.dup2(0, 1)
            os.dup2(0, 2)
            rest()
        os._exit(0)
    os.waitpid(first, 0)


def forked_process() -> None:
    process = multiprocessing.get_context("fork").Process(target=rest)
    process.start()
    _HELD.append(process)


def forked_daemonic_process() -> None:
    process = multiprocessing.get_context("fork").Process(target=rest, daemon=True)
    process.start()
    _HELD.append(process)


def spawned_process() -> None:
    process = multiprocessing.get_context("spawn").Process(target=rest)
    process.start()
    _HELD.append(process)


def process_pool() -> None:
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    pool.submit(rest)
    _HELD.append(pool)


KINDS: dict[str, Callable[[], None]] = {
    kind.__name__: kind
    for kind in (
        popen,
        popen_in_a_new_session,
        popen_in_a_new_group,
        popen_without_environment,
        popen_without_environment_in_a_new_session,
        fork,
        double_fork,
        daemon,
        forked_process,
        forked_daemonic_process,
        spawned_process,
        process_pool,
    )
}


# --- jobs --------------------------------------------------------------------------------------------------------------


def leave(kind: str, how: str) -> str:
    """The first attempt leaves something and ends in one way or another; a later one reports what is still alive of it."""
    if Path("begun").exists() if how == "stay" else os.environ["BATCHQ_ATTEMPT"] != "1":
        if found := alive(noted()):
            raise RuntimeError(f"of an earlier attempt there live {found}")
        return "alone"
    KINDS[kind]()
    while not noted():
        time.sleep(0.005)
    if how == "raise":
        raise ValueError("on purpose")
    if how == "crash":
        os._exit(7)
    Path("begun").touch()
    while True:
        time.sleep(60)


def segfault() -> None:
    ctypes.string_at(0)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_its_group() -> None:
    os.kill(0, signal.SIGKILL)


def leave_early(code: int) -> None:
    os._exit(code)


def leave_a_thread(daemonic: bool) -> None:
    Path("begun").unlink(missing_ok=True)

    def work() -> None:
        Path("begun").touch()
        time.sleep(600)

    threading.Thread(target=work, daemon=daemonic).start()
    while not Path("begun").exists():
        time.sleep(0.005)


def fill_both_pipes(size: int) -> int:
    for _ in range(size // 100_000):
        os.write(2, b"e" * 50_000)
        os.write(1, b"o" * 100_000)
        os.write(2, b"e" * 50_000)
    return size


def read_stdin() -> str:
    return sys.stdin.read()


def open_descriptors() -> list[str]:
    """What the open descriptors of this process are, those to /proc left out."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(str(Path(f"/proc/self/fd/{name}").readlink()))
    return sorted(entry for entry in found if not entry.startswith("/proc"))


def forked_and_done() -> None:
    """A child that has ended and that nobody has waited for."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)


def children() -> int:
    return len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


# --- what a callable may change of its process -------------------------------------------------------------------------


def change_folder() -> None:
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")


def change_into_a_folder_that_vanishes() -> None:
    Path("vanishes").mkdir()
    os.chdir("vanishes")
    Path("../vanishes").rmdir()


def change_umask() -> None:
    os.umask(0o077)


def change_environment() -> None:
    os.environ["PATH"] = "/nowhere"
    os.environ["MADE_UP"] = "by another job"
    del os.environ["HOME"]


def clear_environment() -> None:
    os.environ.clear()


def set_an_alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 600.0, 600.0)  # a short one may end the job itself on a busy machine


def ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def block_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])


def close_stdout() -> None:
    sys.stdout.close()


def close_descriptors() -> None:
    os.close(1)
    os.close(2)


def replace_stdout() -> None:
    sys.stdout = sys.stderr = Path(os.devnull).open("w")


def exchange_descriptors() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def close_all_descriptors_that_are_near() -> None:
    os.closerange(0, 256)


def close_streams() -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()


def detach_stdout() -> None:
    sys.stdout = io.TextIOWrapper(sys.stdout.detach(), "ascii")  # type: ignore[union-attr]
    print("words of its own")


def say_words_that_cannot_be_written() -> None:
    sys.stdout.write("lost words")
    os.close(1)


def leave_a_thread_that_speaks() -> None:
    def speak() -> None:
        while True:
            os.write(1, b"of a thread\n")
            os.chdir("/")
            time.sleep(0.0001)

    threading.Thread(target=speak, daemon=True).start()


def fork_a_child_that_comes_back() -> None:
    if os.fork():
        os.wait()


def lower_limits() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def change_interpreter() -> None:
    sys.setrecursionlimit(400)
    sys.path.insert(0, "/nowhere")
    sys.path = ["/made up", *sys.path]
    locale.setlocale(locale.LC_ALL, "C")
    sys.setprofile(lambda *_: None)
    gc.disable()


def change_scheduling() -> None:
    os.nice(3)
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


def leave_an_alarm_that_raises() -> None:
    def overdue(*_: object) -> NoReturn:
        raise TimeoutError

    signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, 600.0, 600.0)


def leave_buffered_words() -> None:
    sys.stdout.reconfigure(line_buffering=False)  # type: ignore[union-attr]
    sys.stdout.write("words without an end of line")


def describe(seconds: float = 0.06) -> dict[str, object]:
    """What the process looks like from inside, after some work."""
    time.sleep(seconds)
    os.write(1, b"raw out\n")
    os.write(2, b"raw err\n")
    print("out")
    print("err", file=sys.stderr)
    mask = os.umask(0)
    os.umask(mask)
    return {
        "folder": str(Path.cwd()),
        "umask": mask,
        "environment": {name: value for name, value in os.environ.items() if not name.startswith("BATCHQ_")},
        "limits": [resource.getrlimit(number) for number in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)],
        "term": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "alarm": [signal.getitimer(signal.ITIMER_REAL)[0] > 0, signal.getsignal(signal.SIGALRM) == signal.SIG_DFL],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "recursion": sys.getrecursionlimit(),
        "path": sys.path,
        "locale": locale.setlocale(locale.LC_ALL),
        "profile": sys.getprofile() is not None,
        "gc": gc.isenabled(),
        "priority": os.nice(0),
        "cores": sorted(os.sched_getaffinity(0)),
        "threads": threading.active_count(),
        "stdin": sys.stdin.read(),
    }


if __name__ == "__main__":
    KINDS[sys.argv[1]]()
    while not noted():
        time.sleep(0.005)
    os._exit(0)
