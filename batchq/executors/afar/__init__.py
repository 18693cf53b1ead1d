"""Executors beyond this process: a site runs jobs elsewhere and is spoken to through a pipe."""
