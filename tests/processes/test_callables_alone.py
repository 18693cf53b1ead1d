"""A callable in a worker is as ``python -c 'import m; m.f()'``: how it is imported, how it ends, what it is given."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import eventually
from scene import TRIES, Scene, ended, is_gone

pytest_plugins = ("scene",)

Fields = dict[str, object]


def module(scene: Scene, name: str, text: str) -> None:
    (scene.folder / f"{name}.py").write_text(text)


def results(scene: Scene) -> list[object]:
    return [None if value is None else json.loads(str(value)) for (value,) in scene.attempts("result")]


# --- import and call are two phases ------------------------------------------------------------------------------------

BROKEN = {
    "exits": (
        "import sys\ndef f(job=None): open('called', 'w')\nsys.exit(0)\n",
        "ImportExited",
        "sys.exit(0) before f",
    ),
    "exits_as_argparse": (
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--version', action='version', version='1')\n"
        "p.parse_args(['--version'])\n",
        "ImportExited",
        "before f could be called",
    ),
    "fails": ("def f(job=None): pass\n1 / 0\n", "ZeroDivisionError", "while importing fails with"),
    "lacks": ("import nosuchmodule\n", "ModuleNotFoundError", "'nosuchmodule' (while importing lacks with"),
    "interrupts": ("raise KeyboardInterrupt\n", "KeyboardInterrupt", "while importing interrupts"),
    "empty": ("", "NoSuchFunction", "the module 'empty' has no function 'f'"),
    "other": ("f = {}\n", "NotCallable", "other:f is a dict, which cannot be called"),
    "yields": ("def f(job=None): yield 1\n", "NotCallable", "is a generator"),
}


@pytest.mark.parametrize("kind", ["call", "perform"])
@pytest.mark.parametrize("name", BROKEN)
def test_an_import_that_does_not_end_well_is_a_failure_and_the_function_is_not_called(
    scene: Scene, name: str, kind: str
) -> None:
    text, error_type, said = BROKEN[name]
    module(scene, name, text)
    job: Fields = {"call": f"{name}:f"} if kind == "call" else {"payload": 1}
    scene.add(job, job)
    scene.run("-q", "-j", "1", *(("--perform", f"{name}:f") if kind == "perform" else ()), code=1)

    assert scene.attempts("outcome, error_type, exit_code") == [("failed", error_type, None)] * 2
    assert all(said in str(error) for (error,) in scene.attempts("error"))
    assert not (scene.folder / "called").exists()


def test_an_import_that_hangs_or_dies_is_reported_as_one(scene: Scene) -> None:
    module(
        scene, "hangs", "import ready, time\ndef f(): pass\nif not ready.is_over(): ready.ready(); time.sleep(600)\n"
    )
    module(scene, "dies", "import os\nos._exit(0)\n")
    scene.add({"call": "hangs:f"} | TRIES, {"call": "dies:f", "max_crashes": 1})
    scene.run("-q", "-j", "1", "--grace", "100ms", code=1)

    hung = scene.attempt_that_was_ready("outcome, error_type, error")
    (died,) = scene.rows("SELECT outcome, error_type, error FROM attempts WHERE job = 2")
    assert [hung[:2], died[:2]] == [("timed_out", "TimedOut"), ("crashed", "WorkerDied")]
    assert [str(error).rpartition(" while ")[2] for *_, error in (hung, died)] == [
        "it imported hangs", "it imported dies",
    ]  # fmt: skip


def test_a_failed_import_is_tried_anew_and_not_from_what_was_left_of_it(scene: Scene) -> None:
    module(scene, "half", "STEPS = []\n")
    module(scene, "whole", "import half\nhalf.STEPS.append(1)\nopen('there').close()\ndef f(): return half.STEPS\n")
    scene.add({"call": "whole:f"}, {"command": "touch there"}, {"call": "whole:f"})
    scene.run("-q", "-j", "1", code=1)

    assert scene.attempts("outcome") == [("failed",), ("succeeded",), ("succeeded",)]
    assert results(scene)[2] == [1]


@pytest.mark.parametrize("is_on_pythonpath", [False, True])
def test_modules_in_the_folder_of_a_job_never_take_the_place_of_what_a_worker_needs(
    scene: Scene, is_on_pythonpath: bool
) -> None:
    for name in ("ctypes", "traceback", "token", "tokenize", "linecache", "re", "struct", "logging", "tenacity", "json",
                 "contextvars", "atexit", "resource", "select", "asyncio", "batchq_", "textwrap", "enum"):  # fmt: skip
        module(scene, name, "raise RuntimeError('not me')\n")
    module(scene, "mine", "def well(): return 'well'\ndef ill(): raise ValueError('on purpose')\n")
    env: Fields = {"env": {"PYTHONPATH": str(scene.folder)}} if is_on_pythonpath else {}
    scene.add(*({"call": f"mine:{name}"} | env for name in ("well", "ill", "well")))
    scene.shell.env["PYTHONSAFEPATH"] = "1"  # for the run itself
    scene.run("-q", code=1)

    assert results(scene) == ["well", None, "well"]
    assert "line 2, in ill" in str(scene.attempts("traceback")[1])


# --- how a worker ends -------------------------------------------------------------------------------------------------

ENDING = """
import atexit, csv, logging, logging.handlers, os, tempfile, threading, time, weakref
ROWS = csv.writer(open("rows.csv", "a", newline=""))
FILE = logging.FileHandler("late.log")
LOG = logging.getLogger("late")
LOG.addHandler(logging.handlers.MemoryHandler(10_000, target=FILE))
FOLDER = tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="scratch")
def note(): time.sleep(0.2); open("handled", "a").write("x")
atexit.register(note)
def row(n): ROWS.writerow([n]); LOG.warning("row %s", n)
def later():
    def work(): threading.main_thread().join(); open("worked", "a").write("x")
    threading.Thread(target=work).start()
