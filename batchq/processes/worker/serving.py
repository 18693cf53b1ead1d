"""The loop of a worker: a child process that calls one function after another and reports how each ended.

The runner starts it with ``wire.START``. It ends when no more tasks can come, or after an answer ``LAST`` if a task
changed the process in a way that cannot be undone. Then it ends as any Python program does: threads that are not daemons,
exit handlers and buffered files come to their end, for which the runner grants some time.
"""

import atexit
import contextlib
import contextvars
import os
import sys
import time
from _signal import SIGKILL  # type: ignore[import-not-found]  # not signal: a job that imports it is noticed (Handlers)
from collections import namedtuple

from batchq.processes.worker import endings, folders, functions, libc
from batchq.processes.worker.answers import Answers, Replaced, end_broken
from batchq.processes.worker.children import Children
from batchq.processes.worker.environment import Environment
from batchq.processes.worker.memory import PeakMemory
from batchq.processes.worker.output import Spill
from batchq.processes.worker.sources import SOURCES
from batchq.processes.worker.streams import keep
from batchq.processes.worker.surroundings import Surroundings
from batchq.processes.worker.wire import ANSWER, ARCHIVE, RESULT, receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.processes.worker.endings import Ending

_SHORT = 100_000  #: nanoseconds in which a task cannot take memory that matters; a longer one after it is measured
_LONG = 5_000_000  #: nanoseconds from which the peak memory is always read after a task
MOST = 100_000  #: tasks of one process: setenv(3) of glibc never frees old values, which leaks about 150 bytes a task
_COROUTINE = 0x80  #: a flag of a code object


class Job(namedtuple("Job", ("id", "attempt", "payload", "name", "batch", "queue", "key"))):
    """The argument of the function that ``run --perform pkg.mod:func`` names: the job whose payload it performs."""

    __slots__ = ()


def main() -> None:
    """Serve until the runner closes the pipe of the tasks, or this process must be replaced."""
    _, root = sys.argv
    sys.argv[:] = [__file__]
    sys.path.insert(0, os.getcwd())
    if root not in sys.path:
        sys.path.append(root)  # a callable may import batchq, even from a source tree
    _bind_to_runner()
    tasks, answers, bell, out, err = map(keep, range(3, 8))
    os.closerange(3, 8)
    if root == ARCHIVE:
        os.set_inheritable(8, False)
    worker = _Worker(Answers(answers, bell), Spill(out, err))
    with contextlib.suppress(Replaced):
        while (message := receive(tasks)) is not None:
            worker.serve(message)
    worker.settle()


