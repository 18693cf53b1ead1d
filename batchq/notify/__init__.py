"""Notifying a command or a URL of what a run did: nothing here can change a run, its exit code or its output."""
