"""What people do to jobs and queues: retry, cancel, hold, release, limit, pause."""