def forever():
    threading.Thread(target=time.sleep, args=(600,)).start()
def hangs(): atexit.register(time.sleep, 600)
def pid(): return os.getpid()
"""


@pytest.mark.parametrize("options", [(), ("--worker-jobs", "1"), ("--worker-jobs", "2"), ("-j", "1")], ids=" ".join)
def test_what_a_worker_has_buffered_and_registered_comes_to_its_end(scene: Scene, options: tuple[str, ...]) -> None:
    module(scene, "late", ENDING)
    scene.add(*({"call": "late:row", "args": {"n": n}} for n in range(6)))
    scene.run(*options)

    assert sorted((scene.folder / "rows.csv").read_text().split()) == [str(n) for n in range(6)]
    assert sorted((scene.folder / "late.log").read_text().splitlines()) == [f"row {n}" for n in range(6)]
    assert (scene.folder / "handled").exists()
    assert list(scene.folder.glob("scratch*")) == []


def test_a_thread_that_is_no_daemon_ends_by_itself_and_its_worker_is_replaced(scene: Scene) -> None:
    module(scene, "late", ENDING)
    scene.add({"call": "late:pid"}, {"call": "late:later"}, {"call": "late:pid"})
    scene.run("-j", "1")

    assert (scene.folder / "worked").read_text() == "x"
    assert len(set(map(str, results(scene)))) == 3


@pytest.mark.parametrize("what", ["forever", "hangs"])
def test_what_does_not_end_is_killed_after_the_grace_and_the_run_goes_on(scene: Scene, what: str) -> None:
    module(scene, "late", ENDING)
    scene.add({"call": f"late:{what}"}, {"call": "late:pid"}, {"command": "true"})
    scene.run("-q", "-j", "1", "--grace", "300ms")

    assert scene.attempts() == [("succeeded",)] * 3


def test_another_signal_ends_the_wait_for_workers(scene: Scene) -> None:
    module(scene, "late", ENDING)
    scene.add({"call": "late:hangs"})
    run = scene.start("-q", "--grace", "10m")
    eventually(lambda: scene.rows("SELECT 1 FROM jobs WHERE state = 'succeeded'"))
    run.terminate()
    while run.poll() is None:  # each signal is at least half a second after the one before
        time.sleep(0.6)
        run.terminate()

    assert ended(run) in (0, -15, 143)


# --- what stays and what goes ------------------------------------------------------------------------------------------

HELPERS = """
import multiprocessing, os, subprocess, sys
def helper(): return subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
MINE = helper()
os.environ["SET_BY_IMPORT"] = "yes"
def ask():
    MINE.stdin.write(b"hello\\n"); MINE.stdin.flush()
    return [MINE.stdout.readline().decode(), MINE.pid, os.environ["SET_BY_IMPORT"]]
def lazy():
    import lazily
    return [lazily.ask(), os.environ["LAZY"], os.getpid()]
GATEWAY = None
def gateway():
    global GATEWAY
    if GATEWAY is None: GATEWAY = helper()
    GATEWAY.stdin.write(b"hello\\n"); GATEWAY.stdin.flush()
    return GATEWAY.stdout.readline().decode()
def shared():
    from multiprocessing import shared_memory
    return shared_memory.SharedMemory(create=True, size=10).name
"""
LAZILY = """
import os, subprocess, threading, time
os.environ["LAZY"] = "yes"
HELPER = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
def ask():
    HELPER.stdin.write(b"hello\\n"); HELPER.stdin.flush()
    return HELPER.stdout.readline().decode()
