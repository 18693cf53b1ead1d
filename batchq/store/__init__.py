"""The ledger: one SQLite file, and all SQL, in six folders above a common base. A folder uses only those below it:

keeping     pruning, checking, repairing, backing up, restoring
changing    what people do to jobs and queues
answering   which jobs a run answers for, and what a wait waits for
looking     reading: rows, counts, reasons, and what prevents jobs from running
running     what a runner asks of the ledger: claims, results, rescues
adding      new jobs, known jobs, and their parents
(here)      states, order, selections, names: the base that all folders share
file        the file: its path, locks, trust, log, schema; opening it
"""
