"""Why an attempt failed: a signature that is equal for failures of the same cause. Text in, value out; no I/O."""
