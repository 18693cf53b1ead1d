"""What a run shows on a terminal while it works: the screen, what is drawn on it, and the lines that stay."""
