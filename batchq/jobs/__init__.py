"""What a job is: its fields, the files that describe it, how an attempt ended, and what follows from that. Pure."""
