"""The commands that change jobs and queues: `retry`, `cancel`, `hold`, `release`, `queue`."""
