"""The judges of a round of chaos: each looks for one kind of broken promise, and says how often it could have found one."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from chaos_evidence import OVER, Ended, Evidence, Line
from chaos_jobs import RATE

Judge = Callable[[Evidence], list[str]]
SPARED = {-9, 0, 1, 129, 130, 131, 137, 143}  #: exit codes of a run that is killed, told to stop, or ends by itself
EARLY = {-1, -2, -3, -15}  #: and of one that is told to stop before it listens


def begun(evidence: Evidence) -> list[Line]:
    return [line for line in evidence.lines if line.what == "begin"]


def missing(evidence: Evidence) -> list[str]:
    """A job whose id was printed is in the store, or has done its work and was pruned."""
    done = {line.job for line in evidence.lines if line.what == "end"}
    return [f"job {job} was acknowledged and is gone" for job in evidence.acknowledged - set(evidence.states) - done]


def at_once(evidence: Evidence) -> list[str]:
    """While anything of an attempt lives, no other one of its job begins."""
    return [f"job {line.job}: attempt {line.attempt} met another" for line in evidence.lines if line.what == "overlap"]


def twice(evidence: Evidence) -> list[str]:
    """No attempt begins twice, and no key belongs to two jobs that begin."""
    times = Counter((line.job, line.attempt) for line in begun(evidence))
    jobs_of: dict[str, set[int]] = {}
    for line in begun(evidence):
        jobs_of.setdefault(line.key, set()).add(line.job)
    return [f"job {job} attempt {attempt} began {n} times" for (job, attempt), n in times.items() if n > 1] + [
        f"key {key} was run by jobs {sorted(jobs)}" for key, jobs in jobs_of.items() if key != "-" and len(jobs) > 1
    ]


def without_effect(evidence: Evidence) -> list[str]:
    """What is recorded as a success has ended well, and its result and its output are its own."""
    ends = {(line.job, line.attempt): line for line in evidence.lines if line.what == "end"}
    return list(_without_effect(evidence, ends))


def _without_effect(evidence: Evidence, ends: dict[tuple[int, int], Line]) -> Iterator[str]:
    for (job, number), attempt in evidence.attempts.items():
        if attempt.outcome != "succeeded":
            continue
        line = ends.get((job, number))
        if line is None or line.code != 0:
            yield f"job {job} attempt {number} is a success, and left {line}"
        elif line.token != attempt.token:
            yield f"job {job} attempt {number} has the token of another"
        elif attempt.result is None or json.loads(attempt.result) != line.token:
            yield f"job {job} attempt {number} has the result {attempt.result}"
        elif attempt.stdout != f"token {line.token}\n".encode():
            yield f"job {job} attempt {number} has the output {attempt.stdout!r}"


def off_record(evidence: Evidence) -> list[str]:
    """Every attempt that has begun is on record, but of jobs that were pruned."""
    return [
        f"job {line.job} attempt {line.attempt} began and is not on record"
        for line in begun(evidence)
        if line.job in evidence.states and (line.job, line.attempt) not in evidence.attempts
    ]


def limit_exceeded(evidence: Evidence) -> list[str]:
    """No more jobs of a queue run at once, and start in a time, than it allows."""
    over = [f"job {line.job} found no place in {line.queue}" for line in evidence.lines if line.what == "exceeded"]
    slow = [line for line in begun(evidence) if line.queue == "slow"]
    return over + [
        f"start {number} of the slow queue came after {line.at - evidence.began:.2f} s"
        for number, line in enumerate(slow)
        if number > RATE * (line.at - evidence.began) + 1
    ]


def out_of_order(evidence: Evidence) -> list[str]:
    """A job begins when those that it runs after have ended well; or have ended at all, if that is enough."""
    first: dict[str, int] = {}
    well: dict[str, int] = {}
    last: dict[str, int] = {}
    for place, line in enumerate(evidence.lines):
        if line.what == "begin":
            first.setdefault(line.name, place)
        if line.what == "end" and line.code == 0:
            well.setdefault(line.name, place)
        last[line.name] = place
    came_back = {evidence.names[job] for job in evidence.retried if job in evidence.names}
    for (
        name,
        job,
    ) in evidence.planned.items():  # parents first; what was cancelled because of a parent comes back with it
        if came_back & set(job.after):
            came_back.add(name)
    found = []
    for name, began in first.items():
        job = evidence.planned[name]
        found += [f"{name} began before {one} had succeeded" for one in job.after if well.get(one, began) >= began]
        found += [
            f"{name} began before {one} was over"
            for one in job.after_any
            if one not in came_back and last.get(one, -1) > began
        ]
    return found


def started_again(evidence: Evidence) -> list[str]:
    """``on_crash = "hold"``: what was cut off is not started again before somebody has released it."""
    asked = evidence.retried
    starts = {(line.job, line.attempt) for line in evidence.lines[: evidence.before_release] if line.what == "begin"}
    latest = {job: max(attempt for one, attempt in starts if one == job) for job, _ in starts}
    return [
        f"job {job} (on_crash = hold) began attempt {latest[job]} after attempt {number} was {attempt.outcome}"
        for (job, number), attempt in evidence.attempts.items()
        if attempt.outcome in ("crashed", "interrupted")
        and (job, number) in starts
        and latest[job] > number
        and job not in asked
        and evidence.planned[evidence.names[job]].is_once
    ]


def ended_wrong(evidence: Evidence) -> list[str]:
    """Jobs to which nothing was done end as they must."""
    found = []
    touched = evidence.hurt | evidence.cancelled | evidence.retried
    state_of = {evidence.names[job]: state for job, state in evidence.states.items()}
    for job, state in evidence.states.items():
        planned = evidence.planned[evidence.names[job]]
        above = [state_of.get(parent, "succeeded") for parent in planned.after]
        expected = "cancelled" if set(above) & {"failed", "cancelled"} else planned.end
        if job not in touched and state in OVER and state != expected:
            found.append(f"job {job} ({planned.name}) is {state} and not {expected}")
    return found


def stuck(evidence: Evidence) -> list[str]:
    """A finite number of runs ends every job that nobody holds."""
    return [f"job {job} is still {state}" for job, state in evidence.stuck.items()]


def left_over(evidence: Evidence) -> list[str]:
    """When all runs have ended no process is left."""
    return evidence.processes


def misreported(evidence: Evidence) -> list[str]:
    """``report`` and ``list`` say what is in the store."""
    counts = Counter(evidence.states.values())
    found = [] if evidence.listed == evidence.states else ["list says something else than the store"]
    told = evidence.reported["counts"]
    if {state: number for state, number in told.items() if number} != dict(counts):
        found.append(f"report counts {told}, the store has {dict(counts)}")
    if evidence.reported["attempts"] != len(evidence.attempts):
        found.append(f"report tells {evidence.reported['attempts']} attempts of {len(evidence.attempts)}")
    return found


def unsound(evidence: Evidence) -> list[str]:
    """``doctor`` finds nothing."""
    return [] if evidence.doctor.code == 0 else [f"doctor: {evidence.doctor.told}"]


def broken_off(evidence: Evidence) -> list[str]:
    """No command ends by an error of its own."""
    return [
        f"batchq {' '.join(ended.words)} ended with {ended.code}: {ended.told}"
        for ended in evidence.commands
        if ended.code not in _allowed(ended) or ended.told.startswith(TRACE) or f"\n{TRACE}" in ended.told
    ]


TRACE = "Traceback"  #: begins a line where batchq itself fails; that of a job is indented in a report


def _allowed(ended: Ended) -> set[int]:
    if ended.words[0] == "run":
        return SPARED | EARLY
    problems = [line.split()[1] for line in ended.told.splitlines() if line.startswith("problem")]
    is_of_the_dead = ended.words[0] == "doctor" and set(problems) == {"runners"}  # whom the next run sees to
    return {-9, 0, 66, 1} if is_of_the_dead else {-9, 0, 66}


class Bench(NamedTuple):
    """A judge, under the name of the attack's table, and what it counts its trials by."""

    judge: Judge
    unit: str
    trials: Callable[[Evidence], int]


