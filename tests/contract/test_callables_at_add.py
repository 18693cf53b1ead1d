"""What a job is to call is looked for when it is added: missing is a warning, never to be called is refused."""

import sys
import zipfile

import pytest
from conftest import Shell

import batchq as product
from batchq.errors import InputError

MODULE = """
import json as encoder
from os import path
def resize(path): pass
async def later(): pass
def numbers():
    yield 1
def outer():
    def inner(): yield 1
    return list(inner())
class Kind:
    @staticmethod
    def make(): pass
if encoder: chosen = resize
try: parsed = encoder.loads
except AttributeError: other = None
with open(__file__) as text: pass
for each in (1, 2): pass
"""


@pytest.fixture
def shell(batchq: Shell) -> Shell:
    (batchq.folder / "thumbs.py").write_text(MODULE)
    (batchq.folder / "made.py").write_text("globals()['anything'] = len\n")
    (batchq.folder / "starred.py").write_text("from thumbs import *\n")
    (batchq.folder / "lazy.py").write_text("def __getattr__(name): return len\n")
    (batchq.folder / "broken.py").write_text("x = 1\nfor\n")
    (batchq.folder / "pack").mkdir()
    (batchq.folder / "pack" / "__init__.py").write_text("raise SystemExit('this was imported')\n")
    (batchq.folder / "pack" / "part.py").write_text("def work(): pass\n")
    (batchq.folder / "open").mkdir()
    (batchq.folder / "open" / "part.py").write_text("def work(): pass\n")
    return batchq


@pytest.mark.parametrize(
    "target",
    [
        "thumbs:resize", "thumbs:later", "thumbs:outer", "thumbs:Kind.make", "thumbs:chosen", "thumbs:parsed",
        "thumbs:other", "thumbs:text", "thumbs:each", "thumbs:encoder.dumps", "thumbs:path.join", "made:anything",
        "starred:resize", "lazy:anything", "pack.part:work", "open.part:work", "open.nobody_knows:work", "os:getcwd",
        "os.path:basename", "builtins:print", "builtins:dict", "json:dumps", "subprocess:run", "email.message:Message",
    ],
)  # fmt: skip
def test_what_is_there_or_may_be_there_is_added_without_a_word(shell: Shell, target: str) -> None:
    done = shell("add", "--call", target)

    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("thumbs:resise", "no function 'resise' in {}/thumbs.py (did you mean 'resize'?)"),
        ("thums:resize", f"no module 'thums' in {{}}, nor in {sys.executable} (did you mean 'thumbs'?)"),
        ("pack.parts:work", "no module 'parts' in {}/pack/__init__.py (did you mean 'part'?)"),
        ("pack.part:wrok", "no function 'wrok' in {}/pack/part.py (did you mean 'work'?)"),
        ("thumbs.part:work", "no module 'part' in {}/thumbs.py"),
        ("broken:f", "the module 'broken' cannot be imported: invalid syntax ({}/broken.py, line 2)"),
        ("time:slep", "the module 'time' has no function 'slep' (did you mean 'sleep'?)"),
        ("math:pi", "math:pi is a float, which cannot be called"),
    ],
)
def test_what_is_missing_is_a_warning_of_one_line_and_is_added_all_the_same(
    shell: Shell, target: str, said: str
) -> None:
    done = shell("add", "--call", target)

    assert (done.code, done.out) == (0, "1\n")
    assert done.err == f"batchq: warning: the command line: {said.format(shell.folder)}\n"


@pytest.mark.parametrize(
    ("target", "args", "said"),
    [
        ("thumbs:numbers", "{}", "is a generator"),
        ("math:sqrt", "{}", "takes no such arguments by name"),
        ("builtins:print", '{"text": "a"}', "takes no such arguments by name"),
        ("operator:neg", '{"a": 1}', "takes no such arguments by name"),
    ],
)
def test_what_no_worker_can_call_is_refused(shell: Shell, target: str, args: str, said: str) -> None:
    done = shell("add", "--call", target, "--args", args, code=65)

    assert (done.code, done.out) == (65, "")
    assert done.err.startswith(f"batchq: the command line: field 'call' names {target}, which is")
    assert said in done.err
    with product.open(shell.folder / "batchq.db") as store, pytest.raises(InputError, match="field 'call' names"):
        store.add({"call": target, "args": {"a": 1}, "cwd": str(shell.folder)})


def test_jobs_of_a_file_are_looked_at_too_and_each_callable_once(shell: Shell) -> None:
    lines = ['{"call": "thumbs:resiz"}'] * 3 + [
        '{"call": "thumbs:resize"}',
        '{"command": "true"}',
        '{"call": "thumb:f"}',
    ]
    done = shell("add", "-q", "--format", "jsonl", "-", stdin="\n".join(lines))
    each = shell("add", "-q", "--each", "--call", "thumbs:resiz", "--args", '{"path": "{}"}', stdin="a\nb\n")

    told = [line for line in done.err.splitlines() if "warning" in line]
    assert [line.partition(": no ")[0] for line in told] == [
        "batchq: warning: stdin, line 1", "batchq: warning: stdin, line 6",
    ]  # fmt: skip
    assert each.err.count("warning") == 1


def test_the_folder_the_python_and_the_path_of_the_job_are_those_that_count(shell: Shell) -> None:
    (shell.folder / "other").mkdir()
    (shell.folder / "other" / "only.py").write_text("def f(): pass\n")
    with zipfile.ZipFile(shell.folder / "packed.zip", "w") as packed:
        packed.writestr("zipped.py", "def f(): pass\n")

    quiet = [
        shell("add", "--call", "only:f", "--cwd", "other"),
        shell("add", "--call", "only:f", "--env", "PYTHONPATH=other"),
        shell("add", "--call", "zipped:f", "--env", "PYTHONPATH=packed.zip"),
        shell("add", "--call", "nowhere:f", "--python", "python3"),
        shell("add", "--call", "nowhere:f", "--cwd", "not/yet/there"),
    ]
    told = [
        shell("add", "--call", "only:f"),
        shell("add", "--call", "thumbs:g", "--python", "python3"),
        shell("add", "--call", "zipped:g", "--env", "PYTHONPATH=packed.zip"),
    ]

    assert [done.err for done in quiet] == [""] * 5
    assert ["warning" in done.err for done in told] == [True] * 3


def test_a_store_warns_as_python_does(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shell.folder)
    missing = pytest.warns(UserWarning, match="job 2: no function 'resise'")
    with product.open(shell.folder / "batchq.db") as store, missing as told:
        assert store.add([{"call": "thumbs:resize"}, {"call": "thumbs:resise"}]) == [1, 2]
    assert told[0].filename == __file__
