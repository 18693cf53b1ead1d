"""The contract of listeners: they receive all that attempts print, while they run, from every executor."""

from functools import partial

import pytest
from desk import SLOTS, Desk, Notebook

from batchq.executors.listener import Listener
from batchq.jobs.attempt import INTERRUPTED, SUCCEEDED, TIMED_OUT, Claim, Ended

pytest_plugins = ("desk",)
pytestmark = pytest.mark.parametrize(
    "executor", ["local", "site"], indirect=True
)  # of an engine comes what it has kept

PRINTER = """\
import os, sys, time

def note(names):
    for name in names:
        stream, _, text = name.partition(" ")
        print(text, file=getattr(sys, stream))
        open("step", "w").write(name)
        while os.path.exists("step"):
            time.sleep(0.002)

def say(text):
    print(text)
    print(text, file=sys.stderr)
"""
SHELL = 'for one in "$@"; do set -- $one; [ $1 = stdout ] && echo $2 || echo $2 >&2; echo "$one" > step; \
while [ -e step ]; do sleep 0.002; done; done'


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def listeners(notebook: Notebook) -> list[Listener]:
    return [notebook]


@pytest.fixture
def desk(desk: Desk) -> Desk:
    (desk.folder / "printer.py").write_text(PRINTER)
    return desk


def stepwise(desk: Desk, kind: str, *names: str) -> Claim:
    """A job that prints one text after the other, each when the file ``step`` of the one before has been removed."""
    if kind == "command":
        return desk.claim("shell", [SHELL, *names])
    if kind == "kept":
        return desk.claim("shell", [SHELL, *names])._replace(leftovers="keep")
    return desk.call("printer:note", names=names)._replace(fresh=kind == "fresh callable")


@pytest.mark.parametrize("kind", ["command", "callable", "fresh callable", "kept"])
def test_each_piece_comes_while_the_job_runs_in_the_order_of_printing(
    desk: Desk, notebook: Notebook, kind: str
) -> None:
    names = ["stdout one", "stderr two", "stderr three", "stdout four"]
    claim = stepwise(desk, kind, *names)
    desk.executor.start([claim])
    for number, name in enumerate(names):
        stream, _, text = name.partition(" ")
        desk.wait((desk.folder / "step").exists)
        line = stream, f"{text}\n".encode()
        desk.wait(partial(notebook.has, claim, line))
        assert len(notebook.lines(claim)) == number + 1
        (desk.folder / "step").unlink()
    (outcome,) = desk.ends([claim])

    assert outcome.status == SUCCEEDED
    assert notebook.lines(claim) == [
        ("stdout", b"one\n"),
        ("stderr", b"two\n"),
        ("stderr", b"three\n"),
        ("stdout", b"four\n"),
        ("ended", b""),
    ]
    assert outcome.stdout is not None
    assert outcome.stdout.head == b"one\nfour\n"


def test_of_many_short_callables_each_has_its_own_output_and_one_end(desk: Desk, notebook: Notebook) -> None:
    claims = [desk.call("printer:say", text=f"of {number}") for number in range(300)]
    desk.outcomes(*claims)

    for number, claim in enumerate(claims):
        assert notebook.of(claim, "stdout") == notebook.of(claim, "stderr") == f"of {number}\n".encode()
        mine = [stream for job, stream, _ in notebook.pages if job == claim.id]
        assert mine.count("ended") == 1
        assert mine[-1] == "ended"


def test_all_of_a_big_binary_output_comes_although_only_its_ends_are_kept(desk: Desk, notebook: Notebook) -> None:
    (desk.folder / "big.py").write_text(
        "import os, sys\n"
        "data = bytes(range(256)) * 4096\n"
        "for fd in (1, 2) * 3:\n"
        "    rest = memoryview(data)\n"
        "    while rest: rest = rest[os.write(fd, rest):]\n"
    )
    claim = desk.shell("python3 big.py")
    (outcome,) = desk.outcomes(claim)

    assert outcome.stdout is not None
    assert len(outcome.stdout.head) < outcome.stdout.total == 3 * 256 * 4096
    for stream in ("stdout", "stderr"):
        assert notebook.of(claim, stream) == bytes(range(256)) * 4096 * 3


@pytest.mark.parametrize("how", ["timeout", "stop", "death"])
def test_what_was_printed_before_an_early_end_comes_before_that(desk: Desk, notebook: Notebook, how: str) -> None:
    (desk.folder / "stuck.py").write_text(
        "import os, sys, time\n"
        "def run(how):\n"
        "    print('up'); open(f'up.{os.environ[\"BATCHQ_JOB_ID\"]}', 'w').close()\n"
        "    os.abort() if how == 'death' else time.sleep(60)\n"
    )
    claims = [
        desk.shell(f"echo up; touch up.$BATCHQ_JOB_ID; [ {how} = death ] && kill -9 $$; sleep 60"),
        desk.call("stuck:run", how=how),
    ]
    if how == "timeout":
        claims = [claim._replace(timeout=1500) for claim in claims]
    desk.executor.start(claims)
    desk.wait(lambda: all((desk.folder / f"up.{claim.id}").exists() for claim in claims))
    if how == "stop":
        desk.executor.stop([claim.token for claim in claims], INTERRUPTED, 0)
    ends = {"timeout": TIMED_OUT, "stop": INTERRUPTED}

    assert all(outcome.status == ends.get(how, outcome.status) for outcome in desk.ends(claims))
    for claim in claims:
        assert notebook.lines(claim) == [("stdout", b"up\n"), ("ended", b"")]


def test_an_attempt_that_cannot_begin_has_no_pages(desk: Desk, notebook: Notebook) -> None:
    desk.outcomes(desk.claim("argv", ["no-such-program"]), desk.shell("true")._replace(cwd="/no/such/folder"))

    assert notebook.pages == []


def test_an_end_is_passed_on_before_it_is_reported(desk: Desk, notebook: Notebook) -> None:
    claims = [desk.shell(f"echo {number}") for number in range(4 * SLOTS)]
    desk.executor.start(claims)
    seen = 0
    while seen < len(claims):
        new = desk.executor.poll(5)
        for one in new:
            if isinstance(one, Ended):
                seen += 1
                assert (one.claim.id, "ended", b"") in notebook.pages
