"""``batchq run`` without its command line: the loop between the ledger and an executor."""

from batchq.runner.loop import run
from batchq.runner.observer import Observer
from batchq.runner.tally import Plan, Tally

__all__ = ["Observer", "Plan", "Tally", "run"]
