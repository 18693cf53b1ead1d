"""The file, and all that opens, locks, trusts and describes it."""
