"""The states of jobs as people read them: their colours, and ``lost`` for the jobs of a dead run."""

from batchq.report.layout import Part

LOST = "the run died; 'batchq run' takes it back or reports why not"
STYLES = {
    "failed": "red",
    "lost": "yellow",
    "succeeded": "green",
    "running": "cyan",
    "cancelled": "yellow",
    "held": "yellow",
}


def state(name: str) -> Part:
    """A state and its colour."""
    return name, STYLES.get(name, "")


def standings(counts: dict[str, int], lost: int) -> dict[str, int]:
    """The jobs by state; ``lost`` of those that are ``running`` in the store belong to a dead run."""
    if not lost:
        return counts
    parted = counts | {"running": counts["running"] - lost, "lost": lost}
    return {state: jobs for state, jobs in parted.items() if jobs}