class _Worker:
    def __init__(self, answers: Answers, spill: Spill) -> None:
        self._answers = answers
        self._pid = os.getpid()
        self._home, self._place = folders.home()
        self._folder: str | None = None  # the folder to which a module changed
        self._about: list[Any] = []
        self._common: dict[str, str] = {}
        self._environment = Environment()
        self._children = Children()
        self._around = Surroundings()
        self._pipes = self._around.streams.kept[1:]
        self._spill = spill
        self._target = False, False  # whether output goes to the files, and whether both streams go to one place
        self._kept = 0
        self._is_last = False
        self._performed = 0
        self._functions: dict[str, Any] = {}
        self._memory = PeakMemory()
        atexit.register(self._end)  # registered first, so called last
        SOURCES.watch()
        functions.watch_imports(self._import_begins, self._import_ended, self._around.watch_modules)

    def serve(self, message: "dict[str, Any]") -> None:
        """Run the tasks of one message in order. Raises Replaced."""
        if message["look"] and (SOURCES.have_changed() or folders.identity(self._home) not in (None, self._place)):
            self._answers.send_last(b"")
        self._kept = message["kept"]
        self._direct_output(to_files=not message["single"], is_merged="merged" in message)
        self._is_last = "last" in message
        self._slot = message["slot"]
        for task in message["tasks"]:
            self._perform(task, message["target"], message["also"])
        if not self._is_last:
            os.chdir("/")  # so that an idle worker does not keep the folder busy
        self._answers.ring()
        if self._is_last:
            raise Replaced

    def settle(self) -> None:
        """Prepare the end: output goes to the pipes from now on, because nobody reads the files any more.

        Drop all references to objects of modules, so that they go when Python drops the module.
        """
        self._functions.clear()
        self._around.context = contextvars.Context()
        if not self._is_last:
            with contextlib.suppress(OSError):
                os.chdir(self._home)
                self._around.streams.direct(*self._pipes, are_files=False)
        self._environment.settle()

    def _end(self) -> None:
        if os.getpid() == self._pid and not self._is_last:
            self._children.end_all()

    def _direct_output(self, *, to_files: bool, is_merged: bool) -> None:
        if self._target != (to_files, is_merged):
            self._target = to_files, is_merged
            out, err = self._spill.files if to_files else self._pipes
            self._around.streams.direct(out, out if is_merged else err, are_files=to_files)

    def _perform(self, task: "list[Any]", target: str | None, also: str | None) -> None:
        id_, attempt, token, about, work, *parents = task
        if about is not None:
            self._describe(about)
        name, batch, queue, key, umask, timeout = self._about
        own = {
            "BATCHQ_JOB_ID": str(id_),
            "BATCHQ_ATTEMPT": str(attempt),
            "BATCHQ_TOKEN": token,
            "BATCHQ_SLOT": self._slot,
        }
        if parents:
            own["BATCHQ_PARENTS_FILE"] = parents[0]
        if timeout is not None:
            own["BATCHQ_DEADLINE"] = f"{time.time() + timeout / 1000:.3f}"
        self._environment.set(self._common, own, is_described=about is not None)
        if umask is not None and not self._around.is_umask_chosen:
            os.umask(umask)
        cpu, began = time.process_time_ns(), time.monotonic_ns()
        is_whole = True
        try:
            os.chdir(self._home)  # each time: the name may mean another folder by now
            called, named = functions.asked_for(work) if target is None else (target, {})
            function = self._found(called, also)
            if self._folder is not None:
                os.chdir(self._folder)
        except OSError as error:
            problem = f"cannot enter the working directory {error.filename!r}: {error.strerror}"
            ending = endings.wrong("NoSuchFolder", problem, missing=self._home if error.filename == self._home else "")
        except functions.NotReady as problem:
            ending, is_whole = problem.ending, problem.is_whole
        else:
            words = () if target is None else (Job(id_, attempt, work, name, batch, queue, key),)
            ending = self._around.context.copy().run(self._call, function, words, named)
        if os.getpid() != self._pid:
            sys.exit(int(ending[0] != RESULT))  # a child that the callable forked and that returned here
        self._answer(cpu, began, ending, is_whole=is_whole)

    def _call(self, function: "Any", words: "tuple[Any, ...]", named: "dict[str, Any]") -> "Ending":
        for prepare in self._around.within.values():
            prepare()
        try:
            value = function(*words, **named)
            if value is not None and getattr(getattr(value, "cr_code", None), "co_flags", 0) & _COROUTINE:
                import asyncio

                value = asyncio.run(value)
            return endings.returned(value)
        except BaseException as error:
            if os.getpid() != self._pid:
                raise
            return endings.by(error)

    def _describe(self, about: "list[Any]") -> None:
        """Store what this task and those after it have in common."""
        name, batch, queue, key, db, named, umask, timeout = about
        self._about = [name, batch, queue, key, umask, timeout]
        self._common = named | {"BATCHQ_BATCH": batch, "BATCHQ_QUEUE": queue, "BATCHQ_DB": db}
        if key is not None:
            self._common["BATCHQ_KEY"] = key

    def _answer(self, cpu: int, began: int, ending: "Ending", *, is_whole: bool) -> None:
        taken, cpu = time.monotonic_ns() - began, time.process_time_ns() - cpu
        if not self._is_last:
            is_whole = self._around.reset() and is_whole
        threads = self._around.threads.left
        if taken > _SHORT:
            self._memory.measure(is_long=taken > _LONG)
        count, was_ended = (0, False) if self._is_last else self._children.end_left()
        try:
            output = self._spill.take(self._kept) if self._target[0] else b""
        except OSError as error:
            end_broken(error)
        ended_at = time.time_ns() // 1_000_000
        kind, text, exit_code, again = ending
        answer = (
            ANSWER.pack(
                kind, ended_at - taken // 1_000_000, ended_at, taken // 1000 / 1e6, cpu // 1000 / 1e6, self._memory.kib,
                exit_code, count, threads, again, len(output), len(text),
            )
            + output
            + text
        )  # fmt: skip
        self._performed += 1
        if is_whole and not was_ended and self._performed < MOST:
            self._answers.send(answer)
        else:
            self._answers.send_last(answer)

    def _found(self, target: str, also: str | None) -> "Any":
        """Return the function, which is imported when it is first needed. Raises functions.NotReady."""
        found = self._functions.get(target)
        if found is None:
            module = target.partition(":")[0]
            self._answers.send_phase(module)
            found = self._functions[target] = functions.load(target, also)
            self._around.context = contextvars.copy_context()
            self._around.within.clear()  # the module may have set a context for the whole process
            self._around.watch_modules()
            self._answers.send_phase("")
        return found

    def _import_begins(self) -> None:
        self._before = self._environment.look(), self._children.alive(), self._around.look(), folders.current()

    def _import_ended(self) -> None:
        """Keep what a module set and started while it was imported: it will not be imported again."""
        variables, children, around, folder = self._before
        if folder != (now := folders.current()):
            self._folder = now
        self._environment.adopt(variables)
        self._children.adopt(children)
        self._around.adopt(around)
        SOURCES.record()


def _bind_to_runner() -> None:
    """Have the kernel kill this process with its runner, because a worker has no token by which a rescuer could find it;
    and inherit the orphans of its tasks, so that it sees all that a task started (prctl(2), Linux only)."""
    if libc.IS_LINUX and (prctl := libc.function("prctl")) is not None:
        runner = os.getppid()
        prctl(1, SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        if os.getppid() != runner:
            os._exit(1)
