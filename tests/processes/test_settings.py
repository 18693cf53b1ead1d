"""Each function of CPython that sets something for the whole process is put back after a call, or named as staying."""

import importlib
import re
from pathlib import Path

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
def test_each_setter_of_a_module_is_put_back_or_named(module: str) -> None:
    assert setters(module) - KNOWN[module].keys() == set()


def test_what_is_always_looked_at_can_be_read_twice_and_written_back() -> None:
    chosen = settings.always()
    assert len({one.name for one in chosen}) == len(chosen)
    assert sum(len(one.read()) for one in chosen) >= 20
    for one in chosen:
        before = one.read()
        assert one.read() == before, one.name
        one.write(before)
        assert one.read() == before, one.name


def test_settings_that_are_read_together_are_written_each_by_its_own_function() -> None:
    values, written = [1, 2, 3], []
    one = settings.together(
        "three",
        lambda: tuple(values),
        *[lambda value, place=place: written.append((place, value)) for place in range(3)],
    )
    before = one.read()
    values[1:] = 20, 30

    one.write(before)

    assert written == [(1, 2), (2, 3)]


def test_each_name_of_a_setting_that_stands_above_exists() -> None:
    names = {one.name for one in (*settings.always(), *kernel.rights(), *kernel.scheduling())} | {
        *modules.WITH,
        *modules.ANEW,
        *modules.WITHIN,
    }
    text = "".join(Path(str(one.__file__)).read_text() for one in (kernel, modules))
    for known in KNOWN.values():
        for word in known.values():
            if " " not in word and word not in ("surroundings", "handlers", "streams", "likewise", "Windows"):
                assert word in names or f'"{word}"' in text, word
