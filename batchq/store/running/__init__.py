"""What a runner asks of the ledger: claims, ends, rescues."""
