"""The command that prints what jobs printed: `logs`."""
