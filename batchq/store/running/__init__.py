"""What a runner asks of the ledger: claims, results, rescues."""
