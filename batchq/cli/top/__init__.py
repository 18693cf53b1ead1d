"""``batchq top``: a live table of queues, runs and jobs, with keys that change jobs."""
