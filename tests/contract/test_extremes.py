"""Whatever one value of a store is, a command ends, with a sentence if need be, and the jobs beside it run."""

import random
from collections.abc import Iterator

import extremes
import pytest
from extremes import BYSTANDERS, Commands
from soaking import SEED, SOAK

#: One column and value of each kind that has held up a run or ended a command in the middle
KNOWN = [
    ("jobs", "attempt", 2**63 - 1), ("jobs", "attempt", -(2**63)), ("jobs", "failures", 1 << 40),
    ("jobs", "umask", (1 << 53) + 1), ("jobs", "umask", -(2**63)), ("jobs", "work", b"\xff\xfe"),
    ("jobs", "leftovers", b"\xff\xfe"), ("jobs", "queue", "a\0b"), ("jobs", "finished_at", 0),
    ("jobs", "context", 1 << 40), ("counters", "jobs", 2**63 - 1), ("queues", "running_limit", -1),
    ("queues", "rate", float("inf")), ("settings", "value", 1.5), ("settings", "value", None),
    ("settings", "value", 2**63 - 1), ("settings", "value", "x"),
]  # fmt: skip
LOOKS = (
    ("list",), ("report",), ("show", "2"), ("show", "7"), ("explain", "7"), ("doctor",), ("backup", "-q", "copy"),
    ("logs", "2"), ("queue",), ("report", "--format", "html"), ("report", "--format", "junit"),
    ("report", "--format", "md"), ("report", "--format", "prometheus"),
)  # fmt: skip
ACTS = (
    ("retry", "--failed"), ("cancel", "8"), ("wait", "--timeout", "1s", "7"), ("add", "-q", "--", "true"),
    ("prune", "--older-than", "1h"), ("doctor", "--repair"),
)  # fmt: skip
_ALL = {"contexts", "settings"}  #: tables of whose rows each job needs one, so that none is beside it


@pytest.fixture(scope="module", name="commands")
def _commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    commands = Commands(tmp_path_factory.mktemp("extremes"))
    yield commands
    commands.close()


def chosen(commands: Commands, purpose: str, most: int) -> list[tuple[str, str, object]]:
    print(f"BATCHQ_SEED={SEED}")
    return commands.cases if SOAK else random.Random(f"{SEED}/{purpose}").sample(commands.cases, most)


def ends_well(commands: Commands, *words: str) -> tuple[int, str]:
    code, told = commands(*words)
    assert code >= 0, f"{words} did not end"
    assert "Traceback" not in told, told
    return code, told


def shown(case: tuple[str, str, object]) -> str:
    return f"{case[0]}.{case[1]} = {str(case[2])[:30]!r}"


def check_run(commands: Commands, case: tuple[str, str, object]) -> None:
    commands.renew()
    if not extremes.disturb(commands.store, *case):
        return
    _, told = ends_well(commands, "run", "-j", "2")
    left = commands.rows(f"SELECT id, state FROM jobs WHERE id IN {BYSTANDERS} AND state <> 'succeeded'")
    assert not left or case[0] in _ALL, f"{shown(case)}: {left} {told}"


@pytest.mark.parametrize("case", KNOWN, ids=shown)
def test_a_run_does_the_other_jobs(commands: Commands, case: tuple[str, str, object]) -> None:
    check_run(commands, case)


@pytest.mark.parametrize("case", KNOWN, ids=shown)
def test_an_add_ends_with_a_sentence_or_with_an_id_of_its_own(
    commands: Commands, case: tuple[str, str, object]
) -> None:
    commands.renew()
    extremes.disturb(commands.store, *case)
    before = commands.rows("SELECT max(id) FROM jobs")
    code, _ = ends_well(commands, "add", "-q", "--", "true")
    assert code != 0 or commands.rows("SELECT max(id) FROM jobs") > before


def test_a_run_does_the_other_jobs_whatever_one_value_is(commands: Commands) -> None:
    for case in chosen(commands, "extremes of runs", 25):
        check_run(commands, case)


@pytest.mark.parametrize("kind", ["look", "act"])
def test_a_command_ends_with_a_sentence_whatever_one_value_is(commands: Commands, kind: str) -> None:
    words = random.Random(SEED)
    for case in chosen(commands, f"extremes of a {kind}", 12):
        commands.renew()
        extremes.disturb(commands.store, *case)
        verbs = LOOKS if kind == "look" else ACTS
        for verb in verbs if SOAK else words.sample(verbs, 3):
            for copy in commands.store.parent.glob("copy*"):
                copy.unlink()
            ends_well(commands, *verb)
