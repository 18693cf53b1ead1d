"""`@batchq.job`: the options, the arguments and the name of a function are checked before anything is stored."""

import asyncio
import inspect
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import decorated
import pytest
from conftest import Shell

import batchq
from batchq.api.options import Options
from batchq.jobs.fields import FIELDS


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BATCHQ_DB", str(folder / "batchq.db"))


def stored(columns: str = "work") -> list[tuple[Any, ...]]:
    return Shell(Path.cwd()).rows(f"SELECT {columns} FROM jobs ORDER BY id")


def plain(a: int) -> int:
    return a


def test_a_decorated_function_is_still_the_function() -> None:
    assert decorated.resize("a.png") == {"path": "a.png", "width": 100}
    assert decorated.resize.__name__ == "resize"
    assert list(inspect.signature(decorated.resize).parameters) == ["path", "width"]


def test_an_add_stores_the_call_with_the_options_and_the_folder(folder: Path) -> None:
    id_ = decorated.resize.add(path="a.png", width=800)

    assert id_ == 1
    assert stored("kind, work, queue, max_attempts, timeout, backoff") == [
        ("call", '{"call":"decorated:resize","args":{"path":"a.png","width":800}}', "images", 3, 300_000, 10)
    ]
    assert Shell(folder).rows("SELECT cwd, path FROM contexts") == [
        (os.fsencode(folder), os.environb[b"PATH"]),
    ]


def test_the_store_that_an_add_makes_is_the_owners_alone(folder: Path) -> None:
    decorated.resize.add("a.png")

    assert (folder / "batchq.db").stat().st_mode & 0o777 == 0o600


