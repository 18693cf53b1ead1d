"""Each function of CPython that sets something for the whole process is reset after a call, or named as staying."""

import _warnings
import builtins
import gc
import importlib
import os
import re
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from batchq.processes.worker import kernel, modules, settings

#: Setters, by module, and what takes care of them: the name of a setting, or a word about why nothing has to.
KNOWN: dict[str, dict[str, str]] = {
    "sys": {
        "set_asyncgen_hooks": "interpreter",
        "set_coroutine_origin_tracking_depth": "interpreter",
        "set_int_max_str_digits": "interpreter",
        "setdlopenflags": "interpreter",
        "setprofile": "interpreter",
        "setrecursionlimit": "interpreter",
        "setswitchinterval": "interpreter",
        "settrace": "interpreter",
    },
    "gc": {"set_debug": "interpreter", "set_threshold": "interpreter"},
    "threading": {
        "setprofile": "threading", "settrace": "threading", "setprofile_all_threads": "threading",
        "settrace_all_threads": "threading",
    },
    "os": {
        "setegid": "groups", "seteuid": "users", "setgid": "groups", "setgroups": "groups", "setregid": "groups",
        "setresgid": "groups", "setresuid": "users", "setreuid": "users", "setuid": "users",
        "setpriority": "priority", "setns": "namespaces",
        "setpgid": "a worker leads its session: refused by the kernel", "setpgrp": "likewise", "setsid": "likewise",
        "set_blocking": "streams", "set_inheritable": "streams",
        "set_handle_inheritable": "Windows", "setxattr": "of a file",
    },
    "signal": {
        "set_wakeup_fd": "handlers", "setitimer": "handlers", "sigtimedwait": "no setter", "siginterrupt": "handlers",
    },
    "socket": {"setdefaulttimeout": "timeout of sockets", "sethostname": "of the machine"},
    "locale": {"setlocale": "locale"},
    "resource": {"setrlimit": "surroundings"},
    "asyncio": {
        "set_child_watcher": "of the policy", "set_event_loop": "asyncio", "set_event_loop_policy": "asyncio",
    },
    "decimal": {"setcontext": "a context for each call"},
    "logging": {"setLogRecordFactory": "logging", "setLoggerClass": "logging"},
    "multiprocessing": {
        "set_executable": "variables of modules stay", "set_forkserver_preload": "variables of modules stay",
        "set_start_method": "multiprocessing.context",
    },
}  # fmt: skip
SETTER = re.compile(r"set_?[a-z]")


def setters(module: str) -> set[str]:
    found = importlib.import_module(module)
    return {
        name for name in dir(found)
        if SETTER.match(name) and callable(getattr(found, name)) and not isinstance(getattr(found, name), type)
    }  # fmt: skip


@pytest.mark.parametrize("module", KNOWN)
def test_each_setter_of_a_module_is_reset_or_named(module: str) -> None:
    assert setters(module) - KNOWN[module].keys() == set()


LISTS: list[Any] = [sys.argv, sys.path, sys.meta_path, sys.path_hooks]
#: What changes the settings of the interpreter, one at a time.
CHANGES: list[Callable[[], object]] = [
    lambda: sys.setrecursionlimit(5_000),
    lambda: sys.setswitchinterval(0.5),
    lambda: sys.set_int_max_str_digits(700),
    lambda: sys.setdlopenflags(sys.getdlopenflags() ^ os.RTLD_GLOBAL),
    lambda: sys.set_coroutine_origin_tracking_depth(5),
    lambda: sys.set_asyncgen_hooks(firstiter=print),
    lambda: sys.setprofile(lambda *_: None),
    lambda: sys.settrace(lambda *_: None),
    gc.disable,
    lambda: gc.set_threshold(5, 5, 5),
    lambda: gc.set_debug(gc.DEBUG_UNCOLLECTABLE),
    lambda: threading.stack_size(1 << 20),
    lambda: _warnings.filters.append(("error", None, Warning, None, 0)),
    lambda: gc.callbacks.append(lambda *_: None),
    lambda: setattr(sys, "tracebacklimit", 0),
    *[partial(setattr, sys, name, None) for name in ("excepthook", "displayhook", "unraisablehook", "breakpointhook")],
    *[partial(setattr, sys, name, "x") for name in ("dont_write_bytecode", "pycache_prefix", "executable")],
    *[partial(setattr, sys, name, ["x"]) for name in ("argv", "path", "meta_path", "path_hooks")],
    *[partial(one.append, "x") for one in LISTS],
    lambda: setattr(sys, "gift", 1),
    lambda: setattr(builtins, "gift", 1),
    lambda: setattr(builtins, "print", None),
]


def test_each_setting_of_the_interpreter_is_reset() -> None:
    interpreter = settings.interpreter()
    before = interpreter.read()
    touched = set()
    for number, change in enumerate(CHANGES):
        change()
        is_now = interpreter.read()
        interpreter.write(before)
        assert interpreter.read() == before, number
        touched |= {place for place, (one, other) in enumerate(zip(before, is_now, strict=True)) if one != other}
    assert touched == set(range(len(before)))


def test_each_name_of_a_setting_that_stands_above_exists() -> None:
    names = {one.name for one in (settings.interpreter(), *kernel.rights(), *kernel.scheduling())} | {
        *modules.WITH,
        *modules.ANEW,
        *modules.WITHIN,
    }
    text = "".join(Path(str(one.__file__)).read_text() for one in (kernel, modules))
    for known in KNOWN.values():
        for word in known.values():
            if " " not in word and word not in ("surroundings", "handlers", "streams", "likewise", "Windows"):
                assert word in names or f'"{word}"' in text, word
