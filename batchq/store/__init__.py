"""The ledger: one SQLite file. All SQL of batchq is in this folder, and nothing else here knows processes."""
