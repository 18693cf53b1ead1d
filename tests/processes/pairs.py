"""Pairs of callables: ``change_x`` does something to its process, ``look_x`` tells what it sees of that.

``look_x`` must see the same whether it runs alone or in a worker in which ``change_x`` ran before.
"""

import asyncio
import builtins
import contextvars
import csv
import ctypes
import decimal
import faulthandler
import gc
import io
import json
import locale
import logging
import multiprocessing
import multiprocessing.context
import os
import resource
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import urllib.request
import warnings
import zipimport
import zoneinfo
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None)
TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("TENANT", default="nobody")
decimal.getcontext()  # as a module that rounds when it is imported: the context of the process is there
PRECISION = decimal.getcontext().prec
OUT, HELD = sys.stdout, logging.StreamHandler()


# --- values of the interpreter -----------------------------------------------------------------------------------------


def change_context_variable() -> None:
    TENANT.set("ACME")


def look_context_variable() -> str:
    return TENANT.get()


def change_decimal() -> None:
    decimal.getcontext().prec = 4
    decimal.getcontext().traps[decimal.Inexact] = True


def look_decimal() -> str:
    return str(decimal.Decimal("1234.56") + decimal.Decimal("0.01"))


def change_decimal_default() -> None:
    decimal.DefaultContext.prec = 3
    decimal.DefaultContext.traps[decimal.Inexact] = True


def look_decimal_default() -> str:
    return str(decimal.Context(prec=None).divide(decimal.Decimal(1), decimal.Decimal(3)))


def change_recursion_limit() -> None:
    sys.setrecursionlimit(500)


def look_recursion_limit() -> int:
    return sys.getrecursionlimit()


def change_switch_interval() -> None:
    sys.setswitchinterval(0.5)


def look_switch_interval() -> float:
    return sys.getswitchinterval()


def change_digits() -> None:
    sys.set_int_max_str_digits(700)


def look_digits() -> int:
    return len(str(10**2000))


def change_dlopen_flags() -> None:
    sys.setdlopenflags(os.RTLD_LAZY | os.RTLD_GLOBAL)


def look_dlopen_flags() -> int:
    return sys.getdlopenflags()


def change_coroutine_origin() -> None:
    sys.set_coroutine_origin_tracking_depth(5)


def look_coroutine_origin() -> int:
    return sys.get_coroutine_origin_tracking_depth()


def change_asyncgen_hooks() -> None:
    sys.set_asyncgen_hooks(firstiter=print)


def look_asyncgen_hooks() -> str:
    return repr(sys.get_asyncgen_hooks())


def change_excepthook() -> None:
    sys.excepthook = sys.unraisablehook = lambda *_: None  # type: ignore[assignment]
    sys.displayhook = lambda _: None
    threading.excepthook = lambda _: None


def look_excepthook() -> list[bool]:
    return [
        sys.excepthook is sys.__excepthook__,
        sys.unraisablehook is sys.__unraisablehook__,
        sys.displayhook is sys.__displayhook__,
        threading.excepthook is threading.__excepthook__,
    ]


def change_bytecode() -> None:
    sys.dont_write_bytecode = not sys.dont_write_bytecode
    sys.pycache_prefix = "/nowhere"


def look_bytecode() -> list[object]:
    return [sys.dont_write_bytecode, sys.pycache_prefix]


def change_executable() -> None:
    sys.executable = "/bin/false"


def look_executable() -> str:
    return sys.executable


def change_traceback_limit() -> None:
    sys.tracebacklimit = 0


def look_traceback_limit() -> bool:
    return hasattr(sys, "tracebacklimit")


def change_argv() -> None:
    sys.argv[:] = ["prog", "--verbose"]


def look_argv() -> int:
    return len(sys.argv)


def change_lists_of_sys() -> None:
    sys.argv, sys.path_hooks, sys.meta_path = ["prog"], [*sys.path_hooks, zipimport.zipimporter], [NoFinder]
    sys.path.append("/nowhere")


def look_lists_of_sys() -> list[object]:
    import quopri

    return [len(sys.argv), len(sys.path_hooks), len(sys.meta_path), "/nowhere" in sys.path, quopri.__name__]


