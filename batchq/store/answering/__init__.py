"""Which jobs a run answers for, and what a wait waits for."""
