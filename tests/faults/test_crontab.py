"""S19, S20: a crontab that adds the same file each minute and runs it: each piece of work once, silence, a store that
levels off; and two that add and skip their run at once, and lose nothing."""

import subprocess
from collections import Counter
from pathlib import Path

import sizes
from conftest import Shell
from figures import record
from fleet import Fleet

pytest_plugins = ("figures",)

SLOTS = 2  #: of a run that is killed
ETL = """
[defaults]
key = "auto"
[[job]]
name = "extract"
command = 'echo "$BATCHQ_KEY $BATCHQ_ATTEMPT" >> done'
inputs = ["orders"]
[[job]]
name = "load"
command = 'echo "$BATCHQ_KEY $BATCHQ_ATTEMPT" >> done'
inputs = ["orders", "prices"]
after = ["extract"]
"""


def test_a_day_of_a_crontab_does_each_piece_of_work_once(batchq: Shell) -> None:
    chance = sizes.chance("crontab")
    inputs = {"orders": 0, "prices": 0}
    (batchq.folder / "etl.toml").write_text(ETL)
    batchq("prune", "--set-retention", "2s")
    contents: set[tuple[int, ...]] = set()
    sizes_of_store: list[int] = []
    told: list[str] = []
    kills = 0
    for minute in range(sizes.MINUTES):
        for name, value in inputs.items():  # now and then what is there was there before
            inputs[name] = chance.choice([value, value, value + 1, max(0, value - 1)])
            (batchq.folder / name).write_text(str(inputs[name]))
        contents |= {(inputs["orders"],), (inputs["orders"], inputs["prices"])}
        told.append(spoken(batchq, "add", "-q", "etl.toml"))
        event = chance.randrange(12)
        if event == 0:
            with Fleet(batchq, "--if-running", "skip") as fleet:
                fleet.start()
                told.append(spoken(batchq, "run", "--if-running", "skip"))
                assert fleet.wait_for_all() == [0]
        elif event == 1:
            kills += 1
            killed(batchq, chance.random() * 0.4)
        else:
            told.append(spoken(batchq, "run", "--if-running", "skip"))
        if event == 2:
            batchq("prune", "--older-than", "0s", "--forget-keys", "30d")
        sizes_of_store.append(Path(batchq.db()).stat().st_size)
        assert minute < 3 or minute % 10 or set(told) == {""}, told

    batchq("run", "-q")
    done = [line.split() for line in (batchq.folder / "done").read_text().splitlines()]
    pieces = Counter(key for key, _ in done)
    half, end = max(sizes_of_store[: sizes.MINUTES // 2]), max(sizes_of_store[-sizes.MINUTES // 4 :])
    twice = len(done) - len(set(map(tuple, done)))
    record("S19 crontab", sizes.MINUTES, "minutes", twice, pieces=len(pieces),
           kills=kills, bytes_at_noon=f"{half:,}", bytes_at_the_end=f"{end:,}")  # fmt: skip
    assert set(told) == {""}, "all is well, and nothing is said"
    assert len(pieces) == len(contents)
    assert twice == 0
    assert sum(attempt != "1" for _, attempt in done) <= SLOTS * kills, "once, but where a run was killed"
    assert end <= half * 1.3 + (64 << 10)


def spoken(shell: Shell, *words: str) -> str:
    done = shell(*words)
    return done.out + done.err


def killed(shell: Shell, seconds: float) -> None:
    """Start a run, and kill it whole after so long, wherever it is then."""
    with Fleet(shell, "-q", "-j", str(SLOTS)) as fleet:
        member = fleet.start()
        try:
            member.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            if member.runner is not None:
                member.kill()
            else:
                member.process.kill()
        fleet.members[0].process.wait(timeout=60)


def test_two_that_add_and_skip_their_run_leave_nothing_queued(batchq: Shell) -> None:
    script = (
        'i=0; while [ $i -lt "$ROUNDS" ]; do i=$((i + 1));'
        ' "$PYTHON" -m batchq add -q -c : && "$PYTHON" -m batchq run -q --if-running skip || exit 1; done'
    )
    env = batchq.env | {"ROUNDS": str(sizes.WAKE_UPS), "PYTHON": str(batchq.argv()[0])}
    shells = [
        subprocess.Popen(["sh", "-c", script], cwd=batchq.folder, env=env, stdin=subprocess.DEVNULL) for _ in range(2)
    ]
    codes = [process.wait(timeout=1800) for process in shells]

    left = batchq.rows("SELECT id, state FROM jobs WHERE state <> 'succeeded'")
    runs = batchq.rows("SELECT count(*) FROM runners")[0][0]
    record("S20 wake-ups", 2 * sizes.WAKE_UPS, "adds", len(left), runs_that_were_not_skipped=runs)
    assert codes == [0, 0]
    assert left == []
