"""A real scheduler of Dask and real workers, as processes over TCP on 127.0.0.1; a plugin with such a cluster for tests.

(PYTEST_DONT_REWRITE.)
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import ports
import pytest
from conftest import eventually
from elsewhere import parents_of
from scene import is_gone, stop
from soaking import SOAK

from batchq.processes import proc

DASK = [sys.executable, "-P", "-m", "dask"]
HERE = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard"]
#: What a scheduler and its workers do all the time for their dashboard takes more than half of what such a cluster takes in
#: these tests, and nothing depends on it; scripts/soak has it.
QUIET = (
    {}
    if SOAK
    else {
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
        "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
        "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    }
)


class Cluster:
    """``workers`` maps names to processes; ``address`` is that of the scheduler, which has this ``port``."""

    def __init__(
        self, folder: Path, port: int, env: Mapping[str, str] | None = None, words: Sequence[str] = DASK
    ) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._env = {**os.environ, **QUIET, **(env or {})}
        self._words = words
        self._port = port
        self._number = 0
        self.address = ""
        self.start_scheduler()

    def start_scheduler(self) -> None:
        """Start the scheduler; if there was one, the new one has the address of that."""
        self.file.unlink(missing_ok=True)
        options = ["scheduler", "--port", str(self._port), "--no-jupyter", "--scheduler-file", str(self.file)]
        self.scheduler = self._start("scheduler", [*self._words, *options, *HERE], self._env)
        eventually(self._has_address)
        self.address = str(json.loads(self.file.read_text())["address"])

    def _has_address(self) -> bool:
        try:
            return bool(json.loads(self.file.read_text())["address"])
        except (OSError, ValueError):
            return False

    def start_worker(
        self, threads: int = 1, words: list[str] = DASK, env: Mapping[str, str] | None = None, *options: str
    ) -> str:
        """Start a worker; return its name."""
        name = self.next_name()
        self._number += 1
        given = ["--nthreads", str(threads), "--nworkers", "1", "--name", name, "--no-nanny", *options]
        folder = ["--local-directory", str(self.folder)]
        self.workers[name] = self._start(
            name, [*words, "worker", self.address, *given, *folder, *HERE], {**self._env, **(env or {})}
        )
        return name

    def next_name(self) -> str:
        """The name of the next worker."""
        return f"w{self._number + 1}"

    def add_worker(self, threads: int = 1, words: list[str] = DASK, env: Mapping[str, str] | None = None) -> str:
        """Start a worker and wait until it is registered; return its name."""
        name = self.start_worker(threads, words, env)
        eventually(lambda: "Registered to" in self.log(name))
        return name

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Kill a worker, which has ended afterwards: nobody takes it for one that is at work. Or signal it otherwise."""
        os.kill(self.workers[name].pid, number)
        if number == signal.SIGKILL:
            self.workers[name].wait()

    def stop(self, name: str) -> None:
        """Stop a worker with all its threads."""
        stop(self.workers[name].pid)

    def kill_scheduler(self) -> None:
        self.scheduler.kill()
        self.scheduler.wait()

    def alive(self) -> list[str]:
        """The names of the workers that have not ended."""
        return [name for name, process in self.workers.items() if process.poll() is None]

    def above(self, pid: int) -> str:
        """The worker that is an ancestor of a process."""
        lineage = parents_of(pid)
        return next(name for name, process in self.workers.items() if process.pid in lineage)

    def retire(self, name: str) -> None:
        """Have the scheduler take a worker from the cluster, as adaptive clusters do."""
        with self.client() as client:
            client.retire_workers(names=[name])

    def remove(self, name: str) -> None:
        """Have the scheduler remove a worker that it does not hear of, as it does after ``worker-ttl``."""
        with self.client() as client:
            client.run_on_scheduler(_remove, name)

    def tasks(self) -> dict[str, str]:
        """The states of the tasks that the scheduler has."""
        with self.client() as client:
            found: dict[str, str] = client.run_on_scheduler(_tasks)
            return found

    def registered(self) -> list[str]:
        """The names of the workers that the scheduler knows."""
        with self.client() as client:
            return sorted(one["name"] for one in client.scheduler_info(n_workers=-1)["workers"].values())

    @contextmanager
    def client(self) -> "Iterator[Any]":
        import cloudpickle  # type: ignore[import-untyped]
        from distributed import Client

        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # what the functions below are at the scheduler
        with Client(self.address, timeout=20, set_as_default=False) as client:
            yield client

    def state(self) -> "State":
        """What the scheduler and the workers have of their clients, except that of this look itself."""
        with self.client() as client:
            tasks, plugins, workers = client.run_on_scheduler(_of_scheduler)
            alive = self.alive()  # it may know some that have just ended, and they answer nobody
            at_workers = client.run(_of_worker, workers=[address for name, address in workers if name in alive])
        return State(tasks, plugins, sorted({one for found in at_workers.values() for one in found}))

    def sites(self) -> dict[str, list[int]]:
        """The children of each living worker: the guardians of sites."""
        return {name: proc.children(self.workers[name].pid) for name in self.alive()}

    def heal(self) -> None:
        """Have a scheduler and two workers of one thread, whatever the last test did."""
        if self.scheduler.poll() is not None:
            self.start_scheduler()
            self._end(self.alive())
        usual = self._usual()
        self._end([name for name in self.workers if name not in usual])
        for _ in range(2 - len(self.alive())):
            self.add_worker()

    def _usual(self) -> list[str]:
        known = self.registered() if self.alive() else []
        return [name for name in self.alive() if name in known and not is_gone(self.workers[name].pid)][:2]

    def _end(self, names: list[str]) -> None:
        for name in names:
            process = self.workers.pop(name)
            process.kill()
            process.wait()

    def close(self) -> None:
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.wait()

    def _start(self, name: str, words: list[str], env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                words,
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


class State(NamedTuple):
    """What a scheduler and its workers keep."""

    tasks: int
    plugins: list[str]
    at_workers: list[str]


def _of_scheduler(dask_scheduler: Any) -> tuple[int, list[str], list[tuple[str, str]]]:
    plugins = sorted(str(name).partition("-")[0] for name in dask_scheduler.plugins)
    return len(dask_scheduler.tasks), plugins, [(one.name, one.address) for one in dask_scheduler.workers.values()]


def _tasks(dask_scheduler: Any) -> dict[str, str]:
    return {str(key): task.state for key, task in dask_scheduler.tasks.items()}


async def _remove(name: str, dask_scheduler: Any) -> None:
    (address,) = [address for address, one in dask_scheduler.workers.items() if one.name == name]
    await dask_scheduler.remove_worker(address, stimulus_id="check-worker-ttl", close=False)


def _of_worker(dask_worker: Any) -> list[str]:
    return [*map(str, dask_worker.plugins), *(f"task {key}" for key in dask_worker.state.tasks)]


def without_batchq(folder: Path, version: str = "") -> tuple[list[str], dict[str, str]]:
    """The words and the variables of a ``dask`` whose Python has all that this one has, except this version of batchq."""
    packages = Path(str(metadata.distribution("distributed").locate_file("")))
    for entry in packages.iterdir():
        if "batchq" not in entry.name and not (folder / entry.name).exists():
            (folder / entry.name).symlink_to(entry)
    if version:
        (folder / f"batchq-{version}.dist-info").mkdir()
        (folder / f"batchq-{version}.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: batchq\nVersion: {version}\n"
        )
        (folder / "batchq").symlink_to(Path(__file__).parents[2] / "batchq")
    return [sys.executable, "-P", "-S", "-m", "dask"], {"PYTHONPATH": str(folder)}


@contextmanager
def cluster(
    folder: Path, workers: int = 2, threads: int = 1, env: Mapping[str, str] | None = None, words: Sequence[str] = DASK
) -> Iterator[Cluster]:
    """A cluster that is killed afterwards."""
    with ports.kept(1) as (port,):
        made = Cluster(folder, port, env, words)
        try:
            names = [made.start_worker(threads) for _ in range(workers)]
            eventually(lambda: all("Registered to" in made.log(name) for name in names))
            yield made
        finally:
            made.close()


@contextmanager
def left_as_found(made: Cluster, folder: Path) -> Iterator[None]:
    """Fail unless a test leaves the cluster as it was, and no process of its runs anywhere."""
    before = made.state()
    assert before.tasks == 0
    yield
    eventually(lambda: not any(made.sites().values()))
    if made.scheduler.poll() is None:
        until = time.monotonic() + 60
        while (after := made.state()) != before and time.monotonic() < until:
            time.sleep(0.1)
        assert after == before, (before, after)
    assert carriers(folder) == []


def carriers(folder: Path) -> list[str]:
    """All processes that carry the token of an attempt whose store is below ``folder``, or the cookie of its run."""
    found = []
    mark = os.fsencode(folder)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes()
        except OSError:
            continue
        if mark in variables and (b"BATCHQ_RUNNER=" in variables or b"BATCHQ_TOKEN=" in variables):
            found.append(entry.name)
    return [pid for pid in found if not is_gone(int(pid))]


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for all tests of a module; its folder is not that of a scene, which looks for its own processes."""
    with cluster(tmp_path_factory.mktemp("dask")) as made:
        yield made


@pytest.fixture
def dask(shared_cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with two workers of one thread, on which a test leaves nothing."""
    shared_cluster.heal()
    with left_as_found(shared_cluster, tmp_path):
        yield shared_cluster
