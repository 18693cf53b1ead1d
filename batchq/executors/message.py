"""The messages of tasks for a worker, as ``processes.worker.wire`` describes them."""

import json
from collections.abc import Callable, Sequence
from operator import attrgetter

from batchq.jobs.attempt import Claim
from batchq.named import NamedTuple

_ABOUT = attrgetter("name", "batch", "queue", "key", "env", "umask", "timeout")  #: of a task, next to its work


class Hook(NamedTuple):
    """The function that performs payload jobs: ``pkg.mod:func``, searched in the job's folder and then in ``also``."""

    target: str | None
    also: str


def message(
    claims: Sequence[Claim],
    hook: Hook,
    db: str,
    *,
    parents_file: Callable[[Claim], str],
    kept: int,
    slot: int,
    look: bool,
    single: bool,
    last: bool,
) -> str:
    """Make the message of tasks that are all calls or all payloads, for the slot with this number."""
    target, also = hook if claims[0].kind == "payload" else (None, None)
    head: dict[str, object] = {"slot": str(slot), "look": look, "single": single, "kept": kept}
    head |= {"target": target, "also": also}
    if claims[0].output == "merged":
        head["merged"] = True
    if last:
        head["last"] = True
    # The work is JSON already: parsing and encoding it again would take longer than the rest of the message.
    tasks = []
    described = None
    for claim in claims:
        about = _ABOUT(claim)
        text = "null" if about == described and claim.parents is None else _described(about, db)
        described, parents = about, ""
        if claim.parents is not None:  # the next task has no such variable, so it must be described, too
            described, parents = None, f",{json.dumps(parents_file(claim))}"
        tasks.append(f'[{claim.id},{claim.attempt},"{claim.token}",{text},{claim.work}{parents}]')
    return f'{json.dumps(head)[:-1]},"tasks":[{",".join(tasks)}]}}'


def _described(about: tuple[object, ...], db: str) -> str:
    *labels, env, umask, timeout = about
    return json.dumps((*labels, db, {} if env is None else json.loads(str(env)), umask, timeout))
