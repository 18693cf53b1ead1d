"""Points where a test can make a real process fail: ``BATCHQ_FAIL=after_claim:kill:3`` kills it at the third pass.

The points are part of the normal program, so the tests test what users run (as FreeBSD's fail(9)). Without the variable
a point costs one comparison. ``BATCHQ_FAIL_LOG=FILE`` appends the name of every point that is passed, so the tests know
that none of them is dead code.
"""

import os

POINTS = (
    "add_before_commit",
    "after_claim",
    "before_finish",
    "after_finish",
    "rescue_before_commit",
    "in_checkpoint",
    "migration_before_commit",
    "backup_before_rename",
    "restore_before_rename",
    "restore_between_renames",
    "prune_before_commit",
    "report_before_rename",
)
_ASKED = os.environ.get("BATCHQ_FAIL")
_LOG = os.environ.get("BATCHQ_FAIL_LOG")
_passes: dict[str, int] = {}


def hit(name: str) -> None:
    """Pass the point ``name``: SIGKILL this process, or raise OSError (EIO), if the environment says so."""
    if _ASKED is None and _LOG is None:
        return
    if _LOG is not None:
        fd = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, f"{name}\n".encode())
        os.close(fd)
    if _ASKED is None:
        return
    wanted, _, rest = _ASKED.partition(":")
    action, _, nth = rest.partition(":")
    if wanted != name:
        return
    _passes[name] = _passes.get(name, 0) + 1
    if _passes[name] != int(nth or "1"):
        return
    if action == "kill":
        import signal

        signal.raise_signal(signal.SIGKILL)
    raise OSError(5, f"failpoint {name}")
