"""For which jobs a run answers, and what a wait waits for."""
