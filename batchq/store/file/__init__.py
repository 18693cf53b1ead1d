"""The file of a store: its schema, and the code that finds, trusts, locks, opens and checkpoints it."""
