"""What happened, for people and for programs: one Report value, and one module a form (table, JSON, digest)."""
