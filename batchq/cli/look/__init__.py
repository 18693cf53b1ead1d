"""The commands that look and wait: `report`, `list`, `show`, `explain`, `wait`."""
