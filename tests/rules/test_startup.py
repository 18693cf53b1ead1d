"""What the commands load: `add` starts in the time of bare Python only as long as it imports next to nothing."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import Shell

HEAVY = {
    "typer",
    "rich",
    "sqlite_utils",
    "tenacity",
    "asyncio",
    "dataclasses",
    "inspect",
    "logging",
    "typing",
    "ctypes",
    "re",
    "sqlite3",
    "datetime",
    "contextlib",
    "struct",
}
NEEDED_BY_A_RUN = {"ctypes", "re", "contextlib", "struct"}


def loaded(shell: Shell, *words: str, stdin: str = "") -> set[str]:
    """The modules that a command line had imported when it ended, in all of its processes: a run has a guardian."""
    script = (
        "import sys, os, atexit\n"
        "def tell(code):\n"
        "    sys.stdout.flush()\n"
        "    sys.stderr.write('\\nMODULES ' + ' '.join(sys.modules) + '\\n'); sys.stderr.flush(); leave(code)\n"
        "leave, os._exit = os._exit, tell\n"
        f"sys.argv = ['batchq', *{list(words)!r}]\n"
        "from batchq.__main__ import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n{script}"],
        cwd=shell.folder, env=shell.env, input=stdin, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "MODULES" in done.stderr, done.stderr
    found = [line.removeprefix("MODULES ") for line in done.stderr.splitlines() if line.startswith("MODULES ")]
    return set(" ".join(found).split())


@pytest.mark.parametrize(
    "words",
    [
        ("add", "--", "true"),
        ("add", "-c", "true | true"),
        ("add", "-q", "--queue", "a", "-"),
        ("add", "--each", "--name", "n{#}", "--", "echo", "{.}"),
        ("add", "--each", "--slots", "2", "-c", 'echo "$1"'),
        ("add", "--call", "mine:function"),
        ("add", "--call", "mine:missing"),
    ],
)
def test_add_loads_nothing_that_costs_start_up_time(batchq: Shell, words: tuple[str, ...]) -> None:
    (batchq.folder / "mine.py").write_text("def function(): pass\n")

    modules = loaded(batchq, *words, stdin="true\n")

    assert "_sqlite3" in modules
    assert "mine" not in modules
    assert modules & (HEAVY if "--call" not in words else HEAVY - {"re"}) == set()  # which json needs
    assert ("batchq.jobs.callables" in modules) == ("--call" in words)


@pytest.mark.parametrize(
    "words", [("run",), ("run", "-q", "-j2", "--if-running", "skip"), ("--db", "batchq.db", "run")]
)
def test_run_loads_no_parser_and_nothing_that_draws(batchq: Shell, words: tuple[str, ...]) -> None:
    batchq("add", "--", "true")

    modules = loaded(batchq, *words)

    assert "batchq.runner.loop" in modules
    assert modules & ({*HEAVY, "tomllib", "random"} - NEEDED_BY_A_RUN) == set()
    assert "batchq.jobs.causes.signature" not in modules, "only failures have a cause"
    assert "batchq.cli.add.sources" not in modules, "only a run that adds jobs needs to know which"
    assert modules & {"distributed", "asyncio", "subprocess"} == set(), "only what runs jobs elsewhere needs them"
    assert not [one for one in modules if one.startswith("batchq.executors.afar")]


def test_a_run_of_one_command_loads_what_an_add_and_a_run_load_and_no_more(batchq: Shell) -> None:
    add = loaded(batchq, "add", "--", "true")
    run = loaded(batchq, "run")
    one = loaded(batchq, "run", "--key", "k", "--unique", "active", "--", "true")

    assert one - add - run == set()
    assert "batchq.executors.tee" not in one
    assert "batchq.executors.tee" in loaded(batchq, "run", "--tee", "--", "true")


@pytest.mark.parametrize(
    "line",
    [
        "list --color always",
        "report --color always",
        "show 1 --color always",
        "logs 1",
        "queue",
        "queue list",
        "retry 1",
        "list --json",
        "report --json",
        "show 1 --json",
    ],
)
def test_looking_and_retrying_load_nothing_that_draws(batchq: Shell, line: str) -> None:
    batchq("add", "-c", "echo é; exit 3")
    batchq("run", "-q", code=1)

    modules = loaded(batchq, *line.split())

    assert "batchq.store.looking.rows" in modules
    assert not modules & {"typer", "rich", "sqlite_utils", "tenacity", "sqlite3"}


@pytest.mark.parametrize("line", ["list", "show 1", "logs 1", "queue", "retry 1", "cancel 1", "hold 1", "wait 1"])
def test_only_a_report_loads_what_finds_reasons_and_changes(batchq: Shell, line: str) -> None:
    batchq("add", "-c", "exit 3")
    batchq("run", "-q", code=1)

    modules = loaded(batchq, *line.split())

    assert "batchq.store.file.opening" in modules
    assert not modules & {f"batchq.report.{name}" for name in ("reasons", "summary", "again", "folding", "change")}
    assert "batchq.store.looking.twins" not in modules


@pytest.mark.parametrize(
    ("modules", "needed"),
    [
        ("batchq.store.file.opening batchq.store.looking.tallies batchq.report.listing", {"re"}),
        ("batchq.store.file.opening batchq.report.summary batchq.report.table batchq.report.asjson", {"re"}),
        ("batchq.store.file.opening batchq.store.looking.outputs batchq.report.detail batchq.store.snapshots", {"re"}),
        ("batchq.store.file.opening batchq.store.changing.queues batchq.report.queues batchq.report.asjson", {"re"}),
        ("batchq.store.file.opening batchq.store.changing.control batchq.report.asjson", {"re", "contextlib"}),
    ],
    ids=["list", "report", "show", "queue", "retry"],
)
def test_what_looks_and_retries_imports_little_whatever_parses(modules: str, needed: set[str]) -> None:
    code = f"import sys, {', '.join(modules.split())}; print(*sys.modules)"
    path = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"{path}\n{code}"], capture_output=True, text=True, check=True, timeout=60
    )

    assert (set(done.stdout.split()) & (HEAVY | {"shutil", "signal", "batchq.runner"})) - needed == set()


@pytest.mark.parametrize("line", ["list", "report", "queue", "retry 1", "cancel 1", "logs 1", "run"])
def test_nothing_else_loads_what_watches(batchq: Shell, line: str) -> None:
    batchq("add", "-c", "exit 3")
    batchq("run", "-q", code=1)

    modules = loaded(batchq, *line.split())

    watching = (
        "batchq.cli.top",
        "batchq.report.top",
        "batchq.store.looking.activity",
        "batchq.processes.usage",
        "rich",
    )
    assert "batchq.store.file.opening" in modules
    assert not {name for name in modules if name.startswith(watching)}


def test_top_off_a_terminal_loads_nothing_that_draws(batchq: Shell) -> None:
    assert "batchq.report.top.picture" in (modules := loaded(batchq, "top", "--once"))
    assert not modules & {"typer", "rich", "sqlite_utils", "asyncio"}


@pytest.mark.parametrize("words", [("--db", "new.db", "init"), ("--db", "new.db", "add", "--", "true")])
def test_a_new_store_loads_nothing_that_is_only_installed(batchq: Shell, words: tuple[str, ...]) -> None:
    assert find_spec("pandas"), "a dependency of the tests"

    modules = loaded(batchq, *words)

    assert "batchq.store.file.migrations" in modules
    assert not modules & {"pandas", "numpy"}


def test_help_loads_neither_the_store_tools_nor_rich(batchq: Shell) -> None:
    modules = loaded(batchq, "--help")

    assert "typer" in modules
    assert not modules & {"sqlite_utils", "tenacity", "rich", "pydantic", "ctypes"}


def test_the_check_would_notice_a_heavy_module(batchq: Shell) -> None:
    assert "typer" in loaded(batchq, "list", "--help")


def test_the_package_itself_imports_nothing(folder: Path) -> None:
    code = "import sys; before = set(sys.modules); import batchq; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['batchq']"


@pytest.mark.parametrize(
    ("statement", "unneeded"),
    [
        ("batchq.job(print)", {"sqlite3", "inspect", "subprocess", "threading"}),
        ("batchq.open('batchq.db').add({'command': 'true'})", {"inspect", "subprocess", "threading"}),
        ("batchq.current_job", {"sqlite3", "inspect", "subprocess", "batchq.api"}),
    ],
)
def test_python_loads_only_what_is_asked_for(batchq: Shell, statement: str, unneeded: set[str]) -> None:
    code = f"import sys; before = set(sys.modules); import batchq; {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=batchq.folder, env=batchq.env, capture_output=True, text=True, check=True
    )

    assert not set(done.stdout.split()) & (unneeded | {"typer", "rich", "sqlite_utils", "tenacity", "asyncio"})


def test_a_run_that_waits_for_no_other_opens_no_bell(batchq: Shell) -> None:
    """The kernel takes 10 ms to close one, which is longer than many a run."""
    batchq("add", "--", "true")
    script = (
        "import sys\n"
        "from batchq.runner import admission, loop, pacing\n"
        "def opened(*_): sys.exit('a bell')\n"
        "admission.Bell = loop.Bell = opened\n"
        "pacing.LISTEN = 3600\n"  # a long run has one
        "sys.argv = ['batchq', 'run']\n"
        "from batchq.__main__ import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=batchq.folder, env=batchq.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done
    assert batchq.rows("SELECT state FROM jobs") == [("succeeded",)]