"""


def test_what_a_module_starts_while_it_is_imported_stays_until_its_worker_ends(scene: Scene) -> None:
    module(scene, "helpers", HELPERS)
    module(scene, "lazily", LAZILY)
    scene.add(*[{"call": "helpers:ask"}] * 3, *[{"call": "helpers:lazy"}] * 3, {"call": "helpers:ask"})
    scene.run("-j", "1")

    assert scene.attempts("outcome, leftovers") == [("succeeded", 0)] * 7
    one, two, three, *lazy, last = results(scene)
    assert one == two == three == last, "one worker, and one helper"
    assert [told[:2] for told in lazy] == [["hello\n", "yes"]] * 3  # type: ignore[index]
    assert lazy[0] == lazy[1] == lazy[2]
    assert isinstance(one, list)
    assert is_gone(one[1])


SETTLING = """
import asyncio, contextvars, ctypes, decimal, os, sys
os.umask(0o027)
os.makedirs("below", exist_ok=True)
os.chdir("below")
os.putenv("IN_C", "1"); ctypes.CDLL(None).setenv(b"IN_C_TOO", b"2", 1)
class Loud:
    def __init__(self, stream): self.stream, self.text = stream, ""
    def write(self, text): self.text += text
    def flush(self): self.stream.write(self.text.upper()); self.text = ""; self.stream.flush()
sys.stdout = Loud(sys.stdout)
sys.stderr.reconfigure(encoding="latin-1")
LOOP = asyncio.new_event_loop(); asyncio.set_event_loop(LOOP)
decimal.getcontext().prec = 6
TENANT = contextvars.ContextVar("TENANT"); TENANT.set("ACME")
"""
LOOKING = """
def look():
    import asyncio, decimal, io, os, subprocess, sys
    if LATE: import settling
    settling = sys.modules["settling"]
    umask = os.umask(0o077)
    print("said", end="")
    print("ä", file=sys.stderr)
    of_c = subprocess.run(["/usr/bin/env"], capture_output=True, text=True).stdout.count("IN_C")
    found = [umask, os.path.basename(os.getcwd()), asyncio.get_event_loop() is settling.LOOP,
             str(decimal.Decimal(1) / 3), settling.TENANT.get(), of_c]
    sys.stdout = sys.stderr = io.StringIO(); os.chdir("/"); asyncio.set_event_loop(None); os.unsetenv("IN_C")
    decimal.getcontext().prec = 2; settling.TENANT.set("other"); sys.__stderr__.reconfigure(encoding="ascii")
    return found
