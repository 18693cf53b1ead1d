"""In which jobs this process runs: a job may call batchq, which may run a job that calls batchq …"""

import os

from batchq.processes import proc


def tokens() -> list[str]:
    """The tokens of the attempts in which this process runs, as the environments of it and of its parents say.

    The innermost comes first. What is left of an attempt keeps its token: whether it still runs the store knows.
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
