"""Reading: rows, counts, reasons, and what keeps jobs from running."""