class NoFinder:
    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "colorsys":
            raise ImportError("not for you")


def change_meta_path() -> None:
    sys.meta_path.insert(0, NoFinder)


def look_meta_path() -> str:
    import colorsys

    return colorsys.__name__


def change_sys_path() -> None:
    sys.path = ["/nowhere"]


def look_sys_path() -> list[str]:
    return sys.path


def change_tracing() -> None:
    sys.settrace(lambda *_: None)
    sys.setprofile(lambda *_: None)
    threading.settrace(lambda *_: None)
    threading.setprofile(lambda *_: None)


def look_tracing() -> list[bool]:
    return [
        sys.gettrace() is None,
        sys.getprofile() is None,
        threading.gettrace() is None,
        threading.getprofile() is None,
    ]


def change_builtins() -> None:
    builtins.print = lambda *_, **__: None
    builtins.gift = 1  # type: ignore[attr-defined]
    del builtins.round


def look_builtins() -> list[object]:
    print("printed")
    return [hasattr(builtins, "gift"), round(2.7)]


def change_gc() -> None:
    gc.disable()
    gc.set_threshold(5, 5, 5)
    gc.set_debug(gc.DEBUG_UNCOLLECTABLE)
    gc.callbacks.append(lambda *_: None)


def look_gc() -> list[object]:
    return [gc.isenabled(), gc.get_threshold(), len(gc.callbacks), gc.get_debug()]


def change_stack_size() -> None:
    threading.stack_size(1024 * 1024)


def look_stack_size() -> int:
    return threading.stack_size()


def change_tracemalloc() -> None:
    tracemalloc.start()


def look_tracemalloc() -> bool:
    return tracemalloc.is_tracing()


def change_warning_filters() -> None:
    warnings.simplefilter("error")
    warnings.showwarning = lambda *_, **__: None


def look_warning_filters() -> str:
    warnings.warn("careful", stacklevel=1)
    return repr(warnings.filters)


def change_warning_shown() -> None:
    look_warning_shown()


def look_warning_shown() -> None:
    warnings.warn("once for each job", stacklevel=1)


def change_csv() -> None:
    csv.field_size_limit(10)


def look_csv() -> int:
    return len(next(csv.reader(["x" * 1000]))[0])


def change_faulthandler() -> None:
    faulthandler.enable()
    faulthandler.dump_traceback_later(0.05, exit=True)


def look_faulthandler() -> bool:
    time.sleep(0.1)
    return faulthandler.is_enabled()


def change_faulthandler_of_a_signal() -> None:
    faulthandler.register(signal.SIGUSR2)


def look_faulthandler_of_a_signal() -> bool:
    return bool(faulthandler.unregister(signal.SIGUSR2))  # type: ignore[func-returns-value]


def change_names_in_sys() -> None:
    sys.ps1 = ">>> "
    sys.last_value = ValueError()


def look_names_in_sys() -> list[bool]:
    return [hasattr(sys, "ps1"), hasattr(sys, "last_value")]


def change_thread_name() -> None:
    threading.current_thread().name = "worker-7"
    multiprocessing.current_process().name = "solver"
    multiprocessing.current_process().authkey = b"secret"


def look_thread_name() -> list[object]:
    process = multiprocessing.current_process()
    return [threading.current_thread().name, process.name, process.authkey == b"secret"]


def change_warnings_caught_for_ever() -> None:
    warnings.catch_warnings(record=True).__enter__()
    warnings.defaultaction = "ignore"  # type: ignore[attr-defined]


def look_warnings_caught_for_ever() -> None:
    warnings.warn("careful", stacklevel=1)


def change_json() -> None:
    json.dumps = lambda *_, **__: b"{}"  # type: ignore[assignment]
    json.loads = None  # type: ignore[assignment]
    json.JSONEncoder.default = lambda *_: "anything"  # type: ignore[method-assign]


def look_json() -> object:
    return [1.5, None, {"a": "ä"}]


def change_modules() -> None:
    for name in [*sys.modules]:
        if name not in ("sys", "builtins", "__main__"):
            del sys.modules[name]


def look_modules() -> str:
    import colorsys

    return colorsys.__name__


