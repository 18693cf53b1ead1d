"""batchq: the batch runner for crontabs and shell scripts. One SQLite file, no daemon, truthful exit codes.

Importing this package imports nothing else, so that ``batchq add`` starts in the time of bare Python.
"""
