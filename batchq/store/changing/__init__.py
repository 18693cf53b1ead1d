"""What people do to jobs and queues."""
