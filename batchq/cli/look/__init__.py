"""The commands that look and wait: `report`, `list`, `show`, `logs`, `explain`, `wait`."""
