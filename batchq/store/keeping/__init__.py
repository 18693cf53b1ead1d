"""Pruning, examining, repairing, backing up, restoring."""
