"""What happened, for people and for programs: one Report value, and one module for each form (table, JSON, digest)."""
