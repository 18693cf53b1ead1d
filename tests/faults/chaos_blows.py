"""The blows that chance deals in a round of chaos: kill -9 of everything, signals, stops, strangers who lock."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import sizes
import stranger
from chaos_evidence import Evidence, read
from chaos_round import Round
from conftest import Shell
from fleet import Fleet, Member

Blow = Callable[[Round], bool]  #: deals it, and says whether it met somebody
STOPS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


def fought(
    shell: Shell, seed: str, number: int, mutant: str | None = None, blows: dict[Blow, int] | None = None
) -> tuple[Round, Evidence]:
    """A round with a number of blows, drawn by ``seed``; ``mutant`` breaks its runs."""
    chance = sizes.chance_of(f"chaos/{seed}")
    with Fleet(shell) as fleet:
        fight = Round(shell, fleet, chance, mutant)
        while sum(fight.kills.values()) < number:
            fight.keep_going()
            time.sleep(chance.uniform(0, 0.15))  # when it happens is up to chance
            strike(fight, blows or BLOWS)
        return fight, fight.end()


def strike(fight: Round, blows: dict[Blow, int]) -> None:
    """One blow, wherever it meets whom."""
    blow = fight.chance.choices(list(blows), list(blows.values()))[0]
    if blow(fight):
        fight.count(blow.__name__)


def guardian(fight: Round) -> bool:
    return _kill(fight, "guardian")


def runner(fight: Round) -> bool:
    return _kill(fight, "runner")


def both(fight: Round) -> bool:
    return _kill(fight, "both")


def _kill(fight: Round, target: str) -> bool:
    member = _someone(fight)
    if member is not None:
        member.kill(target)
    return member is not None


def _someone(fight: Round) -> Member | None:
    there = [member for member in fight.fleet.living() if member.runner is not None]
    return fight.chance.choice(there) if there else None


def job(fight: Round) -> bool:
    """Kill a process of a job, or a worker."""
    found = _processes_of_jobs(fight.shell.db())
    if not found:
        return False
    pid, variables = fight.chance.choice(found)
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        is_still_it = variables == _variables(Path(f"/proc/{pid}"))
        if is_still_it:
            if b"BATCHQ_JOB_ID" in variables:
                fight.hurt.add(int(variables[b"BATCHQ_JOB_ID"]))
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        return is_still_it
    return False


def _processes_of_jobs(store: Path) -> list[tuple[int, dict[bytes, bytes]]]:
    found = [(int(entry.name), _variables(entry)) for entry in Path("/proc").glob("[0-9]*")]
    return [(pid, variables) for pid, variables in found if variables.get(b"BATCHQ_DB") == os.fsencode(store)]


def _variables(entry: Path) -> dict[bytes, bytes]:
    try:
        return dict(text.split(b"=", 1) for text in (entry / "environ").read_bytes().split(b"\0") if b"=" in text)
    except OSError:
        return {}


def add(fight: Round) -> bool:
    return fight.add(killed_after=fight.chance.uniform(0.2, 1.5) * fight.usual)


def command(fight: Round) -> bool:
    """Kill a command that looks, or changes something."""
    _, is_killed = fight.killed_command(fight.chance.uniform(0.2, 1.8) * fight.usual, *_words(fight))
    return is_killed


def _words(fight: Round) -> tuple[str, ...]:
    chance = fight.chance
    chosen = chance.randrange(9)
    if chosen == 0:
        return "prune", "--older-than", "2s", "--state", "succeeded", "--keep", "50"
    if chosen == 1:
        return "backup", "backup"
    if chosen == 2:
        jobs = _some(fight, "state NOT IN ('succeeded', 'failed', 'cancelled')")
        fight.cancelled |= set(jobs)
        return "cancel", *map(str, jobs)
    if chosen == 3:
        jobs = _some(fight, "state = 'failed'")
        fight.retried |= set(jobs)
        return "retry", *map(str, jobs)
    if chosen == 4:
        return "hold", *map(str, _some(fight, "state IN ('queued', 'scheduled', 'blocked')"))
    if chosen == 5:
        queue, limit = chance.choice([("narrow", "2"), ("single", "1")])
        return "queue", "set", queue, "--limit", limit
    if chosen == 6:
        return "queue", chance.choice(["pause", "resume", "resume"]), "moody"
    return (chance.choice(["report", "list", "doctor"]),)


def _some(fight: Round, condition: str) -> list[int]:
    """One to three jobs of such a state; the first job of all if there is none."""
    jobs = [job for (job,) in read(fight.shell.db(), f"SELECT id FROM jobs WHERE {condition} ORDER BY id")]
    return fight.chance.sample(jobs, min(len(jobs), fight.chance.randint(1, 3))) or [1]


def stopped(fight: Round) -> bool:
    """Stop a guardian, a runner or a job for a while."""
    member = _someone(fight)
    if member is None:
        return False
    if fight.chance.random() < 0.5:
        member.signal_runner(signal.SIGSTOP)
    else:
        member.process.send_signal(signal.SIGSTOP)
    time.sleep(fight.chance.uniform(0.05, 0.4))
    member.signal_runner(signal.SIGCONT)
    member.process.send_signal(signal.SIGCONT)
    return True


def told_to_stop(fight: Round) -> bool:
    """One signal, or two."""
    member = _someone(fight)
    if member is None:
        return False
    for _ in range(fight.chance.randint(1, 2)):
        member.process.send_signal(fight.chance.choice(STOPS))
        time.sleep(fight.chance.uniform(0, 0.05))
    return True


def locked(fight: Round) -> bool:
    """A stranger writes to the store for a while; often a run is told to stop meanwhile."""
    with stranger.writing(fight.shell.db()):
        if fight.chance.random() < 0.6:
            told_to_stop(fight)
        time.sleep(fight.chance.uniform(0.02, 0.4))
    return True


BLOWS: dict[Blow, int] = {
    guardian: 12, runner: 9, both: 12, job: 9, add: 25, command: 18, stopped: 5, told_to_stop: 5, locked: 5,
}  # fmt: skip