def _kills(evidence: Evidence) -> int:
    return evidence.kills


def _starts(evidence: Evidence) -> int:
    return len(begun(evidence))


def _rounds(evidence: Evidence) -> int:
    return 1


def _jobs(evidence: Evidence) -> int:
    return len(evidence.states)


JUDGES = {
    "acknowledged job missing": Bench(missing, "jobs", lambda evidence: len(evidence.acknowledged)),
    "two attempts of a job at once": Bench(at_once, "kills", _kills),
    "one attempt run twice": Bench(twice, "starts", _starts),
    "success without effect": Bench(without_effect, "attempts", lambda evidence: len(evidence.attempts)),
    "effect not on record": Bench(off_record, "starts", _starts),
    "limit or rate of a queue exceeded": Bench(limit_exceeded, "starts", _starts),
    "child before its parent": Bench(out_of_order, "starts", _starts),
    "on_crash = hold started again": Bench(started_again, "kills", _kills),
    "wrong end of an undisturbed job": Bench(ended_wrong, "jobs", _jobs),
    "job that no run ends": Bench(stuck, "kills", _kills),
    "process left": Bench(left_over, "rounds", _rounds),
    "report or list wrong": Bench(misreported, "rounds", _rounds),
    "store not sound": Bench(unsound, "rounds", _rounds),
    "command broken off by an error": Bench(broken_off, "commands", lambda evidence: len(evidence.commands)),
}


def verdicts(evidence: Evidence) -> dict[str, list[str]]:
    """What each judge complains of."""
    return {name: bench.judge(evidence) for name, bench in JUDGES.items()}