def test_positional_arguments_are_stored_by_name_and_defaults_stay_with_the_function() -> None:
    decorated.resize.add("a.png")

    assert stored() == [('{"call":"decorated:resize","args":{"path":"a.png"}}',)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"pth": "a.png"}, "decorated.resize: missing a required argument: 'path'"),
        ({"path": "a.png", "widht": 1}, "decorated.resize: got an unexpected keyword argument 'widht'"),
    ],
)
def test_an_argument_that_does_not_fit_is_refused_by_the_add(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        decorated.resize.add(**arguments)

    assert not Path("batchq.db").exists()


def test_what_json_cannot_say_is_refused_by_the_add() -> None:
    with pytest.raises(
        batchq.errors.InputError, match=r"job 1: field 'args' cannot be stored: args.path: PosixPath is not JSON"
    ):
        decorated.resize.add(Path("a.png"))  # type: ignore[arg-type]


def test_arguments_that_have_no_name_are_refused() -> None:
    assert decorated.many.add(1, second=2, third=3) == 1
    with pytest.raises(TypeError, match="a worker passes arguments by name, which 'rest' does not accept"):
        decorated.many.add(1, 2)


def test_add_many_stores_all_in_one_add() -> None:
    assert decorated.resize.add_many({"path": name} for name in ("a", "b", "c")) == [1, 2, 3]
    assert stored("DISTINCT add_id") == [(1,)]


def test_add_many_stores_all_or_nothing() -> None:
    with pytest.raises(TypeError, match=r"decorated.resize, call 2: missing a required argument: 'path'"):
        decorated.resize.add_many([{"path": "a"}, {}])

    assert not Path("batchq.db").exists()


def test_add_many_of_nothing_stores_nothing() -> None:
    assert decorated.resize.add_many([]) == []


def test_options_of_one_call_displace_those_of_the_function() -> None:
    urgent = decorated.resize.options(priority=5, queue="urgent", env={"A": "1"}).options(env={"B": "2"})

    urgent.add("a.png")
    decorated.resize.add("b.png")

    assert stored("priority, queue, max_attempts, env") == [
        (5, "urgent", 3, '{"A":"1","B":"2"}'),
        (0, "images", 3, None),
    ]


def test_a_key_stores_a_call_once() -> None:
    once = decorated.resize.options(key="auto")

    assert [once.add("a"), once.add("b"), once.add("a")] == [1, 2, 1]
    assert once.options(if_exists="reject").add("c") == 3
    with pytest.raises(batchq.errors.InputError):
        once.options(if_exists="reject").add("c")


def test_options_are_given_in_the_types_of_python() -> None:
    moment = datetime(2100, 1, 1, 12, tzinfo=UTC)
    job = decorated.resize.options(
        run_at=moment, timeout=timedelta(minutes=2), backoff=0.5, retry_on=[ConnectionError, "timeout"],
        tags=("a", "b"), cwd=Path("sub"), inputs=Path("in.txt"),
    )  # fmt: skip
    job.add("a.png")

    assert stored("due_at, timeout, backoff, retry_on, tags, inputs") == [
        (
            int(moment.timestamp() * 1000), 120_000, 500, '["ConnectionError", "timeout"]', '["a","b"]',
            f'["{Path("in.txt").resolve()}"]',
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"timout": "5m"}, r"plain: unknown option 'timout' \(did you mean 'timeout'\?\)"),
        ({"args": {}}, r"plain: unknown option 'args'"),
        ({"timeout": "5 fortnights"}, "plain: field 'timeout' is wrong: '5 fortnights' is not a duration"),
        ({"max_attempts": "3"}, "plain: field 'max_attempts' must be a whole number, not a string"),
        ({"delay": 1, "run_at": "2100-01-01"}, "plain: fields 'delay' and 'run_at' exclude each other"),
        ({"leftovers": "keep"}, "plain: field 'leftovers' can be 'keep' for commands only"),
    ],
)
def test_a_wrong_option_is_refused_where_the_function_is_decorated(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(batchq.errors.InputError, match=complaint):
        batchq.job(**options)(plain)
    with pytest.raises(batchq.errors.InputError, match=complaint):
        batchq.job(plain).options(**options)


def test_the_options_are_the_fields_of_a_job_file() -> None:
    assert list(Options.__annotations__) == list(FIELDS)


async def later() -> None: ...


def one_by_one() -> Any:
    yield 1


def inner() -> Any:
    def within() -> None: ...

    return within


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda: 1, "a lambda has no name"),
        (inner(), "inner.<locals>.within is defined inside a function"),
        (one_by_one, "one_by_one is a generator"),
        (asyncio.Lock(), "batchq.job decorates a function, not <asyncio"),
        ("jobs:resize", "batchq.job decorates a function, not 'jobs:resize'"),
    ],
)
def test_what_a_worker_cannot_import_or_call_is_refused(function: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        batchq.job(function)


def test_a_static_method_has_its_class_in_the_name() -> None:
    decorated.Shop.sell.add("tea")

    assert stored("work, tags") == [('{"call":"decorated:Shop.sell","args":{"what":"tea"}}', '["shop"]')]


PROGRAM = """\
import batchq

@batchq.job
def double(n: int) -> int:
    return 2 * n

if __name__ == "__main__":
    print(double.add(21), flush=True)
    print(batchq.run(quiet=True).status)
    with batchq.open() as store:
        print(store.job(1).command, store.job(1).result)
"""


def program(batchq: Shell, *words: str, text: str = PROGRAM, at: str = "jobs.py") -> str:
    """What a program prints, to stdout and stderr."""
    (batchq.folder / at).parent.mkdir(exist_ok=True)
    (batchq.folder / at).write_text(text)
    done = subprocess.run(
        [sys.executable, *(words or (at,))], cwd=batchq.folder, env=batchq.env, timeout=60,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(
    ("at", "words", "target"),
    [
        ("jobs.py", ("jobs.py",), "jobs:double"),
        ("jobs.py", ("./jobs.py",), "jobs:double"),
        ("tools/jobs.py", ("tools/jobs.py",), "tools.jobs:double"),
        ("tools/jobs.py", ("-m", "tools.jobs"), "tools.jobs:double"),
        ("tools/__main__.py", ("-m", "tools"), "tools.__main__:double"),
    ],
)
def test_the_functions_of_a_program_are_found_by_its_name(
    folder: Path, at: str, words: tuple[str, ...], target: str
) -> None:
    assert program(Shell(folder), *words, at=at) == f"1\n0\n{target}(n=21) 42\n"


@pytest.mark.parametrize(
    ("at", "words"), [("my-jobs.py", ("my-jobs.py",)), ("jobs", ("jobs",)), ("tools/__main__.py", ("tools",))]
)
def test_a_program_that_cannot_be_imported_is_refused(folder: Path, at: str, words: tuple[str, ...]) -> None:
    said = program(Shell(folder), *words, at=at).splitlines()[-1]

    if at == "tools/__main__.py":
        assert said == "tools.__main__:double(n=21) 42"
        return
    assert said.startswith(f"batchq.errors.InputError: double: is defined in the program {folder / at}, which a worker")
    assert list(folder.rglob("*.db")) == []


def test_a_function_of_a_session_is_refused(folder: Path) -> None:
    said = program(Shell(folder), "-c", "import batchq\n@batchq.job\ndef f(): pass\nf.add()")

    assert said.splitlines()[-1] == (
        "batchq.errors.InputError: f: is defined in a session without a file; a worker can only import it from a module"
    )


def test_a_program_without_the_guard_of_main_does_not_add_for_ever(folder: Path) -> None:
    shell = Shell(folder)
    shell.make_store()
    said = program(shell, text=PROGRAM.replace('if __name__ == "__main__":', "if True:"))

    assert (
        "the module 'jobs' adds a job while it is imported, which each worker would do again" in shell("show", "1").out
    )
    assert "1\n1\n" in said
    assert shell.rows("SELECT state FROM jobs") == [("failed",)]
