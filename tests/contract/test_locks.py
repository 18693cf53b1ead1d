"""The mutex and the signs of life, between real processes."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import eventually
from others import MUTEX_HOLDER, another, end, someone_waits_for

from batchq.errors import BusyError, CreateError
from batchq.store.file import holders
from batchq.store.file.connection import Store
from batchq.store.file.locks import LockFile


def is_free(path: Path) -> bool:
    lock = LockFile(str(path))
    held = lock.mutex_is_held()
    lock.close()
    return not held


def when_someone_waits(path: Path, act: Callable[[], object]) -> threading.Thread:
    """Do something as soon as a process waits for the mutex."""

    def watch() -> None:
        eventually(lambda: someone_waits_for(path))
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_one_process_has_the_mutex_and_the_refusal_names_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with another(MUTEX_HOLDER, path) as other:
        with pytest.raises(
            BusyError, match=rf"process {other.pid} \(python.*for over 0.2 s; try again later"
        ) as refusal:
            LockFile(str(path)).acquire_mutex(0.2)

        assert refusal.value.exit_code == 75
        assert str(path) in str(refusal.value)


def test_who_waits_gets_it_as_soon_as_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with another(MUTEX_HOLDER, path) as other:
        release = when_someone_waits(path, lambda: end(other))
        lock = LockFile(str(path))
        lock.acquire_mutex(3600)
        release.join()

        assert not is_free(path)
        lock.release_mutex()
        assert is_free(path)


def test_it_is_free_at_once_when_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with another(MUTEX_HOLDER, path) as other:
        other.kill()
        other.wait()

        LockFile(str(path)).acquire_mutex(0)


def test_it_stays_held_while_its_holder_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with another(MUTEX_HOLDER, path) as other:
        other.send_signal(signal.SIGSTOP)
        os.waitpid(other.pid, os.WUNTRACED)

        with pytest.raises(BusyError):
            LockFile(str(path)).acquire_mutex(0.2)
        other.send_signal(signal.SIGCONT)


def test_a_signal_handler_runs_while_the_mutex_is_awaited_and_may_end_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    received: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, _: received.append(number))
    with another(MUTEX_HOLDER, path):
        tell = when_someone_waits(path, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        with pytest.raises(BusyError, match="interrupted"):
            LockFile(str(path)).acquire_mutex(3600, lambda: bool(received))
        tell.join()
    signal.signal(signal.SIGUSR1, previous)

    assert received == [signal.SIGUSR1]


def test_an_exception_from_a_signal_handler_ends_the_wait_and_leaves_nothing_locked(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    lock = LockFile(str(path))
    with another(MUTEX_HOLDER, path) as other:
        tell = when_someone_waits(path, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            lock.acquire_mutex(3600)
        tell.join()
        end(other)

    assert is_free(path)


class Late(LockFile):
    """A lock file whose alarm goes off in the instant in which the mutex is granted."""

    was_granted = False

    def _lock(self, offset: int, *, wait: bool) -> bool:
        granted = super()._lock(offset, wait=wait)
        if wait:
            self.was_granted = True
            signal.raise_signal(signal.SIGALRM)
        return granted


def test_a_deadline_in_the_instant_in_which_the_mutex_is_granted_leaves_nothing_locked(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    lock = Late(str(path))
    with another(MUTEX_HOLDER, path) as other:
        release = when_someone_waits(path, lambda: end(other))
        with pytest.raises(BusyError, match="interrupted"):
            lock.acquire_mutex(3600, lambda: lock.was_granted)
        release.join()

    assert is_free(path)


def test_a_deadline_before_the_wait_has_begun_ends_it_and_the_timer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a busy machine, where a process may be set aside between any two lines."""
    start = signal.setitimer

    def slow(timer: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        before = start(timer, seconds, interval)
        time.sleep(0.02 if seconds else 0)  # the alarm rings in here
        return before

    monkeypatch.setattr(signal, "setitimer", slow)
    holder, lock = LockFile(str(tmp_path / "store")), LockFile(str(tmp_path / "store"))
    assert holder.try_mutex()
    with pytest.raises(BusyError):
        lock.acquire_mutex(0.001)

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    holder.close()
    lock.close()


def test_after_a_wait_the_alarm_of_the_caller_is_as_before(tmp_path: Path) -> None:
    def theirs(_number: int, _frame: object) -> None: ...

    previous = signal.signal(signal.SIGALRM, theirs)
    signal.setitimer(signal.ITIMER_REAL, 3000)
    with another(MUTEX_HOLDER, tmp_path / "s.db"), pytest.raises(BusyError):
        LockFile(str(tmp_path / "s.db")).acquire_mutex(0.05)

    assert signal.getsignal(signal.SIGALRM) is theirs
    assert signal.setitimer(signal.ITIMER_REAL, 0)[0] > 2000
    signal.signal(signal.SIGALRM, previous)


def test_the_callers_own_alarm_rings_in_time_while_the_mutex_is_awaited(tmp_path: Path) -> None:
    rang: list[int] = []
    previous = signal.signal(signal.SIGALRM, lambda number, _: rang.append(number))
    with another(MUTEX_HOLDER, tmp_path / "s.db"), pytest.raises(BusyError, match="interrupted"):
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        LockFile(str(tmp_path / "s.db")).acquire_mutex(60, lambda: bool(rang))
    signal.signal(signal.SIGALRM, previous)

    assert rang == [signal.SIGALRM]


def test_an_alarm_of_the_caller_may_end_the_wait(tmp_path: Path) -> None:
    class OverError(Exception):
        pass

    def over(*_: object) -> None:
        raise OverError

    lock = LockFile(str(tmp_path / "s.db"))
    previous = signal.signal(signal.SIGALRM, over)
    with another(MUTEX_HOLDER, tmp_path / "s.db") as other:
        with pytest.raises(OverError):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            lock.acquire_mutex(3600)
        end(other)
    signal.signal(signal.SIGALRM, previous)
    assert is_free(tmp_path / "s.db")


def test_with_the_alarm_signal_blocked_the_wait_ends_at_its_deadline_too(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with another(MUTEX_HOLDER, tmp_path / "s.db"), pytest.raises(BusyError):
            LockFile(str(tmp_path / "s.db")).acquire_mutex(0.2)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_in_a_thread_the_wait_ends_at_its_deadline_too(tmp_path: Path) -> None:
    refusals: list[BusyError] = []

    def wait() -> None:
        try:
            LockFile(str(tmp_path / "s.db")).acquire_mutex(0.1)
        except BusyError as error:
            refusals.append(error)

    with another(MUTEX_HOLDER, tmp_path / "s.db") as other:
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()

        assert len(refusals) == 1
        assert f"process {other.pid} " in str(refusals[0])


def test_a_sign_of_life_lasts_as_long_as_any_process_that_inherited_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    code = """
        import os
        from batchq.store.file.locks import LockFile
        ready()
        print(LockFile(path).hold_liveness(), flush=True)
        child = os.fork()
        if child:
            print(child, flush=True)
        sys.stdin.read()
    """
    watch = LockFile(str(path))
    with another(code, path) as other:
        assert other.stdout is not None
        byte, child = int(other.stdout.readline()), int(other.stdout.readline())
        assert watch.is_held(byte)
        assert byte in holders.held_bytes(watch.path)
        other.kill()
        other.wait()
        assert watch.is_held(byte)
        os.kill(child, signal.SIGKILL)
        eventually(lambda: not watch.is_held(byte))
    watch.close()


def test_the_lock_file_is_never_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("")
    (tmp_path / "s.db-lock").symlink_to(tmp_path / "victim")

    with pytest.raises(CreateError, match="cannot open the lock file") as refusal:
        LockFile(str(tmp_path / "s.db"))
    assert refusal.value.exit_code == 73


def test_a_lock_file_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    lock = LockFile(str(tmp_path / "s.db"))
    assert not lock.is_moved()

    Path(lock.path).rename(tmp_path / "away")
    assert lock.is_moved()
    LockFile(str(tmp_path / "s.db")).close()
    assert lock.is_moved()
    lock.close()


def test_two_open_stores_know_of_each_other_and_the_last_one_knows_it_is_alone(tmp_path: Path) -> None:
    first, second = LockFile(str(tmp_path / "s.db")), LockFile(str(tmp_path / "s.db"))
    assert not first.is_in_use()
    first.enter()
    assert second.is_in_use()
    second.enter()
    first.close()
    second.close()

    third = LockFile(str(tmp_path / "s.db"))
    assert not third.is_in_use()
    third.close()


def test_nobody_is_named_where_nobody_holds_a_lock(store: Store) -> None:
    assert holders.of_mutex(store.lock.path) is None
    assert holders.of_write_lock(store.path) is None
    with store.writing():
        assert holders.of_mutex(store.lock.path) == holders.of_write_lock(store.path)
        assert f"process {os.getpid()} (" in str(holders.of_mutex(store.lock.path))
