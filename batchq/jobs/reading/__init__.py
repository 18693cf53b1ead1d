"""From files and standard input to jobs."""
