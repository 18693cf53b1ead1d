"""Where claimed work runs. An executor starts claims and reports how they end; it never sees the ledger."""
