"""Every judge of the chaos suite must condemn what was forged for it, and chaos must catch broken variants of batchq."""

from pathlib import Path

import pytest
import sizes
import survivors
from chaos_blows import both, fought, runner
from chaos_evidence import Attempt, Ended, Evidence, Line
from chaos_jobs import Job
from chaos_judges import JUDGES, verdicts
from conftest import Shell
from figures import record_caught
from test_random_kills import needs_flock

pytest_plugins = ("figures",)


def job(name: str, end: str = "succeeded", **fields: object) -> Job:
    return Job(name, fields, end)


def begin(number: int, attempt: int = 1, **changed: object) -> Line:
    line = Line("begin", number, attempt, f"j{number}", f"t{number}.{attempt}", "default", "-", 100.0, 0)
    return line._replace(**changed)  # type: ignore[arg-type]


def ending(number: int, attempt: int = 1, code: int = 0) -> Line:
    return begin(number, attempt, what="end", code=code)


def success(number: int) -> Attempt:
    return Attempt("succeeded", f"t{number}.1", f'"t{number}.1"', f"token t{number}.1\n".encode())


FAILED = Attempt("failed", "t4.1", None, b"")
#: Nothing is wrong here. Job 2 runs after 1, 3 after 1 is over, 4 fails, 5 was cut off, and went on when it was released.
FAIR = Evidence(
    lines=[
        begin(1), ending(1), begin(2), ending(2), begin(3), ending(3), begin(4), ending(4, code=3), begin(5),
        begin(5, 2), ending(5, 2),
    ],
    before_release=9,
    states={1: "succeeded", 2: "succeeded", 3: "succeeded", 4: "failed", 5: "succeeded"},
    names={number: f"j{number}" for number in range(1, 6)},
    attempts={
        (1, 1): success(1), (2, 1): success(2), (3, 1): success(3), (4, 1): FAILED,
        (5, 1): Attempt("interrupted", "t5.1", None, b""),
        (5, 2): Attempt("succeeded", "t5.2", '"t5.2"', b"token t5.2\n"),
    },
    planned={
        "j1": job("j1"), "j2": job("j2")._replace(after=("j1",)), "j3": job("j3")._replace(after_any=("j1",)),
        "j4": job("j4", "failed"), "j5": job("j5", on_crash="hold"),
    },
    acknowledged={1, 2, 3, 4, 5}, hurt=set(), cancelled=set(), retried=set(), stuck={},
    commands=[Ended(("run",), 1, ""), Ended(("add",), -9, "")],
    processes=[],
    reported={"counts": {"succeeded": 4, "failed": 1, "held": 0}, "attempts": 6},
    listed={1: "succeeded", 2: "succeeded", 3: "succeeded", 4: "failed", 5: "succeeded"},
    doctor=Ended(("doctor",), 0, ""),
    began=99.0,
    kills=3,
)  # fmt: skip


def with_line(*lines: Line) -> Evidence:
    return FAIR._replace(lines=[*FAIR.lines, *lines])


def with_attempt(attempt: Attempt) -> Evidence:
    return FAIR._replace(attempts=FAIR.attempts | {(1, 1): attempt})


FORGED: list[tuple[str, Evidence]] = [
    ("acknowledged job missing", FAIR._replace(acknowledged={1, 99})),
    ("two attempts of a job at once", with_line(begin(1, what="overlap"))),
    ("one attempt run twice", with_line(begin(4))),
    ("one attempt run twice", with_line(begin(4, 2, key="k1"), begin(5, 3, key="k1"))),
    ("success without effect", FAIR._replace(lines=FAIR.lines[:-1])),
    ("success without effect", with_attempt(success(1)._replace(token="another"))),
    ("success without effect", with_attempt(success(1)._replace(result='"another"'))),
    ("success without effect", with_attempt(success(1)._replace(result=None))),
    ("success without effect", with_attempt(success(1)._replace(stdout=b"token another\n"))),
    ("effect not on record", with_line(begin(4, 2))),
    ("limit or rate of a queue exceeded", with_line(begin(4, what="exceeded"))),
    ("limit or rate of a queue exceeded", with_line(*(begin(5, 3 + n, queue="slow") for n in range(23)))),
    ("child before its parent", FAIR._replace(lines=[FAIR.lines[2], *FAIR.lines])),
    ("child before its parent", FAIR._replace(lines=[*FAIR.lines[:1], FAIR.lines[4], *FAIR.lines[1:]])),
    ("on_crash = hold started again", FAIR._replace(before_release=11)),
    ("wrong end of an undisturbed job", FAIR._replace(planned=FAIR.planned | {"j4": job("j4")})),
    ("wrong end of an undisturbed job",
     FAIR._replace(planned=FAIR.planned | {"j3": job("j3")._replace(after=("j4",))})),
    ("job that no run ends", FAIR._replace(stuck={5: "running"})),
    ("process left", FAIR._replace(processes=["17: sleep 30"])),
    ("report or list wrong", FAIR._replace(listed={1: "failed"})),
    ("report or list wrong", FAIR._replace(reported={"counts": {"succeeded": 5}, "attempts": 6})),
    ("report or list wrong", FAIR._replace(reported=FAIR.reported | {"attempts": 5})),
    ("store not sound", FAIR._replace(doctor=Ended(("doctor",), 1, "counters"))),
    ("command broken off by an error", FAIR._replace(commands=[Ended(("run",), 70, "")])),
    ("command broken off by an error", FAIR._replace(commands=[Ended(("run",), 1, "Traceback (most …")])),
    ("command broken off by an error", FAIR._replace(commands=[Ended(("add",), 1, "")])),
]  # fmt: skip


def test_fair_evidence_is_condemned_by_nobody() -> None:
    assert {name: told for name, told in verdicts(FAIR).items() if told} == {}


@pytest.mark.parametrize(("name", "evidence"), FORGED, ids=[name for name, _ in FORGED])
def test_forged_evidence_is_condemned(name: str, evidence: Evidence) -> None:
    assert verdicts(evidence)[name]


def test_every_judge_is_tried() -> None:
    assert {name for name, _ in FORGED} == set(JUDGES)


#: Broken variants of batchq (mutants.py), and who of the judges must notice them.
BROKEN = {
    "a limit that is off by one": {"limit or rate of a queue exceeded"},
    "a rescue that lets the processes of the dead live": {"two attempts of a job at once", "process left"},
    "a failed parent that frees its children": {"child before its parent", "wrong end of an undisturbed job"},
}


@needs_flock
@pytest.mark.parametrize("mutant", list(BROKEN)[: sizes.CHAOS_MUTANTS])
def test_chaos_catches(mutant: str, tmp_path: Path) -> None:
    for number in range(20):  # chance decides in which of them it shows
        folder = tmp_path / str(number)
        folder.mkdir()
        shell = Shell(folder)
        shell.make_store()
        try:
            _, evidence = fought(shell, f"{mutant}/{number}", 12, mutant, blows={both: 1, runner: 1})
        finally:
            survivors.end_all(folder)  # the broken variant may have left some
        if any(told for name, told in verdicts(evidence).items() if name in BROKEN[mutant]):
            record_caught("S30")
            return
    pytest.fail("nobody noticed it")
