"""The connection to a Dask cluster: its threads wait for it, and pass what happens to the one thread of the bridge."""

import contextlib
import importlib.util
import json
import logging
import os
import platform
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

from distributed import Client, as_completed
from distributed.comm import CommClosedError
from distributed.versions import VersionMismatchWarning

from batchq.executors.afar import perform as at_worker
from batchq.executors.afar.dask import certificates, departed, task
from batchq.executors.afar.dask.workers import TO_END
from batchq.executors.afar.unfit import Unfit, in_one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONNECT = 10.0  #: seconds that a connection may take
CLOSE = 3.0  #: seconds that the goodbye may take
MADE = 10.0  #: the same for a cluster that was made for the run: what it has asked a queue for is withdrawn
_CLOSE = '["close"]'
#: what may be wrong if it hangs up
_HINTS = {"tcp": "it hung up (does it want TLS?): ", "tls": "it hung up (does it accept our certificate?): "}
CONFIRMED = 5.0  #: seconds that workers have to end what an earlier client of the same run has left
ORDERS = 64  #: orders that are on their way at once: one to a worker that does not answer holds up no other


class Cluster:
    """``address`` is that of a scheduler, or a ``LocalCluster``-like object. ``run`` names the run at the workers.

    ``happenings`` has what came: (name, values). ``fileno`` is readable when there is something.
    """

    def __init__(self, address: "Any", run: str) -> None:
        """Connect. Raises Unfit."""
        logging.disable()  # what distributed logs of a lost scheduler is noise next to our one sentence
        warnings.filterwarnings("ignore", category=VersionMismatchWarning)  # of packages in which nothing of a job runs
        self.happenings: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._run = run
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)
        self._is_closed = False
        self._made = None if isinstance(address, str) else address
        if isinstance(address, str) and address.startswith("tls://"):
            certificates.check()
        try:
            self._client = Client(
                address, timeout=CONNECT, set_as_default=False, name=departed.client(run), direct_to_workers=False
            )
            if self._client.run_on_scheduler(importlib.util.find_spec, "batchq") is None:
                raise Unfit("batchq is not installed where the scheduler runs, which reads what the workers are sent")
        except Unfit:
            self._end_made()
            raise
        except Exception as error:
            self._end_made()
            hint = _HINTS.get(str(address).partition(":")[0], "") if type(error) is CommClosedError else ""
            raise Unfit(f"cannot connect to the scheduler at {address}: {hint}{in_one_line(error)}") from None
        self._completed = as_completed([], loop=self._client.loop, with_results=True, raise_errors=False)
        self._is_more = threading.Event()
        self._orders = ThreadPoolExecutor(ORDERS, "batchq-orders")
        self._client.subscribe_topic(task.topic(run), lambda event: self._note("started", *event[1]))
        self._client.subscribe_topic("all", self._note_worker)
        threading.Thread(target=self._collect, daemon=True, name="batchq-collect").start()

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._read

    def take(self) -> "list[tuple[str, tuple[Any, ...]]]":
        """Return what has happened since the last call."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 65536):
                pass
        found = []
        while self.happenings:
            found.append(self.happenings.popleft())
        return found

    @property
    def is_connected(self) -> bool:
        """Whether the scheduler can be reached now."""
        return bool(self._client.status == "running")

    @property
    def is_given_up(self) -> bool:
        """Whether the client does not try to reach it again."""
        return bool(self._client.status == "closed")

    def submit(self, address: str, tokens: Sequence[str], invocations: Sequence[str]) -> "list[Any]":
        """Send attempts to one worker, and to no other; return their futures. Raises what Dask raises: nothing was sent."""
        futures: list[Any] = self._client.map(
            task.perform,
            invocations,
            key=[("batchq", token) for token in tokens],
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        self._completed.update(futures)
        self._is_more.set()
        return futures

    def withdraw(self, futures: "Sequence[Any]") -> None:
        """Forget tasks; in the background, because the scheduler may be gone."""
        if futures:
            self._orders.submit(self._client.cancel, [*futures], force=True)

    def order(self, address: str, message: "list[Any]") -> None:
        """Send an order to the site at a worker; its answer comes as the happening ``answered``."""

        def send() -> object:
            text = json.dumps(message)
            answers = self._client.run(at_worker.order, self._run, text, workers=[address], on_error="return")
            answer = answers.get(address)
            return json.loads(answer) if isinstance(answer, str) else None

        self._in_background("answered", (address, message[0]), send)

    def ask_version(self, address: str) -> None:
        """Ask which batchq a worker has, and its machine, with functions of the standard library: one that lacks our task
        dies of it.

        The answer comes as the happening ``greeted``, as both of them: None if the worker cannot be reached.
        """

        def ask() -> object:
            version, machine = (
                self._client.run(*asked, workers=[address], on_error="return").get(address)
                for asked in ((metadata.version, "batchq"), (platform.node,))
            )
            return None if isinstance(version, OSError) else (version, str(machine))

        self._in_background("greeted", (address,), ask)

    def look(self) -> None:
        """Ask for the workers; they come as the happening ``workers``: None if the scheduler does not answer."""
        self._in_background("workers", (), lambda: self._client.scheduler_info(n_workers=-1)["workers"])

    def close(self) -> None:
        """End the sites of this run, and disconnect; end a cluster that was made for it."""
        self._is_closed = True
        self._within(CLOSE, self._close)
        self._end_made()
        self._orders.shutdown(wait=False, cancel_futures=True)

    def end(self, runs: Sequence[str], dead: "dict[str, Any]") -> None:
        """End what dead runs have left at the workers. Raises Unfit unless all confirm it, also those that have left.

        ``dead``: since when they ran, their lease, and their open attempts, if the scheduler surely knew those.
        """
        try:
            for run in runs:
                self._end(run, dead)
        except Exception as error:
            raise Unfit(f"a worker does not confirm that it ended what a dead run left: {in_one_line(error)}") from None

    def has_ended(self, dead: "dict[str, Any]") -> bool:
        """End what an earlier client of this run has left; return whether all workers have confirmed that in time."""
        try:
            self._orders.submit(self._end, self._run, dead).result(CONFIRMED)
        except Exception:
            return False
        return True

    def _end(self, run: str, dead: "dict[str, Any]") -> None:
        """Raises what Dask raises, or TimeoutError. A scheduler that is younger than the run says nothing of the workers
        of the one before it, which may be stalled."""
        ran = time.time() - dead["since"]
        age = self._client.run_on_scheduler(time.time) - self._client.scheduler_info(n_workers=0)["started"]
        if age < ran:
            raise TimeoutError("the scheduler is a new one, which does not know them all")
        answers = self._client.run(at_worker.order, run, _CLOSE, on_error="raise")
        if open_at := [address for address, answer in answers.items() if answer != "true"]:
            raise TimeoutError(open_at[0])
        seconds = min(ran, dead["lease"] + TO_END)
        if self._client.run_on_scheduler(departed.may_be_at_work, run, dead["tokens"], seconds):
            raise TimeoutError("one has left the cluster, and may only be stalled")

    # --- in other threads ----------------------------------------------------------------------------------------------

    def _note(self, name: str, *values: "Any") -> None:
        self.happenings.append((name, values))
        with contextlib.suppress(OSError):
            os.write(self._write, b"!")

    def _note_worker(self, event: "tuple[float, Any]") -> None:
        message = event[1]
        if isinstance(message, dict) and message.get("action") in ("add-worker", "remove-worker"):
            self._note("worker", message["action"], message["worker"], bool(message.get("expected")))

    def _collect(self) -> None:
        while not self._is_closed:
            try:
                batch = self._completed.next_batch(block=True)
            except StopIteration:
                self._is_more.wait(0.5)
                self._is_more.clear()
                continue
            except Exception:  # the client was closed
                return
            self._note("done", batch)

    def _in_background(self, name: str, values: "tuple[Any, ...]", function: "Callable[[], Any]") -> None:
        def run() -> None:
            try:
                found = function()
            except Exception:
                found = None
            self._note(name, *values, found)

        with contextlib.suppress(RuntimeError):  # shut down
            self._orders.submit(run)

    def _end_made(self) -> None:
        if self._made is not None:
            self._within(MADE, self._made.close)

    def _within(self, seconds: float, function: "Callable[[], Any]") -> None:
        """Call it, and wait so long for its end, however it ends."""

        def call() -> None:
            with contextlib.suppress(BaseException):
                function()

        calling = threading.Thread(target=call, daemon=True)
        calling.start()
        calling.join(seconds)

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            if self.is_connected:
                self._client.run(at_worker.order, self._run, _CLOSE, on_error="ignore")
        with contextlib.suppress(Exception):
            self._client.close(timeout=1)