"""


@pytest.mark.parametrize("when", ["early", "late"])
def test_what_a_module_chooses_while_it_is_imported_holds_for_each_call(scene: Scene, when: str) -> None:
    module(scene, "settling", SETTLING)
    module(scene, "looking", f"LATE = {when == 'late'}\n{'' if when == 'late' else 'import settling'}\n{LOOKING}")
    scene.add(*[{"call": "looking:look"}] * 3)
    scene.run("-q", "-j", "1")

    assert results(scene) == [[0o027, "below", True, "0.333333", "ACME", 2]] * 3
    for job in (1, 2, 3):
        assert (scene.output(job), scene.output(job, "stderr")) == (b"SAID", "ä\n".encode("latin-1"))


def test_what_a_thread_sets_in_a_module_that_it_imported_is_reset(scene: Scene) -> None:
    module(
        scene,
        "threaded",
        "import os, threading\n"
        "def limit():\n"
        "    import csv; csv.field_size_limit(10)\n"
        "def change():\n"
        "    thread = threading.Thread(target=limit); thread.start(); thread.join(); return os.getpid()\n"
        "def look():\n"
        "    import csv; return [os.getpid(), csv.field_size_limit()]\n",
    )
    scene.add({"call": "threaded:change"}, {"call": "threaded:look"})
    scene.run("-q", "-j", "1")

    pid, seen = results(scene)
    assert seen == [pid, 128 * 1024]


def test_where_a_process_had_to_be_ended_that_a_module_holds_the_next_gets_another_worker(scene: Scene) -> None:
    module(scene, "helpers", HELPERS)
    scene.add(*[{"call": "helpers:gateway"}] * 3)
    scene.run("-j", "1")

    assert results(scene) == ["hello\n"] * 3
    assert scene.attempts("leftovers") == [(1,)] * 3


@pytest.mark.parametrize("how", ["fresh", "worker-jobs", "crash"])
def test_what_a_process_prints_that_outlives_its_callable_is_in_the_output_of_that_job(scene: Scene, how: str) -> None:
    module(
        scene,
        "late",
        "import os, subprocess\n"
        "def leaves(): subprocess.Popen(['sh', '-c', 'sleep 0.1; echo late; echo later >&2'])\n"
        "def crashes(): leaves(); os.abort()\n"
        "def prints(): subprocess.run(['sh', '-c', 'sleep 0.3; echo mine'])\n",
    )
    leaves: Fields = {
        "call": "late:crashes" if how == "crash" else "late:leaves",
        "fresh": how == "fresh",
        "max_crashes": 1,
    }
    scene.add(leaves, {"call": "late:prints"}, leaves, {"call": "late:prints"})
    options = ("--worker-jobs", "1") if how == "worker-jobs" else ()
    scene.run("-q", "-j", "1", "--log-dir", "logs", *options, code=1 if how == "crash" else 0)

    for job, out, err in (
        (1, b"late\n", b"later\n"),
        (2, b"mine\n", b""),
        (3, b"late\n", b"later\n"),
        (4, b"mine\n", b""),
    ):
        assert (scene.output(job), scene.output(job, "stderr")) == (out, err), job
    logged = [log.read_text() for log in (scene.folder / "logs").iterdir()]
    assert len(logged) == 4
    assert sum("late\n" in log and "later\n" in log for log in logged) == 2


def test_shared_memory_that_was_forgotten_is_tidied_up_by_the_tracker_of_python(scene: Scene) -> None:
    module(scene, "helpers", HELPERS)
    scene.add(*[{"call": "helpers:shared"}] * 2)
    scene.run("-j", "1")

    assert scene.attempts() == [("succeeded",)] * 2
    assert [name for name in map(str, results(scene)) if Path("/dev/shm", name).exists()] == []


def test_joblib_leaves_nothing(scene: Scene) -> None:
    pytest.importorskip("joblib")
    module(scene, "many", "import joblib, operator, os\ndef f():\n"
           "    found = joblib.Parallel(n_jobs=2)(joblib.delayed(operator.neg)(n) for n in range(4))\n"
           "    there = [name for name in os.listdir('/dev/shm') if str(os.getpid()) in name]\n"
           "    return [found, there, os.getpid()]\n")  # fmt: skip
    scene.add(*[{"call": "many:f"}] * 3)
    scene.run("-j", "1")

    told = [one for one in results(scene) if isinstance(one, list)]
    assert [found for found, *_ in told] == [[0, -1, -2, -3]] * 3
    assert [there for _, names, _ in told for there in names if Path("/dev/shm", there).exists()] == []
    assert all(names for _, names, _ in told), "what a process makes there has its number in its name"
    # Others make something there meanwhile, but nothing with the number of these processes.
    numbers = {str(pid) for *_, pid in told}
    assert [name for name in os.listdir("/dev/shm") if numbers & set(re.findall(r"\d+", name))] == []


def test_a_thread_that_a_library_keeps_for_itself_costs_no_worker_and_is_reported_once(scene: Scene) -> None:
    pytest.importorskip("tqdm")
    module(scene, "bar", "import os\nfrom tqdm import tqdm\ndef f(): return [sum(tqdm(range(3))), os.getpid()]\n"
           "def g(): return [3, os.getpid()]\n")  # fmt: skip
    scene.add(*[{"call": "bar:f"}] * 3, {"call": "bar:g"}, {"call": "bar:f"})
    scene.run("-j", "1")

    told = results(scene)
    assert told == [told[0]] * 5
    assert scene.attempts("threads") == [(1,), (0,), (0,), (0,), (0,)]


KEEPING = """
import os, threading, time
def loop(): time.sleep(600)
class Monitor(threading.Thread):
    of_all = None
    def run(self): loop()
class Client:
    def __init__(self): self.sender = threading.Thread(target=loop, daemon=True); self.sender.start()
CLIENT = MONITOR = None
def variable():
    global MONITOR
    if MONITOR is None: MONITOR = threading.Thread(target=loop, daemon=True); MONITOR.start()
    return os.getpid()
def attribute_of_a_class():
    if Monitor.of_all is None: Monitor.of_all = Monitor(daemon=True); Monitor.of_all.start()
    return os.getpid()
def attribute_of_an_object():
    global CLIENT
    CLIENT = CLIENT or Client()
    return os.getpid()
def nowhere(): threading.Thread(target=loop, daemon=True).start(); return os.getpid()
def itself(): Client(); return os.getpid()
def no_daemon():
    global MONITOR
    MONITOR = threading.Thread(target=threading.main_thread().join); MONITOR.start()
    return os.getpid()
