"""The ledger: one SQLite file, and all SQL, in six rooms above a common ground. A room uses those below it:

keeping     pruning, examining, repairing, backing up, restoring
changing    what people do to jobs and queues
answering   for which jobs a run answers, and what a wait waits for
looking     reading: rows, counts, reasons, and what keeps jobs from running
running     what a runner asks of the ledger: claims, ends, rescues
adding      what is new, what is known, who waits for whom
(here)      states, order, selections, names: the ground that all rooms share
file        the file: its place, locks, trust, log, schema; opening it
"""