# --- values of modules of the standard library -------------------------------------------------------------------------


def change_event_loop() -> None:
    asyncio.run(asyncio.sleep(0))


def look_event_loop() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loop = asyncio.get_event_loop()
        except RuntimeError as error:  # always, from Python 3.14 on
            return str(error)
    loop.close()
    return "a loop"


class Policy(asyncio.DefaultEventLoopPolicy):
    pass


def change_event_loop_policy() -> None:
    asyncio.set_event_loop_policy(Policy())


def look_event_loop_policy() -> str:
    return type(asyncio.get_event_loop_policy()).__name__


def change_locale() -> None:
    locale.setlocale(locale.LC_ALL, "C")


def look_locale() -> str:
    return locale.setlocale(locale.LC_ALL)


def change_logging() -> None:
    logging.basicConfig(filename="first.log", level=logging.DEBUG, force=True)
    logging.getLogger("app").addHandler(logging.StreamHandler())
    logging.getLogger("app").setLevel(logging.ERROR)
    logging.disable(logging.CRITICAL)


def look_logging() -> list[object]:
    logging.basicConfig(format="%(levelname)s %(message)s")
    logging.getLogger("app").warning("disk almost full")
    return [logging.getLogger().level, len(logging.getLogger("app").handlers)]


def change_logging_of_warnings() -> None:
    logging.captureWarnings(True)


def look_logging_of_warnings() -> None:
    logging.basicConfig(format="logged: %(message)s")
    logging.captureWarnings(True)
    warnings.warn("careful", stacklevel=1)


def change_logging_words() -> None:
    logging.addLevelName(25, "NOTICE")
    logging.addLevelName(logging.WARNING, "ACHTUNG")
    logging.Formatter.converter = time.gmtime
    logging.Formatter.default_time_format = "%H"
    logging.root.manager.setLogRecordFactory(lambda *_: None)  # type: ignore[arg-type]


def look_logging_words() -> list[object]:
    of_dates = logging.Formatter.converter is time.localtime, logging.Formatter.default_time_format
    return [logging.getLevelName(25), logging.getLevelName(30), of_dates, logging.root.manager.logRecordFactory]


def change_loop_that_runs() -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    asyncio._set_running_loop(asyncio.get_event_loop_policy().get_event_loop())


def look_loop_that_runs() -> str:
    return str(asyncio.run(asyncio.sleep(0, "ran")))


def change_start_method() -> None:
    multiprocessing.set_start_method("spawn")


def look_start_method() -> str:
    multiprocessing.set_start_method("fork")
    return multiprocessing.get_start_method()


def change_tempdir() -> None:
    Path("elsewhere").mkdir()
    tempfile.tempdir = str(Path("elsewhere").resolve())


def look_tempdir() -> str:
    return tempfile.gettempdir()


def change_ssl() -> None:
    ssl._create_default_https_context = ssl._create_unverified_context  # type: ignore[assignment]


def look_ssl() -> bool:
    return ssl._create_default_https_context is ssl.create_default_context


def change_opener() -> None:
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({"http": "http://proxy"})))


def look_opener() -> bool:
    return urllib.request._opener is None  # type: ignore[attr-defined]


def change_socket_timeout() -> None:
    socket.setdefaulttimeout(0.001)


def look_socket_timeout() -> object:
    return socket.getdefaulttimeout()


def change_socket_class() -> None:
    socket.socket = socket.create_connection = socket.getaddrinfo = None  # type: ignore[assignment,misc]


def look_socket_class() -> str:
    return socket.socket.__name__ + socket.getaddrinfo.__name__


def change_zone() -> None:
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()


def look_zone() -> list[object]:
    return [os.environ.get("TZ"), time.localtime(0).tm_hour, time.tzname]


def change_zone_only_in_c() -> None:
    os.environ["TZ"] = "Asia/Tokyo"
    time.mktime((2020, 1, 1, 0, 0, 0, 0, 0, 0))
    del os.environ["TZ"]


def look_zone_only_in_c() -> list[object]:
    return [time.localtime(0).tm_hour, time.mktime((2020, 1, 1, 0, 0, 0, 0, 0, 0))]


