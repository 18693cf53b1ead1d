"""S15: how long it takes until the death of a guardian and its runner is noticed, by a living run and by the next one."""

import time

import sizes
from conftest import Shell, eventually
from figures import milliseconds, record
from fleet import Fleet, Member, rows

from batchq.store.file.opening import open_at

pytest_plugins = ("figures",)

AT_ONCE = 4


def a_job(shell: Shell, name: str) -> None:
    """A job that runs until ``end`` exists; nobody takes it up again when its runner has died."""
    script = f"touch begun-{name}; while [ ! -e end ]; do sleep 0.05; done"
    shell("add", "--on-crash", "hold", "-c", script)


def start_with_a_job(shell: Shell, fleet: Fleet, name: str) -> Member:
    a_job(shell, name)
    member = fleet.start()
    eventually((shell.folder / f"begun-{name}").exists)
    return member


def times_until_noticed(shell: Shell, victims: set[int | None]) -> list[float]:
    """How long it takes until the store says that these runners are dead, one after the other."""
    killed = time.monotonic()
    times: list[float] = []
    waiting = set(victims)

    def all_are_noticed() -> bool:
        dead = {pid for (pid,) in store.db.execute("SELECT pid FROM runners WHERE state = 'dead'")}
        times.extend(time.monotonic() - killed for _ in waiting & dead)
        waiting.difference_update(dead)
        return not waiting

    with open_at(str(shell.db())) as store:
        eventually(all_are_noticed)
    return times


def test_a_living_run_notices_dead_ones(batchq: Shell) -> None:
    waits: list[float] = []
    with Fleet(batchq, "-j", "1") as fleet:
        start_with_a_job(batchq, fleet, "rescuer")
        for number in range(0, sizes.RESCUES, AT_ONCE):
            victims = [start_with_a_job(batchq, fleet, f"{number}-{one}") for one in range(AT_ONCE)]
            pids = {victim.runner for victim in victims}
            for victim in victims:
                victim.kill()
            waits += times_until_noticed(batchq, pids)
        (batchq.folder / "end").touch()
        fleet.wait_for_all()

    record(
        "S15 rescue by a living run", len(waits), "deaths of guardian and runner", 0, noticed_after=milliseconds(waits)
    )
    assert len(waits) == sizes.RESCUES
    assert rows(batchq, "SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state") == [
        ("held", sizes.RESCUES), ("succeeded", 1),
    ]  # fmt: skip


def test_the_next_run_notices_dead_ones_before_it_does_anything_else(batchq: Shell) -> None:
    waits: list[float] = []
    with Fleet(batchq, "-j", "1") as fleet:
        for number in range(sizes.RESCUES // AT_ONCE):
            start_with_a_job(batchq, fleet, str(number)).kill()
            began = time.monotonic()
            batchq("run", code=1)  # it is put on hold
            waits.append(time.monotonic() - began)

    record("S15 rescue by the next run", len(waits), "deaths of guardian and runner", 0, whole_run=milliseconds(waits))
    assert rows(batchq, "SELECT state, crashes FROM jobs") == [("held", 1)] * len(waits)