"""


@pytest.mark.parametrize("where", ["variable", "attribute_of_a_class", "attribute_of_an_object"])
def test_a_daemon_thread_that_a_module_of_the_job_holds_costs_no_worker(scene: Scene, where: str) -> None:
    module(scene, "keeping", KEEPING)
    scene.add(*[{"call": f"keeping:{where}"}] * 20)
    scene.run("-j", "1")

    assert len(set(map(str, results(scene)))) == 1
    assert scene.attempts("threads") == [(1,)] + [(0,)] * 19


@pytest.mark.parametrize("where", ["nowhere", "itself", "no_daemon"])
def test_a_thread_that_no_module_holds_or_that_is_no_daemon_costs_the_worker(scene: Scene, where: str) -> None:
    module(scene, "keeping", KEEPING)
    scene.add(*[{"call": f"keeping:{where}"}] * 4)
    scene.run("-j", "1")

    assert len(set(map(str, results(scene)))) == 4
    assert scene.attempts("threads") == [(1,)] * 4


def test_a_library_that_starts_a_thread_with_each_call_costs_a_worker_as_any_thread_does(scene: Scene) -> None:
    folder = scene.folder / "site-packages"
    folder.mkdir()
    (folder / "often.py").write_text(
        "import threading, time\ndef work(): time.sleep(600)\n"
        "def start(): threading.Thread(target=work, daemon=True).start()\n"
    )
    module(scene, "mine", "import os, often\ndef f(): often.start(); return os.getpid()\n")
    scene.add(*[{"call": "mine:f", "env": {"PYTHONPATH": str(folder)}}] * 4)
    scene.run("-j", "1")

    pids = results(scene)
    assert (pids[0] == pids[1], pids[2] == pids[3], len(set(map(str, pids)))) == (True, True, 2)
    assert scene.attempts("threads") == [(1,)] * 4


def test_threads_that_keep_running_are_reported_with_their_job(scene: Scene) -> None:
    module(
        scene,
        "spins",
        "import threading\ndef f(daemon):\n"
        "    for _ in range(2): threading.Thread(target=threading.main_thread().join, daemon=daemon).start()\n",
    )
    scene.add(*({"call": "spins:f", "args": {"daemon": daemon}} for daemon in (True, False)))
    scene.run("-j", "1")

    assert scene.attempts("threads, outcome") == [(2, "succeeded")] * 2
    assert "succeeded; left 2 threads behind" in scene.shell("show", "2").out
    assert json.loads(scene.shell("show", "--json", "2").out)["job"]["attempts"][0]["threads"] == 2


# --- new code ----------------------------------------------------------------------------------------------------------


def test_a_module_that_was_repaired_is_used_as_it_is_now(scene: Scene) -> None:
    module(scene, "etl", "import part\ndef f(): return part.VERSION\ndef g(): raise ValueError('version 1')\n")
    module(scene, "part", "VERSION = 1\n")
    run = scene.start("-q", "--watch", "-j", "1")
    scene.add({"call": "etl:f"})
    eventually(lambda: scene.rows("SELECT 1 FROM jobs WHERE state = 'succeeded'"))
    module(scene, "part", "VERSION = 2\n")
    scene.add({"call": "etl:f"})
    eventually(lambda: scene.rows("SELECT 1 FROM jobs WHERE id = 2 AND state = 'succeeded'"))
    run.terminate()
    ended(run)

    assert results(scene) == [1, 2]


def test_a_job_that_is_added_after_a_change_finds_it_also_where_calls_follow_each_other_without_a_pause(
    scene: Scene,
) -> None:
    module(scene, "etl", "import part, time\ndef f(): time.sleep(0.001); return part.VERSION\n")
    module(scene, "part", "VERSION = 0\n")
    run = scene.start("-q", "--watch", "-j", "2")
    for version in range(1, 4):
        scene.add(*[{"call": "etl:f"}] * 1000)
        has_begun = f"SELECT 1 FROM attempts WHERE outcome IS NOT NULL AND job > {version - 1} * 1001"
        eventually(lambda: scene.rows(has_begun))  # noqa: B023
        module(scene, "part", f"VERSION = {version}\n")
        scene.add({"call": "etl:f", "priority": 1, "name": str(version)})
        eventually(lambda: not scene.rows("SELECT 1 FROM jobs WHERE name IS NOT NULL AND state != 'succeeded'"))
    run.terminate()
    ended(run)

    found = scene.rows(
        "SELECT name, result FROM jobs JOIN attempts ON job = jobs.id WHERE name IS NOT NULL ORDER BY job"
    )
    assert found == [(version, version) for version in "123"]


def test_a_file_that_changes_while_its_module_is_imported_is_read_anew_for_the_next_job(scene: Scene) -> None:
    module(scene, "etl", "import part\nopen('begun', 'w')\nopen('never').read()\ndef f(): return part.VERSION\n")
    module(scene, "part", "VERSION = 1\n")
    scene.add(*[{"call": "etl:f"}] * 2)
    run = scene.start("-q", "-j", "1")
    eventually(scene.begun.exists)
    module(scene, "part", "VERSION = 2\n")
    module(scene, "etl", "import part\ndef f(): return part.VERSION\n")
    with scene.never.open("w"):
        pass
    ended(run)

    assert results(scene) == [1, 2]


def test_where_a_link_in_the_folder_leads_elsewhere_the_modules_there_are_used(scene: Scene) -> None:
    for number in (1, 2):
        (scene.folder / f"release-{number}").mkdir()
        module(
            scene, f"release-{number}/mine", f"import os\ndef f(): return [{number}, os.path.basename(os.getcwd())]\n"
        )
    current = scene.folder / "current"
    current.symlink_to("release-1")
    scene.add({"call": "mine:f", "cwd": str(current)})
    run = scene.start("--watch", "-q", "-j", "1")
    eventually(lambda: scene.jobs() == [("succeeded",)])

    (scene.folder / "new").symlink_to("release-2")
    (scene.folder / "new").replace(current)
    scene.add({"call": "mine:f", "cwd": str(current)})
    eventually(lambda: scene.jobs() == [("succeeded",)] * 2)
    run.terminate()
    ended(run)

    assert results(scene) == [[1, "release-1"], [2, "release-2"]]


def test_a_traceback_quotes_no_lines_that_did_not_run(scene: Scene) -> None:
    module(
        scene,
        "changing",
        "from pathlib import Path\ndef f():\n"
        "    Path(__file__).write_text('# one\\n# two\\n# three\\n# another line\\n')\n"
        "    raise ValueError('it was me')\n",
    )
    scene.add({"call": "changing:f"})
    scene.run("-q", code=1)

    ((trace,),) = scene.attempts("traceback")
    assert "line 4, in f" in str(trace)
    assert "another line" not in str(trace)


# --- what it is given --------------------------------------------------------------------------------------------------


def test_variables_that_a_process_reads_at_its_start_hold_from_there(scene: Scene) -> None:
    (scene.folder / "src" / "acme").mkdir(parents=True)
    (scene.folder / "src" / "acme" / "jobs.py").write_text(
        "import os, sys, time\ndef f(): return [sys.flags.utf8_mode, sys.flags.dev_mode, time.tzname[0], os.getpid()]\n"
    )
    env = {"PYTHONPATH": str(scene.folder / "src")}
    scene.add(
        {"call": "acme.jobs:f", "env": env},
        {"call": "acme.jobs:f", "env": env | {"OTHER": "1"}},
        {"call": "acme.jobs:f", "env": env | {"OTHER": "2"}},
        {"call": "acme.jobs:f", "env": env | {"PYTHONUTF8": "1", "TZ": "Asia/Tokyo", "PYTHONDEVMODE": "1"}},
    )
    scene.run("-j", "1", env={"TZ": "UTC", "LANG": "C.UTF-8"})

    plain, *others, special = results(scene)
    assert isinstance(plain, list)
    assert isinstance(special, list)
    assert (plain[1:3], special[:3]) == ([False, "UTC"], [1, True, "JST"])
    assert others == [plain, plain], "what is read at any time costs no worker"


def test_a_callable_runs_in_the_python_that_it_names(scene: Scene) -> None:
    python = scene.folder / "own" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nMARK=own exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    module(scene, "which", "import os\ndef f(): return os.environ.get('MARK')\n")
    scene.add({"call": "which:f"}, {"call": "which:f", "python": str(python)}, {"call": "which:f", "python": "own/python"},
              {"call": "which:f", "python": "/no/such/python"})  # fmt: skip
    scene.run("-q", code=1)

    assert results(scene) == [None, "own", "own", None]
    assert scene.attempts("error_type")[3] == ("NoSuchProgram",)
    assert "its Python" in str(scene.attempts("error")[3])
    assert scene.jobs("python")[0] == (sys.executable,)


def test_a_python_that_cannot_be_a_worker_is_a_failure_that_says_so(scene: Scene) -> None:
    module(scene, "plain", "def f(): pass\n")
    for name, script in (("old", "echo 'SyntaxError: too old' >&2; exit 1"), ("none", "exit 0")):
        (scene.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (scene.folder / name).chmod(0o755)
    scene.add(*({"call": "plain:f", "python": f"./{name}"} for name in ("old", "none")))
    scene.run("-q", code=1)

    assert scene.attempts("outcome, error_type") == [("failed", "NoSuchPython")] * 2
    assert f"{scene.folder}/old, ended with exit code 1" in str(scene.attempts("error")[0])
    assert "3.11 or newer" in str(scene.attempts("error")[1])
    assert b"too old" in scene.output(1, "stderr")


def test_what_is_fresh_has_a_process_of_its_own(scene: Scene) -> None:
    module(scene, "own", "import os\nSEEN = []\ndef f(): SEEN.append(1); return [os.getpid(), len(SEEN)]\n")
    shared: Fields = {"call": "own:f"}
    fresh = shared | {"fresh": True}
    scene.add(shared, fresh, shared, fresh, fresh, shared)
    scene.run("-j", "1")

    told = [value for value in results(scene) if isinstance(value, list)]
    assert [seen for _, seen in told][1::2] == [1, 1, told[5][1]]
    assert {told[n][1] for n in (1, 3, 4)} == {1}
    assert len({told[n][0] for n in (1, 3, 4)} | {told[0][0]}) == 4


def test_async_functions_run_to_their_end(scene: Scene) -> None:
    module(scene, "later", "import asyncio\nasync def f(n): await asyncio.sleep(0); return n\n"
           "async def g(): raise ValueError('async')\n")  # fmt: skip
    scene.add({"call": "later:f", "args": {"n": 1}}, {"call": "later:g"}, {"call": "later:f", "args": {"n": 2}})
    scene.run("-q", "-j", "1", code=1)

    assert results(scene) == [1, None, 2]
    assert scene.attempts("error_type")[1] == ("ValueError",)


def test_a_result_that_is_not_json_is_final_and_says_where(scene: Scene) -> None:
    module(
        scene,
        "odd",
        "import decimal\ndef note(): open('ran', 'a').write('x')\n"
        "def f(): note(); return {'rows': [{'price': decimal.Decimal(1)}]}\ndef g(): note(); return {1: 'a', '1': 'b'}\n"
        "def h(): note(); return 'x' * 2_000_000\n",
    )
    scene.add(*({"call": f"odd:{name}", "max_attempts": 3, "backoff": "1ms"} for name in "fgh"))
    scene.run("-q", code=1)

    assert (scene.folder / "ran").read_text() == "xxx"
    errors = [str(error) for (error,) in scene.attempts("error")]
    assert [error.startswith("the function ran to its end, but what it returned ") for error in errors] == [True] * 3
    assert errors[0].endswith("result.rows[0].price: Decimal is not JSON")
    assert errors[1].endswith("result: the key 1 is not text")


# --- what it may ask ---------------------------------------------------------------------------------------------------

ASKING = """
import batchq, asyncio, os
class ApiError(Exception): pass
class RateLimited(ApiError): pass
def attempt(): return batchq.current_job().attempt
def subclass(): raise RateLimited("429")
def group(): raise ExceptionGroup("several", [ConnectionResetError("a"), ExceptionGroup("more", [RateLimited("b")])])
def mixed(): raise ExceptionGroup("several", [ConnectionResetError("a"), ValueError("b")])
def discard(): raise ExceptionGroup("several", [ValueError("a"), batchq.Discard("no use")])
async def retry():
    async def one(): raise batchq.Retry("not yet", delay="1ms")
    async with asyncio.TaskGroup() as tasks: tasks.create_task(one())
