"""What places and workers are said to do, in the same words."""

from batchq.executors.seam import Noted


def jobs(number: int) -> str:
    """Say how many jobs."""
    return "1 job" if number == 1 else f"{number} jobs"


def unconfirmed(where: str, number: int) -> Noted:
    """Say that so many jobs were to end there, and that nobody knows whether they have."""
    return Noted(f"{where} does not confirm that {jobs(number)} ended: left to the next run, which makes sure")
