"""``batchq top``: what is read each second (``contents``), what a person looks at (``focus``), and the picture of both."""
