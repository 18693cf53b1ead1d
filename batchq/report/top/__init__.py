"""``batchq top``: what is read each second (``contents``), what a person looks at (``view``), and the picture of both."""
