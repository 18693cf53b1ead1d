"""Operating-system processes: starting, watching and ending them. Nothing else in batchq spawns or signals."""