def snooze(until):
    if attempt() < until: raise batchq.Snooze("1ms", "no file yet")
    return attempt()
def snooze_in_a_group(): raise ExceptionGroup("several", [batchq.Snooze("1ms")]) if attempt() < 3 else ValueError("over")
"""


@pytest.mark.parametrize(
    ("function", "fields", "attempts"),
    [
        ("subclass", {"retry_on": ["ApiError"]}, 3),
        ("subclass", {"retry_on": ["asking.ApiError"]}, 3),
        ("subclass", {"no_retry_on": ["ApiError"]}, 1),
        ("subclass", {"retry_on": ["OSError"]}, 1),
        ("group", {"retry_on": ["OSError", "ApiError"]}, 3),
        ("group", {"retry_on": ["OSError"]}, 1),
        ("group", {"retry_on": ["ExceptionGroup"]}, 3),
        ("group", {"no_retry_on": ["ApiError"]}, 1),
        ("mixed", {"retry_on": ["ValueError", "OSError"]}, 3),
        ("mixed", {"no_retry_on": ["ValueError"]}, 1),
        ("discard", {}, 1),
        ("retry", {"retry_on": ["ValueError"]}, 3),
    ],
)
def test_rules_match_as_except_does_and_groups_by_their_leaves(
    scene: Scene, function: str, fields: Fields, attempts: int
) -> None:
    module(scene, "asking", ASKING)
    scene.add({"call": f"asking:{function}", "max_attempts": 3, "backoff": "1ms", **fields})
    scene.run("-q", code=1)

    assert scene.attempts() == [("failed",)] * attempts


def test_a_snooze_costs_no_attempt_and_has_a_bound(scene: Scene) -> None:
    module(scene, "asking", ASKING)
    scene.add(
        {"call": "asking:snooze", "args": {"until": 15}},
        {"call": "asking:snooze", "args": {"until": 15}, "max_snoozes": 4},
        {"call": "asking:snooze_in_a_group", "max_attempts": 1},
    )
    scene.run("-q", "-j", "1", code=1)

    assert scene.jobs("state, attempt, failures, interruptions, snoozes") == [
        ("succeeded", 15, 0, 0, 14), ("failed", 4, 0, 0, 4), ("failed", 3, 1, 0, 2),
    ]  # fmt: skip
    assert "max_snoozes" in str(scene.jobs("why")[1])
    scene.shell("retry", "2")
    assert scene.jobs("snoozes")[1] == (0,)


def test_a_retry_without_attempts_left_says_what_it_takes(scene: Scene) -> None:
    module(scene, "asking", ASKING)
    scene.add({"call": "asking:retry"})
    scene.run("-q", code=1)

    assert scene.jobs("why") == [("it asks for another attempt; that takes max_attempts = 2 or more",)]


def test_the_logger_of_a_job_is_new_in_each_and_writes_to_what_stderr_is_then(scene: Scene) -> None:
    module(
        scene,
        "logs",
        "import batchq, contextlib, io, logging\n"
        "def f(n):\n"
        "    log = batchq.current_job().log\n"
        "    with contextlib.redirect_stderr(io.StringIO()): log.info('inside')\n"
        "    log.debug('unseen'); log.info('line %s', n)\n"
        "    log.setLevel(logging.DEBUG); log.addHandler(logging.StreamHandler()); log.disabled = n == 1\n"
        "    return id(log)\n",
    )
    scene.add(*({"call": "logs:f", "args": {"n": n}} for n in range(4)))
    scene.run("-j", "1")

    said = [scene.output(n, "stderr").decode().splitlines() for n in range(1, 5)]
    assert [[line.partition(" INFO ")[2] for line in lines] for lines in said] == [[f"line {n}"] for n in range(4)]
    assert len(set(map(str, results(scene)))) == 1, "one logger for all"


def test_a_c_library_is_flushed_for_each_of_many(scene: Scene) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    (scene.folder / "say.c").write_text('#include <stdio.h>\nvoid say(int n) { printf("c %d\\n", n); }\n')
    subprocess.run([compiler, "-shared", "-fPIC", "-o", scene.folder / "libsay.so", scene.folder / "say.c"], check=True)
    module(scene, "say", "import ctypes, os\nlib = ctypes.CDLL(os.path.abspath('libsay.so'))\n"
           "def f(n): print('before', n); lib.say(n); print('after', n)\n")  # fmt: skip
    scene.add(*({"call": "say:f", "args": {"n": n}} for n in range(1, 501)))
    scene.run("-j", "2")

    wrong = [n for n in range(1, 501) if scene.output(n) != f"before {n}\nc {n}\nafter {n}\n".encode()]
    assert wrong == []


def test_a_worker_is_replaced_after_so_many_tasks_because_its_variables_take_memory(scene: Scene) -> None:
    module(
        scene,
        "few",
        "import os\nfrom batchq.processes.worker import serving\nserving.MOST = 5\ndef f(): return os.getpid()\n",
    )
    scene.add(*[{"call": "few:f"}] * 12)
    scene.run("-j", "1")

    pids = results(scene)
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [5, 5, 2]
    assert scene.attempts("number, outcome") == [(1, "succeeded")] * 12


def test_functions_of_os_that_a_callable_replaces_do_not_keep_the_next_from_its_variables(scene: Scene) -> None:
    module(
        scene,
        "mocks",
        "import os, subprocess\n"
        "def f():\n"
        "    os.putenv = os.unsetenv = lambda *_: None\n"
        "    os.environ['MINE'] = 'yes'\n"
        "def g():\n"
        "    ours = subprocess.run(['sh', '-c', 'echo $BATCHQ_JOB_ID $MINE'], capture_output=True, text=True)\n"
        "    return [ours.stdout.strip(), os.environ['BATCHQ_JOB_ID'], 'MINE' in os.environ, os.getpid()]\n",
    )
    scene.add({"call": "mocks:g"}, {"call": "mocks:f"}, {"call": "mocks:g"}, {"call": "mocks:f"}, {"call": "mocks:g"})
    scene.run("-j", "1")

    seen = [one for one in results(scene) if isinstance(one, list)]
    assert [one[:3] for one in seen] == [[number, number, False] for number in "135"]
    assert len({one[3] for one in seen}) == 1
