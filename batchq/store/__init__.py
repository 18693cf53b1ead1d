"""The ledger: one SQLite file, and all SQL. Whoever looks for something here:

the file      location creation connection patience readonly locks holders trust files log frames copying restoring bell
the schema    schema schema1 schema2 migrations objects values
adding        intake keys revision binding
running       ledger recording lost unfit claiming limits order runners outlook answers asking names states
changing      control reopening queues
looking       ages awaited obstacles queries tallies rows selecting snapshots reasons
keeping       keeping pruning filed examination breaches repair
"""
