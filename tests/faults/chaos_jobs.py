"""The jobs of the chaos suite, drawn at random, and how each of them ends as long as nobody does anything to it."""

import json
import random
from typing import Any, NamedTuple

LIMITS = {"narrow": 2, "single": 1}  #: queues, and how many of their jobs may run at once
RATE = 20  #: starts a second of the queue ``slow``
NEVER_ENDS = 60.0  #: seconds that a job sleeps that is to be ended by its timeout


class Job(NamedTuple):
    """What is added, and what is known of it."""

    name: str
    fields: dict[str, Any]
    end: str  #: the state in which it ends undisturbed
    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()

    @property
    def is_once(self) -> bool:
        """Whether it must not be started twice unasked."""
        return self.fields.get("on_crash") == "hold"

    @property
    def line(self) -> str:
        """The job as a line of a job file."""
        order = {"after": self.after, "after_any": self.after_any}
        return json.dumps(
            {"name": self.name} | self.fields | {key: list(value) for key, value in order.items() if value}
        )


def draw(chance: random.Random, first: int, number: int) -> list[Job]:
    """So many jobs for one add; their names are numbered from ``first``."""
    jobs: list[Job] = []
    for serial in range(first, first + number):
        job = _alone(chance, f"j{serial}")
        parents = [other.name for other in jobs if "key" not in other.fields]
        if parents and chance.random() < 0.3:
            chosen = tuple(sorted(set(chance.choices(parents, k=chance.randint(1, 3)))))
            job = job._replace(after=chosen) if chance.random() < 0.7 else job._replace(after_any=chosen)
        jobs.append(job)
    return jobs


def _alone(chance: random.Random, name: str) -> Job:
    queue = chance.choices(["default", "narrow", "single", "slow", "moody"], [40, 15, 15, 15, 15])[0]
    fields: dict[str, Any] = {"queue": queue, "backoff": "5ms", "max_crashes": 1000}
    fields["priority"] = chance.choice([0, 0, 0, 5, -5])
    if chance.random() < 0.1:
        fields["key"] = f"k{chance.randrange(40)}"
    if chance.random() < 0.05:
        fields["hold"] = True
    if chance.random() < 0.1:
        fields["delay"] = f"{chance.randrange(900)}ms"
    if chance.random() < 0.1:
        fields["slots"] = 2
    if chance.random() < 0.15:
        fields["on_crash"] = "hold"
    kind = chance.choices(
        ["quick", "fails", "retried", "late", "callable", "failing callable", "stubborn", "leaves", "bare"],
        [30, 8, 10, 4, 25, 5, 4, 8, 6],
    )[0]
    places = LIMITS.get(queue, 0)
    nap = chance.choice([0.1, 0.2] if places else [0, 0, 0.02, 0.1, 0.4, 1.0])
    if "callable" in kind:
        arguments = {"name": name, "nap": nap, "fate": 3 if kind.startswith("failing") else 0, "places": places}
        fields |= {"call": "chaos_witness:witness", "args": arguments}
    else:
        fate = {"fails": "3", "retried": "until:2"}.get(kind, "0")
        if kind == "late":
            nap, fields["timeout"] = NEVER_ENDS, "200ms"
        mode = kind if kind in ("stubborn", "leaves", "bare") else "plain"
        fields["command"] = ["sh", "witness.sh", name, str(nap), fate, str(places), mode]
        fields["max_attempts"] = 3 if kind == "retried" else chance.choice([1, 1, 2])
    return Job(name, fields, "failed" if kind in ("fails", "failing callable", "late") else "succeeded")
