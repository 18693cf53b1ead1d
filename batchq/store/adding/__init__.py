"""Adding jobs: what is new, what is known, who waits for whom."""
