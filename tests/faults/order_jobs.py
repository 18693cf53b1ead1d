"""What the walk over order draws: jobs with keys, parents and slots, and what runners take."""

from typing import Any

import hypothesis.strategies as st

from batchq.jobs.attempt import CANCELLED, CRASHED, FAILED, INTERRUPTED, SUCCEEDED, TIMED_OUT
from batchq.jobs.selection import NO_JOB
from batchq.store.running.wanted import RunSelection

STATUSES = (SUCCEEDED, SUCCEEDED, FAILED, FAILED, TIMED_OUT, CRASHED, INTERRUPTED, CANCELLED)
WAITING = ("held", "blocked", "scheduled", "queued")
WANTED = st.builds(
    RunSelection, st.sampled_from([None, None, "b"]), st.sampled_from([None, None, None, "one"]), st.booleans(),
    st.sampled_from([None] * 7 + [((2, 4),), ((1, 3), (6, 9)), NO_JOB]), files=st.just(()), entered=st.none(),
)  # fmt: skip
ANY_WORD = ("x", "y", "batch:one", "batch:two", "1", "9", "id:1", "id:9", "last", "99999999999999999999")
SPEC = st.fixed_dictionaries(
    {
        "batch": st.sampled_from(["one", "two", "default"]), "queue": st.sampled_from("ab"),
        "priority": st.sampled_from([0, 0, 1]), "slots": st.sampled_from([1] * 4 + [2]), "budget": st.integers(1, 2),
        "kind": st.sampled_from(["shell", "shell", "payload"]),
    },
    optional={
        "name": st.sampled_from("xxyz"), "delay": st.sampled_from([None, 60_000]), "hold": st.sampled_from([False, True]),
    },
)  # fmt: skip
KEYED = st.fixed_dictionaries(
    {
        "key": st.sampled_from("kl"), "unique": st.sampled_from(["ever", "active", 90_000]),
        "if_exists": st.sampled_from(["skip", "skip", "reject", "replace", "replace", "rerun-failed", "rerun-failed"]),
    }
)  # fmt: skip
PLAIN = {"batch": "one", "queue": "a", "priority": 0, "slots": 1, "budget": 1, "kind": "shell", "unique": "ever",
         "if_exists": "skip"}  # fmt: skip
DIAMOND = [
    PLAIN | {"name": "x"}, PLAIN | {"name": "y", "after": ["x"]}, PLAIN | {"queue": "b", "name": "y", "after": ["x"]},
    PLAIN | {"after": ["y"]}, PLAIN | {"after_any": ["y"]},
    PLAIN | {"name": "z", "after_failed": ["x"]}, PLAIN | {"after_failed": ["z", "y"]}, PLAIN | {"after": ["z"]}, PLAIN,
]  # fmt: skip
KEYLESS = st.just({"unique": "ever", "if_exists": "skip"})
JOB = st.builds(lambda spec, key: spec | key, SPEC, KEYLESS | KEYED)


def fields_of(spec: dict[str, Any]) -> dict[str, Any]:
    """A job of the model as a person writes it."""
    fields = {name: value for name, value in spec.items() if name not in ("kind", "budget", "delay", "unique")}
    fields |= {"payload": 1} if spec["kind"] == "payload" else {"command": "true"}
    fields |= {"max_attempts": spec["budget"], "backoff": "10s"}
    fields |= {"delay": f"{spec['delay']}ms"} if spec.get("delay") else {}
    unique = spec["unique"]
    return fields | {"unique": f"{unique}ms" if isinstance(unique, int) else unique}
