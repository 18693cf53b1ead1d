"""The commands that keep a store sound, safe and small: `doctor`, `backup`, `restore`, `prune`."""
