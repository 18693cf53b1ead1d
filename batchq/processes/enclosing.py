"""The jobs around this process: a job may call batchq, which may run a job that calls batchq …"""

import os

from batchq.processes import proc


def tokens() -> list[str]:
    """Return the tokens of the attempts around this process, from its environment and those of its parents.

    The innermost comes first. Leftovers of an attempt keep its token: only the store knows whether it still runs.
    """
    own = os.environ.get("BATCHQ_TOKEN")
    if not own:
        return []
    found = {own: None}
    pid = os.getpid()
    while proc.CAN_TRACE and (pid := proc.parent(pid)) > 1:
        if token := proc.token_of(pid):
            found[token] = None
    return list(found)