def change_zone_path() -> None:
    zoneinfo.reset_tzpath(["/nowhere"])


def look_zone_path() -> list[str]:
    return list(zoneinfo.TZPATH)


# --- values of the process ---------------------------------------------------------------------------------------------


def change_folder() -> None:
    os.chdir("/")


def look_folder() -> str:
    return str(Path.cwd())


def change_umask() -> None:
    os.umask(0o777)


def look_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def change_variables() -> None:
    os.environ["MADE_UP"] = "yes"
    os.environ.pop("HOME", None)
    os.putenv("BEHIND", "the back of Python")


def look_variables() -> str:
    told = subprocess.run(["/usr/bin/env"], capture_output=True, text=True, check=True).stdout.splitlines()
    return "\n".join(sorted(line for line in told if not line.startswith("BATCHQ_")))


def change_variables_of_c() -> None:
    libc.setenv(b"BEHIND_TOO", b"the back of Python", 1)
    libc.unsetenv(b"HOME")


look_variables_of_c = look_variables


def change_environ() -> None:
    os.environ = {"PATH": "/nowhere"}  # type: ignore[assignment]  # noqa: B003


def look_environ() -> list[object]:
    return [type(os.environ).__name__, os.environ["PATH"]]


def change_alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.05)


def look_alarm() -> str:
    time.sleep(0.1)
    return "slept"


def change_alarm_of_c() -> None:
    libc.alarm(1)


def look_alarm_of_c() -> str:
    time.sleep(1.1)
    return "slept"


def change_timers_of_work() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0.1)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.1)


def look_timers_of_work() -> str:
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    return "worked"


def change_blocked_signal() -> None:
    signal.signal(signal.SIGUSR1, lambda *_: 1 / 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGRTMIN + 2])
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGRTMIN + 2)


def look_blocked_signal() -> list[object]:
    return [sorted(signal.sigpending()), sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))]


def change_handlers_by_child() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def look_handlers_by_child() -> int:
    return subprocess.run(["false"], check=False).returncode


def change_handlers() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def look_handlers() -> list[str]:
    return [repr(signal.getsignal(number)) for number in sorted(signal.valid_signals())]


def change_signal_mask() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def look_signal_mask() -> list[int]:
    return sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def change_wakeup_fd() -> None:
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    signal.set_wakeup_fd(ends[1])


def look_wakeup_fd() -> int:
    return signal.set_wakeup_fd(-1)


def change_limits() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def look_limits() -> list[object]:
    return [resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE)]


def change_limits_of_c() -> None:
    libc.setrlimit(int(resource.RLIMIT_NOFILE), (ctypes.c_ulong * 2)(100, 1000))


look_limits_of_c = look_limits


def change_priority() -> None:
    os.nice(5)


def look_priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def change_cores() -> None:
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])


def look_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def change_scheduling_policy() -> None:
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def look_scheduling_policy() -> int:
    return os.sched_getscheduler(0)


def change_process_name() -> None:
    libc.prctl(15, b"solver")


def look_process_name() -> str:
    return Path("/proc/self/comm").read_text()


def change_user() -> None:
    os.seteuid(65534)


def look_user() -> list[object]:
    return [os.getresuid(), os.getresgid(), os.getgroups(), os.access("/root", os.R_OK, effective_ids=True)]


def change_groups() -> None:
    os.setgroups([12345])
    os.setegid(65534)


look_groups = look_user


def change_root_folder() -> None:
    Path("jail").mkdir()
    os.chroot("jail")


def look_root_folder() -> bool:
    return Path("/proc/self").exists()


def change_capabilities() -> None:
    header, empty = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capset(header, empty) == 0


