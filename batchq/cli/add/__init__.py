"""The command `add`."""