def look_capabilities() -> list[str]:
    return [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Cap")]


def change_namespace() -> None:
    assert libc.unshare(0x04000000) == 0  # CLONE_NEWUTS


def look_namespace() -> bool:
    return Path("/proc/self/ns/uts").readlink() == Path(f"/proc/{os.getppid()}/ns/uts").readlink()


def change_signals_of_c() -> None:
    libc.signal.argtypes = ctypes.c_int, ctypes.c_void_p
    libc.signal(int(signal.SIGUSR2), 1)  # SIG_IGN, without Python's knowledge


def look_signals_of_c() -> list[str]:
    return [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("SigIgn")]


def change_death_signal() -> None:
    libc.prctl(1, 0)
    libc.prctl(36, 0)


def look_death_signal() -> list[int]:
    found = ctypes.c_int(), ctypes.c_int()
    libc.prctl(2, ctypes.byref(found[0]))
    libc.prctl(37, ctypes.byref(found[1]))
    return [one.value for one in found]


# --- streams -----------------------------------------------------------------------------------------------------------


def change_c_output() -> None:
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, 0, 65536)
    libc.printf(b"SECRET OF CUSTOMER ONE")


def look_c_output() -> None:
    libc.printf(b"c\n")
    print("python")


def change_stdout() -> None:
    sys.stdout = io.StringIO()
    print("lost")


def look_stdout() -> str:
    print("said")
    return type(sys.stdout).__name__


def change_streams_that_modules_hold() -> None:
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1")
    sys.stderr = io.TextIOWrapper(sys.stderr.detach())  # type: ignore[union-attr]
    sys.__stdout__ = None  # type: ignore[misc]


def look_streams_that_modules_hold() -> list[bool]:
    HELD.emit(logging.makeLogRecord({"msg": "held"}))
    OUT.write("no newline")
    return [sys.stdout is OUT, sys.__stdout__ is OUT]


def change_streams_closed() -> None:
    sys.stdout.close()
    sys.stderr.close()


look_streams_closed = look_streams_that_modules_hold


def change_streams_nowhere() -> None:
    sys.stdout = sys.stderr = sys.stdin = None
    OUT.write("of another job")


look_streams_nowhere = look_streams_that_modules_hold


def change_stream_settings() -> None:
    sys.stdout.reconfigure(line_buffering=False, errors="strict", encoding="latin-1")  # type: ignore[union-attr]


def look_stream_settings() -> list[object]:
    stream: Any = sys.stdout
    print("naïve \ud800")
    return [stream.line_buffering, stream.errors, stream.encoding]


def change_descriptors() -> None:
    os.closerange(0, 3)


def look_descriptors() -> list[bool]:
    os.write(1, b"out\n")
    os.write(2, b"err\n")
    return [os.get_inheritable(fd) for fd in range(3)]


def change_blocking() -> None:
    for fd in (1, 2):
        os.set_blocking(fd, False)


def look_blocking() -> list[bool]:
    return [os.get_blocking(1), os.get_blocking(2)]


def change_stdin() -> None:
    sys.stdin.close()


def look_stdin() -> list[object]:
    return [sys.stdin.read(), select.select([0], [], [], 0)[0]]


# --- what goes on ------------------------------------------------------------------------------------------------------


def change_thread() -> None:
    threading.Thread(target=lambda: time.sleep(60), daemon=True).start()


def look_thread() -> int:
    return threading.active_count()


def change_child() -> None:
    subprocess.Popen(["sleep", "60"])


def look_child() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def change_child_that_comes_back() -> None:
    if os.fork() == 0:
        sys.stdout.write("of the child")
        return
    os.wait()


def look_child_that_comes_back() -> list[int]:
    codes = []
    for end in (None, 0, 3, "words"):
        if os.fork() == 0:
            sys.stdout.write("of the child ")
            sys.exit(end)
        codes.append(os.waitstatus_to_exitcode(os.wait()[1]))
    return codes


def sq(number: int) -> int:
    return number * number


def change_forkserver() -> None:
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        pool.map(sq, range(3))


def look_forkserver() -> list[int]:
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        return pool.map(sq, range(3))


def change_spawned_pool() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.map(sq, range(3))


def look_spawned_pool() -> list[object]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return [pool.map(sq, range(3)), look_child().count(" ") > 0]


def change_child_that_has_ended() -> None:
    os.fork() or os._exit(0)


def look_child_that_has_ended() -> str:
    try:
        return str(os.waitpid(-1, os.WNOHANG))
    except ChildProcessError:
        return "no child"


NAMES = sorted(name.removeprefix("look_") for name in list(globals()) if name.startswith("look_"))
NEED_ROOT = {"user", "groups", "root_folder", "capabilities", "namespace"}
